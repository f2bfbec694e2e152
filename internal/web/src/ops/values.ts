// Values of columns, for people and in order.
import { exactly, moment } from '../app/words.ts'
import type { Row } from './ask.ts'

const isTime = (value: unknown): value is string => typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.test(value)

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 3 })
const rounded = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 })
const sizes = ['B', 'kB', 'MB', 'GB', 'TB']

function size(bytes: number): string {
  const unit = bytes < 1 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), sizes.length - 1)
  return `${rounded.format(bytes / 1_000 ** unit)} ${sizes[unit]}`
}

/** What stands in the cell of a column; nothing for null. */
export function shown(column: string, value: unknown): string {
  if (value === null || value === undefined) return ''
  if (typeof value === 'number') return column.endsWith('_bytes') ? size(value) : whole.format(value)
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (isTime(value)) return moment(new Date(value))
  if (Array.isArray(value)) return value.map(String).join(', ')
  if (typeof value === 'object') return JSON.stringify(value)
  if (column === 'idle') return String(value).replace(/\.\d+$/, '')
  return String(value)
}

/** What a cell does not show: the time to the second, with its day. */
export function fully(value: unknown): string | undefined {
  return isTime(value) ? exactly(new Date(value)) : undefined
}

export interface Order {
  column: string
  descending: boolean
}

/** Rows in another order than the database's. Those without a value come last. */
export function sorted(rows: Row[], order: Order | undefined): Row[] {
  if (!order) return rows
  const { column, descending } = order
  return rows.toSorted((a, b) => {
    const [one, two] = [a[column] ?? null, b[column] ?? null]
    if (one === null || two === null) return Number(one === null) - Number(two === null)
    const before = typeof one === 'number' && typeof two === 'number' ? one - two : String(one).localeCompare(String(two), 'en', { numeric: true })
    return descending ? -before : before
  })
}
