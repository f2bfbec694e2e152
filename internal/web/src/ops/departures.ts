// Replicas that were there when the page last looked, and are not any more.
import type { Row } from './ask.ts'

export interface Departure {
  replica: string
  address: string
  since: Date
}

/** How many are remembered. */
const most = 5

/** The departures that are known after another look, newest first. */
export function departures(known: Departure[], before: Row[], now: Row[], at: Date): Departure[] {
  const isHere = (replica: unknown) => now.some((row) => row.replica === replica)
  const left = before.filter((row) => !isHere(row.replica)).map((row) => ({ replica: String(row.replica), address: String(row.address), since: at }))
  return left.length === 0 ? known : [...left, ...known].slice(0, most)
}
