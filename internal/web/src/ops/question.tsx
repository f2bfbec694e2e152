// The question before a function is called, with its statement.
import { useState } from 'react'
import { Dialog } from '../app/dialog.tsx'
import { call, type Answer } from './ask.ts'
import { statement } from './sql.ts'
import { Statement } from './statement.tsx'
import type { Action } from './views.ts'

/** No argument may be longer: the reason of a command is the longest. */
const longest = 1_000

interface Asked {
  action: Action
  /** What it is about; nothing for what stands above a table. */
  about: string
  /** Arguments that are given. */
  given: Record<string, string>
  /** What makes it worse than usual; then it is asked twice. */
  warning?: string
  done: (sql: string, answer: Answer) => void
  close: () => void
}

export function Question({ action, about, given, warning, done, close }: Asked) {
  const [asked, setAsked] = useState(action.asks)
  const [again, setAgain] = useState(false)
  const values = { ...given, ...asked }
  const sql = statement(action.function, values)
  const act = async () => {
    if (warning && !again) return setAgain(true)
    done(sql, await call(action.function, values))
    close()
  }
  const title = about === '' ? action.label : `${action.label}: ${about}`
  return (
    <Dialog title={title} action={again ? 'Yes, all the same' : action.label} act={act} close={close}>
      <p>{action.does}</p>
      {Object.entries(asked).map(([name, value]) => (
        <label key={name}>
          {name}
          <input value={value} autoComplete="off" maxLength={longest} required={name === 'account'} onChange={({ target }) => setAsked({ ...asked, [name]: target.value })} />
        </label>
      ))}
      <Statement sql={sql} />
      {again && <p role="alert" className="warning">{warning}</p>}
    </Dialog>
  )
}
