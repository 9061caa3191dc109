import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NotFoundError } from '@e2b/code-interpreter'
import { failure, oneSandbox } from './common.mjs'

const here = oneSandbox('code-interpreter-v1')

test('python and javascript have a context from the start', async () => {
  const contexts = await here.sandbox.listCodeContexts()
  const languages = contexts.map((context) => context.language)
  assert.ok(languages.includes('python') && languages.includes('javascript'), `${languages}`)
  assert.ok(contexts.every((context) => context.id && context.cwd === '/home/user'))
})

test('a context has its own state, directory and place in the list', async () => {
  await here.sandbox.runCode('shared = 1')
  const context = await here.sandbox.createCodeContext({ cwd: '/tmp' })
  assert.equal(context.language, 'python')
  assert.equal(context.cwd, '/tmp')
  const run = (code) => here.sandbox.runCode(code, { context })
  assert.equal((await run('shared')).error.name, 'NameError')
  assert.equal((await run('import os; os.getcwd()')).text, '/tmp')
  const listed = await here.sandbox.listCodeContexts()
  assert.equal(listed.at(-1).id, context.id)
})

test('a restart forgets the state and keeps the id', async () => {
  const context = await here.sandbox.createCodeContext()
  await here.sandbox.runCode('lost = 1', { context })
  await here.sandbox.restartCodeContext(context)
  const execution = await here.sandbox.runCode('lost', { context })
  assert.equal(execution.error.name, 'NameError')
  const ids = (await here.sandbox.listCodeContexts()).map((one) => one.id)
  assert.ok(ids.includes(context.id))
})

test('unknown contexts are not found', async () => {
  const nobody = { id: 'no-such-context', language: 'python', cwd: '/' }
  const error = await failure(here.sandbox.runCode('1', { context: nobody }), NotFoundError)
  assert.match(error.message, /Context no-such-context not found/)
  await failure(here.sandbox.removeCodeContext('no-such-context'), NotFoundError)
  await failure(here.sandbox.restartCodeContext('no-such-context'), NotFoundError)
})
