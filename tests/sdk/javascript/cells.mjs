import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Sandbox, TimeoutError } from '@e2b/code-interpreter'
import { failure, oneSandbox } from './common.mjs'

const here = oneSandbox('code-interpreter-v1')
const run = (code, options) => here.sandbox.runCode(code, options)

test('the last expression is the result', async () => {
  const execution = await run('x = 20\nx + 1')
  assert.equal(execution.text, '21')
  assert.equal(execution.results.length, 1)
  assert.equal(execution.results[0].isMainResult, true)
  assert.equal(execution.error, undefined)
})

test('output streams, apart, with its time', async () => {
  const seen = []
  const execution = await run(
    "import sys, time\nprint('one'); time.sleep(0.4); print('two'); print('err', file=sys.stderr)",
    {
      onStdout: (message) => seen.push([message.line, message.error, Date.now()]),
      onStderr: (message) => seen.push([message.line, message.error, Date.now()]),
    },
  )
  assert.equal(execution.logs.stdout.join(''), 'one\ntwo\n')
  assert.equal(execution.logs.stderr.join(''), 'err\n')
  assert.equal(seen[0][0], 'one\n')
  assert.ok(seen.some(([line, error]) => line === 'err\n' && error))
  const two = seen.find(([line]) => line === 'two\n')
  assert.ok(two[2] - seen[0][2] > 250, 'the first line came early')
})

test('an error has name, value and traceback, and keeps what was printed', async () => {
  const execution = await run("print('before')\n{}['k']")
  assert.equal(execution.error.name, 'KeyError')
  assert.match(execution.error.value, /k/)
  assert.match(execution.error.traceback, /KeyError/)
  assert.doesNotMatch(execution.error.traceback, /\u001b/)
  assert.equal(execution.logs.stdout.join(''), 'before\n')
  assert.equal((await run('1')).text, '1')
})

test('callbacks get the error and every result', async () => {
  const errors = []
  const results = []
  await run('from IPython.display import display, HTML\ndisplay(HTML("<b>x</b>"))\n5', {
    onResult: (result) => results.push(result),
  })
  assert.deepEqual(results.map((result) => result.isMainResult), [false, true])
  assert.equal(results[0].html, '<b>x</b>')
  await run('1/0', { onError: (error) => errors.push(error) })
  assert.deepEqual(errors.map((error) => error.name), ['ZeroDivisionError'])
})

test('every kind of display has its field', async () => {
  const execution = await run(`
from IPython.display import display, HTML, Markdown, SVG, Latex, JSON, Javascript
display(HTML('<i>h</i>')); display(Markdown('*m*')); display(SVG('<svg xmlns="http://www.w3.org/2000/svg"/>'))
display(Latex('$l$')); display(JSON({'j': 1})); display(Javascript('js()'))
display({'text/x-own': 'mine', 'text/plain': 'plain'}, raw=True)
`)
  assert.equal(execution.error, undefined, execution.error?.traceback)
  const [html, markdown, svg, latex, json, javascript, own] = execution.results
  assert.equal(html.html, '<i>h</i>')
  assert.equal(markdown.markdown, '*m*')
  assert.match(svg.svg, /<svg/)
  assert.equal(latex.latex, '$l$')
  assert.deepEqual(json.json, { j: 1 })
  assert.equal(javascript.javascript, 'js()')
  assert.deepEqual(own.raw.extra, { 'text/x-own': 'mine' })
  assert.equal(own.text, 'plain')
})

test('variables of one execution are gone after it', async () => {
  const seen = await run("import os; os.environ['ONCE']", { envs: { ONCE: 'now' } })
  assert.equal(seen.text, 'now')
  assert.equal((await run("os.environ.get('ONCE', 'gone')")).text, 'gone')
})

test('a timeout interrupts the cell and leaves the context usable', async () => {
  await failure(run('import time; time.sleep(60)', { timeoutMs: 700 }), TimeoutError)
  assert.equal((await run('1 + 1')).text, '2')
})

test('killing the sandbox ends a running cell with an error', async () => {
  const sandbox = await Sandbox.create('code-interpreter-v1', { timeoutMs: 60_000 })
  const running = sandbox.runCode('import time; time.sleep(60)')
  setTimeout(() => sandbox.kill(), 500)
  await failure(running)
})
