// The editor of one plan.
import { useEffect, useMemo, useSyncExternalStore } from 'react'
import { ReactFlowProvider } from '@xyflow/react'
import { Canvas } from './canvas.tsx'
import { badge } from './colors.ts'
import { navigate } from './path.ts'
import { openProject, type OpenProject } from './session.ts'
import { Notices, Status } from './status.tsx'

export default function Editor({ projectId }: { projectId: number }) {
  const project = useMemo(() => openProject(projectId), [projectId])
  const shown = useSyncExternalStore(project.plan.subscribe, project.plan.snapshot)
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
  const ended = shown.status.state === 'ended'
  useEffect(() => {
    if (ended) project.presence.stop()
  }, [ended, project])
  return (
    <main className="editor">
      <header>
        <a href="/" onClick={(event) => { event.preventDefault(); navigate('/') }}>All projects</a>
        <h1 dir="auto">{shown.projectName}</h1>
        <Status shown={shown} />
        <People project={project} />
        <a href={location.pathname} target="_blank" rel="noopener">Open a second window</a>
      </header>
      <ReactFlowProvider>
        {shown.plan ? <Canvas project={project} plan={shown.plan} /> : !ended && <p className="loading">Loading…</p>}
      </ReactFlowProvider>
      <Notices project={project} shown={shown} />
    </main>
  )
}

/** More people than that are counted. */
const mostShown = 12

function People({ project }: { project: OpenProject }) {
  const people = useSyncExternalStore(project.presence.subscribe, project.presence.snapshot)
  return (
    <ul className="people" aria-label="Also here">
      {[...people.values()].slice(0, mostShown).map((person) => (
        <li key={person.userId} style={badge(person.color)} title={person.name}>
          {initials(person.name)}<span className="unseen"> {person.name}</span>
        </li>
      ))}
      {people.size > mostShown && <li className="more">and {people.size - mostShown} more</li>}
    </ul>
  )
}

function initials(name: string): string {
  return name.split(/\s+/).map((word) => [...word][0] ?? '').join('').slice(0, 2).toUpperCase()
}
