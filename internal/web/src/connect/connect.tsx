// How agents, front ends, programs, DBAs and terminals reach this server.
import { useEffect, useState } from 'react'
import { Failure, newId } from '../client/index.ts'
import { addressOf } from '../app/path.ts'
import { poll } from '../app/poll.ts'
import { ScreenLink } from '../app/screen-link.tsx'
import { closeProject, connection, me } from '../app/session.ts'
import { ThemeButton } from '../app/theme.tsx'
import { messageOf } from '../app/words.ts'
import './connect.css'
import { Database } from './database.tsx'
import { ConnectStateDocument, type ConnectStateQuery } from './gql/graphql.ts'
import type { Shell } from './quote.ts'
import { SnippetBox } from './snippet.tsx'
import {
  agentSnippets, fitsHeader, frontEndSnippets, graphQLSnippets, noToken, reach, terminalSnippets, toolsets, type Snippet, type Target,
} from './snippets.ts'
import { isSignedOut, TokenMaker, type Token } from './token.tsx'
import { tries } from './tries.ts'

type Project = ConnectStateQuery['projectList']['projects'][number]

/** Who asks, and what the server wants to know of them. */
interface State {
  /** Nobody has to sign in. */
  open: boolean
  singleSignOn: boolean
  /** The name of the account; null for none. */
  account: string | null
  projects: Project[]
}

async function load(project: number | null): Promise<State> {
  const [options, answer] = await Promise.all([
    readOptions(),
    connection.request(ConnectStateDocument, { project: project ?? 0 }).catch((error: unknown) => {
      if (isSignedOut(error)) return null
      throw error
    }),
  ])
  const { projects } = answer?.projectList ?? { projects: [] }
  const own = answer?.project
  return {
    open: options.open, singleSignOn: Boolean(options.singleSignOn), account: answer?.me?.displayName ?? null,
    projects: own && projects.every(({ id }) => id !== own.id) ? [own, ...projects] : projects,
  }
}

/** What the server wants to know of those who come. */
async function readOptions(): Promise<{ open: boolean; singleSignOn?: string }> {
  try {
    return await (await fetch('/login/options')).json()
  } catch {
    throw new Failure('NETWORK', 'The server cannot be reached')
  }
}

/** The project that the address names. */
function addressed(): number | null {
  const project = new URLSearchParams(location.search).get('project') ?? ''
  return /^[1-9]\d{0,8}$/.test(project) ? Number(project) : null
}

export default function Connect() {
  const [state, setState] = useState<State | null>(null)
  const [problem, setProblem] = useState('')
  useEffect(() => {
    document.title = 'Connect – Layercake'
    closeProject()
    const asking = poll(() => load(addressed()), (found) => {
      asking.stop() // it is the same later
      setState(found)
      setProblem('')
    }, (error) => setProblem(`${messageOf(error)}. Trying again.`))
    return asking.stop
  }, [])
  return (
    <main className="list connect">
      <header>
        <ScreenLink to="/">All projects</ScreenLink>
        <h1>Connect</h1>
        <ThemeButton />
      </header>
      <p role="alert">{problem}</p>
      {state ? <Ways state={state} signedOut={() => setState({ ...state, account: null })} /> : problem === '' && <p>Loading…</p>}
    </main>
  )
}

