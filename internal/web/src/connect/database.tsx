// For DBAs: how to ask the database, and what.
import page from '../../../../docs/sql.md?raw'
import { about, pieces, readQuestions, type Block } from './questions.ts'
import { Copied, Scrolled, SnippetBox } from './snippet.tsx'
import { psqlSnippet, type Target } from './snippets.ts'

const [introduction, ...sections] = readQuestions(page)

export function Database({ target }: { target: Target }) {
  return (
    <>
      <p>
        This page does not know where the database is. A server that was started with one has its address in <code>LAYERCAKE_DATABASE_URL</code>; one
        with a private database, as of <code>make run</code>, says it in its log at the start: <code>private database url=…</code>.
      </p>
      <SnippetBox snippet={psqlSnippet(target)} target={target} />
      <Blocks title="Roles that may ask" blocks={introduction!.blocks} id="sql-0" project={null} />
      {sections.map(({ title, blocks }, i) => (
        <details key={title}>
          <summary>{about(title, target.project)}</summary>
          <Blocks title={about(title, target.project)} blocks={blocks} id={`sql-${i + 1}`} project={target.project} />
        </details>
      ))}
    </>
  )
}

function Blocks({ title, blocks, id, project }: { title: string; blocks: readonly Block[]; id: string; project: number | null }) {
  return blocks.map(({ kind, text }, i) => {
    const key = `${id}-${i}`
    if (kind === 'sql') return <div key={key} className="snippet"><Copied id={key} text={about(text, project)} of={title} /></div>
    if (kind === 'answer') return <Scrolled key={key} of={title} text={text} />
    return <p key={key}>{pieces(text).map((piece, at) => (at % 2 === 1 ? <code key={at}>{piece}</code> : piece))}</p>
  })
}
