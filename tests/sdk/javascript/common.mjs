// What every file shares: one sandbox per file where the tests do not disturb each other.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before } from 'node:test'
import { Sandbox } from '@e2b/code-interpreter'

export const LIFETIME = 120_000

/** A sandbox made before this file's first test and killed after its last. */
export function oneSandbox(template = 'base', options = {}) {
  const holder = { sandbox: undefined }
  before(async () => {
    holder.sandbox = await Sandbox.create(template, { timeoutMs: LIFETIME, ...options })
  })
  after(async () => {
    await holder.sandbox?.kill()
  })
  return holder
}

/** Run `use` with a sandbox of its own, which is gone afterwards whatever happens. */
export async function withSandbox(use, template = 'base', options = {}) {
  const sandbox = await Sandbox.create(template, { timeoutMs: LIFETIME, ...options })
  try {
    return await use(sandbox)
  } finally {
    await sandbox.kill()
  }
}

/** Ask until `holds` is true: what the service does in its own time. */
export async function eventually(holds, { within = 10_000, every = 50, what = 'it' } = {}) {
  const end = Date.now() + within
  while (Date.now() < end) {
    if (await holds()) return
    await pause(every)
  }
  assert.fail(`${what} did not happen within ${within} ms`)
}

/** The error that `promise` ends with, which must be of `kind`. */
export async function failure(promise, kind = Error) {
  try {
    await promise
  } catch (error) {
    assert.ok(error instanceof kind, `${error?.constructor?.name}: ${error?.message}`)
    return error
  }
  assert.fail(`expected ${kind.name}, and it succeeded`)
}

export const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds))
export const unique = (prefix = 't') => `${prefix}-${randomBytes(6).toString('hex')}`
export const text = (bytes) => new TextDecoder().decode(bytes)
