'use strict'
// import() as a module in the working directory would do it, and packages by `npm:NAME`.

const fs = require('fs')
const { createRequire } = require('module')
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

const importers = new Map() // directory -> import() as a module there would do it
function importer(directory) {
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
  const [, npm, plain, version = '', inside] =
    /^(?:(npm:)((?:@[^/]+\/)?[^@/]+)(@[^/]+)?)?(.*)$/s.exec(String(name))
  const source = npm ? plain + inside : String(name)
  const options = Array.isArray(wanted) ? attributes && { with: attributes } : wanted
  let loaded
  try {
    loaded = await found(source, options)
  } catch (error) {
    if (!npm || error?.code !== 'ERR_MODULE_NOT_FOUND') throw error
    loaded = await found(source, options, await installed(plain + version, error))
  }
  if (!Array.isArray(wanted)) return loaded
  const missing = wanted.filter(each => !(each in loaded))
  if (missing.length === 0) return loaded
  // A CommonJS module's names are not always seen from outside; require() has them.
  const fallback = Object(loaded.default)
  return { ...loaded, ...fromEntries(missing.map(each => [each, fallback[each]])) }
}

async function found(source, options, directory = process.cwd()) {
  try {
    const load = importer(directory)
    return await quietly(() => load(source, options)) // node calls its default loader experimental
  } catch (error) {
    if (error?.code !== 'ERR_MODULE_NOT_FOUND' || /^[./]|^\w+:/.test(source)) throw error
    let file // what NODE_PATH or a global installation has, as require() finds it
    try {
      file = createRequire(path.join(directory, 'cell.js')).resolve(source)
    } catch {
      throw error
    }
    return importer(directory)(require('url').pathToFileURL(file).href, options)
  }
}

// Where a package is that `npm:` names and nobody has installed: beside the user's own, as the Deno
// of E2B's cells has it, and with none of its scripts run.
async function installed(wanted, missing) {
  const { execFile } = require('child_process') // 2 ms of every kernel's start
  const place = path.join(require('os').homedir(), '.cache', 'npm-imports')
  const options = ['--prefix', place, '--ignore-scripts', '--no-audit', '--no-fund', '--', wanted]
  try {
    fs.mkdirSync(place, { recursive: true })
    await require('util').promisify(execFile)('npm', ['install', ...options])
    return place
  } catch (error) {
    const said = String(error.stderr).match(/^npm \S+ (?!code|errno|syscall|path|E404)(.+)$/m)
    missing.message += `; npm could not install it: ${said?.[1] ?? error.message}`
    throw missing
  }
}

exports.load = load
exports.quietly = quietly
