// Keys, errors in E2B's shape, and what is refused on purpose.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AuthenticationError, Sandbox, Secret, Template } from 'e2b'
import { failure, unique } from './common.mjs'

const api = (path, options = {}) =>
  fetch(process.env.E2B_API_URL + path, {
    ...options,
    headers: {
      'X-API-KEY': process.env.E2B_API_KEY,
      'Content-Type': 'application/json',
      ...options.headers,
    },
  })

async function refused(answer, status) {
  assert.equal(answer.status, status)
  const body = await answer.json()
  assert.equal(body.code, status)
  assert.equal(typeof body.message, 'string')
  assert.ok(body.message.length > 0)
}

test('a wrong key is refused in every operation', async () => {
  const apiKey = 'e2b_' + 'f'.repeat(40)
  await failure(Sandbox.create('base', { apiKey }), AuthenticationError)
  await failure(Sandbox.list({ apiKey }).nextItems(), AuthenticationError)
  await failure(Sandbox.getInfo('iabc', { apiKey }), AuthenticationError)
  await failure(Sandbox.kill('iabc', { apiKey }), AuthenticationError)
})

test('the older endpoints create, connect and list as well', async () => {
  const created = await api('/sandboxes', {
    method: 'POST',
    body: JSON.stringify({ templateID: 'base', timeout: 60 }),
  })
  assert.equal(created.status, 201)
  const { sandboxID, clientID, envdVersion, templateID } = await created.json()
  assert.ok(sandboxID && clientID && envdVersion && templateID)
  const options = { method: 'POST', body: '{"timeout": 60}' }
  assert.equal((await api(`/sandboxes/${sandboxID}/connect`, options)).status, 200)
  assert.equal((await api(`/sandboxes/${sandboxID}/refreshes`, options)).status, 204)
  await refused(await api(`/sandboxes/${sandboxID}/resume`, options), 409)
  const listed = await (await api('/sandboxes')).json()
  assert.ok(listed.some((one) => one.sandboxID === sandboxID))
  assert.equal((await api(`/sandboxes/${sandboxID}`, { method: 'DELETE' })).status, 204)
  await refused(await api(`/sandboxes/${sandboxID}`, { method: 'DELETE' }), 404)
})

test('images that are not here are refused, and not retried', async () => {
  const started = Date.now()
  await failure(Template.build(Template().fromImage('alpine:3'), unique('mine')))
  assert.ok(Date.now() - started < 3_000, 'a permanent refusal is not asked again')
})

test('a template is built, and a sandbox of it has what its steps left', async () => {
  const name = unique('mine')
  const template = Template().fromBaseImage().runCmd('echo built > file').setWorkdir('/app')
  await Template.build(template, name, { cpuCount: 1, memoryMB: 512 })
  const sandbox = await Sandbox.create(name)
  assert.equal((await sandbox.commands.run('cat ~/file; pwd')).stdout, 'built\n/app\n')
  await sandbox.kill()
})

test('a secret is kept, and told to nobody', async () => {
  const name = unique('secret')
  await Secret.create(name, 'value')
  assert.ok(!JSON.stringify(await Secret.getInfo(name)).includes('value'))
  await Secret.destroy(name)
})

test('an MCP gateway that a template has not takes the sandbox with it', async () => {
  const metadata = { mark: unique('mcp') }
  const error = await failure(Sandbox.create('base', { metadata, mcp: { airtable: {} } }))
  assert.match(error.message, /Failed to start MCP gateway/)
  assert.deepEqual(await Sandbox.list({ query: { metadata } }).nextItems(), [])
})

test('existing templates are told from unknown ones', async () => {
  assert.equal(await Template.exists('base'), true)
  assert.equal(await Template.exists('no-such-template'), false)
})
