// Volumes: made, read and written from outside, shared by sandboxes.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Volume, VolumeError, VolumeNotFoundError, VolumePathNotFoundError } from 'e2b'
import { failure, text, unique, withSandbox } from './common.mjs'

let volume
before(async () => {
  volume = await Volume.create(unique('volume'))
})
after(async () => {
  assert.equal(await Volume.destroy(volume.volumeId), true)
  assert.equal(await Volume.destroy(volume.volumeId), false)
})

test('a volume is found again', async () => {
  assert.ok(volume.token)
  assert.equal((await Volume.getInfo(volume.volumeId)).name, volume.name)
  assert.equal((await Volume.connect(volume.volumeId)).token, volume.token)
  assert.ok((await Volume.list()).some((one) => one.volumeId === volume.volumeId))
  await failure(Volume.create(volume.name), VolumeError)
  await failure(Volume.getInfo('none'), VolumeNotFoundError)
})

test('a file is written and read in every format', async () => {
  const bytes = new TextEncoder().encode('Test content')
  for (const [name, data] of [
    ['text', 'Test content'],
    ['buffer', bytes.buffer],
    ['blob', new Blob([bytes])],
    ['stream', new Blob([bytes]).stream()],
  ]) {
    const path = `/${name}.txt`
    const written = await volume.writeFile(path, data)
    assert.equal(written.size, bytes.length)
    assert.equal(await volume.readFile(path, { format: 'text' }), 'Test content')
    assert.deepEqual(await volume.readFile(path, { format: 'bytes' }), bytes)
    assert.equal(await (await volume.readFile(path, { format: 'blob' })).text(), 'Test content')
    const stream = await volume.readFile(path, { format: 'stream' })
    assert.equal(await new Response(stream).text(), 'Test content')
  }
  await volume.writeFile('/empty', '')
  assert.equal(await volume.readFile('/empty'), '')
  assert.equal((await volume.readFile('/empty', { format: 'bytes' })).length, 0)
})

test('owner and mode are told as they were given', async () => {
  await volume.writeFile('/owned', 'x', { uid: 1000, gid: 1000, mode: 0o644 })
  const found = await volume.getInfo('/owned')
  assert.deepEqual([found.type, found.uid, found.gid, found.mode], ['file', 1000, 1000, 0o644])
  assert.ok(found.mtime instanceof Date && found.ctime instanceof Date)
  const changed = await volume.updateMetadata('/owned', { uid: 1001, gid: 1002, mode: 0o755 })
  assert.deepEqual([changed.uid, changed.gid, changed.mode], [1001, 1002, 0o755])
  await failure(volume.updateMetadata('/none', { mode: 0o644 }), VolumePathNotFoundError)
})

test('directories are made, listed and removed', async () => {
  await failure(volume.makeDir('/nested/deep'), VolumePathNotFoundError)
  await volume.makeDir('/nested/deep', { force: true })
  await failure(volume.makeDir('/nested'))
  await volume.writeFile('/nested/deep/file', 'x')
  assert.deepEqual((await volume.list('/nested')).map((one) => one.path), ['/nested/deep'])
  assert.equal((await volume.list('/nested', { depth: 2 })).length, 2)
  await failure(volume.list('/none'), VolumePathNotFoundError)
  await volume.remove('/nested')
  assert.equal(await volume.exists('/nested'), false)
  await failure(volume.remove('/nested'), VolumePathNotFoundError)
  await failure(volume.readFile('/none'), VolumePathNotFoundError)
  await failure(volume.readFile('/none', { format: 'stream' }), VolumePathNotFoundError)
})

test('content persists across sandboxes', async () => {
  const options = { volumeMounts: { '/mnt/data': volume } }
  await withSandbox((one) => one.files.write('/mnt/data/hello.txt', 'written'), 'base', options)
  await withSandbox(
    async (two) => {
      assert.equal(await two.files.read('/mnt/data/hello.txt'), 'written')
      const { volumeMounts } = await two.getInfo()
      assert.deepEqual(volumeMounts, [{ name: volume.name, path: '/mnt/data' }])
    },
    'base',
    { volumeMounts: { '/mnt/data': volume.name } }
  )
  assert.equal(await volume.readFile('/hello.txt'), 'written')
})
