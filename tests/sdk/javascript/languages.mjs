import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SandboxError } from '@e2b/code-interpreter'
import { failure, oneSandbox } from './common.mjs'

const here = oneSandbox('code-interpreter-v1', { envs: { EVERYWHERE: 'global' } })
const run = (language, code, options) => here.sandbox.runCode(code, { language, ...options })
const printed = (execution) => execution.logs.stdout.join('')

test('bash runs, keeps its state and reports output', async () => {
  assert.equal(printed(await run('bash', 'V=kept; echo one')), 'one\n')
  assert.equal(printed(await run('bash', 'echo $V; pwd')), 'kept\n/home/user\n')
})

test('bash has the variables of the sandbox and of the execution', async () => {
  assert.match(printed(await run('bash', 'echo $EVERYWHERE')), /global/)
  const once = await run('bash', 'echo $ONCE', { envs: { ONCE: 'now' } })
  assert.match(printed(once), /now/)
  assert.doesNotMatch(printed(await run('bash', 'echo "[$ONCE]"')), /now/)
})

test('javascript shows its last expression and keeps its state', async () => {
  const first = await run('javascript', 'const a = [1, 2, 3]; console.log("hi"); a.map((n) => n * 2)')
  assert.equal(printed(first), 'hi\n')
  assert.match(first.text, /\[ 2, 4, 6 \]/)
  assert.equal((await run('js', 'a.length')).text, '3')
})

test('javascript awaits and imports at top level', async () => {
  const execution = await run(
    'javascript',
    'import { basename } from "node:path"\nconst late = await Promise.resolve("x/y")\nbasename(late)',
  )
  assert.equal(execution.error, undefined, execution.error?.traceback)
  assert.match(execution.text, /y/)
})

test('javascript reports its errors', async () => {
  const execution = await run('javascript', 'throw new TypeError("wrong")')
  assert.equal(execution.error.name, 'TypeError')
  assert.match(execution.error.value, /wrong/)
})

test('javascript has the variables of the sandbox and of the execution', async () => {
  assert.match((await run('javascript', 'process.env.EVERYWHERE')).text, /global/)
  const once = await run('javascript', 'process.env.ONCE', { envs: { ONCE: 'now' } })
  assert.match(once.text, /now/)
  assert.doesNotMatch((await run('javascript', 'String(process.env.ONCE)')).text, /now/)
})

test('typescript runs with its types', async () => {
  const execution = await run('typescript', 'const n: number = 2\ninterface P { x: number }\nconst p: P = { x: n }\np.x')
  assert.equal(execution.error, undefined, execution.error?.traceback)
  assert.equal(execution.text, '2')
})

test('a language without an interpreter is a clear error', async () => {
  await failure(run('cobol-of-that-name', '1'), SandboxError)
})
