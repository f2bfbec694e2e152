// The editor of one plan.
import { useEffect, useMemo, useSyncExternalStore } from 'react'
import { ReactFlowProvider } from '@xyflow/react'
import { SampleAgentButton, SampleAgentNotice } from './agent.tsx'
import type { Plan } from '../client/index.ts'
import { Canvas } from './canvas.tsx'
import { commandOf } from './commands.ts'
import { ConflictNotice, useClashes } from './conflicts.tsx'
import { createDesk, DeskProvider, useDesk, useDeskState } from './desk.ts'
import './editor.css'
import './access.css'
import { NodeTypesDocument } from './gql/graphql.ts'
import { Inspector } from './inspector.tsx'
import { mediate } from './mediate.ts'
import { later } from './later.tsx'
import { LiveRegion } from './live-region.tsx'
import { People } from './people.tsx'
import { ProposalList } from './proposal-list.tsx'
import type { Clash } from './resolve.ts'
import { rulesOf } from './rules.ts'
import { useScene } from './scene.ts'
import { ScreenLink } from './screen-link.tsx'
import { connection, openProject } from './session.ts'
import { Notices, Status } from './status.tsx'
import { ThemeButton } from './theme.tsx'
import { Toolbar } from './toolbar.tsx'
import { useWarnings } from './warnings.ts'
import { UndoNotices } from './undo-notices.tsx'

const Outline = later(() => import('./outline.tsx'))
const History = later(() => import('./history.tsx'))
const Slider = later(() => import('./slider.tsx'))
const Look = later(() => import('../look/look.tsx'))

export default function Editor({ projectId }: { projectId: number }) {
  const desk = useMemo(() => createDesk(openProject(projectId)), [projectId])
  const { plan: store, presence } = desk.project
  const shown = useSyncExternalStore(store.subscribe, store.snapshot)
  const ended = shown.status.state === 'ended'
  const gone = shown.status.state === 'ended' && shown.status.failure.code === 'NOT_FOUND'
  useEffect(() => {
    document.title = shown.projectName ? `${shown.projectName} – Layercake` : 'Layercake'
  }, [shown.projectName])
  // What waits and cannot be kept would end with the page.
  const atRisk = shown.waiting > 0 && !shown.durable
  useEffect(() => {
    if (!atRisk) return
    const ask = (event: BeforeUnloadEvent) => event.preventDefault()
    addEventListener('beforeunload', ask)
    return () => removeEventListener('beforeunload', ask)
  }, [atRisk])
  // Whoever cannot follow the plan is not in it, either, until they come back.
  useEffect(() => {
    if (ended) presence.stop()
  }, [ended, presence])
  // Without the rules nothing lights up. They are asked for again with the next connection.
  const { state } = shown.status
  useEffect(() => {
    if (state !== 'live' || desk.rules.get().size > 0) return
    connection.request(NodeTypesDocument, {}).then((answer) => desk.rules.set(rulesOf(answer)), () => {})
  }, [desk, state])
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const command = event.defaultPrevented ? undefined : commandOf(event) // the canvas may have taken the key
      if (!command?.isPossible(desk)) return
      event.preventDefault()
      command.run(desk)
    }
    addEventListener('keydown', onKeyDown)
    return () => removeEventListener('keydown', onKeyDown)
  }, [desk])
  useEffect(() => mediate(store), [store])
  useEffect(() => store.hear((made) => { if (made.clientId !== connection.clientId) desk.others.hear(made) }), [desk, store])
  const clashes = useClashes(shown)
  return (
    <DeskProvider value={desk}>
      <main className="editor">
        <header>
          <ScreenLink to="/">All projects</ScreenLink>
          <h1 dir="auto">{shown.projectName}</h1>
          <Status shown={shown} />
          <People />
          <ThemeButton />
          {!gone && (
            <>
              <a href={location.pathname} target="_blank" rel="noopener">Open a second window</a>
              <SampleAgentButton />
            </>
          )}
        </header>
        <ReactFlowProvider>
          {shown.plan ? (
            <>
              {!gone && <Toolbar />}
              <Work plan={shown.plan} isLive={state === 'live'} clashes={clashes} />
            </>
          ) : !ended && <p className="loading">Loading…</p>}
        </ReactFlowProvider>
        <LiveRegion />
        <UndoNotices />
        <Notices project={desk.project} shown={shown} skip={new Set(clashes.map(({ change }) => change.opId))}>
          <SampleAgentNotice />
          <ConflictNotice clashes={clashes} />
        </Notices>
      </main>
    </DeskProvider>
  )
}

/** The plan: as rows, as it is drawn, and beside it what is selected of it, or how it came to be. */
function Work({ plan, isLive, clashes }: { plan: Plan; isLive: boolean; clashes: Clash[] }) {
  const { history } = useDesk()
  const { open } = useSyncExternalStore(history.subscribe, history.get)
  const { outline, looking } = useDeskState()
  const warnings = useWarnings(plan, isLive)
  const { marks, readOnly } = useScene(plan)
  return (
    <>
      <div className="work">
        {outline && <Outline plan={plan} warnings={warnings} />}
        <Canvas plan={plan} warnings={warnings} />
        <ProposalList plan={plan} readOnly={readOnly} />
        {open ? <History /> : <Inspector plan={plan} clashes={clashes} />}
      </div>
      {open && <Slider now={plan} marks={marks} />}
      {looking && <Look plan={plan} looking={looking} />}
    </>
  )
}
