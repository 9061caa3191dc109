import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NotFoundError } from 'e2b'
import { eventually, failure, oneSandbox, text } from './common.mjs'

const here = oneSandbox('base')
const bytes = (line) => new TextEncoder().encode(line)

async function terminal(options = {}) {
  const screen = { text: '' }
  const decoder = new TextDecoder()
  const handle = await here.sandbox.pty.create({
    cols: 80,
    rows: 24,
    onData: (data) => (screen.text += decoder.decode(data, { stream: true })),
    ...options,
  })
  return { handle, screen, type: (line) => here.sandbox.pty.sendInput(handle.pid, bytes(line)) }
}

const shows = (screen, pattern) =>
  eventually(() => pattern.test(screen.text), { what: `${pattern} in ${screen.text}` })

test('a terminal runs what is typed and ends with its exit code', async () => {
  const { handle, screen, type } = await terminal()
  await type('echo $((40 + 2))\n')
  await shows(screen, /42/)
  await type('exit\n')
  assert.equal((await handle.wait()).exitCode, 0)
})

test('a terminal has its size, type, directory and variables', async () => {
  const { handle, screen, type } = await terminal({
    cols: 91,
    rows: 33,
    cwd: '/tmp',
    envs: { WORD: 'xyzzy' },
  })
  await type('tput cols; tput lines; echo "[$TERM:$WORD:$PWD]"; tty\n')
  await shows(screen, /91\r\n33\r\n\[xterm-256color:xyzzy:\/tmp\]\r\n\/dev\/pts\//)
  await handle.kill()
})

test('a terminal can be resized', async () => {
  const { handle, screen, type } = await terminal()
  await here.sandbox.pty.resize(handle.pid, { cols: 101, rows: 41 })
  await type('stty size\n')
  await shows(screen, /41 101/)
  await handle.kill()
})

test('a terminal can be left and found again', async () => {
  const { handle, type } = await terminal()
  await type('KEPT=secret-word\n')
  await handle.disconnect()
  let seen = ''
  const again = await here.sandbox.pty.connect(handle.pid, { onData: (data) => (seen += text(data)) })
  await type('echo "<$KEPT>"\n')
  await eventually(() => seen.includes('<secret-word>'))
  await again.kill()
})

test('input and size for nobody are not found', async () => {
  await failure(here.sandbox.pty.sendInput(999_999, bytes('x')), NotFoundError)
  await failure(here.sandbox.pty.resize(999_999, { cols: 1, rows: 1 }), NotFoundError)
})
