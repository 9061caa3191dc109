import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Sandbox } from 'e2b'
import { failure, LIFETIME, unique, withSandbox } from './common.mjs'

async function all(paginator) {
  const found = []
  while (paginator.hasNext) found.push(...(await paginator.nextItems()))
  return found
}

test('a snapshot starts independent copies and outlives its sandbox', async () => {
  const snapshot = await withSandbox(async (sandbox) => {
    await sandbox.files.write('/home/user/kept', 'at the snapshot')
    const made = await sandbox.createSnapshot()
    assert.ok(made.snapshotId)
    await sandbox.files.write('/home/user/kept', 'changed since')
    assert.equal(await sandbox.isRunning(), true)
    return made
  })
  try {
    const copies = await Promise.all(
      [1, 2].map(() => Sandbox.create(snapshot.snapshotId, { timeoutMs: LIFETIME })),
    )
    try {
      await copies[0].files.write('/home/user/kept', 'of one copy')
      assert.equal(await copies[1].files.read('/home/user/kept'), 'at the snapshot')
    } finally {
      await Promise.all(copies.map((copy) => copy.kill()))
    }
  } finally {
    assert.equal(await Sandbox.deleteSnapshot(snapshot.snapshotId), true)
  }
  assert.equal(await Sandbox.deleteSnapshot(snapshot.snapshotId), false)
  await failure(Sandbox.create(snapshot.snapshotId))
})

test('snapshots are listed by sandbox and by name', () =>
  withSandbox(async (sandbox) => {
    const name = unique('named')
    const named = await sandbox.createSnapshot({ name })
    const plain = await sandbox.createSnapshot()
    try {
      assert.ok(named.names.some((one) => one.endsWith(name)), `${named.names}`)
      const mine = (await all(sandbox.listSnapshots())).map((one) => one.snapshotId)
      assert.deepEqual(new Set(mine), new Set([named.snapshotId, plain.snapshotId]))
      const pages = await all(sandbox.listSnapshots({ limit: 1 }))
      assert.equal(pages.length, 2)
      assert.deepEqual(await all(Sandbox.listSnapshots({ name: unique('none') })), [])
    } finally {
      await Sandbox.deleteSnapshot(named.snapshotId)
      await Sandbox.deleteSnapshot(plain.snapshotId)
    }
  }))

test('a fork has the files and its own life', () =>
  withSandbox(async (sandbox) => {
    await sandbox.files.write('kept', 'before')
    const forks = await sandbox.fork({ count: 2, timeoutMs: LIFETIME })
    try {
      assert.equal(forks.length, 2)
      for (const fork of forks) {
        assert.ok(!(fork instanceof Error), String(fork))
        assert.notEqual(fork.sandboxId, sandbox.sandboxId)
        assert.equal(await fork.files.read('kept'), 'before')
      }
      await forks[0].files.write('kept', 'mine')
      assert.equal(await forks[1].files.read('kept'), 'before')
      assert.equal(await sandbox.files.read('kept'), 'before')
    } finally {
      await Promise.all(forks.map((fork) => fork instanceof Error || fork.kill()))
    }
  }))
