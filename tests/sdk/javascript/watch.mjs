import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FilesystemEventType } from 'e2b'
import { eventually, oneSandbox, unique } from './common.mjs'

const here = oneSandbox('base')
const { CREATE, WRITE, REMOVE, RENAME, CHMOD } = FilesystemEventType

async function watched(use, options = {}) {
  const directory = unique('watched')
  await here.sandbox.files.makeDir(directory)
  const events = []
  const handle = await here.sandbox.files.watchDir(directory, (event) => events.push(event), options)
  const saw = (type, name) =>
    eventually(() => events.some((event) => event.type === type && event.name === name), {
      what: `${type} of ${name} in ${JSON.stringify(events)}`,
    })
  try {
    await use({ directory, events, saw, handle })
  } finally {
    await handle.stop()
  }
}

test('writing, changing, moving and removing are told apart', () =>
  watched(async ({ directory, saw }) => {
    await here.sandbox.commands.run(
      'echo x > f; chmod 700 f; mv f g; rm g; mkdir d',
      { cwd: directory },
    )
    await saw(CREATE, 'f')
    await saw(WRITE, 'f')
    await saw(CHMOD, 'f')
    await saw(RENAME, 'f')
    await saw(CREATE, 'g')
    await saw(REMOVE, 'g')
    await saw(CREATE, 'd')
  }))

test('a recursive watch sees new directories and what is made in them at once', () =>
  watched(
    async ({ directory, saw }) => {
      await here.sandbox.commands.run('mkdir -p a/b/c && touch a/b/c/f', { cwd: directory })
      await saw(CREATE, 'a/b/c/f')
      await here.sandbox.files.write(`${directory}/a/late`, 'x')
      await saw(WRITE, 'a/late')
    },
    { recursive: true },
  ))

test('entries come along where they are wanted', () =>
  watched(
    async ({ directory, events, saw }) => {
      await here.sandbox.files.write(`${directory}/f`, 'four')
      await saw(WRITE, 'f')
      const { entry } = events.find((event) => event.type === WRITE)
      assert.equal(entry.size, 4)
      assert.ok(entry.path.endsWith(`${directory}/f`))
    },
    { includeEntry: true },
  ))

test('a watch ends with its time, and says so', async () => {
  let ended
  const exit = new Promise((done) => (ended = done))
  await here.sandbox.files.watchDir('.', () => {}, { timeoutMs: 300, onExit: ended })
  const error = await exit
  assert.ok(error, 'a watch that ran out of time ends with an error')
})
