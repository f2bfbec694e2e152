// What the others call this person, to be changed in place. Who has signed in has the name of the account.
import { useEffect, useRef, useState } from 'react'
import { flushSync } from 'react-dom'
import { AccountDocument } from './gql/graphql.ts'
import { connection, me, rename } from './session.ts'
import { messageOf } from './words.ts'

export function OwnName() {
  const [editing, setEditing] = useState(false)
  const [problem, setProblem] = useState('')
  const [account, setAccount] = useState<string>()
  const button = useRef<HTMLButtonElement>(null)
  const close = () => {
    flushSync(() => { setEditing(false); setProblem('') })
    button.current?.focus()
  }
  const save = async (event: React.FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const name = String(new FormData(event.currentTarget).get('name')).trim()
    if (name === '' || name === me.name) return close()
    try {
      await rename(name)
      close()
    } catch (error) {
      setProblem(messageOf(error))
    }
  }
  useEffect(() => {
    connection.request(AccountDocument, {}).then((answer) => setAccount(answer.me?.displayName), () => {}) // the list says what is wrong
  }, [])
  if (account !== undefined) return <p className="own-name">You are <a href="/login"><bdi>{account}</bdi></a></p>
  if (!editing) {
    return (
      <p className="own-name">
        You are
        <button ref={button} className="link" aria-label={`${me.name}, change your name`} onClick={() => setEditing(true)}><bdi>{me.name}</bdi></button>
      </p>
    )
  }
  return (
    <form className="own-name" onSubmit={save}>
      <label>
        You are{' '}
        <input
          ref={select} name="name" dir="auto" autoComplete="off" defaultValue={me.name}
          onKeyDown={({ key }) => { if (key === 'Escape') close() }}
        />
      </label>
      <button>Save</button>
      <button type="button" onClick={close}>Cancel</button>
      <p role="alert">{problem}</p>
    </form>
  )
}

function select(input: HTMLInputElement | null): void {
  input?.focus()
  input?.select()
}
