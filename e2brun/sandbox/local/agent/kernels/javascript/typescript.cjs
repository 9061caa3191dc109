'use strict'
// TypeScript to JavaScript, by what node has built in or by a package that the host has fetched.

const { quietly } = require('./modules.cjs')
const results = require('./results.cjs')

const PACKAGES = `${process.env.E2BRUN_NODE || '/opt/e2brun/node'}/node_modules`
const NO_TYPESCRIPT =
  'TypeScript needs Node.js 22.13 or later in the sandbox, or npm on the host (it fetches ' +
  '@swc/wasm-typescript once); neither was found'

let stripping // undefined: not looked for yet; null: not there
function stripper() {
  if (stripping !== undefined) return stripping
  stripping = null
  const { stripTypeScriptTypes } = require('module')
  if (typeof stripTypeScriptTypes === 'function') {
    stripping = (code, mode) => quietly(() => stripTypeScriptTypes(code, { mode }))
    stripping.modes = ['strip', 'transform']
    return stripping
  }
  try {
    const { transformSync } = require(`${PACKAGES}/@swc/wasm-typescript`)
    const transform = { verbatimModuleSyntax: true, noEmptyExport: true, tsEnumIsMutable: true }
    stripping = (code, mode) =>
      transformSync(code, { mode, transform, module: true, filename: 'cell.ts' }).code
    stripping.modes = ['strip-only', 'transform']
  } catch {
    // not there: what node itself offers has to do
  }
  return stripping
}

function strip(code) {
  const tool = stripper()
  const [plain, transforming] = tool.modes
  try {
    return tool(code, plain)
  } catch (error) {
    if (/InvalidSyntax|ERR_INVALID/.test(error?.code)) throw error
  }
  return tool(code, transforming) // enum, namespace, parameter properties
}

// The cell as JavaScript, if there were types to strip from it; or null.
function stripped(code) {
  if (stripper() === null) return null
  try {
    const without = strip(code)
    return without === code ? null : without
  } catch {
    return null
  }
}

const unavailable = () => results.frame('TypeScriptUnavailable', NO_TYPESCRIPT, NO_TYPESCRIPT)

function failure(error, number) {
  const place = error.startLine === undefined ? '' : `cell-${number}:${error.startLine}\n`
  const lines = error.snippet === undefined ? '' : `${error.snippet}\n`
  const message = String(error.message)
  return results.frame('SyntaxError', message, `${place}${lines}SyntaxError: ${message}`)
}

exports.available = () => stripper() !== null
exports.failure = failure
exports.strip = strip
exports.stripped = stripped
exports.unavailable = unavailable
