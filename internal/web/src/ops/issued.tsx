// What was done by this page, and what came of it.
import { count, moment } from '../app/words.ts'
import type { Notice, Row } from './ask.ts'

export interface Deed {
  sql: string
  result: string
  notices: Notice[]
  /** The command whose outcome is followed; none for what acts at once. */
  command?: string
  at: Date
}

/** How long replicas act on a command. */
const lapse = 60_000

interface Shown {
  deeds: Deed[]
  followed: Row[]
  /** The time of the database. */
  now: Date | undefined
}

export function Issued({ deeds, followed, now }: Shown) {
  return (
    <ol className="issued" aria-label="What you did here" aria-live="polite">
      {deeds.map((deed) => (
        <li key={deed.at.getTime()}>
          <code>{deed.sql}</code> {moment(deed.at)}: {outcome(deed, followed.find((row) => String(row.id) === deed.command), now)}
          {deed.notices.map((notice) => (
            <p key={notice.message} className="warning">{notice.severity}: {notice.message} {notice.hint} (SQLSTATE {notice.sqlstate})</p>
          ))}
        </li>
      ))}
    </ol>
  )
}

/** What came of a command, in words. */
export function outcome(deed: Deed, row: Row | undefined, now: Date | undefined): string {
  if (!deed.command) return deed.result === '' ? 'done' : `done, result ${deed.result}`
  const named = `command ${deed.command}`
  if (!row) return `${named} is given`
  const at = Date.parse(String(row.at))
  if (row.acted_at !== null) {
    const by = (row.acted_by as string[]).join(', ')
    const took = Math.max(0, Date.parse(String(row.acted_at)) - at) / 1_000
    return `${named} was acted on after ${took.toFixed(1)} s, by ${by}; ${count(Number(row.connections), 'connection', 'connections')}`
  }
  const lasts = row.kind === 'drain' || row.kind === 'undrain'
  if (!lasts && now && now.getTime() - at > lapse) return `${named}: no replica acted on it within a minute, and none will`
  return `${named} waits for a replica`
}
