import { describe, expect, it } from 'vitest'
import { beginningOf, fileOf } from './outputs.ts'
import { bytes, isOpen, lostWords, placesAt, refusalOf, refusedBy, startable, summaryOf, wordsOf, type State, type Upload } from './uploads.ts'

const upload = (id: number, state: State, size = 2_048): Upload => ({
  id, state, file: new File([new Uint8Array(size)], 'nodes.csv'), target: { place: { x: 0, y: 0 } }, kind: null, opId: 'op',
})

describe('a file', () => {
  it.each([
    ['nodes.csv', 12, false, null],
    ['NODES.TSV', 12, false, null],
    ['graph.json', 300 << 20, false, null], // how much it takes is for the server to say
    ['photo.png', 12, false, '.png'],
    ['README', 12, false, 'without an ending'],
    ['nodes.csv', 0, false, '0 bytes'],
    ['data.csv', 4_096, true, 'folder'],
  ])('%s of %d bytes', (name, size, isFolder, says) => {
    const why = refusalOf({ name, size, isFolder })
    if (says === null) expect(why).toBe(null)
    else expect(why).toContain(says)
  })
})

describe('uploads', () => {
  const waiting: State = { at: 'waiting' }
  it('go two at a time, in their order', () => {
    const all = [upload(1, { at: 'sending', sent: 5 }), upload(2, waiting), upload(3, waiting)]
    expect(startable(all).map(({ id }) => id)).toEqual([2])
    expect(startable([...all, upload(4, { at: 'sent' })])).toEqual([])
    expect(startable(Array.from({ length: 20 }, (_, i) => upload(i, waiting))).map(({ id }) => id)).toEqual([0, 1])
    expect(startable([upload(1, { at: 'busy', why: 'Busy' }), upload(2, { at: 'stopped', why: '' })])).toEqual([])
  })
  it('are open until they ended', () => {
    const ends: State[] = [{ at: 'lost', why: '' }, { at: 'refused', why: '', problems: [] }, { at: 'stopped', why: '' },
      { at: 'done', rows: 1, dataType: 'nodes', problems: 0, nodeIds: [] }]
    expect(ends.map((state) => isOpen(upload(1, state)))).toEqual([false, false, false, false])
    expect([waiting, { at: 'busy', why: '' }, { at: 'sent' }].map((state) => isOpen(upload(1, state as State)))).toEqual([true, true, true])
  })
  it('are put into words', () => {
    expect(wordsOf(upload(1, { at: 'sending', sent: 512 }))).toBe('512 bytes of 2.0 kB sent')
    expect(wordsOf(upload(1, { at: 'done', rows: 1_234, dataType: 'nodes', problems: 1, nodeIds: [] }))).toBe(
      'Added as nodes, 1,234 rows, 1 warning, listed in the inspector')
    expect(summaryOf([upload(1, { at: 'sent' }), upload(2, waiting), upload(3, { at: 'busy', why: '' }), upload(4, { at: 'lost', why: '' })])).toBe(
      '4 files: 1 being sent, 2 waiting, 1 not added')
    expect(lostWords(1_000, 999)).toContain('at 99 %')
    expect(lostWords(1_000, 1_000)).toContain('at 99 %') // all is sent, and nobody said that it came
    expect(lostWords(300 << 20, 0)).toContain('256.0 MB')
  })
  it('of one place stand below and beside each other', () => {
    const places = placesAt({ x: 100, y: 32 }, 7)
    expect(places[0]).toEqual({ x: 0, y: 0 })
    expect(new Set(places.map(({ x, y }) => `${x} ${y}`)).size).toBe(7)
    expect(places[5]).toEqual({ x: 260, y: 0 })
  })
})

it('counts bytes', () => {
  expect([0, 1_023, 1_536, 5 << 20, 3 * 2 ** 30, 5 * 2 ** 40].map(bytes)).toEqual(['0 bytes', '1023 bytes', '1.5 kB', '5.0 MB', '3.0 GB', '5120.0 GB'])
})

it('reads why a server took no file, or that it was no server of ours', () => {
  const said = (error: object, after: string | null = null) => refusedBy(JSON.stringify({ error }), after)
  expect(said({ code: 'BAD_REQUEST', message: 'No', problems: ['row 2: x'], total: 1_501 })).toEqual(
    { why: 'No', problems: ['row 2: x', 'and 1,500 more'], retryAfterMs: null })
  expect(said({ code: 'BAD_REQUEST', message: 'No', detail: 'Because' })?.problems).toEqual(['Because'])
  expect(said({ code: 'RATE_LIMITED', message: 'Busy' }, '3')?.retryAfterMs).toBe(3_000)
  expect(said({ code: 'UNAVAILABLE', message: 'Busy' })?.retryAfterMs).toBe(1_000)
  for (const text of ['', '<html>502</html>', '{}', '{"error":7}', 'null']) expect(refusedBy(text, null)).toBe(null)
})

it('knows the file of an output', () => {
  expect(fileOf('{"renderTarget":"DOT","outputPath":"out/tiny.dot"}')).toEqual({ format: 'DOT', name: 'tiny.dot' })
  expect(fileOf('{"exporter":"Mermaid","filename":"a.md"}')).toEqual({ format: 'Mermaid', name: 'a.md' })
  expect(fileOf('{"outputPath":""}')).toEqual({ format: 'GML', name: null })
  for (const config of ['', '7', 'null', '[]']) expect(fileOf(config)).toEqual({ format: 'GML', name: null })
})

describe('the beginning of a file', () => {
  const streamOf = (...pieces: string[]) => {
    let ended = false
    const bytesOf = pieces.map((piece) => new TextEncoder().encode(piece))
    const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull(controller) {
        const next = bytesOf.shift()
        if (next) controller.enqueue(next)
        else controller.close()
      },
      cancel() { ended = true },
    }, { highWaterMark: 0 })
    return { stream, left: () => bytesOf.length, isEnded: () => ended }
  }
  it('is all of a short one', async () => {
    const exact = 'x'.repeat(64 << 10)
    expect(await beginningOf(streamOf('a', 'ä').stream)).toEqual({ text: 'aä', isCut: false })
    expect(await beginningOf(streamOf(exact).stream)).toEqual({ text: exact, isCut: false })
  })
  it('ends the stream of a long one, and has no part of a letter', async () => {
    const long = streamOf('x'.repeat((64 << 10) - 1), 'ä', 'never read')
    const { text, isCut } = await beginningOf(long.stream)
    expect([text.length, isCut, long.left(), long.isEnded()]).toEqual([(64 << 10) - 1, true, 1, true])
  })
})
