// The editor of one plan.
import { useEffect, useMemo, useSyncExternalStore } from 'react'
import { ReactFlowProvider } from '@xyflow/react'
import { SampleAgentButton, SampleAgentNotice } from './agent.tsx'
import { Canvas } from './canvas.tsx'
import { commandOf, type Command } from './commands.ts'
import { ConflictNotice, useClashes } from './conflicts.tsx'
import { createDesk, DeskProvider } from './desk.ts'
import './editor.css'
import { NodeTypesDocument } from './gql/graphql.ts'
import { Inspector } from './inspector.tsx'
import { mediate } from './mediate.ts'
import { navigate } from './path.ts'
import { People } from './people.tsx'
import { rulesOf } from './rules.ts'
import { connection, openProject } from './session.ts'
import { Notices, Status } from './status.tsx'
import { Toolbar } from './toolbar.tsx'

export default function Editor({ projectId }: { projectId: number }) {
  const desk = useMemo(() => createDesk(openProject(projectId)), [projectId])
  const { plan: store, presence } = desk.project
  const shown = useSyncExternalStore(store.subscribe, store.snapshot)
  const ended = shown.status.state === 'ended'
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
    // What is possible counts when the key goes down: the key that selects a node on the canvas does not edit it at once.
    let pressed: Command | undefined
    const onKeyDown = (event: KeyboardEvent) => {
      const command = commandOf(event)
      pressed = command?.isPossible(desk) ? command : undefined
    }
    const afterOthers = (event: KeyboardEvent) => {
      if (!pressed) return
      event.preventDefault()
      pressed.run(desk)
    }
    addEventListener('keydown', onKeyDown, true)
    addEventListener('keydown', afterOthers)
    return () => {
      removeEventListener('keydown', onKeyDown, true)
      removeEventListener('keydown', afterOthers)
    }
  }, [desk])
  useEffect(() => mediate(store), [store])
  useEffect(() => store.hear((made) => { if (made.clientId !== connection.clientId) desk.others.hear(made) }), [desk, store])
  const clashes = useClashes(shown)
  return (
    <DeskProvider value={desk}>
      <main className="editor">
        <header>
          <a href="/" onClick={(event) => { event.preventDefault(); navigate('/') }}>All projects</a>
          <h1 dir="auto">{shown.projectName}</h1>
          <Status shown={shown} />
          <People />
          <a href={location.pathname} target="_blank" rel="noopener">Open a second window</a>
          <SampleAgentButton />
        </header>
        <ReactFlowProvider>
          {shown.plan ? (
            <>
              <Toolbar />
              <div className="work">
                <Canvas plan={shown.plan} isLive={state === 'live'} />
                <Inspector plan={shown.plan} clashes={clashes} />
              </div>
            </>
          ) : !ended && <p className="loading">Loading…</p>}
        </ReactFlowProvider>
        <Notices project={desk.project} shown={shown} skip={new Set(clashes.map(({ change }) => change.opId))}>
          <SampleAgentNotice />
          <ConflictNotice clashes={clashes} />
        </Notices>
      </main>
    </DeskProvider>
  )
}
