// What the inspector says of a node's file, build or output, and what can be done about it.
import { useEffect, useState, useSyncExternalStore } from 'react'
import { newId, type PlanNode } from '../client/index.ts'
import { useDesk } from '../app/desk.ts'
import { Dialog } from '../app/dialog.tsx'
import { isNow } from '../app/history-state.ts'
import { withRetries } from '../app/retry.ts'
import { connection } from '../app/session.ts'
import { say } from '../app/undo-state.ts'
import { ago, exactly, messageOf } from '../app/words.ts'
import { chooseFileOf } from './files.ts'
import { BuiltDocument, DeleteSourceDocument, ReprocessDocument, SourceDocument, type SourceQuery } from './gql/graphql.ts'
import { Output } from './output.tsx'
import { Facts, RunButtons, Section } from './section.tsx'

export default function OfNode({ node }: { node: PlanNode }) {
  const { history } = useDesk()
  useSyncExternalStore(history.subscribe, history.get)
  if (!isNow(useDesk())) return null // nothing of it is kept of the past
  if (node.nodeType === 'DataSourceNode') return <SourceOf node={node} />
  if (node.nodeType === 'OutputNode') return <Output node={node} />
  return <BuildOf node={node} />
}

type Source = NonNullable<SourceQuery['dataSource']>

function SourceOf({ node }: { node: PlanNode }) {
  const desk = useDesk()
  const { datasourceExecution: execution } = node
  const id = execution?.dataSourceId
  const { answer: source, problem } = useAnswer(
    id === undefined ? null : `${id} ${execution?.status} ${execution?.processedAt} ${execution?.filename}`,
    async () => (await connection.request(SourceDocument, { id: id! })).dataSource)
  if (id === undefined) {
    return (
      <Section name="File">
        <p>This source has no file. Drop a CSV, a TSV or a JSON file on it, or choose one.</p>
        <button onClick={() => chooseFileOf(desk, node)}>Choose a file…</button>
      </Section>
    )
  }
  return (
    <Section name="File">
      <StateOf node={node} />
      {problem && <p className="problem" role="alert">{problem}</p>}
      {source && (
        <>
          <Facts facts={[
            ['File', source.filename], ['Holds', `${source.dataType}, as ${source.fileFormat.toUpperCase()}`], ['Rows', source.rowCount.toLocaleString('en')],
            ['Size', source.fileSizeFormatted], ['Read', source.processedAt ? <Time at={source.processedAt} /> : 'never with success'],
          ]}
          />
          {source.errorMessage && <p className="problem">{source.errorMessage}</p>}
          <SourceActions node={node} source={source} />
          <Problems source={source} />
        </>
      )}
    </Section>
  )
}

function SourceActions({ node, source: { id, filename } }: { node: PlanNode; source: Source }) {
  const desk = useDesk()
  const [deleting, setDeleting] = useState(false)
  const ids = () => ({ id, opId: newId(), clientId: connection.clientId })
  const reprocess = async () => {
    const variables = ids()
    try {
      await withRetries(() => connection.request(ReprocessDocument, variables))
      say(desk, `Read again: ${filename}`)
    } catch (error) {
      say(desk, `Not read: ${messageOf(error)}`)
    }
  }
  const remove = async () => {
    const variables = ids()
    await withRetries(() => connection.request(DeleteSourceDocument, variables))
    setDeleting(false)
  }
  return (
    <p className="do">
      <a href={`/api/data-sources/${id}/download/raw`} download>Download</a>
      <a href={`/api/data-sources/${id}/download/json`} download>As JSON</a>
      <button onClick={() => chooseFileOf(desk, node)}>Replace file…</button>
      <button title="Reads the stored file once more, as after an update of the server" onClick={() => void reprocess()}>Read again</button>
      <button onClick={() => setDeleting(true)}>Delete file…</button>
      {deleting && (
        <Dialog title={`Delete “${filename}”?`} action="Delete" act={remove} close={() => setDeleting(false)}>
          <p>The file goes, with all nodes that read it and their edges, for everybody. This cannot be undone.</p>
        </Dialog>
      )}
    </p>
  )
}

