import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Sandbox, SandboxNotFoundError } from '@e2b/code-interpreter'
import { eventually, failure, pause, withSandbox } from './common.mjs'

test('a paused sandbox stands still and goes on with its processes', () =>
  withSandbox(async (sandbox) => {
    const ticks = 'n=0; while true; do n=$((n+1)); echo $n > ticks; sleep 0.05; done'
    const { pid } = await sandbox.commands.run(ticks, { background: true, timeoutMs: 0 })
    await eventually(() => sandbox.files.exists('ticks'))
    const boot = (await sandbox.commands.run('cat /proc/sys/kernel/random/boot_id')).stdout

    assert.equal(await sandbox.pause(), true)
    assert.equal(await sandbox.isRunning(), false)
    assert.equal(await sandbox.pause(), false)
    assert.equal((await Sandbox.getInfo(sandbox.sandboxId)).state, 'paused')
    await failure(sandbox.commands.run('true'), SandboxNotFoundError)

    const again = await Sandbox.connect(sandbox.sandboxId)
    assert.equal(again.sandboxId, sandbox.sandboxId)
    const after = Number(await sandbox.files.read('ticks'))
    await eventually(async () => Number(await again.files.read('ticks')) > after)
    assert.ok((await again.commands.list()).some((process) => process.pid === pid))
    assert.equal((await again.commands.run('cat /proc/sys/kernel/random/boot_id')).stdout, boot)
    assert.equal(await again.commands.kill(pid), true)
  }))

test('a pause without memory keeps files and nothing else', () =>
  withSandbox(async (sandbox) => {
    await sandbox.files.write('kept', 'x')
    const { pid } = await sandbox.commands.run('sleep 120', { background: true })
    const boot = await sandbox.files.read('/proc/sys/kernel/random/boot_id')
    await sandbox.pause({ keepMemory: false })
    assert.equal((await Sandbox.getInfo(sandbox.sandboxId)).state, 'paused')
    await sandbox.connect()
    assert.equal(await sandbox.files.read('kept'), 'x')
    const listed = (await sandbox.commands.list()).map((process) => process.pid)
    assert.ok(!listed.includes(pid) || listed.length === 0, `${listed}`)
    assert.notEqual(await sandbox.files.read('/proc/sys/kernel/random/boot_id'), boot)
    const seen = (await sandbox.commands.run('cat /proc/sys/kernel/random/boot_id')).stdout
    assert.notEqual(seen, boot)
  }))

test('a sandbox pauses without its memory where that was asked for', async () => {
  const sandbox = await Sandbox.create('base', {
    timeoutMs: 60_000,
    lifecycle: { onTimeout: { action: 'pause', keepMemory: false } },
  })
  try {
    await sandbox.files.write('kept', 'x')
    const boot = await sandbox.files.read('/proc/sys/kernel/random/boot_id')
    await sandbox.setTimeout(0)
    await eventually(async () => !(await sandbox.isRunning()), { within: 30_000 })
    await sandbox.connect()
    assert.equal(await sandbox.files.read('kept'), 'x')
    assert.notEqual(await sandbox.files.read('/proc/sys/kernel/random/boot_id'), boot)
  } finally {
    await sandbox.kill()
  }
})
