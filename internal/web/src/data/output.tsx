// The file that an output makes: its name, a link to it, and how it begins.
import { useEffect, useRef, useState } from 'react'
import type { PlanNode } from '../client/index.ts'
import { useDesk } from '../app/desk.ts'
import { messageOf } from '../app/words.ts'
import { fileOf, previewOf, type Preview } from './outputs.ts'
import { Facts, RunButtons, Section } from './section.tsx'

export function Output({ node }: { node: PlanNode }) {
  const { project } = useDesk()
  const { format, name } = fileOf(node.config)
  const path = `/api/projects/${project.id}/outputs/${encodeURIComponent(node.id)}`
  const current = useRef<AbortController>(undefined)
  const [shown, setShown] = useState<{ state: 'none' | 'asked' } | { state: 'there'; preview: Preview } | { state: 'failed'; why: string }>({ state: 'none' })
  const [copied, setCopied] = useState(false)
  useEffect(() => () => current.current?.abort(), [])
  const show = async () => {
    current.current?.abort()
    const mine = current.current = new AbortController()
    setShown({ state: 'asked' })
    setCopied(false)
    try {
      const preview = await previewOf(path, mine.signal)
      if (!mine.signal.aborted) setShown({ state: 'there', preview })
    } catch (error) {
      if (!mine.signal.aborted) setShown({ state: 'failed', why: messageOf(error) })
    }
  }
  const hide = () => {
    current.current?.abort()
    setShown({ state: 'none' })
  }
  return (
    <Section name="Output">
      <Facts facts={[['Format', format], ['File name', name ?? 'that of the project']]} />
      <p>What is out of date is built first.</p>
      <p className="do">
        <a href={path} download>Download</a>
        <a href={`${path}?execute=false`} download title="Builds nothing: the file of what was built last">Download as it is</a>
        <button onClick={() => void show()}>Preview</button>
        <RunButtons node={node} />
      </p>
      <p role="status">{shown.state === 'asked' && 'The preview is being made…'}</p>
      {shown.state === 'asked' && <button onClick={hide}>Stop</button>}
      {shown.state === 'failed' && <p className="problem" role="alert">{shown.why}</p>}
      {shown.state === 'there' && (
        <>
          {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- whoever has no mouse scrolls it by the keyboard */}
          <pre className="preview" tabIndex={0} role="region" aria-label="Preview" dir="auto">{shown.preview.text}</pre>
          {shown.preview.isCut && <p>This is the beginning. The file goes on.</p>}
          <p className="do">
            {navigator.clipboard && (
              <button onClick={() => void navigator.clipboard.writeText(shown.preview.text).then(() => setCopied(true))}>Copy</button>
            )}
            <button onClick={hide}>Close</button>
            <span role="status">{copied && 'Copied'}</span>
          </p>
        </>
      )}
    </Section>
  )
}
