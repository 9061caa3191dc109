import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Sandbox } from '@e2b/code-interpreter'
import { eventually, LIFETIME, pause, unique } from './common.mjs'

const mark = unique('list')
const odd = { mark, 'a key': 'ä & b=c%d+e', empty: 'x y' }
const made = []

before(async () => {
  for (const metadata of [{ mark, n: '0' }, { mark, n: '1' }, odd]) {
    made.push(await Sandbox.create('base', { timeoutMs: LIFETIME, metadata }))
    await pause(5)
  }
})
after(() => Promise.all(made.map((sandbox) => sandbox.kill())))

const ids = () => made.map((sandbox) => sandbox.sandboxId)

async function all(paginator) {
  const found = []
  while (paginator.hasNext) found.push(...(await paginator.nextItems()))
  return found
}

const listed = async (options = {}) => {
  const query = { metadata: { mark }, ...options.query }
  return (await all(Sandbox.list({ ...options, query }))).map((info) => info.sandboxId)
}

test('the newest sandbox comes first', async () => {
  assert.deepEqual(await listed(), ids().reverse())
})

test('pages follow each other and the last one says so', async () => {
  const paginator = Sandbox.list({ query: { metadata: { mark } }, limit: 1 })
  const found = []
  for (const more of [true, true, false]) {
    assert.equal(paginator.hasNext, true)
    const page = await paginator.nextItems()
    assert.equal(page.length, 1)
    found.push(page[0].sandboxId)
    assert.equal(paginator.hasNext, more)
  }
  assert.deepEqual(found, ids().reverse())
})

test('a page token can be handed on', async () => {
  const first = Sandbox.list({ query: { metadata: { mark } }, limit: 2 })
  await first.nextItems()
  const rest = Sandbox.list({
    query: { metadata: { mark } },
    limit: 2,
    nextToken: first.nextToken,
  })
  assert.deepEqual((await rest.nextItems()).map((info) => info.sandboxId), [ids()[0]])
})

test('metadata filters by every pair, with any characters', async () => {
  const found = await all(Sandbox.list({ query: { metadata: odd } }))
  assert.deepEqual(found.map((info) => info.sandboxId), [ids()[2]])
  assert.deepEqual(found[0].metadata, odd)
  assert.deepEqual(await listed({ query: { metadata: { mark, n: '9' } } }), [])
})

test('states filter, and paused sandboxes are listed too', async () => {
  const metadata = { mark: unique('state') }
  const sandbox = await Sandbox.create('base', { timeoutMs: LIFETIME, metadata })
  try {
    const states = async (state) =>
      (await all(Sandbox.list({ query: { metadata, state } }))).map((info) => info.state)
    assert.deepEqual(await states(['running']), ['running'])
    assert.deepEqual(await states(['paused']), [])
    await sandbox.pause()
    await eventually(async () => (await states(['paused'])).length === 1)
    assert.deepEqual(await states(['running']), [])
    assert.deepEqual(await states(['running', 'paused']), ['paused'])
    assert.deepEqual(await states(undefined), ['paused'])
  } finally {
    await sandbox.kill()
  }
})

test('startedAfter includes its own instant', async () => {
  const [, middle] = made
  const { startedAt } = await middle.getInfo()
  assert.deepEqual(await listed({ query: { startedAfter: startedAt } }), ids().slice(1).reverse())
  const future = new Date(Date.now() + 3600_000)
  assert.deepEqual(await listed({ query: { startedAfter: future } }), [])
})
