// Numbers, times and errors in words.

const numbers = new Intl.NumberFormat('en') // making one takes longer than all that is done with it

/** Such as "1 agent" and "2 agents". */
export function count(number: number, one: string, many: string): string {
  return `${numbers.format(number)} ${number === 1 ? one : many}`
}

export const listed = new Intl.ListFormat('en')

/** Such as "2 people and 1 agent are in it"; nothing when nobody is. */
export function whoIsIn({ people, agents }: { people: number; agents: number }): string {
  const parts = [...(people > 0 ? [count(people, 'person', 'people')] : []), ...(agents > 0 ? [count(agents, 'agent', 'agents')] : [])]
  if (parts.length === 0) return ''
  return `${listed.format(parts)} ${people + agents === 1 ? 'is' : 'are'} in it`
}

const relative = new Intl.RelativeTimeFormat('en')

/** Units of time by their length in seconds. Months and years have their mean length. */
const units = [['year', 31_557_600], ['month', 2_629_800], ['week', 604_800], ['day', 86_400], ['hour', 3_600], ['minute', 60]] as const

/** How long ago a time was, in the largest unit that fits. A time that a wrong clock takes for the future is just now. */
export function ago(time: Date, now = new Date()): string {
  const seconds = (now.getTime() - time.getTime()) / 1_000
  const unit = units.find(([, length]) => seconds >= length)
  return unit ? relative.format(-Math.floor(seconds / unit[1]), unit[0]) : 'just now'
}

const dateTime = new Intl.DateTimeFormat('en', { dateStyle: 'long', timeStyle: 'medium' })

/** A time to the second, where the reader is. */
export function exactly(time: Date): string {
  return dateTime.format(time)
}

const timeOfDay = new Intl.DateTimeFormat('en', { timeStyle: 'medium' })
const dayAndTime = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'short' })

/** A time of today, or the day, too. */
export function moment(time: Date, now = new Date()): string {
  return (time.toDateString() === now.toDateString() ? timeOfDay : dayAndTime).format(time)
}

/** Whether two texts look the same: letters may be composed differently, and a page shows several spaces as one. */
export function looksLike(text: string, other: string): boolean {
  const [one, two] = [text, other].map((each) => each.normalize('NFC').replace(/\s+/g, ' ').trim())
  return one === two
}

/** What an error says to people. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