/** All of it, for whoever asks. */
function Ways({ state, signedOut }: { state: State; signedOut: () => void }) {
  const [project, setProject] = useState(addressed)
  const [readOnly, setReadOnly] = useState(false)
  const [tools, setTools] = useState<Target['toolsets']>(toolsets)
  const [agent, setAgent] = useState('')
  const [shell, setShell] = useState<Shell>('posix')
  const [token, setToken] = useState<Token | null>(null)
  const [opId] = useState(newId)
  // The browser looked for what the address names before it was there.
  useEffect(() => document.getElementById(location.hash.slice(1))?.scrollIntoView(), [])
  const choose = (next: number | null) => {
    setProject(next)
    history.replaceState(history.state, '', `${location.pathname}${next === null ? '' : `?project=${next}`}${location.hash}`)
  }
  const needsToken = !state.open
  const target: Target = {
    origin: location.origin, project, readOnly, toolsets: tools, agent: agent.trim(), opId, shell,
    token: token?.secret ?? (needsToken ? noToken : null), person: needsToken || token || state.account ? null : me.name,
  }
  const boxes = (snippets: Snippet[]) => snippets.map((snippet) => (
    <article key={snippet.id}>
      <h3>{snippet.title}</h3>
      <SnippetBox snippet={snippet} attempt={tries[snippet.id]} target={triable(target)} />
    </article>
  ))
  return (
    <>
      <Reach />
      <nav aria-label="On this page">
        <a href="#agents">Agents</a> <a href="#front-ends">Front ends</a> <a href="#graphql">GraphQL</a> <a href="#database">Database</a>{' '}
        <a href="#terminal">Terminal</a>
      </nav>
      <form className="chosen" aria-label="What may be reached" onSubmit={(event) => event.preventDefault()}>
        <label>
          Project{' '}
          <select value={project ?? ''} onChange={({ target: { value } }) => choose(value === '' ? null : Number(value))}>
            <option value="">All projects</option>
            {project !== null && !state.projects.some(({ id }) => id === project) && <option value={project}>Project {project}</option>}
            {state.projects.map(({ id, name }) => <option key={id} value={id}>{name} ({id})</option>)}
          </select>
        </label>
        <label><input type="checkbox" checked={readOnly} onChange={({ target: { checked } }) => setReadOnly(checked)} /> Read only</label>
        <label>
          Commands for{' '}
          <select value={shell} onChange={({ target: { value } }) => setShell(value as Shell)}>
            <option value="posix">sh, bash, zsh</option>
            <option value="powershell">PowerShell 7.3 or later</option>
          </select>
        </label>
      </form>
      {needsToken && state.account === null && <p>You are not signed in. <a href={signInAddress()}>Sign in</a> to make a token.</p>}
      {needsToken && state.account !== null && (
        <TokenMaker chosen={{ readOnly, project }} token={token} change={setToken} signedOut={signedOut} />
      )}

      <h2 id="agents">Agents</h2>
      <p>
        An agent works in a plan beside people, and is seen by them. One paste lets its client in.
        {needsToken && state.singleSignOn && ' A client that speaks OAuth needs no token: leave that header out, and it signs in by itself.'}
      </p>
      <div className="chosen" role="group" aria-label="Agents">
        <label>Name that people see <input dir="auto" autoComplete="off" maxLength={100} value={agent} onChange={({ target: { value } }) => setAgent(value)} /></label>
        <fieldset>
          <legend>Tools for</legend>
          {toolsets.map((each) => (
            <label key={each}>
              <input
                type="checkbox" checked={tools.includes(each)} disabled={tools.length === 1 && tools[0] === each}
                onChange={({ target: { checked } }) => setTools(toolsets.filter((other) => (other === each ? checked : tools.includes(other))))}
              /> {each}
            </label>
          ))}
        </fieldset>
      </div>
      {!fitsHeader(target.agent) && (
        <p role="status">Many clients cannot send “<bdi>{target.agent}</bdi>” in a header: only the paste for Claude Desktop has it.</p>
      )}
      {agentSnippets(target).map((snippet, i) => (
        <details key={snippet.id} name="client" open={i === 0}>
          <summary>{snippet.title}</summary>
          <SnippetBox snippet={snippet} attempt={tries[snippet.id]} target={triable(target)} />
        </details>
      ))}

      <h2 id="front-ends">Front ends</h2>
      <p>
        The client of exactly this server: it asks, follows plans, and sends edits again until they are answered. Pages of other origins may call when{' '}
        <code>LAYERCAKE_ALLOWED_ORIGINS</code> names them{state.open && ', and those of this machine without that'}.
        {needsToken && ' A token in a page belongs to everybody who opens it: let people sign in instead, or keep it to yourself.'}
      </p>
      {boxes(frontEndSnippets(target))}

      <h2 id="graphql">GraphQL</h2>
      {state.open && <p><a href="/graphql">GraphiQL</a> completes and explains what you type.</p>}
      {project === null && <p>Choose a project above, and it stands in what is below, in the place of 1.</p>}
      {boxes(graphQLSnippets(target))}

      <h2 id="database">Database</h2>
      <Database target={target} />

      <h2 id="terminal">Terminal</h2>
      {boxes(terminalSnippets(target))}
    </>
  )
}

/** Without a token of its own, what is tried is tried as whoever looks at the page. */
function triable(target: Target): Target {
  return target.token === noToken ? { ...target, token: null } : target
}

function signInAddress(): string {
  return `/login?return=${encodeURIComponent(addressOf('/connect') + location.search)}`
}

/** What the address of this page means for whoever pastes it. */
function Reach() {
  const { origin } = location
  const words = {
    'this machine': 'It leads to the machine that it is used on: what is below works there only.',
    'in the clear': 'Everybody between there and here can read what is sent, tokens too, and change it: use it in a network that you trust, or put the server behind TLS.',
    encrypted: '',
  }[reach(origin)]
  return <p>This server is <code>{origin}</code>. {words}</p>
}
