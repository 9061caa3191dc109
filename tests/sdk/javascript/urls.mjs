import assert from 'node:assert/strict'
import { test } from 'node:test'
import { oneSandbox } from './common.mjs'

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

test('a URL can act as another user', async () => {
  await here.sandbox.files.write('of-root', 'r', { user: 'root' })
  const answer = await fetch(await here.sandbox.downloadUrl('of-root', { user: 'root' }))
  assert.equal(await answer.text(), 'r')
})
