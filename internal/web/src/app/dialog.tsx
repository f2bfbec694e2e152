// A question that is answered, or closed, before anything else goes on.
import { useId, useRef, useState, type ReactNode } from 'react'
import { messageOf } from './words.ts'

interface Question {
  title: string
  /** What the button says that does it. */
  action: string
  /** Does it. When that fails, the dialog says why and stays. */
  act: () => Promise<void>
  /** What else can be done, by a button beside it. */
  other?: { action: string; act: () => Promise<void> }
  close: () => void
  children: ReactNode
}

export function Dialog({ title, action, act, other, close, children }: Question) {
  const heading = useId()
  const busy = useRef(false)
  const [problem, setProblem] = useState('')
  const submit = async (event: React.FormEvent) => {
    event.preventDefault()
    const isOther = (event.nativeEvent as SubmitEvent).submitter?.matches('[value=other]')
    if (busy.current) return
    busy.current = true
    setProblem('')
    try {
      await (isOther && other ? other.act : act)()
    } catch (error) {
      setProblem(messageOf(error))
    }
    busy.current = false
  }
  return (
    <dialog ref={show} aria-labelledby={heading} onClose={close}>
      <form onSubmit={submit}>
        <h2 id={heading}>{title}</h2>
        {children}
        <p role="alert">{problem}</p>
        <p className="actions">
          <button className="main">{action}</button> {other && <button value="other">{other.action}</button>} <button type="button" onClick={close}>Cancel</button>
        </p>
      </form>
    </dialog>
  )
}

// The browser gives the focus back when a dialog is closed, but not when it is only taken out of the page.
function show(dialog: HTMLDialogElement | null) {
  dialog?.showModal()
  return () => dialog?.close()
}
