import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failure, oneSandbox, pause } from './common.mjs'

const here = oneSandbox('base')

test('a signed URL downloads without any key', async () => {
  await here.sandbox.files.write('down.txt', 'through a URL ü')
  const answer = await fetch(await here.sandbox.downloadUrl('down.txt'))
  assert.equal(answer.status, 200)
  assert.equal(await answer.text(), 'through a URL ü')
})

test('a signed URL uploads a form', async () => {
  const form = new FormData()
  form.append('file', new Blob(['by form']), 'ignored.txt')
  const url = await here.sandbox.uploadUrl('up.txt')
  const answer = await fetch(url, { method: 'POST', body: form })
  assert.equal(answer.status, 200)
  assert.deepEqual(await answer.json(), [{ name: 'up.txt', path: '/home/user/up.txt', type: 'file' }])
  assert.equal(await here.sandbox.files.read('up.txt'), 'by form')
})

test('a form field without a file name is stored too', async () => {
  const form = new FormData()
  form.append('file', 'a plain field')
  const url = await here.sandbox.uploadUrl('field.txt')
  assert.equal((await fetch(url, { method: 'POST', body: form })).status, 200)
  assert.equal(await here.sandbox.files.read('field.txt'), 'a plain field')
})

test('an upload URL without a path takes the names of the parts', async () => {
  const form = new FormData()
  form.append('file', new Blob(['1']), '/home/user/parts/one.txt')
  form.append('file', new Blob(['2']), '/home/user/parts/two.txt')
  const answer = await fetch(await here.sandbox.uploadUrl(), { method: 'POST', body: form })
  assert.equal(answer.status, 200)
  assert.equal(await here.sandbox.files.read('parts/two.txt'), '2')
})

test('a URL is good for its time only', async () => {
  await here.sandbox.files.write('timed.txt', 'x')
  const url = await here.sandbox.downloadUrl('timed.txt', { useSignatureExpiration: 1 })
  assert.equal((await fetch(url)).status, 200)
  await pause(2_100)
  const late = await fetch(url)
  assert.equal(late.status, 401)
  assert.deepEqual(await late.json(), { code: 401, message: 'signature is already expired' })
})

test('a signature is good for its path, operation and user only', async () => {
  await here.sandbox.files.write('other.txt', 'x')
  const url = new URL(await here.sandbox.downloadUrl('down.txt'))
  const changes = [
    (copy) => copy.searchParams.set('path', 'other.txt'),
    (copy) => copy.searchParams.set('username', 'root'),
    (copy) => copy.searchParams.set('signature', 'v1_' + 'A'.repeat(43)),
    (copy) => copy.searchParams.delete('signature'),
  ]
  for (const change of changes) {
    const copy = new URL(url)
    change(copy)
    const answer = await fetch(copy)
    assert.equal(answer.status, 401, String(change))
    assert.equal((await answer.json()).code, 401)
  }
  assert.equal((await fetch(url, { method: 'POST', body: new FormData() })).status, 401)
})

test('what a URL leads to may be missing', async () => {
  const answer = await fetch(await here.sandbox.downloadUrl('missing.txt'))
  assert.equal(answer.status, 404)
  assert.equal((await answer.json()).code, 404)
})

test('a URL can act as another user', async () => {
  await here.sandbox.files.write('of-root', 'r', { user: 'root' })
  const answer = await fetch(await here.sandbox.downloadUrl('of-root', { user: 'root' }))
  assert.equal(await answer.text(), 'r')
})

test('a part of a file can be fetched', async () => {
  await here.sandbox.files.write('range.txt', '0123456789')
  const url = await here.sandbox.downloadUrl('range.txt')
  const answer = await fetch(url, { headers: { Range: 'bytes=2-4' } })
  assert.equal(answer.status, 206)
  assert.equal(await answer.text(), '234')
})

test('a URL of a killed sandbox is worth nothing', async () => {
  const { Sandbox } = await import('e2b')
  const sandbox = await Sandbox.create('base', { timeoutMs: 60_000 })
  const url = await sandbox.downloadUrl('x')
  await sandbox.kill()
  assert.ok((await fetch(url)).status >= 400)
  await failure(sandbox.files.read('x'))
})
