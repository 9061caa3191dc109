'use strict'
// A thread that waits for SIGINT: a cell that never returns to the event loop sees no signal.

const fs = require('fs')
const inspector = require('inspector')
const vm = require('vm')
const { parentPort, workerData } = require('worker_threads')

const RUNNING = 0 // the number of the running cell; 0: none
const SEEN = 1 // the last signal that the main thread knows of
const WAKE = 2 // never notified: only a signal ends the wait
const PATIENCE = 100 // milliseconds for the main thread to react by itself

const main = new inspector.Session()
main.connectToMainThread()
let signals = 0
let first = null // the signal that the main thread was told of last: {number, seen}

globalThis.pause = () => {
  if (first === null) Atomics.wait(workerData, WAKE, 0)
  else Atomics.wait(workerData, SEEN, first.seen, PATIENCE)
}
const interruptible = { breakOnSigint: true }
const waiting = new vm.Script('pause()')

function told() {
  const busy = Atomics.load(workerData, SEEN) !== signals
  // With no cell running it is what an earlier one has left behind, a timer's loop.
  if (busy && Atomics.load(workerData, RUNNING) === first.number) {
    main.post('Runtime.terminateExecution', () => {})
  }
  first = null
}

function tell() {
  if (first !== null) return
  first = { number: Atomics.load(workerData, RUNNING), seen: Atomics.load(workerData, SEEN) }
  parentPort.postMessage({ number: first.number, signal: ++signals })
}

globalThis.listen = () => {
  for (;;) {
    try {
      waiting.runInThisContext(interruptible)
      told()
    } catch (error) {
      heard(error)
    }
  }
}

function heard(error) {
  if (error.code !== 'ERR_SCRIPT_EXECUTION_INTERRUPTED') {
    fs.writeSync(2, `${error.stack}\n`)
    process.exit() // of this thread
  }
  tell()
}

// One inside the other: between two waits node would let a signal end the process.
const listening = new vm.Script('listen()')
for (;;) {
  try {
    listening.runInThisContext(interruptible)
  } catch (error) {
    heard(error)
  }
}
