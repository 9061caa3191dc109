'use strict'
// What a cell's value, a displayed value or an error looks like to the host.

const { inspect, types } = require('util')

const MIB = 1024 * 1024
const MAX_RESULT = 32 * MIB
const MAX_NAME = 1000
const MAX_VALUE = MIB / 2
const MAX_TRACEBACK = 2 * MIB
const MAX_DEPTH = 60
const MAX_VALUES = 250000
const FIELDS = {
  'text/plain': 'text', 'text/html': 'html', 'text/markdown': 'markdown', 'image/svg+xml': 'svg',
  'image/png': 'png', 'image/jpeg': 'jpeg', 'application/pdf': 'pdf', 'text/latex': 'latex',
  'application/json': 'json', 'application/javascript': 'javascript', 'e2b/data': 'data',
  'e2b/chart': 'chart'
}
const OBJECTS = new Set(['json', 'data', 'chart'])
const METHODS = {
  _toHtml: 'text/html', _toSvg: 'image/svg+xml', _toPng: 'image/png', _toJpeg: 'image/jpeg'
}
const JUPYTER = Symbol.for('Jupyter.display')
// From the first frame of ours, or of what called it, to the end of the stack.
const OURS = `Session\\.post \\(node:inspector|[^\\n]*${__dirname.replace(/\W/g, '\\$&')}/`
const OUR_FRAMES = new RegExp(`\\n\\s+at (?:async )?(?:${OURS})[^\\n]*(?:\\n\\s+at [^\\n]*)*`, 'g')
const ALIKE = /\n\s+\.\.\. \d+ lines matching cause stack trace \.\.\.(?:\n\s+at [^\n]*)*/g
const { parse, stringify } = JSON

// The value as other programs' JSON readers will take it, or undefined.
function plain(value) {
  const text = stringify(value)
  if (text === undefined || text.length > MAX_RESULT) return undefined
  let count = 0
  const within = (part, depth) => {
    if (++count > MAX_VALUES || depth > MAX_DEPTH) return false
    if (part === null || typeof part !== 'object') return true
    return Object.values(part).every(inner => within(inner, depth + 1))
  }
  const copy = parse(text)
  return within(copy, 0) ? copy : undefined
}

function bundle(value) {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return null
  if (types.isProxy(value)) return null
  if (typeof value[JUPYTER] === 'function') return value[JUPYTER]()
  const found = typeof value._toMime === 'function' ? { ...value._toMime() } : {}
  for (const [method, mime] of Object.entries(METHODS)) {
    if (typeof value[method] === 'function') found[mime] = value[method]()
  }
  return Object.keys(found).length ? found : null
}

function fromBundle(mimes) {
  const fields = {}
  const extra = {}
  for (const [mime, data] of Object.entries(mimes)) {
    const field = FIELDS[mime]
    if (field === undefined) extra[mime] = data
    else if (OBJECTS.has(field)) fields[field] = plain(data)
    else fields[field] = typeof data === 'string' ? data : String(data)
  }
  const more = Object.keys(extra).length ? plain(extra) : undefined
  if (more !== undefined) fields.extra = more
  return fields
}

// The fields of a result. Throws what the user's own methods throw.
function describe(value) {
  const mimes = bundle(value)
  const fields = mimes !== null && typeof mimes === 'object' ? fromBundle(mimes) : {}
  if (fields.text === undefined) fields.text = typeof value === 'string' ? value : inspect(value)
  return within(fields)
}

function within(fields) {
  let size = 0
  for (const value of Object.values(fields)) {
    size += typeof value === 'string' ? value.length : value === undefined ? 0 : MIB
  }
  if (size <= MAX_RESULT / 6) return fields
  const long = /[\u0080-\uffff]/g // written as six characters each
  const written = size > MAX_RESULT ? size : stringify(fields).replace(long, '      ').length
  if (written < MAX_RESULT) return fields
  const mib = (written / MIB).toFixed(1)
  return { text: `<result too large: ${mib} MiB; the limit for a result is 32 MiB>` }
}

function failure(error, where = '') {
  try {
    if (!types.isNativeError(error) && !(error instanceof Error)) {
      const value = typeof error === 'string' ? error : inspect(error)
      return frame(typeof error, value, `${where}Uncaught ${inspect(error)}`)
    }
    const traceback = inspect(error).replace(OUR_FRAMES, '').replace(ALIKE, '')
    return frame(String(error.name || 'Error'), String(error.message), where + traceback)
  } catch {
    return frame('Error', 'an error that cannot be shown', '')
  }
}

function frame(name, value, traceback) {
  return {
    type: 'error',
    name: name.slice(0, MAX_NAME),
    value: value.slice(0, MAX_VALUE),
    traceback: traceback.slice(0, MAX_TRACEBACK)
  }
}

exports.describe = describe
exports.failure = failure
exports.frame = frame
exports.fromBundle = mimes => within(fromBundle(mimes))
