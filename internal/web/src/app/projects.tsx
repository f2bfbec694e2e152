// The list of projects, and the way to a first one.
import { useEffect, useRef, useState, type ReactNode } from 'react'
import { flushSync } from 'react-dom'
import { Failure } from '../client/index.ts'
import { CreateProjectDocument } from './gql/graphql.ts'
import { OwnName } from './own-name.tsx'
import { navigate } from './path.ts'
import { DeleteProject, RenameProject } from './project-dialogs.tsx'
import { useProjectList, type Project, type ProjectList } from './project-list.ts'
import { ProjectRow } from './project-row.tsx'
import './projects.css'
import { sampleEdits, sampleHint } from './sample.ts'
import { ScreenLink } from './screen-link.tsx'
import { closeProject, connection, openProject } from './session.ts'
import { ThemeButton } from './theme.tsx'
import { count, messageOf } from './words.ts'

/** So many projects are shown at first, and more each time that somebody asks for more. */
const page = 50

/** The pause in typing after which a search begins. */
const typing = 200

export function Projects() {
  const [wanted, setWanted] = useState({ search: '', length: page })
  const { list, problem, refresh, remove } = useProjectList(wanted.search, wanted.length)
  const [open, setOpen] = useState<{ dialog: typeof RenameProject; project: Project } | null>(null)
  const [done, setDone] = useState<ReactNode>('')
  const heading = useRef<HTMLHeadingElement>(null)
  const rows = useRef<HTMLUListElement>(null)
  useEffect(() => {
    document.title = 'Layercake'
    closeProject()
  }, [])

  const ask = (dialog: typeof RenameProject, project: Project) => { setOpen({ dialog, project }); setDone('') }
  const act = async (acting: NonNullable<typeof open>, request: () => Promise<unknown>) => {
    const { dialog, project } = acting
    const close = () => setOpen((now) => (now === acting ? null : now)) // another may be open by the time of the answer
    let gone = dialog === DeleteProject ? 'is deleted' : ''
    try {
      await request()
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'NOT_FOUND') throw error
      gone = 'was already deleted by somebody else'
    }
    if (!gone) {
      close()
      refresh()
      return
    }
    // The button that the focus would go back to is gone with its row.
    flushSync(() => { close(); remove(project.id); setDone(<>“<bdi>{project.name}</bdi>” {gone}.</>) })
    heading.current?.focus()
  }
  const showMore = () => {
    setWanted({ ...wanted, length: wanted.length + page })
    // What comes is behind this link, while the button may go.
    rows.current?.querySelector<HTMLElement>('li:last-child a')?.focus()
  }
  const Dialog = open?.dialog
  const empty = list?.search === '' && list.projects.length === 0
  return (
    <main className="list">
      <header>
        <h1>Layercake</h1>
        <OwnName />
        <ScreenLink to="/connect">Connect</ScreenLink>
        <ThemeButton />
      </header>
      <Create first={empty} />
      <div className="bar">
        <h2 ref={heading} tabIndex={-1}>Projects</h2>
        <Search find={(search) => { setWanted({ search, length: page }); setDone('') }} />
      </div>
      <p role="status">{done || (list && <Found list={list} />)}</p>
      <p role="alert">{problem}</p>
      {empty && <p>No projects yet.</p>}
      <ul ref={rows}>
        {list?.projects.map((project) => (
          <ProjectRow key={project.id} project={project} edit={() => ask(RenameProject, project)} remove={() => ask(DeleteProject, project)} />
        ))}
      </ul>
      {list?.more && <button onClick={showMore}>Show more</button>}
      {open && Dialog && (
        <Dialog
          project={list?.projects.find(({ id }) => id === open.project.id) ?? open.project}
          act={(request) => act(open, request)} close={() => setOpen(null)}
        />
      )}
    </main>
  )
}

/** What a search found, for those who do not see the list. */
function Found({ list: { search, projects, more } }: { list: ProjectList }) {
  if (search === '') return null
  if (projects.length === 0) return <>No project has “<bdi>{search}</bdi>” in its name or description.</>
  return `${more ? 'More than ' : ''}${count(projects.length, 'project', 'projects')} found`
}

/** The ways to a new project. The first one on a server begins with the sample. */
function Create({ first }: { first: boolean }) {
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  const create = async (name: string, sample = false) => {
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
  const submit = (event: React.FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    if (!busy) void create(String(new FormData(event.currentTarget).get('name')))
  }
  return (
    <section className="create" aria-label="New project">
      <button className={first ? 'large' : ''} disabled={busy} onClick={() => create('Sample plan', true)}>Open the sample plan</button>
      <button disabled={busy} onClick={() => create('New plan')}>Empty plan</button>
      <form onSubmit={submit}>
        <label>or by name <input name="name" dir="auto" autoComplete="off" /></label>
        <button>Create</button>
      </form>
      <p role="alert">{problem}</p>
    </section>
  )
}

/** Asks for what is typed once the typing pauses, or at once by Enter. */
function Search({ find }: { find: (search: string) => void }) {
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  const findSoon = (search: string, delay: number) => {
    clearTimeout(timer.current)
    timer.current = setTimeout(() => find(search.trim()), delay)
  }
  useEffect(() => () => clearTimeout(timer.current), [])
  return (
    <label>
      Search{' '}
      <input
        type="search" dir="auto" onChange={({ target }) => findSoon(target.value, typing)}
        onKeyDown={({ key, currentTarget }) => { if (key === 'Enter') findSoon(currentTarget.value, 0) }}
      />
    </label>
  )
}
