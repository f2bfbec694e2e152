// Applies the deltas of a record to a plan as the existing web client does, and compares the result with the plan that was read afterwards.
// RECORD is a file with the members before, after and deltas.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import jsonpatch from 'fast-json-patch'

const { before, after, deltas } = JSON.parse(readFileSync(process.env.RECORD, 'utf8'))
let plan = before
for (const event of deltas) {
  const patch = event.operations.map(({ op, path, value, from }) => ({
    op: op.toLowerCase(), path, ...(value !== null && { value }), ...(from !== null && { from }),
  }))
  plan = { ...jsonpatch.applyPatch(jsonpatch.deepClone(plan), patch, true, false).newDocument, version: String(event.version) }
}

// Deltas have more members than the client selects.
const like = (value, shape) => {
  if (Array.isArray(shape)) return value.map((item) => like(item, shape.find((other) => other.id === item.id) ?? item))
  if (shape === null || typeof shape !== 'object' || value === null || typeof value !== 'object') return value ?? null
  return Object.fromEntries(Object.keys(shape).filter((key) => key !== '__typename').map((key) => [key, like(value[key], shape[key])]))
}
assert.deepEqual(like(plan, after), like(after, after))
console.log(`${deltas.length} deltas applied, up to version ${plan.version}`)
