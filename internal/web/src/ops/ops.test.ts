import { expect, test } from 'vitest'
import { reasonIn, type Row } from './ask.ts'
import { departures } from './departures.ts'
import { outcome, type Deed } from './issued.tsx'
import { statement } from './sql.ts'
import { shown, sorted } from './values.ts'

test('a statement is as somebody would type it, whatever its arguments are', () => {
  expect(statement('undrain', { replica: 'a:1' })).toBe("SELECT layercake.undrain(replica => 'a:1');")
  expect(statement('kick_user', { user_id: "O'Hara", reason: "'; DROP TABLE users; --" }))
    .toBe("SELECT layercake.kick_user(user_id => 'O''Hara', reason => '''; DROP TABLE users; --');")
  expect(statement('cancel_build', { project: '7', node: '8' })).toBe("SELECT layercake.cancel_build(project => 7, node => '8');")
  expect(statement('cancel_build', { project: '1); x', node: '' })).toBe("SELECT layercake.cancel_build(project => '1); x', node => '');")
})

test('values are shown for people', () => {
  for (const [column, value, want] of [
    ['version', null, ''], ['version', 'v1', 'v1'], ['is_agent', false, 'no'], ['heap_bytes', 15_234_567, '15.2 MB'], ['heap_bytes', 0, '0 B'],
    ['heap_bytes', 1_000, '1 kB'], ['heap_bytes', 123_000_000_000_000_000, '123,000 TB'], ['sockets', 12_345, '12,345'], ['heartbeat_ms', 1.25, '1.25'],
    ['idle', '00:00:01.234567', '00:00:01'], ['spread', '00:00:00.1', '00:00:00.1'], ['acted_by', ['a:1', 'b:1'], 'a:1, b:1'], ['top_projects', {}, '{}'],
  ] as const) expect(shown(column, value), `${column} ${value}`).toBe(want)
  expect(shown('joined_at', '2026-03-01T10:20:30.5+00:00')).toMatch(/2026/)
})

test('rows are sorted by numbers as numbers, by texts as people do, and those without a value come last', () => {
  const rows: Row[] = [{ a: 10, b: 'n10' }, { a: 9, b: 'N9' }, { a: null, b: null }, { a: 2, b: 'n2' }]
  const by = (column: string, descending: boolean) => sorted(rows, { column, descending }).map((row) => row.a)
  expect(by('a', false)).toEqual([2, 9, 10, null])
  expect(by('a', true)).toEqual([10, 9, 2, null])
  expect(by('b', false)).toEqual([2, 9, 10, null])
  expect(sorted(rows, undefined)).toBe(rows)
})

test('a refusal has the words of PostgreSQL', () => {
  const error = { message: 'There is no account "x"', hint: 'Give its id.', sqlstate: 'P0002' }
  expect(reasonIn(JSON.stringify({ error }))).toBe('There is no account "x" (SQLSTATE P0002). Give its id.')
  expect(reasonIn(JSON.stringify({ error: { message: 'kick needs connection_id' } }))).toBe('kick needs connection_id.')
  expect(reasonIn('Only the page of this address may ask this\n')).toBe('Only the page of this address may ask this')
})

test('a replica that was there and is not any more is told, and no more than five', () => {
  const rows = (...ids: string[]) => ids.map((replica) => ({ replica, address: `${replica}:1`, state: 'live' }))
  const at = new Date()
  expect(departures([], rows('a'), rows('a', 'b'), at)).toEqual([])
  const one = departures([], rows('a', 'b'), rows('b'), at)
  expect(one).toEqual([{ replica: 'a', address: 'a:1', since: at }])
  expect(departures(one, rows('1', '2', '3', '4', '5', '6'), [], at)).toHaveLength(5)
})

test('the outcome of a command is told as long as it may come', () => {
  const deed: Deed = { sql: '', result: '7', notices: [], command: '7', at: new Date() }
  const row = { id: 7, at: '2026-03-01T10:00:00Z', kind: 'kick', acted_at: null, acted_by: [], connections: 0 }
  const after = (seconds: number) => new Date(Date.parse(row.at) + seconds * 1_000)
  expect(outcome(deed, undefined, undefined)).toBe('command 7 is given')
  expect(outcome(deed, row, after(5))).toBe('command 7 waits for a replica')
  expect(outcome(deed, row, after(61))).toBe('command 7: no replica acted on it within a minute, and none will')
  expect(outcome(deed, { ...row, kind: 'drain' }, after(61))).toBe('command 7 waits for a replica')
  expect(outcome(deed, { ...row, acted_at: '2026-03-01T10:00:00.25Z', acted_by: ['a:1'], connections: 1 }, after(5)))
    .toBe('command 7 was acted on after 0.3 s, by a:1; 1 connection')
  expect(outcome({ ...deed, command: undefined, result: '' }, undefined, undefined)).toBe('done')
  expect(outcome({ ...deed, command: undefined }, undefined, undefined)).toBe('done, result 7')
})
