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

test('state is kept from cell to cell, and the cells are counted', async () => {
  const first = await run('y = 1')
  const second = await run('y += 1; y')
  assert.equal(second.text, '2')
  assert.equal(second.executionCount, first.executionCount + 1)
  assert.deepEqual(first.results, [])
})

test('one pair of quotes is taken off a string', async () => {
  assert.equal((await run("'abc'")).text, 'abc')
  assert.equal((await run('"it\'s"')).text, "it's")
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

test('a syntax error is an error and counts as a cell', async () => {
  const bad = await run('def (:')
  assert.equal(bad.error.name, 'SyntaxError')
  assert.equal((await run('1')).executionCount, bad.executionCount + 1)
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

test('a representation of one\'s own is shown', async () => {
  const execution = await run(`
class Own:
    def _repr_mimebundle_(self, include=None, exclude=None):
        return {'text/html': '<u>own</u>', 'text/plain': 'own'}
Own()`)
  assert.equal(execution.results[0].html, '<u>own</u>')
  assert.ok(execution.results[0].formats().includes('html'))
})

test('top-level await, magics and shell lines work', async () => {
  assert.equal((await run('import asyncio\nawait asyncio.sleep(0.01, "slept")')).text, 'slept')
  assert.match((await run('!echo shell')).logs.stdout.join(''), /shell/)
  assert.match((await run('%pwd')).text, /\/home\/user/)
})

test('indented cells run', async () => {
  const execution = await run('\n    a = 1\n    a + 1\n', { envs: { ANY: 'x' } })
  assert.equal(execution.text, '2')
})

test('lists and dictionaries come as JSON too', async () => {
  const execution = await run("[1, {'a': 'b'}]")
  assert.deepEqual(execution.results[0].json, [1, { a: 'b' }])
})

test('separators that are no line ends come through', async () => {
  const execution = await run("print('a\\u2028b\\u2029c\\x85d 🦀')")
  assert.equal(execution.logs.stdout.join(''), 'a\u2028b\u2029c\u0085d 🦀\n')
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

test('a lot of output arrives whole', async () => {
  const execution = await run("for n in range(2000): print('line', n)")
  const lines = execution.logs.stdout.join('').trim().split('\n')
  assert.equal(lines.length, 2000)
  assert.equal(lines[1999], 'line 1999')
})

test('cells of one context run one after another', async () => {
  await run('order = []')
  const cell = (n) => run(`import time; time.sleep(0.05); order.append(${n})`)
  await Promise.all([cell(1), cell(2), cell(3)])
  assert.equal((await run('len(order)')).text, '3')
})

test('killing the sandbox ends a running cell with an error', async () => {
  const sandbox = await Sandbox.create('code-interpreter-v1', { timeoutMs: 60_000 })
  const running = sandbox.runCode('import time; time.sleep(60)')
  setTimeout(() => sandbox.kill(), 500)
  await failure(running)
})

test('a kernel that exits does not take the sandbox with it', async () => {
  const context = await here.sandbox.createCodeContext()
  const execution = await here.sandbox.runCode('import os; os._exit(3)', { context })
  assert.ok(execution.error, 'the execution tells that its context died')
  assert.equal((await run('1 + 1')).text, '2')
})
