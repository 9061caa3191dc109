import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FileNotFoundError, FileType, InvalidArgumentError, NotFoundError } from 'e2b'
import { failure, oneSandbox, text, unique } from './common.mjs'

const here = oneSandbox('base')
const files = () => here.sandbox.files
const run = (line, options) => here.sandbox.commands.run(line, options)

test('text is written and read back, with any character', async () => {
  const content = 'zeile\r\nüñï 漢字 🦀\u2028\0end'
  const info = await files().write('a.txt', content)
  assert.deepEqual(
    [info.name, info.type, info.path, info.metadata],
    ['a.txt', 'file', '/home/user/a.txt', undefined],
  )
  assert.equal(await files().read('a.txt'), content)
})

test('bytes, blobs and streams are written and read', async () => {
  const bytes = Uint8Array.from({ length: 70_000 }, (_, n) => n % 256)
  await files().write('bytes', bytes.buffer)
  assert.deepEqual(await files().read('bytes', { format: 'bytes' }), bytes)
  await files().write('blob', new Blob([bytes]))
  const blob = await files().read('blob', { format: 'blob' })
  assert.deepEqual(new Uint8Array(await blob.arrayBuffer()), bytes)
  await files().write('stream', new Blob([bytes]).stream())
  const chunks = []
  for await (const chunk of await files().read('stream', { format: 'stream' })) chunks.push(chunk)
  assert.deepEqual(new Uint8Array(Buffer.concat(chunks)), bytes)
})

for (const options of [{ gzip: true }, { useOctetStream: true }, { useOctetStream: true, gzip: true }]) {
  test(`a file goes up and down with ${JSON.stringify(options)}`, async () => {
    const content = 'squeeze me '.repeat(20_000)
    const info = await files().write('squeezed', content, options)
    assert.equal(info.path, '/home/user/squeezed')
    assert.equal(await files().read('squeezed', { gzip: options.gzip }), content)
    assert.equal((await run('wc -c < squeezed')).stdout.trim(), String(content.length))
  })
}

test('many files go in one request', async () => {
  const entries = Array.from({ length: 40 }, (_, n) => ({ path: `many/d${n % 3}/f${n}`, data: `${n}` }))
  const infos = await files().write(entries)
  assert.deepEqual(infos.map((info) => info.path), entries.map((one) => `/home/user/${one.path}`))
  assert.equal(await files().read('many/d0/f39'), '39')
  assert.deepEqual(await files().write([]), [])
})

test('names may hold spaces, quotes and letters of any script', async () => {
  for (const name of ['a b.txt', "it's", 'naïve-漢字', '#hash?&=%41+', 'UPPER.Txt', '-dash']) {
    await files().write(`names/${name}`, name)
    assert.equal(await files().read(`names/${name}`), name)
    assert.equal((await files().getInfo(`names/${name}`)).name, name)
  }
})

test('metadata is stored, listed and cleared', async () => {
  const metadata = { author: 'me', 'a-b': 'C d' }
  const info = await files().write('meta', 'x', { metadata })
  assert.deepEqual(info.metadata, metadata)
  assert.deepEqual((await files().getInfo('meta')).metadata, metadata)
  const listed = (await files().list('.')).find((entry) => entry.name === 'meta')
  assert.deepEqual(listed.metadata, metadata)
  const again = await files().write('meta', 'y')
  assert.equal('metadata' in again && again.metadata !== undefined, false)
  assert.equal((await files().getInfo('meta')).metadata, undefined)
})

test('what is missing is not found', async () => {
  const error = await failure(files().read('missing'), FileNotFoundError)
  assert.match(error.message, /'\/home\/user\/missing' does not exist/)
  await failure(files().list('missing'), NotFoundError)
  await failure(files().getInfo('missing'), NotFoundError)
  await failure(files().rename('missing', 'other'), NotFoundError)
  await failure(files().watchDir('missing', () => {}), NotFoundError)
  assert.equal(await files().exists('missing'), false)
  await files().remove('missing')
})

test('a directory is not a file, nor a file a directory', async () => {
  await files().makeDir('adir')
  await files().write('afile', '')
  await failure(files().read('adir'), InvalidArgumentError)
  await failure(files().write('adir', 'x'), InvalidArgumentError)
  await failure(files().list('afile'), InvalidArgumentError)
  await failure(files().makeDir('afile'), InvalidArgumentError)
  await failure(files().watchDir('afile', () => {}), InvalidArgumentError)
})

test('listing is sorted, parents before children, as deep as asked', async () => {
  const top = `/home/user/${unique('tree')}`
  await run(`mkdir -p ${top}/b/inner/deep ${top}/a && touch ${top}/c ${top}/b/f ${top}/b/inner/g`)
  const names = async (depth) =>
    (await files().list(top, { depth })).map((entry) => entry.path.slice(top.length))
  assert.deepEqual(await names(undefined), ['/a', '/b', '/c'])
  assert.deepEqual(await names(1), ['/a', '/b', '/c'])
  assert.deepEqual(await names(2), ['/a', '/b', '/b/f', '/b/inner', '/c'])
  assert.deepEqual(
    await names(3),
    ['/a', '/b', '/b/f', '/b/inner', '/b/inner/deep', '/b/inner/g', '/c'],
  )
  await failure(files().list(top, { depth: 0 }), InvalidArgumentError)
})

test('an entry tells all about a file', async () => {
  await files().write('entry.txt', 'hello')
  const { modifiedTime, ...entry } = await files().getInfo('entry.txt')
  assert.ok(Math.abs(modifiedTime - Date.now()) < 60_000)
  delete entry.metadata
  assert.deepEqual(entry, {
    name: 'entry.txt',
    type: FileType.FILE,
    path: '/home/user/entry.txt',
    size: 5,
    mode: 0o644,
    permissions: '-rw-r--r--',
    owner: 'user',
    group: 'user',
    symlinkTarget: undefined,
  })
  const directory = await files().getInfo('/home/user')
  assert.equal(directory.type, FileType.DIR)
  assert.match(directory.permissions, /^drwx/)
})

test('renaming moves files and directories', async () => {
  const [from, to] = [unique('from'), `${unique('to')}/deeper`]
  await files().write(`${from}/f`, 'moved')
  const entry = await files().rename(from, to)
  assert.equal(entry.path, `/home/user/${to}`)
  assert.equal(await files().exists(from), false)
  assert.equal(await files().read(`${to}/f`), 'moved')
})
