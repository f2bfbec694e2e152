// The page for operators: the views of the schema layercake, and its functions as buttons, at the admin address of any replica.
import { useEffect, useReducer, useRef, useState, useSyncExternalStore } from 'react'
import { createRoot } from 'react-dom/client'
import '../app/app.css'
import { ThemeButton } from '../app/theme.tsx'
import { moment } from '../app/words.ts'
import type { Answer, Replica, Row } from './ask.ts'
import './ops.css'
import { departures, type Departure } from './departures.ts'
import { Issued, type Deed } from './issued.tsx'
import { Question } from './question.tsx'
import { Section } from './section.tsx'
import { Statement } from './statement.tsx'
import { commanding, sections, type Action, type Section as About } from './views.ts'
import { begin, follow, refresh, sight } from './watch.ts'

begin()

interface Asked {
  about: About
  action: Action
  row?: Row
}

function Operations() {
  const { overview, trouble } = useSyncExternalStore(sight.subscribe, sight.get)
  const [asked, setAsked] = useState<Asked>()
  const [deeds, addDeed] = useReducer((before: Deed[], deed: Deed) => [deed, ...before].slice(0, 10), [])
  const gone = useDepartures(overview?.replicas)
  const opener = useRef<Element>(null)
  useEffect(() => {
    const ids = deeds.flatMap((deed) => deed.command ?? [])
    if (ids.length > 0) follow(ids)
  }, [deeds])

  const ask = (question: Asked) => {
    opener.current = document.activeElement
    setAsked(question)
  }
  const close = () => {
    const heading = asked && document.getElementById(`view-${asked.about.view}`)
    setAsked(undefined)
    // A row may have gone with its button.
    requestAnimationFrame(() => { if (!opener.current?.isConnected || document.activeElement === document.body) heading?.focus() })
  }
  const done = (sql: string, answer: Answer) => {
    if (!asked) return
    const isCommand = commanding.includes(asked.action.function)
    addDeed({ sql, notices: answer.notices, result: answer.result, command: isCommand ? answer.result : undefined, at: new Date() })
    refresh()
  }

  const at = overview && moment(new Date(overview.at))
  const missing = overview ? sections.flatMap(({ actions }) => actions).filter((action) => !overview.may.includes(action.function)) : []
  return (
    <main className="ops">
      <header>
        <h1>Operations</h1>
        <p className="count">
          {overview && <>Database <bdi>{overview.database}</bdi>, as role <bdi>{overview.role}</bdi>, through <bdi>{location.host}</bdi>. Figures of {at}.</>}
        </p>
        <ThemeButton />
      </header>
      <p role="alert" className="trouble">
        {trouble && <>Since {moment(trouble.since)}: {trouble.reason} {at ? `What is below is old, as of ${at}.` : ''} Trying again.</>}
      </p>
      {overview && missing.length > 0 && (
        <div className="rights">
          <p>
            The role of this replica may not call {missing.map((action) => action.function).join(', ')}, so there are no buttons for that. The owner of the
            schema lets it:
          </p>
          <Statement sql={`SELECT layercake.grant_operator('${overview.role.replaceAll("'", "''")}');`} of="the rights" />
        </div>
      )}
      <Issued deeds={deeds} followed={overview?.followed ?? []} now={overview ? new Date(overview.at) : undefined} />
      <ul className="gone" aria-live="polite">
        {gone.map(({ replica, address, since }) => <li key={replica}>The replica at {address} is gone since {moment(since)}.</li>)}
      </ul>
      {!overview && !trouble && <p>Asking the database…</p>}
      {overview && sections.map((about) => {
        const view = overview.views[about.view]
        return view && (
          <Section
            key={about.view} about={about} view={view} may={overview.may} old={trouble && at}
            ask={(action, row) => ask({ about, action, row })}
          />
        )
      })}
      {asked && (
        <Question
          action={asked.action} about={asked.row ? asked.about.name(asked.row) : ''} given={asked.row ? asked.action.of(asked.row) : {}}
          warning={warningOf(asked, overview?.replicas ?? [])} done={done} close={close}
        />
      )}
    </main>
  )
}

/** What makes a function worse than usual. */
function warningOf({ action, row }: Asked, replicas: Replica[]): string | undefined {
  if (action.function !== 'drain' || replicas.some((other) => other.state === 'live' && other.replica !== row?.replica)) return undefined
  return 'No other replica is live: clients have nowhere to go until one is. Drain it all the same?'
}

/** The replicas that this page has seen, and that have gone. */
function useDepartures(replicas: Replica[] | undefined): Departure[] {
  const seen = useRef<Replica[]>([])
  const [gone, setGone] = useState<Departure[]>([])
  useEffect(() => {
    if (!replicas) return
    const before = seen.current
    seen.current = replicas
    setGone((known) => departures(known, before, replicas, new Date()))
  }, [replicas])
  return gone
}

createRoot(document.getElementById('root')!).render(<Operations />)
