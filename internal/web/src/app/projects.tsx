// The list of projects, and the way to a first one.
import { useEffect, useState } from 'react'
import { Failure } from '../client/index.ts'
import { CreateProjectDocument, ProjectsDocument, type ProjectsQuery } from './gql/graphql.ts'
import { navigate } from './path.ts'
import { sampleEdits, sampleHint } from './sample.ts'
import { closeProject, connection, me, openProject, rename } from './session.ts'

export function Projects() {
  const [projects, setProjects] = useState<ProjectsQuery['projects'] | null>(null)
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  useEffect(() => {
    document.title = 'Layercake'
    closeProject()
    connection.request(ProjectsDocument, {}).then((answer) => setProjects(answer.projects), (error) => setProblem(messageOf(error)))
  }, [])
  const create = async (name: string, sample: boolean) => {
    setBusy(true)
    try {
      const { createProject } = await connection.request(CreateProjectDocument, { input: { name } })
      if (sample) openProject(createProject.id).plan.change(sampleEdits())
      navigate(`/projects/${createProject.id}`, sample ? sampleHint : undefined)
    } catch (error) {
      setProblem(messageOf(error))
      setBusy(false)
    }
  }
  return (
    <main className="list">
      <header>
        <h1>Layercake</h1>
        <Name report={setProblem} />
      </header>
      <p>
        <button className="large" disabled={busy} onClick={() => create('Sample plan', true)}>Open the sample plan</button>{' '}
        <button disabled={busy} onClick={() => create('New plan', false)}>Empty plan</button>
      </p>
      <p role="alert">{problem}</p>
      {projects?.length === 0 && <p>No projects yet.</p>}
      <ul>
        {projects?.toReversed().map((project) => (
          <li key={project.id}>
            <a href={`/projects/${project.id}`} onClick={(event) => follow(event, `/projects/${project.id}`)}>{project.name}</a>
            {project.description && <span> {project.description}</span>}
          </li>
        ))}
      </ul>
    </main>
  )
}

function messageOf(error: unknown): string {
  return error instanceof Failure ? error.message : String(error)
}

function Name({ report }: { report: (problem: string) => void }) {
  const [name, setName] = useState(me.name)
  const ask = async () => {
    const answer = prompt('What shall the others call you?', name)?.trim() ?? ''
    const next = [...answer].slice(0, 100).join('') // characters, as the server counts them
    if (!next) return
    try {
      await rename(next)
      setName(next)
      report('')
    } catch (error) {
      report(messageOf(error))
    }
  }
  return <span>You are <button className="link" onClick={ask}>{name}</button></span>
}

/** Follows a link within the page, unless the browser is asked for another window. */
function follow(event: React.MouseEvent, path: string): void {
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return
  event.preventDefault()
  navigate(path)
}
