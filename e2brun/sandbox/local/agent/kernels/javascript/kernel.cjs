'use strict'
// `node kernel.cjs [typescript|deno] CELLS_FD FRAMES_FD`: run cells in one global scope. Types are
// stripped from cells that are no JavaScript; from every one if asked to.
// Cells: a 4-byte big-endian length, then a JSON object {"code", "env", "language"?}. Frames: one
// ASCII JSON object a line: started, result*, error at most once, end. The inspector evaluates:
// only its REPL mode has top-level await and lets a cell declare a name again.

const fs = require('fs')
const inspector = require('inspector')
const { Module, createRequire } = require('module')
const path = require('path')
const { Socket } = require('net')
const { Writable } = require('stream')
const { isPromise } = require('util').types
const { Worker } = require('worker_threads')
const imports = require('./imports.cjs')
const { load } = require('./modules.cjs')
const results = require('./results.cjs')
const types = require('./typescript.cjs')

const MAX_RESULTS = 1000
const MAX_CELL = 200 * 1024 * 1024
const RUNNING = 0 // places in `shared`, as in interrupts.cjs
const SEEN = 1
// What a cell makes of the built-in objects must not stop the next one from running.
const { parse, stringify } = JSON
const { entries } = Object
const leave = process.reallyExit.bind(process)

// What can be reopened is close-on-exec then, so that no program of a cell inherits it.
function own(descriptor, flags) {
  try {
    const reopened = fs.openSync(`/proc/self/fd/${descriptor}`, flags)
    fs.closeSync(descriptor)
    return reopened
  } catch {
    return descriptor
  }
}

const cellsFd = own(Number(process.argv.at(-2)), 'r')
const framesFd = own(Number(process.argv.at(-1)), 'w')
const alwaysTypeScript = process.argv[2] === 'typescript'
if (process.argv[2] === 'deno') globalThis.Deno = require('./deno.cjs')
process.argv.splice(1)

function writeAll(descriptor, data) {
  for (let at = 0; at < data.length; ) {
    try {
      at += fs.writeSync(descriptor, data, at)
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error
      Atomics.wait(shared, shared.length - 1, 0, 1) // somebody made the pipe non-blocking
    }
  }
}

