// What a node holds, as the server shows it: tables that are read in pages, each of one state of the file or graph, never of two.
import { Failure, type Document } from '../client/index.ts'
import { isOfFormerRelease } from '../client/wire.ts'
import { connection } from '../app/session.ts'
import { EdgesPageDocument, GraphPartsDocument, NodesPageDocument, SourceFileDocument, SourceRowsDocument } from './gql/graphql.ts'
import type { Holding } from './holding.ts'
import { inParts, type Paged, type Row } from './pages.ts'

/** A table. Loading fails with Changed when its rows are not any more those on which it was opened. */
export interface Part extends Paged {
  name: 'Rows' | 'Nodes' | 'Edges' | 'Layers'
}

/** Says that other contents have taken the place of those that were read. */
export class Changed extends Error {
  override message = 'Somebody deleted or replaced it meanwhile.'
}

/** Opens what a node holds. */
export async function openParts(projectId: number, holding: Holding): Promise<Part[]> {
  if (holding.kind === 'graph') return ofGraph(holding.id)
  return holding.kind === 'source' ? ofSource(projectId, holding.node.id, holding.id) : []
}

async function ofSource(projectId: number, nodeId: string, id: number): Promise<Part[]> {
  const page = async (offset: number, limit: number) => {
    const { datasourcePreview } = await connection.request(SourceRowsDocument, { projectId, nodeId, offset, limit })
    if (!datasourcePreview) throw new Changed()
    return datasourcePreview
  }
  let first: Awaited<ReturnType<typeof page>>
  try {
    first = await page(0, 1)
  } catch (error) {
    // Only tables of nodes or edges have pages.
    if (error instanceof Failure && error.code === 'BAD_REQUEST') return ofFile(id)
    throw error
  }
  const versionOf = (of: typeof first) => `${of.datasourceId} ${of.importDate} ${of.totalRows}`
  return [{
    name: 'Rows', total: first.totalRows, columns: first.columns.map(({ name }) => name),
    load: (from, count) => orChanged(inParts(from, count, async (offset, limit) => {
      const next = await page(offset, limit)
      if (versionOf(next) !== versionOf(first)) throw new Changed()
      return next.rows.map(({ data }) => data as Row)
    })),
  }]
}

/** What a file holds that the server shows as a whole. */
async function ofFile(id: number): Promise<Part[]> {
  const { dataSource } = await connection.request(SourceFileDocument, { id })
  if (!dataSource) throw new Changed()
  const { truncated, ...lists } = JSON.parse(dataSource.graphJson) as { truncated?: boolean; nodes?: Row[]; edges?: Row[]; layers?: Row[] }
  if (truncated) throw new Failure('BAD_REQUEST', 'This file is too large to be shown as a whole. Download it, or run a graph that reads it.')
  const named = [['Nodes', lists.nodes], ['Edges', lists.edges], ['Layers', lists.layers]] as const
  return named.flatMap(([name, rows]) => (rows && (rows.length > 0 || dataSource.dataType === 'graph') ? [listed(name, rows)] : []))
}

/** A part that is there as a whole. */
function listed(name: Part['name'], rows: readonly Row[]): Part {
  return {
    name, total: rows.length, columns: rows[0] ? Object.keys(rows[0]) : [],
    load: (from, count) => Promise.resolve(rows.slice(from, from + count)),
  }
}

type Element = { attrs?: unknown; cursor: string }

async function ofGraph(id: number): Promise<Part[]> {
  const { graph } = await connection.request(GraphPartsDocument, { id })
  if (!graph) throw new Changed()
  const layers = graph.layers.map(({ layerId, name, color, properties }): Row => ({
    id: layerId, label: name, ...(color && { color }), ...(properties as object | null),
  }))
  return [
    part(id, 'Nodes', graph.nodeCount, graph.graphNodes[0], NodesPageDocument, (of) => of.graph?.graphNodes),
    part(id, 'Edges', graph.edgeCount, graph.graphEdges[0], EdgesPageDocument, (of) => of.graph?.graphEdges),
    listed('Layers', layers),
  ]
}

/** Nodes or edges of a graph. Pages are counted from the first of them, whose cursor names the content that it is of. */
function part<Result>(
  id: number, name: Part['name'], total: number, first: Element | undefined,
  document: Document<Result, { id: number; first: number; after?: string | null; offset: number }>, elementsOf: (result: Result) => Element[] | undefined,
): Part {
  const page = async (from: number, count: number) => {
    const place = from === 0 ? { offset: 0 } : { after: first!.cursor, offset: from - 1 }
    const elements = elementsOf(await connection.request(document, { id, first: count, ...place }))
    if (elements?.length !== count || (from === 0 && elements[0]!.cursor !== first!.cursor)) throw new Changed()
    return elements.map(({ attrs }) => attrs as Row)
  }
  return {
    name, total, columns: inOrder(Object.keys((first?.attrs ?? {}) as Row)),
    load: (from, count) => orChanged(inParts(from, count, page)),
  }
}

/** What a request for rows answers. What the server does not find any more has changed: a graph was built again so often that what it was is gone. */
async function orChanged(asked: Promise<Row[]>): Promise<Row[]> {
  try {
    return await asked
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    if (error.code === 'NOT_FOUND') throw new Changed()
    throw isOfFormerRelease(error) ? new Failure('UNAVAILABLE', 'The server is being updated, and this part of it cannot show graphs as tables yet.') : error
  }
}

/** What people look for first. */
const usual = ['id', 'source', 'target', 'label', 'layer']

const inOrder = (columns: readonly string[]) => [...usual.filter((name) => columns.includes(name)), ...columns.filter((name) => !usual.includes(name))]
