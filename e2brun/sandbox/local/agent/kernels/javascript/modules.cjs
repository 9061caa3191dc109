'use strict'
// import() as a module in the working directory would do it.

const path = require('path')
const vm = require('vm')

const { fromEntries } = Object
const { emitWarning } = process

// Without the warnings that node gives while `action` runs.
function quietly(action) {
  process.emitWarning = () => {}
  try {
    return action()
  } finally {
    process.emitWarning = emitWarning
  }
}

const importers = new Map() // working directory -> import() as a module there would do it
function importer() {
  const directory = process.cwd()
  if (!importers.has(directory)) {
    const loader = vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER
    const here = require('url').pathToFileURL(path.join(directory, 'cell.js'))
    // Node 18 has no loader to name: what is relative is so to the cell, and not to this file.
    const older = name => import(/^\.{0,2}\//.test(name) ? new URL(name, here).href : name)
    const script = new vm.Script('(name, options) => import(name, options)', {
      filename: path.join(directory, 'cell.js'),
      importModuleDynamically: loader ?? older
    })
    importers.set(directory, script.runInThisContext())
  }
  return importers.get(directory)
}

// The second argument is what a static import wants (an array), or the options of an import().
async function load(name, wanted, attributes) {
  const bare = String(name).replace(/^npm:/, '').replace(/^((?:@[^/]+\/)?[^@/]+)@[^/]+/, '$1')
  const source = /^npm:/.test(name) ? bare : String(name)
  const options = Array.isArray(wanted) ? attributes && { with: attributes } : wanted
  const loaded = await found(source, options)
  if (!Array.isArray(wanted)) return loaded
  const missing = wanted.filter(each => !(each in loaded))
  if (missing.length === 0) return loaded
  // A CommonJS module's names are not always seen from outside; require() has them.
  const fallback = Object(loaded.default)
  return { ...loaded, ...fromEntries(missing.map(each => [each, fallback[each]])) }
}

async function found(source, options) {
  try {
    const load = importer()
    return await quietly(() => load(source, options)) // node calls its default loader experimental
  } catch (error) {
    if (error?.code !== 'ERR_MODULE_NOT_FOUND' || /^[./]|^\w+:/.test(source)) throw error
    let file // what NODE_PATH or a global installation has, as require() finds it
    try {
      file = globalThis.require.resolve(source)
    } catch {
      throw error
    }
    return importer()(require('url').pathToFileURL(file).href, options)
  }
}

exports.load = load
exports.quietly = quietly
