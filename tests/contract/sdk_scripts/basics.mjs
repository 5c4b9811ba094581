// What the JavaScript SDK must be able to do; run by `test_sdk_versions.py`.
import assert from 'node:assert/strict'
import { Sandbox } from 'e2b'

const sandbox = await Sandbox.create({ timeoutMs: 60_000, metadata: { kind: 'js' }, envs: { COLOUR: 'blue' } })
const page = await Sandbox.list().nextItems()
assert.deepEqual(page.map((found) => found.sandboxId), [sandbox.sandboxId])
await sandbox.setTimeout(120_000)
await sandbox.files.write('notes/a.txt', 'hello')
assert.equal(await sandbox.files.read('notes/a.txt'), 'hello')
assert.deepEqual((await sandbox.files.list('notes')).map((entry) => entry.name), ['a.txt'])
const result = await sandbox.commands.run('echo $COLOUR; echo oops >&2')
assert.deepEqual([result.stdout, result.stderr, result.exitCode], ['blue\n', 'oops\n', 0])
await assert.rejects(sandbox.commands.run('exit 3'), { exitCode: 3 })
const handle = await sandbox.commands.run('sleep 600', { background: true, timeoutMs: 0 })
assert.deepEqual((await sandbox.commands.list()).map((process) => process.pid), [handle.pid])
assert.ok(await handle.kill())
await assert.rejects(handle.wait())
assert.ok(await sandbox.isRunning())
assert.ok(await sandbox.kill())
assert.equal(await sandbox.isRunning(), false)
console.log('done')
process.exit(0)