function send(frame) {
  const escaped = letter => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`
  const line = stringify(frame).replace(/[\u007f-\uffff]/g, escaped)
  try {
    writeAll(framesFd, Buffer.from(`${line}\n`, 'latin1'))
  } catch {
    leave(0) // nobody is left to tell
  }
  return line.length
}

// Written when it is printed; and node's own stream would make the pipe non-blocking for the
// programs that a cell starts.
class Output extends Writable {
  constructor(fd) {
    super({ decodeStrings: true })
    this.fd = fd
    this._type = 'pipe'
  }

  // It lasts as long as the process, as node's own does.
  end(data, encoding, done) {
    if (data !== undefined && typeof data !== 'function') this.write(data, encoding)
    for (const each of [data, encoding, done]) if (typeof each === 'function') each()
    return this
  }

  destroy() {
    return this
  }

  _write(data, _encoding, done) {
    try {
      writeAll(this.fd, data)
      done()
    } catch (error) {
      done(error.code === 'EBADF' || error.code === 'EPIPE' ? null : error)
    }
  }
}

const shared = new Int32Array(new SharedArrayBuffer(16))
const session = new inspector.Session()
let count = 0
let cell = null // the running one: {number, before, results, bytes}
let take = null // gets the value that the inspector knows by an id
const waiting = []

function valueOf(remote) {
  if (remote.objectId === undefined) {
    if (remote.unserializableValue === undefined) return remote.value
    const text = remote.unserializableValue
    return text.endsWith('n') ? BigInt(text.slice(0, -1)) : Number(text)
  }
  if (take === null) take = receiver()
  let found
  take.into = value => (found = value)
  session.post('Runtime.callFunctionOn', {
    functionDeclaration: 'function (value) { this.into(value) }',
    objectId: take.id,
    arguments: [{ objectId: remote.objectId }]
  })
  session.post('Runtime.releaseObject', { objectId: remote.objectId })
  take.into = null
  return found
}

function receiver() {
  const holder = { id: '', into: null }
  globalThis.__e2brun_holder = holder
  session.post('Runtime.evaluate', { expression: '__e2brun_holder' }, (_error, answer) => {
    holder.id = answer.result.objectId
  })
  delete globalThis.__e2brun_holder
  return holder
}

function show(fields, main) {
  if (cell === null) return
  if (++cell.results > MAX_RESULTS) return
  if (cell.bytes > MAX_CELL) fields = { text: '<result left out: the cell has shown too much>' }
  cell.bytes += send({ type: 'result', ...fields, is_main_result: main })
}

function finish(error) {
  if (cell === null) return
  Atomics.store(shared, RUNNING, 0)
  for (const [name, value] of cell.before) setVariable(name, value)
  cell = null
  if (error) send(error)
  send({ type: 'end' })
  setImmediate(next)
}

function setVariable(name, value) {
  if (value === undefined) delete process.env[name]
  else process.env[name] = value
}

function next() {
  if (cell !== null || waiting.length === 0) return
  const { code, env, language } = waiting.shift()
  const number = ++count
  cell = { number, before: [], results: 0, bytes: 0 }
  Atomics.store(shared, RUNNING, number)
  send({ type: 'started', execution_count: number })
  try {
    for (const [name, value] of entries(env || {})) {
      cell.before.push([name, process.env[name]])
      setVariable(name, value)
    }
    start(number, code, alwaysTypeScript || language === 'typescript')
  } catch (error) {
    finish(results.failure(error)) // built-in objects that a cell has broken
  }
}

function start(number, code, typescript) {
  let script = code
  try {
    if (typescript && types.available()) script = types.strip(code)
  } catch (error) {
    finish(types.failure(error, number))
    return
  }
  const asWritten = () =>
    evaluate(number, script, (error, syntax) => {
      const stripped = syntax && !typescript ? types.stripped(code) : null
      if (syntax && typescript && !types.available()) finish(types.unavailable())
      else if (stripped === null) finish(error)
      else evaluate(number, stripped, finish)
    })
  // An object, not a block, where it can be one; what does not parse has had no effect.
  if (!/^\s*\{[^]*[^;\s]\s*$/.test(script)) asWritten()
  else evaluate(number, `(${script}\n)`, (error, syntax) => (syntax ? asWritten() : finish(error)))
}

// Calls `failed` with an error frame, or ends the cell with its value.
function evaluate(number, code, failed) {
  const ours = () => cell !== null && cell.number === number
  const expression = `${imports.rewrite(code)}\n//# sourceURL=cell-${number}`
  const parameters = { expression, replMode: true, awaitPromise: true }
  session.post('Runtime.evaluate', parameters, (problem, answer) => {
    if (!ours()) return
    if (problem) finish(results.frame('KeyboardInterrupt', '', ''))
    else if (answer.exceptionDetails) thrown(answer.exceptionDetails, code, failed)
    else settle(valueOf(answer.result), ours)
  })
}

function settle(value, ours) {
  if (!isPromise(value)) {
    conclude(value)
    return
  }
  const wait = Promise.prototype.then
  Reflect.apply(wait, value, [
    result => ours() && conclude(result),
    error => ours() && finish(results.failure(error))
  ])
}

function conclude(value) {
  try {
    if (value !== undefined && value !== globalThis.$$) show(results.describe(value), true)
  } catch (error) {
    finish(results.failure(error))
    return
  }
  finish(null)
}

