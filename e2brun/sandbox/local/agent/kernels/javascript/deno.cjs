'use strict'
// What cells for Deno ask of it most: Node.js stands in. Only where Deno is asked for, since
// packages tell by this name where they are.

const fs = require('fs')

const { readFile, writeFile, mkdir, rm, rename, copyFile } = fs.promises
const text = 'utf8'

module.exports = {
  args: [],
  pid: process.pid,
  env: {
    get: name => process.env[name],
    has: name => name in process.env,
    set: (name, value) => void (process.env[name] = value),
    delete: name => void delete process.env[name],
    toObject: () => ({ ...process.env })
  },
  cwd: () => process.cwd(),
  chdir: directory => process.chdir(directory),
  exit: code => process.exit(code),
  readFile: name => readFile(name),
  readFileSync: name => fs.readFileSync(name),
  readTextFile: name => readFile(name, text),
  readTextFileSync: name => fs.readFileSync(name, text),
  writeFile,
  writeFileSync: fs.writeFileSync,
  writeTextFile: (name, data) => writeFile(name, data),
  writeTextFileSync: (name, data) => fs.writeFileSync(name, data),
  mkdir: async (name, options) => void (await mkdir(name, options)),
  remove: (name, options) => rm(name, options),
  rename,
  copyFile
}
