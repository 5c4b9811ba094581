// Code cells by the JavaScript SDK; run by `test_sdk_versions.py`.
import assert from 'node:assert/strict'
import { Sandbox } from '@e2b/code-interpreter'

const sandbox = await Sandbox.create({ timeoutMs: 60_000 })
const said = []
await sandbox.runCode('number = 20\nprint("set")', { onStdout: (message) => said.push(message.line) })
assert.equal(said.join('').trim(), 'set')
const execution = await sandbox.runCode('number * 2 + 2')
assert.equal(execution.text, '42')
const failed = await sandbox.runCode('1 / 0')
assert.equal(failed.error.name, 'ZeroDivisionError')
await sandbox.kill()
console.log('done')
process.exit(0)
