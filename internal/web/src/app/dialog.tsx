// A question that is answered, or closed, before anything else goes on.
import { useId, useRef, useState, type ReactNode } from 'react'
import { messageOf } from './words.ts'

interface Question {
  title: string
  /** What the button says that does it. */
  action: string
  /** Does it. When that fails, the dialog says why and stays. */
  act: () => Promise<void>
  close: () => void
  children: ReactNode
}

export function Dialog({ title, action, act, close, children }: Question) {
  const heading = useId()
  const busy = useRef(false)
  const [problem, setProblem] = useState('')
  const submit = async (event: React.FormEvent) => {
    event.preventDefault()
    if (busy.current) return
    busy.current = true
    setProblem('')
    try {
      await act()
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
        <p className="actions"><button className="main">{action}</button> <button type="button" onClick={close}>Cancel</button></p>
      </form>
    </dialog>
  )
}

// The browser gives the focus back when a dialog is closed, but not when it is only taken out of the page.
function show(dialog: HTMLDialogElement | null) {
  dialog?.showModal()
  return () => dialog?.close()
}
