// The list of projects as the server has it.
import { useEffect, useRef, useState } from 'react'
import { Failure } from '../client/index.ts'
import { ProjectListDocument, type ProjectListQuery, type ProjectListQueryVariables } from './gql/graphql.ts'
import { poll, type Poll } from './poll.ts'
import { connection } from './session.ts'
import { messageOf } from './words.ts'

export type Project = ProjectListQuery['projectList']['projects'][number]

/** The first projects of those with a text, the newest change first. */
export interface ProjectList {
  search: string
  projects: readonly Project[]
  more: boolean
}

/** The server gives no more at once. */
const largestPage = 200

/** Follows the first projects of those with a text. After a failure the list stays as it was, and the problem says why. */
export function useProjectList(search: string, length: number) {
  const [list, setList] = useState<ProjectList | null>(null)
  const [problem, setProblem] = useState('')
  const following = useRef<Poll>(undefined)
  useEffect(() => {
    const started = poll(
      () => load(search, length),
      (answer) => { setList(answer); setProblem('') },
      (error) => setProblem(error instanceof Failure && error.passes ? `${error.message}. Trying again.` : messageOf(error)),
    )
    following.current = started
    return started.stop
  }, [search, length])
  const refresh = () => following.current?.again()
  /** Takes a project that is deleted out of the list. */
  const remove = (id: number) => {
    setList((before) => before && { ...before, projects: before.projects.filter((project) => project.id !== id) })
    refresh()
  }
  return { list, problem, refresh, remove }
}

async function load(search: string, length: number): Promise<ProjectList> {
  const projects: Project[] = []
  let after: ProjectListQueryVariables['after'] = null
  do {
    const first = Math.min(length - projects.length, largestPage)
    const { projectList }: ProjectListQuery = await connection.request(ProjectListDocument, { search, first, after })
    projects.push(...projectList.projects)
    after = projectList.next
  } while (after && projects.length < length)
  return { search, projects, more: Boolean(after) }
}
