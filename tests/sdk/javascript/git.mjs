import assert from 'node:assert/strict'
import { test } from 'node:test'
import { oneSandbox } from './common.mjs'

const here = oneSandbox('base')

test('a repository is made, filled and read through the SDK', async () => {
  const { git, files } = here.sandbox
  const path = '/home/user/repository'
  await git.init(path, { initialBranch: 'main' })
  await git.configureUser('Test', 'test@example.com', { scope: 'local', path })
  await files.write(`${path}/a.txt`, 'one\n')
  const before = await git.status(path)
  assert.equal(before.fileStatus.length, 1)
  await git.add(path)
  await git.commit(path, 'the first')
  const after = await git.status(path)
  assert.equal(after.currentBranch, 'main')
  assert.equal(after.fileStatus.length, 0)
  await git.createBranch(path, 'side')
  const { branches, currentBranch } = await git.branches(path)
  assert.deepEqual(new Set(branches), new Set(['main', 'side']))
  assert.equal(currentBranch, 'side')
})
