// Builds that do not end, for tests of what happens meanwhile.
import { execFileSync, spawn } from 'node:child_process'

const { PSQL, DATABASE } = process.env

/** What the database of the test answers, as text. */
export function sql(text) {
  return execFileSync(PSQL, [DATABASE, '-AtXqv', 'ON_ERROR_STOP=1', '-c', text], { encoding: 'utf8' }).trim()
}

/** Lets nobody write nodes of graphs until what it returns is called: builds are under way for as long. */
export async function holdBuilds() {
  const session = spawn(PSQL, [DATABASE, '-AtXq'], { stdio: ['pipe', 'pipe', 'inherit'] })
  session.stdin.write('BEGIN; LOCK TABLE content_nodes IN SHARE MODE; SELECT 1;\n')
  await new Promise((resolve) => { session.stdout.once('data', resolve) })
  return () => { session.stdin.end('ROLLBACK;\n') }
}
