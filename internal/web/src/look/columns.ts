// The columns of a table: which there are, how wide, and what stands in a cell.
import type { Row } from './pages.ts'

export const narrowest = 48
export const widest = 1_200

/** Longer texts are cut in the table. Below it the one of the current cell is shown as a whole. */
const longest = 200

/** About how wide a letter is, what a cell has around its text, and a name beside that, in pixels. */
const [letter, around, border] = [7.5, 24, 24]

/** What stands in a cell. */
export function textOf(value: unknown): string {
  if (value === undefined || value === null) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** The same, cut to what a cell can show. Line breaks and tabs are shown as such. */
export function cellText(value: unknown): string {
  const text = textOf(value)
  return (text.length > longest ? `${text.slice(0, longest)}…` : text).replaceAll('\t', '⇥').replaceAll(/\r?\n|\r/g, '↵')
}

/** Cells as spreadsheets take them from the clipboard: values between tabs, in quotes where they need them. */
export function asLines(rows: readonly (readonly string[])[]): string {
  const quoted = (text: string) => (/[\t\n\r"]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
  return rows.map((cells) => cells.map(quoted).join('\t')).join('\n')
}

/** Columns with those that rows have beside them, in the order in which they come; the same list when there is no other. */
export function withColumnsOf(columns: readonly string[], rows: readonly Row[]): readonly string[] {
  const all = new Set(columns)
  for (const row of rows) for (const name in row) all.add(name)
  return all.size > columns.length ? [...all] : columns
}

/** How wide a column is at first: as its name and what it has in some rows, but no more than 40 letters. */
export function fittingWidth(name: string, rows: readonly (Row | undefined)[]): number {
  const widthOf = (text: string) => Math.min(text.length, 40) * letter + around
  return Math.round(Math.max(80, widthOf(name) + border, ...rows.map((row) => widthOf(cellText(row?.[name])))))
}
