import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NotFoundError, Sandbox, SandboxNotFoundError } from '@e2b/code-interpreter'
import { eventually, failure, unique, withSandbox } from './common.mjs'

test('a sandbox is created, runs a command, and is killed once', async () => {
  const sandbox = await Sandbox.create('base', { timeoutMs: 60_000 })
  assert.match(sandbox.sandboxId, /^[a-z0-9]+$/)
  assert.equal(await sandbox.isRunning(), true)
  assert.equal((await sandbox.commands.run('echo hi')).stdout, 'hi\n')
  assert.equal(await sandbox.kill(), true)
  assert.equal(await sandbox.kill(), false)
  assert.equal(await sandbox.isRunning(), false)
  assert.equal(await Sandbox.kill(sandbox.sandboxId), false)
})

test('info tells what was asked for', async () => {
  const metadata = { purpose: unique('info') }
  await withSandbox(
    async (sandbox) => {
      const info = await sandbox.getInfo()
      assert.equal(info.sandboxId, sandbox.sandboxId)
      assert.deepEqual(info.metadata, metadata)
      assert.equal(info.state, 'running')
      assert.ok(info.templateId)
      assert.ok(info.cpuCount > 0 && info.memoryMB > 0)
      assert.match(info.envdVersion, /^\d+\.\d+\.\d+$/)
      const life = info.endAt - info.startedAt
      assert.ok(life > 100_000 && life < 130_000, `${life}`)
      assert.deepEqual(info.lifecycle, { onTimeout: 'kill', autoResume: false })
    },
    'base',
    { metadata },
  )
})

test('setTimeout sets a life both ways, and zero ends it', () =>
  withSandbox(async (sandbox) => {
    const end = (await sandbox.getInfo()).endAt
    await sandbox.setTimeout(300_000)
    const later = (await sandbox.getInfo()).endAt
    assert.ok(later - end > 100_000)
    await sandbox.setTimeout(30_000)
    assert.ok((await sandbox.getInfo()).endAt < end)
    await sandbox.setTimeout(0)
    await eventually(async () => !(await sandbox.isRunning()), { within: 30_000 })
  }))

test('an unknown sandbox is not found by any operation', async () => {
  const nobody = 'i' + '0'.repeat(19)
  await failure(Sandbox.connect(nobody), NotFoundError)
  await failure(Sandbox.getInfo(nobody), NotFoundError)
  await failure(Sandbox.setTimeout(nobody, 1_000), NotFoundError)
  await failure(Sandbox.getMetrics(nobody), NotFoundError)
  await failure(Sandbox.pause(nobody), NotFoundError)
  await failure(Sandbox.createSnapshot(nobody), NotFoundError)
  assert.equal(await Sandbox.kill(nobody), false)
})

test('an unknown template is an error that names it', async () => {
  const error = await failure(Sandbox.create('no-such-template'))
  assert.match(error.message, /no-such-template/)
})

test('a killed sandbox answers every plane as not found', async () => {
  const sandbox = await Sandbox.create('base', { timeoutMs: 60_000 })
  await sandbox.kill()
  await failure(sandbox.commands.run('true'), SandboxNotFoundError)
  await failure(sandbox.files.list('/'))
  await failure(sandbox.files.read('x'))
  await failure(sandbox.runCode('1'))
})

test('environment variables of the sandbox reach commands and code', () =>
  withSandbox(
    async (sandbox) => {
      assert.equal((await sandbox.commands.run('echo $COLOUR')).stdout, 'blue\n')
      const own = await sandbox.commands.run('echo $COLOUR', { envs: { COLOUR: 'red' } })
      assert.equal(own.stdout, 'red\n')
      assert.equal((await sandbox.commands.run('echo $COLOUR')).stdout, 'blue\n')
      const code = await sandbox.runCode("import os; os.environ['COLOUR']")
      assert.equal(code.text, 'blue')
    },
    'code-interpreter-v1',
    { envs: { COLOUR: 'blue' } },
  ))

test('metrics come for a fresh sandbox and respect their window', () =>
  withSandbox(async (sandbox) => {
    let metrics = []
    await eventually(async () => (metrics = await sandbox.getMetrics()).length > 0, {
      within: 30_000,
      every: 500,
    })
    const [first] = metrics
    assert.ok(first.timestamp instanceof Date)
    assert.ok(first.cpuCount > 0 && first.memTotal > 0 && first.diskTotal > 0)
    for (const key of ['cpuUsedPct', 'memUsed', 'memCache', 'diskUsed']) {
      assert.equal(typeof first[key], 'number', key)
    }
    const old = { start: new Date(Date.now() - 7200_000), end: new Date(Date.now() - 3600_000) }
    assert.deepEqual(await sandbox.getMetrics(old), [])
  }))