/** All that is listed of a file's problems: what keeps it from being used, and apart from that what was doubtful. */
function Problems({ source: { problems, problemCount } }: { source: Source }) {
  if (problemCount === 0) return <p>No problems were found in it.</p>
  const groups = [['Problems', problems.filter(({ warning }) => !warning)], ['Warnings', problems.filter(({ warning }) => warning)]] as const
  return (
    <>
      {problemCount > problems.length && <p>The first {problems.length} of {problemCount.toLocaleString('en')} are listed.</p>}
      {groups.filter(([, listed]) => listed.length > 0).map(([name, listed]) => (
        // Whoever has no mouse scrolls it by the keyboard.
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        <div key={name} className="listed" role="region" aria-label={name} tabIndex={0}>
          <table>
            <caption>{name}</caption>
            <thead><tr><th scope="col">Row</th><th scope="col">Column</th><th scope="col">What</th></tr></thead>
            <tbody>
              {listed.map(({ row, column, reason }) => (
                <tr key={`${row} ${column} ${reason}`}><td>{row === 0 ? 'all' : row.toLocaleString('en')}</td><td dir="auto">{column ?? 'all'}</td><td>{reason}</td></tr>
              ))}
            </tbody>
          </table>
        </div>
      ))}
    </>
  )
}

function BuildOf({ node }: { node: PlanNode }) {
  const { graphExecution: execution } = node
  const { answer: graph, problem } = useAnswer(
    execution ? `${execution.graphId} ${execution.executionState} ${execution.computedDate}` : null,
    async () => (await connection.request(BuiltDocument, { id: execution!.graphId })).graph)
  return (
    <Section name="Build">
      <StateOf node={node} none="Not built yet: run it. What it needs is built with it." />
      {problem && <p className="problem" role="alert">{problem}</p>}
      {/* The plan has the beginning of a long one. */}
      {graph?.errorMessage && graph.errorMessage !== execution?.errorMessage && <pre className="problem">{graph.errorMessage}</pre>}
      {graph?.computedDate && (
        <Facts facts={[
          ['Nodes', graph.nodeCount.toLocaleString('en')], ['Edges', graph.edgeCount.toLocaleString('en')],
          ['Layers', graph.layers.length.toLocaleString('en')], ['Built', <Time key="built" at={graph.computedDate} />],
        ]}
        />
      )}
      <p className="do"><RunButtons node={node} /></p>
    </Section>
  )
}

/** The state of a node, whole. */
function StateOf({ node, none }: { node: PlanNode; none?: string }) {
  const { states } = useDesk()
  const state = useSyncExternalStore(states.subscribe, states.get).get(node.id)
  if (!state) return none ? <p>{none}</p> : null
  return <p className={`state ${state.kind}`} dir="auto">{state.sign} {state.words}</p>
}

function Time({ at }: { at: string }) {
  const time = new Date(at)
  return <time dateTime={at} title={exactly(time)}>{ago(time)}</time>
}

/** Asks the server something for as long as the key is not null, again when it is another one. What it said before stays until then. */
function useAnswer<T>(key: string | null, ask: () => Promise<T>): { answer: T | undefined; problem: string } {
  const [said, setSaid] = useState<{ answer: T | undefined; problem: string }>({ answer: undefined, problem: '' })
  useEffect(() => {
    if (key === null) return
    let isWanted = true
    withRetries(ask).then(
      (answer) => { if (isWanted) setSaid({ answer, problem: '' }) },
      (error) => { if (isWanted) setSaid({ answer: undefined, problem: messageOf(error) }) })
    return () => { isWanted = false }
    // oxlint-disable-next-line react/exhaustive-deps -- the key says when the question is another one
  }, [key])
  return said
}