function thrown(details, code, failed) {
  const error = valueOf(details.exception)
  let syntax = false
  try {
    syntax = error instanceof SyntaxError && /^[^\n]*\n\s+at Session\.post /.test(error.stack)
  } catch {
    // a getter of theirs
  }
  let where = ''
  if (syntax) {
    const line = code.split('\n')[details.lineNumber] ?? ''
    const mark = `${' '.repeat(Math.max(0, details.columnNumber))}^`
    where = `cell-${count}:${details.lineNumber + 1}\n${line.slice(0, 2000)}\n${mark}\n`
    if (line.length > 2000) where = ''
  }
  failed(results.failure(error, where), syntax)
}

function hidden(name, value) {
  const how = { value, configurable: true, enumerable: false, writable: true }
  Object.defineProperty(globalThis, name, how)
}

function display(value) {
  if (value !== undefined) show(results.describe(value), false)
}

function showMimes(mimes) {
  show(results.fromBundle(mimes), true)
  return globalThis.$$
}

function prepareScope() {
  const here = path.join(process.cwd(), 'cell.js')
  Module.globalPaths.push('/usr/local/lib/node_modules', '/usr/lib/node_modules')
  hidden('require', createRequire(here))
  hidden('module', new Module(here))
  hidden('exports', globalThis.module.exports)
  hidden('__filename', here)
  hidden('__dirname', process.cwd())
  hidden(imports.CALL, load)
  hidden('display', display)
  hidden('$$', {
    html: html => showMimes({ 'text/html': html }),
    svg: svg => showMimes({ 'image/svg+xml': svg }),
    png: png => showMimes({ 'image/png': png }),
    jpeg: jpeg => showMimes({ 'image/jpeg': jpeg }),
    text: text => showMimes({ 'text/plain': text }),
    mime: showMimes,
    sendResult: value => show(results.describe(value), true),
    display
  })
  for (const [name, fd] of [['stdout', 1], ['stderr', 2]]) {
    let stream
    const get = () => (stream ??= new Output(fd))
    Object.defineProperty(process, name, { configurable: true, enumerable: true, get })
  }
}

// A cell that exits ends, and the kernel lives on: nothing of the cell runs after it.
function exitCell(code = process.exitCode) {
  const status = Number(code) || 0
  process.exitCode = undefined
  finish(status === 0 ? null : results.frame('Exit', String(status), `process.exit(${status})`))
  session.post('Runtime.terminateExecution')
  for (;;);
}

function complain(prefix, error) {
  try {
    process.stderr.write(`${prefix} ${results.failure(error).traceback}\n`)
  } catch {
    // a stream of theirs: closed, or anything
  }
}

function interrupted({ number, signal }) {
  Atomics.store(shared, SEEN, signal)
  Atomics.notify(shared, SEEN)
  if (cell !== null && cell.number === number) finish(results.frame('KeyboardInterrupt', '', ''))
}

function watchSignals() {
  process.on('SIGINT', () => {}) // which would end the process until somebody listens
  const file = path.join(__dirname, 'interrupts.cjs')
  const worker = new Worker(file, { workerData: shared, execArgv: [], env: {} })
  worker.on('message', interrupted)
  worker.on('error', () => {}) // a sandbox that is out of threads: without it, then
  worker.unref()
}

function receiveCells() {
  let buffer = Buffer.alloc(0)
  const socket = new Socket({ fd: cellsFd, readable: true, writable: false })
  socket.on('data', data => {
    buffer = buffer.length ? Buffer.concat([buffer, data]) : data
    while (buffer.length >= 4 && buffer.length >= 4 + buffer.readUInt32BE(0)) {
      const end = 4 + buffer.readUInt32BE(0)
      waiting.push(parse(buffer.toString('utf8', 4, end)))
      buffer = buffer.subarray(end)
    }
    setImmediate(next)
  })
  socket.on('close', () => leave(0))
  socket.on('error', () => leave(0))
}

session.connect()
prepareScope()
process.exit = process.reallyExit = exitCell
process.on('uncaughtException', error => complain('Uncaught', error))
process.on('unhandledRejection', error => complain('Uncaught (in promise)', error))
receiveCells()
watchSignals()
