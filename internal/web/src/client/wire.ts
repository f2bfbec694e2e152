// How changes are sent. This is the only place that knows by which mutation.
import type { Change } from './edits.ts'
import type { Outcome } from './queue.ts'
import { Failure, type Post } from './request.ts'

/** One document for all changes, each a field of it, and its variables. */
export function documentOf(projectId: number, changes: readonly Change[]) {
  const variables: Record<string, unknown> = { projectId }
  const declarations = ['$projectId: Int!']
  const fields = changes.map(({ opId, clientId, edits }, i) => {
    Object.assign(variables, { [`edits${i}`]: edits, [`opId${i}`]: opId, [`clientId${i}`]: clientId })
    declarations.push(`$edits${i}: [PlanEdit!]!, $opId${i}: String, $clientId${i}: String`)
    return `${alias(i)}: editPlan(projectId: $projectId, edits: $edits${i}, opId: $opId${i}, clientId: $clientId${i}) { version }`
  })
  return { document: `mutation (${declarations.join(', ')}) {\n  ${fields.join('\n  ')}\n}`, variables }
}

const alias = (change: number) => `c${change}`

/**
 * Sends changes by one request, and returns what became of each, or undefined where the answer does not say: a field may not be null, so
 * one that fails takes the data of all others with it. Fails when nothing was executed, or when the answer is about no change at all.
 */
export async function sendChanges(post: Post, projectId: number, changes: readonly Change[]): Promise<(Outcome | undefined)[]> {
  const { document, variables } = documentOf(projectId, changes)
  const answer = await post<Record<string, { version: number }>, object>(document, variables)
  const failures = new Map<string, Failure>()
  for (const error of answer.errors ?? []) {
    const field = error.path?.[0]
    // An error without a field is about the request as a whole.
    if (field === undefined) throw isOfFormerRelease(error) ? new Failure('UNAVAILABLE', error.message, error) : Failure.from(error)
    failures.set(String(field), Failure.from(error))
  }
  const outcomes = changes.map((_, i): Outcome | undefined => {
    const failure = failures.get(alias(i))
    return failure ? { failure } : answer.data?.[alias(i)]
  })
  if (outcomes.every((outcome) => outcome === undefined)) throw new Failure('NETWORK', 'The answer is not one of the server')
  return outcomes
}

/**
 * Whether an error says that while replicas are replaced by those of a new release, one of the former answered, which does not know what it was
 * asked. Changes wait for one that does.
 */
export function isOfFormerRelease({ message }: { message: string }): boolean {
  return /^(Unknown type|Unknown argument|Cannot query field) /.test(message)
}
