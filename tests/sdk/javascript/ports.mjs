import assert from 'node:assert/strict'
import http from 'node:http'
import { test } from 'node:test'
import { Sandbox } from '@e2b/code-interpreter'
import { eventually, oneSandbox, withSandbox } from './common.mjs'

const here = oneSandbox('base')
const SERVER = `
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        self.send_response(201)
        self.send_header('X-Path', self.path)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body[::-1])
    do_GET = lambda self: http.server.BaseHTTPRequestHandler.send_error(self, 418)
http.server.ThreadingHTTPServer(('127.0.0.1', 8123), Handler).serve_forever()`

const at = (sandbox, port, path = '/', { headers, ...options } = {}) =>
  fetch(process.env.E2B_SANDBOX_URL + path, {
    ...options,
    headers: { 'E2b-Sandbox-Id': sandbox.sandboxId, 'E2b-Sandbox-Port': String(port), ...headers },
  })

test('a host name is made of the port, the sandbox and the domain', () => {
  const host = here.sandbox.getHost(8123)
  assert.ok(host.startsWith(`8123-${here.sandbox.sandboxId}.`), host)
})

test('a server inside is reached with method, path, body and headers', async () => {
  await here.sandbox.files.write('server.py', SERVER)
  await here.sandbox.commands.run('python3 server.py', { background: true, timeoutMs: 0 })
  await eventually(async () => (await at(here.sandbox, 8123)).status === 418)
  const answer = await at(here.sandbox, 8123, '/a%20b?c=d', { method: 'POST', body: 'hello' })
  assert.equal(answer.status, 201)
  assert.equal(answer.headers.get('x-path'), '/a%20b?c=d')
  assert.equal(await answer.text(), 'olleh')
})

test('a server inside is reached by its host name', async () => {
  // fetch will not send a Host of one's own, and not every resolver knows *.localhost.
  const { port, hostname } = new URL(process.env.E2B_SANDBOX_URL)
  const headers = { Host: here.sandbox.getHost(8123) }
  const status = await new Promise((done, failed) => {
    http.get({ hostname, port, headers }, (answer) => done(answer.resume().statusCode)).on('error', failed)
  })
  assert.equal(status, 418)
})

test('private traffic needs its token', () =>
  withSandbox(
    async (sandbox) => {
      assert.ok(sandbox.trafficAccessToken)
      const refused = await at(sandbox, 8123)
      assert.equal(refused.status, 403)
      assert.equal((await refused.json()).code, 403)
      const token = { 'E2b-Traffic-Access-Token': sandbox.trafficAccessToken }
      assert.equal((await at(sandbox, 8123, '/', { headers: token })).status, 502)
      assert.equal((await at(sandbox, 49999, '/contexts')).status, 403)
      assert.equal((await sandbox.runCode('1 + 1')).text, '2')
      assert.equal((await sandbox.commands.run('echo x')).stdout, 'x\n')
    },
    'code-interpreter-v1',
    { network: { allowPublicTraffic: false } },
  ))

test('the network settings are echoed and replaced', () =>
  withSandbox(
    async (sandbox) => {
      assert.deepEqual((await sandbox.getInfo()).network?.denyOut, ['8.8.8.8/32'])
      await sandbox.updateNetwork({ denyOut: ['9.9.9.9/32'] })
      assert.deepEqual((await sandbox.getInfo()).network?.denyOut, ['9.9.9.9/32'])
    },
    'base',
    { network: { denyOut: ['8.8.8.8/32'] } },
  ))
