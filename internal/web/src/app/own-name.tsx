// What the others call this person, to be changed in place.
import { useRef, useState } from 'react'
import { flushSync } from 'react-dom'
import { me, rename } from './session.ts'
import { messageOf } from './words.ts'

export function OwnName() {
  const [editing, setEditing] = useState(false)
  const [problem, setProblem] = useState('')
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
