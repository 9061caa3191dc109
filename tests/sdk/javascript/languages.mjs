import assert from 'node:assert/strict'
import { test } from 'node:test'
import { oneSandbox } from './common.mjs'

const here = oneSandbox('code-interpreter-v1', { envs: { EVERYWHERE: 'global' } })
const run = (language, code, options) => here.sandbox.runCode(code, { language, ...options })
const printed = (execution) => execution.logs.stdout.join('')

test('bash runs, keeps its state and reports output', async () => {
  assert.equal(printed(await run('bash', 'V=kept; echo one')), 'one\n')
  assert.equal(printed(await run('bash', 'echo $V; pwd')), 'kept\n/home/user\n')
})

test('javascript shows its last expression and keeps its state', async () => {
  const first = await run('javascript', 'const a = [1, 2, 3]; console.log("hi"); a.map((n) => n * 2)')
  assert.equal(printed(first), 'hi\n')
  assert.match(first.text, /\[ 2, 4, 6 \]/)
  assert.equal((await run('js', 'a.length')).text, '3')
})

test('typescript runs with its types', async (t) => {
  const execution = await run('typescript', 'const n: number = 2\ninterface P { x: number }\nconst p: P = { x: n }\np.x')
  if (execution.error?.value.includes('neither was found')) return t.skip('npm cannot fetch what strips the types')
  assert.equal(execution.error, undefined, execution.error?.traceback)
  assert.equal(execution.text, '2')
})
