// Replicas that were there when the page last looked, and are not any more.
import type { Replica } from './ask.ts'

export interface Departure {
  replica: string
  address: string
  since: Date
}

/** How many are remembered. */
const most = 5

/** The departures that are known after another look, newest first. */
export function departures(known: Departure[], before: Replica[], now: Replica[], at: Date): Departure[] {
  const left = before.filter(({ replica }) => !now.some((other) => other.replica === replica)).map(({ replica, address }) => ({ replica, address, since: at }))
  return left.length === 0 ? known : [...left, ...known].slice(0, most)
}
