// What people do to a project of the list.
import { useState } from 'react'
import { Dialog } from './dialog.tsx'
import { DeleteProjectDocument, UpdateProjectDocument } from './gql/graphql.ts'
import type { Project } from './project-list.ts'
import { connection } from './session.ts'
import { looksLike, whoIsIn } from './words.ts'

interface Asked {
  project: Project
  /** Closes the dialog when it is done, and when there is no such project any more. */
  act: (request: () => Promise<unknown>) => Promise<void>
  close: () => void
}

export function RenameProject({ project, act, close }: Asked) {
  // What nobody typed in stays as it is, also when somebody else changes it meanwhile.
  const [typedName, typeName] = useState<string>()
  const [typedDescription, typeDescription] = useState<string>()
  const name = typedName ?? project.name
  const description = typedDescription ?? project.description ?? ''
  const save = () => connection.request(UpdateProjectDocument, { id: project.id, input: { name, description } })
  return (
    <Dialog title="Rename and describe" action="Save" act={() => act(save)} close={close}>
      <label>Name <input dir="auto" value={name} onChange={({ target }) => typeName(target.value)} /></label>
      <label>Description <textarea dir="auto" rows={4} value={description} onChange={({ target }) => typeDescription(target.value)} /></label>
    </Dialog>
  )
}

export function DeleteProject({ project, act, close }: Asked) {
  const [typed, type] = useState('')
  const inIt = whoIsIn(project.live)
  const remove = async () => {
    if (!looksLike(typed, project.name)) throw new Error('This is not its name. Type the name as it stands above.')
    await act(() => connection.request(DeleteProjectDocument, { id: String(project.id) }))
  }
  return (
    <Dialog title="Delete for everybody" action="Delete" act={remove} close={close}>
      <p><strong><bdi>{project.name}</bdi></strong> will be gone for everybody, with its plan and its history. It cannot be brought back.</p>
      {inIt && <p>{inIt} now.</p>}
      <label>Its name <input dir="auto" autoComplete="off" value={typed} onChange={({ target }) => type(target.value)} /></label>
    </Dialog>
  )
}
