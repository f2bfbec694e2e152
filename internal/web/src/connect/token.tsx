// A token for a program, made here and shown once.
import { useState } from 'react'
import { Failure } from '../client/index.ts'
import { connection } from '../app/session.ts'
import { exactly, messageOf } from '../app/words.ts'
import { EndTokenDocument, MakeTokenDocument } from './gql/graphql.ts'
import { Copied } from './snippet.tsx'

/** A token that was made. What it may stays, whatever is chosen later. */
export interface Token {
  id: number
  secret: string
  expiresAt: string
  readOnly: boolean
  project: number | null
}

/** What a token may, in words. */
const may = ({ readOnly, project }: Pick<Token, 'readOnly' | 'project'>) => (
  `${readOnly ? 'reads only' : 'reads, changes and runs'}, in ${project === null ? 'all your projects' : `project ${project} only`}`)

/** Whether a request failed because nobody is signed in, or not any more. */
export function isSignedOut(error: unknown): boolean {
  return error instanceof Failure && error.code === 'UNAUTHENTICATED'
}

interface Shown {
  chosen: { readOnly: boolean; project: number | null }
  token: Token | null
  change: (token: Token | null) => void
  signedOut: () => void
}

export function TokenMaker({ chosen, token, change, signedOut }: Shown) {
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  const act = async (request: () => Promise<Token | null>) => {
    if (busy) return
    setBusy(true)
    setProblem('')
    try {
      change(await request())
    } catch (error) {
      setProblem(messageOf(error))
      if (isSignedOut(error)) signedOut()
    }
    setBusy(false)
  }
  const make = (event: React.FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const { readOnly, project } = chosen
    void act(async () => {
      const { createToken } = await connection.request(MakeTokenDocument, {
        name: String(form.get('name')).trim(), days: Number(form.get('days')), projectId: project, scopes: readOnly ? ['READ'] : ['EDIT', 'RUN'],
      })
      return { id: createToken.token.id, secret: createToken.secret, expiresAt: createToken.token.expiresAt, readOnly, project }
    })
  }
  const end = (id: number) => act(async () => {
    await connection.request(EndTokenDocument, { id })
    return null
  })
  return (
    <section className="token" aria-labelledby="token">
      <h2 id="token">Token</h2>
      {token === null ? (
        <form onSubmit={make}>
          <p>A program acts for you by a token. The next one {may(chosen)}, as chosen above.</p>
          <p className="fields">
            <label>Name <input name="name" required maxLength={100} dir="auto" autoComplete="off" defaultValue="Agent" /></label>
            <label>Days <input name="days" type="number" required min={1} max={365} defaultValue={30} /></label>
            <button className="main">Make a token</button>
          </p>
        </form>
      ) : (
        <>
          <p role="status">
            This token {may(token)}, until {exactly(new Date(token.expiresAt))}. It is shown until you leave this screen, and stands in what is below.
          </p>
          <Copied id="token" text={token.secret} of="Token"><button onClick={() => end(token.id)}>End it</button></Copied>
          {(token.readOnly !== chosen.readOnly || token.project !== chosen.project) && (
            <p>What is chosen above is not what this token may. <button onClick={() => change(null)}>Make another</button></p>
          )}
        </>
      )}
      <p role="alert">{problem}</p>
    </section>
  )
}
