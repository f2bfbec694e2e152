// How files come into a plan: chosen in a dialog of the browser, or dropped on the canvas.
import type { PlanNode, Position } from '../client/index.ts'
import { planOf, tell, update, type Desk } from '../app/desk.ts'
import { isNow } from '../app/history-state.ts'
import { connection } from '../app/session.ts'
import { ProjectAccessDocument } from './gql/graphql.ts'
import { uploadsTo } from './upload-list.ts'
import { mostFiles, placesAt, type Target } from './uploads.ts'

export interface GivenFile {
  file: File
  isFolder: boolean
}

/** The files of a drop. What they are is known only while it is handled. */
export function filesOf({ items, files }: DataTransfer): GivenFile[] {
  const given = [...items].flatMap((item): GivenFile[] => {
    const file = item.kind === 'file' ? item.getAsFile() : null
    return file ? [{ file, isFolder: item.webkitGetAsEntry()?.isDirectory ?? false }] : []
  })
  return given.length > 0 ? given : [...files].map((file) => ({ file, isFolder: false }))
}

/** Adds files: one is taken by a source that has none, if there is one, and the others get nodes around a place. */
export async function addFiles(desk: Desk, given: readonly GivenFile[], at: Position, nodeId?: string): Promise<void> {
  const source = nodeId === undefined ? undefined : planOf(desk)?.nodes.get(nodeId)
  const takes = source?.nodeType === 'DataSourceNode' && !source.datasourceExecution ? [{ node: source.id }] : []
  const rest = placesAt(takes.length > 0 && source ? { x: source.position.x + 100, y: source.position.y + 142 } : at, given.length - takes.length)
  const targets: Target[] = [...takes, ...rest.map((place) => ({ place }))]
  await give(desk, given, targets)
}

/** Lets somebody choose the file of a source, which has none, or gets it in the place of the one that it has. */
export function chooseFileOf(desk: Desk, { id, datasourceExecution: known }: PlanNode): void {
  if (isPast(desk)) return
  const target = known ? { replaces: known.dataSourceId } : { node: id }
  chooseFiles(([file]) => { if (file) void give(desk, [{ file, isFolder: false }], [target]) }, false)
}

/** Whether the plan of the past is shown, to which nothing can be added; says so. */
export function isPast(desk: Desk): boolean {
  if (isNow(desk)) return false
  tell(desk, 'This plan is of the past. Go back to now to add files, and to run it.')
  return true
}

async function give(desk: Desk, given: readonly GivenFile[], targets: readonly Target[]): Promise<void> {
  if (given.length === 0 || isPast(desk)) return
  const why = given.length > mostFiles
    ? `That are ${given.length} files. At most ${mostFiles} can be added at once: take fewer.`
    : await whyNot(desk)
  if (why) return tell(desk, why)
  update(desk, { message: null }) // such as that there is no file
  const list = uploadsTo(desk.project.id)
  list.dismissDone()
  given.forEach(({ file, isFolder }, i) => list.add(file, targets[i]!, { isFolder }))
}

/** Nobody waits longer than that to see that their files are taken, in milliseconds. */
const patience = 1_500

/** Why nothing can be added here; null when it can. */
async function whyNot(desk: Desk): Promise<string | null> {
  try {
    const answer = connection.request(ProjectAccessDocument, { projectId: desk.project.id })
    const late = new Promise<null>((resolve) => { setTimeout(resolve, patience, null) })
    const project = (await Promise.race([answer, late]))?.project
    if (project?.role === 'viewer') return 'You may look at this project, and not change it. Its owners can make you an editor.'
  } catch {
    // The upload itself says what is wrong.
  }
  return null
}

/** Lets somebody choose files. */
export function chooseFiles(take: (files: File[]) => void, several: boolean): void {
  const input = document.createElement('input')
  input.type = 'file'
  input.accept = '.csv,.tsv,.json'
  input.multiple = several
  input.hidden = true
  const end = () => input.remove()
  input.addEventListener('change', () => {
    end()
    take([...input.files ?? []])
  })
  input.addEventListener('cancel', end)
  document.body.append(input) // what is in no page may be forgotten while the dialog is open
  input.click()
}
