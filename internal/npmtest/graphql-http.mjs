// Runs every server audit of graphql-http against URL and prints how many pass.
import { auditServer } from 'graphql-http'

const results = await auditServer({ url: process.env.URL })
const failed = results.filter((result) => result.status !== 'ok')
for (const { id, name, status, reason } of failed) {
  console.error(`${status}: ${id} ${name}: ${reason}`)
}
console.log(`${results.length - failed.length} of ${results.length}`)
process.exitCode = failed.length === 0 ? 0 : 1
