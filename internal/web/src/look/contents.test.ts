import { beforeEach, expect, test, vi } from 'vitest'
import { Failure, type PlanNode } from '../client/index.ts'
import { Changed, openParts } from './contents.ts'
import type { Holding } from './holding.ts'

const request = vi.hoisted(() => vi.fn<(document: unknown, variables: object) => Promise<unknown>>())
vi.mock('../app/session.ts', () => ({ connection: { request } }))

const source: Holding = { kind: 'source', id: 5, key: '', note: '', node: { id: 's' } as PlanNode }
const graph: Holding = { kind: 'graph', id: 7, key: '', note: '', node: { id: 'g' } as PlanNode }

const rows = (importDate: string, count: number) => ({
  datasourcePreview: { datasourceId: 5, fileType: 'nodes', totalRows: 900, importDate, columns: [{ name: 'id' }], rows: Array.from({ length: count }, (_, i) => ({ data: { id: i } })) },
})
const nodes = (content: number, from: number, count: number) => (
  Array.from({ length: count }, (_, i) => ({ attrs: { weight: 1, label: 'x', id: from + i }, cursor: `${content}.${from + i}` })))
const parts = { graph: { nodeCount: 900, edgeCount: 0, graphNodes: nodes(3, 0, 1), graphEdges: [], layers: [{ layerId: 'l', name: 'L', color: null, properties: { text_color: 'fff' } }] } }

beforeEach(() => request.mockReset())

test('pages of a file are of one state of it', async () => {
  request.mockResolvedValueOnce(rows('monday', 1))
  const [part] = await openParts(1, source)
  expect(part).toMatchObject({ name: 'Rows', total: 900, columns: ['id'] })
  request.mockResolvedValueOnce(rows('monday', 500))
  await expect(part!.load(0, 500)).resolves.toHaveLength(500)
  request.mockResolvedValueOnce(rows('tuesday', 400))
  await expect(part!.load(500, 400)).rejects.toThrow(Changed)
})

test('a file that is no table is shown as a whole', async () => {
  request.mockRejectedValueOnce(new Failure('BAD_REQUEST', 'Only tables of nodes or edges have a preview'))
  request.mockResolvedValueOnce({ dataSource: { dataType: 'layers', graphJson: '{"nodes":[],"edges":[],"layers":[{"id":"l"}]}', rowCount: 1, processedAt: null } })
  const [part, ...others] = await openParts(1, source)
  expect(part).toMatchObject({ name: 'Layers', total: 1, columns: ['id'] })
  expect(others).toEqual([])
  await expect(part!.load(0, 1)).resolves.toEqual([{ id: 'l' }])
})

test('pages of a graph are counted from its first element', async () => {
  request.mockResolvedValueOnce(parts)
  const [part, , layers] = await openParts(1, graph)
  expect(part).toMatchObject({ name: 'Nodes', total: 900, columns: ['id', 'label', 'weight'] })
  await expect(layers!.load(0, 1)).resolves.toEqual([{ id: 'l', label: 'L', text_color: 'fff' }])
  request.mockResolvedValueOnce({ graph: { graphNodes: nodes(3, 500, 400) } })
  await expect(part!.load(500, 400)).resolves.toHaveLength(400)
  expect(request.mock.lastCall![1]).toEqual({ id: 7, first: 400, after: '3.0', offset: 499 })
})

test.each([
  ['begins with an element of another content', { graph: { graphNodes: nodes(4, 0, 500) } }],
  ['has too few', { graph: { graphNodes: nodes(3, 0, 499) } }],
  ['is of no graph', { graph: null }],
])('a page that %s is none', async (_, answer) => {
  request.mockResolvedValueOnce(parts)
  const [part] = await openParts(1, graph)
  request.mockResolvedValueOnce(answer)
  await expect(part!.load(0, 500)).rejects.toThrow(Changed)
})

test('what is not kept any more has changed, and other failures are said as they are', async () => {
  request.mockResolvedValueOnce(parts)
  const [part] = await openParts(1, graph)
  request.mockRejectedValueOnce(new Failure('NOT_FOUND', 'begin anew'))
  await expect(part!.load(500, 1)).rejects.toThrow(Changed)
  request.mockRejectedValueOnce(new Failure('UNAVAILABLE', 'busy'))
  await expect(part!.load(500, 1)).rejects.toThrow('busy')
  request.mockRejectedValueOnce(new Failure('BAD_REQUEST', 'Unknown argument "offset" on field "Graph.graphNodes".'))
  await expect(part!.load(500, 1)).rejects.toMatchObject({ code: 'UNAVAILABLE', passes: true })
})
