// A text to copy, and, where the browser can, to try.
import { useEffect, useRef, useState } from 'react'
import type { Snippet, Target } from './snippets.ts'
import { hints, type Answer, type Try } from './tries.ts'

export function SnippetBox({ snippet: { id, title, where, text }, attempt, target }: { snippet: Snippet; attempt?: Try | undefined; target: Target }) {
  return (
    <div className="snippet" role="group" aria-label={title}>
      <p className="where">{where}</p>
      {/* What was copied or tried is not what is shown next. */}
      <Copied key={text} id={id} text={text} of={title}>{attempt && <Trial id={id} attempt={attempt} target={target} of={title} />}</Copied>
    </div>
  )
}

/** A text with a button that copies it. */
export function Copied({ id, text, of, children }: { id: string; text: string; of: string; children?: React.ReactNode }) {
  const code = useRef<HTMLElement>(null)
  const [said, say] = useState('')
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text)
      say('Copied')
    } catch {
      // Pages over plain HTTP from another machine have no clipboard.
      getSelection()?.selectAllChildren(code.current!)
      say(document.execCommand('copy') ? 'Copied' : 'It is selected: copy it by Ctrl+C')
    }
  }
  return (
    <>
      <pre><code ref={code} data-snippet={id}>{text}</code></pre>
      <div className="actions">
        <button aria-label={`Copy: ${of}`} onClick={copy}>Copy</button>
        <span role="status">{said}</span>
        {children}
      </div>
    </>
  )
}

function Trial({ id, attempt, target, of }: { id: string; attempt: Try; target: Target; of: string }) {
  const [answers, setAnswers] = useState<readonly Answer[]>([])
  const [running, setRunning] = useState<AbortController | null>(null)
  useEffect(() => () => running?.abort(), [running])
  const start = async () => {
    const controller = new AbortController()
    setRunning(controller)
    setAnswers([])
    await attempt(target, (answer) => setAnswers((before) => [...before, answer]), controller.signal)
    setRunning(null)
  }
  return (
    <>
      {running
        ? <button aria-label={`Stop: ${of}`} onClick={() => running.abort()}>Stop</button>
        : <button aria-label={`Try it: ${of}`} onClick={start}>Try it</button>}
      <div className="answers" role="status" data-try={id}>
        {running && answers.length === 0 && <p>{hints[id] ?? 'Waiting for the answer.'}</p>}
        {answers.map((answer) => (
          <div key={answer.of}>
            <p><strong>{answer.status}</strong> · {answer.of}, {answer.took.toLocaleString('en')} ms</p>
            <Scrolled of={answer.of} text={answer.text} />
          </div>
        ))}
      </div>
    </>
  )
}

/** A text in a box that it may be too large for. */
export function Scrolled({ of, text }: { of: string; text: string }) {
  // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- so that keys can scroll it
  return <pre className="scrolled" tabIndex={0} role="region" aria-label={`Answer: ${of}`}>{text}</pre>
}
