// For programs under `e2brun serve --https -- ...`: names of the service are this machine.
'use strict'
const dns = require('node:dns')

const domain = process.env.E2BRUN_HTTPS_DOMAIN || ''
const isOurs = (name) => {
  const plain = String(name).toLowerCase().replace(/\.$/, '')
  return domain !== '' && (plain === domain || plain.endsWith('.' + domain))
}

const lookup = dns.lookup
dns.lookup = function (name, options, callback) {
  if (!isOurs(name)) return lookup.apply(this, arguments)
  if (typeof options === 'function') [callback, options] = [options, {}]
  const found = { address: '127.0.0.1', family: 4 }
  const all = options !== null && typeof options === 'object' && options.all
  process.nextTick(() => (all ? callback(null, [found]) : callback(null, found.address, 4)))
}
Object.assign(dns.lookup, lookup)

const promised = dns.promises.lookup
dns.promises.lookup = async function (name, options) {
  if (!isOurs(name)) return promised.apply(this, arguments)
  const found = { address: '127.0.0.1', family: 4 }
  return options && options.all ? [found] : found
}
