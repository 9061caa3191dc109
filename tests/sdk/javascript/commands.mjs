import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CommandExitError, InvalidArgumentError, NotFoundError, TimeoutError } from 'e2b'
import { eventually, failure, oneSandbox, unique } from './common.mjs'

const here = oneSandbox('base')
const run = (line, options) => here.sandbox.commands.run(line, options)

test('output and exit code come back apart', async () => {
  const result = await run('echo out; echo err >&2')
  assert.deepEqual([result.exitCode, result.stdout, result.stderr], [0, 'out\n', 'err\n'])
})

test('a failing command says how it failed, with what it wrote', async () => {
  const error = await failure(run('echo before; echo why >&2; exit 7'), CommandExitError)
  assert.deepEqual([error.exitCode, error.stdout, error.stderr], [7, 'before\n', 'why\n'])
  assert.equal(error.error, 'exit status 7')
})

test('the working directory can be given, and must exist', async () => {
  assert.equal((await run('pwd', { cwd: '/tmp' })).stdout, '/tmp\n')
  assert.equal((await run('mkdir -p deep && cd deep && pwd')).stdout, '/home/user/deep\n')
  assert.equal((await run('pwd', { cwd: 'deep' })).stdout, '/home/user/deep\n')
  const error = await failure(run('pwd', { cwd: '/no/such' }), InvalidArgumentError)
  assert.match(error.message, /cwd '\/no\/such' does not exist/)
})

test('every character survives, wherever the pipe cuts it', async () => {
  const line = 'ünïcødé 漢字 🦀 e\u0301'
  assert.equal((await run(`printf '%s' '${line}'`)).stdout, line)
  const cut = await run(`python3 -c "import sys; sys.stdout.buffer.write(b'a'*8191 + '漢'.encode())"`)
  assert.equal(cut.stdout, 'a'.repeat(8191) + '漢')
})

test('output is streamed while the command runs', async () => {
  const seen = []
  const result = await run('echo one; sleep 0.5; echo two; echo three >&2', {
    onStdout: (data) => seen.push([data, Date.now()]),
    onStderr: (data) => seen.push([`err ${data}`, Date.now()]),
  })
  const words = seen.map(([data]) => data)
  assert.deepEqual(new Set(words), new Set(['one\n', 'two\n', 'err three\n']))
  assert.ok(seen[1][1] - seen[0][1] > 300, 'the first line came early')
  assert.equal(result.stdout, 'one\ntwo\n')
})

test('a command ends in time, and its process with it', async () => {
  const tag = unique('sleep').replaceAll('-', '')
  const line = `exec -a ${tag} sleep 61`
  await failure(run(line, { timeoutMs: 500 }), TimeoutError)
  await eventually(async () => {
    const listed = await here.sandbox.commands.list()
    return !listed.some((process) => process.args.includes(line))
  })
})

test('a background command is a handle to wait for', async () => {
  const handle = await run('sleep 0.2; echo done; exit 3', { background: true })
  assert.ok(handle.pid > 0)
  assert.equal(handle.exitCode, undefined)
  const error = await failure(handle.wait(), CommandExitError)
  assert.deepEqual([error.exitCode, error.stdout], [3, 'done\n'])
})

test('the pid is the sandbox\'s own, and kill ends it', async () => {
  const handle = await run('exec sleep 60', { background: true })
  await run(`kill -0 ${handle.pid}`)
  assert.equal(await here.sandbox.commands.kill(handle.pid), true)
  const error = await failure(handle.wait(), CommandExitError)
  assert.equal(error.exitCode, -1)
  assert.equal(error.error, 'signal: killed')
  await failure(run(`kill -0 ${handle.pid}`), CommandExitError)
  assert.equal(await here.sandbox.commands.kill(handle.pid), false)
})

test('running commands are listed with what they are', async () => {
  const handle = await run('sleep 60', { background: true, cwd: '/tmp', envs: { B: '1' } })
  const entry = (await here.sandbox.commands.list()).find((one) => one.pid === handle.pid)
  assert.equal(entry.cmd, '/bin/bash')
  assert.deepEqual(entry.args, ['-l', '-c', 'sleep 60'])
  assert.deepEqual(entry.envs, { B: '1' })
  assert.equal(entry.cwd, '/tmp')
  await handle.kill()
  const left = await here.sandbox.commands.list()
  assert.ok(!left.some((one) => one.pid === handle.pid))
})

test('another client can connect to a running command', async () => {
  const handle = await run('read line; echo "got $line"', { background: true, stdin: true })
  const seen = []
  const second = await here.sandbox.commands.connect(handle.pid, {
    onStdout: (data) => seen.push(data),
  })
  assert.equal(second.pid, handle.pid)
  await here.sandbox.commands.sendStdin(handle.pid, 'it\n')
  assert.equal((await second.wait()).stdout, 'got it\n')
  assert.equal((await handle.wait()).stdout, 'got it\n')
  assert.deepEqual(seen, ['got it\n'])
})

test('connecting to nobody is not found', async () => {
  await failure(here.sandbox.commands.connect(999_999), NotFoundError)
})

test('standard input is sent in pieces and closed', async () => {
  const handle = await run('cat; echo end', { background: true, stdin: true })
  await handle.sendStdin('first ')
  await handle.sendStdin(new TextEncoder().encode('sécond\n'))
  await handle.closeStdin()
  assert.equal((await handle.wait()).stdout, 'first sécond\nend\n')
})

test('killing the sandbox ends a running command with an error', async () => {
  const { Sandbox } = await import('e2b')
  const sandbox = await Sandbox.create('base', { timeoutMs: 60_000 })
  const handle = await sandbox.commands.run('sleep 60', { background: true })
  setTimeout(() => sandbox.kill(), 200)
  const error = await failure(handle.wait(), TimeoutError)
  assert.match(error.message, /killed|end of life/)
})
