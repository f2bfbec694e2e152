// Takes changes back, and does them again: one's own newest, or one by its version.
import { Failure, newId } from '../client/index.ts'
import type { Desk } from './desk.ts'
import { RedoDocument, UndoDocument, type OnConflict, type TakenBackFragment } from './gql/graphql.ts'
import { inverse } from './past.ts'
import { withRetries } from './retry.ts'
import { connection } from './session.ts'
import { summaryOf } from './summary.ts'
import { say, setUndo, type Question, type Target } from './undo-state.ts'
import { messageOf } from './words.ts'

/** Takes back the newest change of this window. One that nobody has sent yet is simply dropped. */
export function undoOwn(desk: Desk): void {
  const change = desk.project.plan.drop()
  if (!change) return void inTurn(() => takeOwn(desk, { redo: false }))
  setUndo(desk, { dropped: [...desk.undo.get().dropped, change.edits], said: 'Undone: a change that was not sent yet' })
}

/** Does again what this window took back last. */
export function redoOwn(desk: Desk): void {
  const { dropped, made } = desk.undo.get()
  const edits = dropped.at(-1)
  if (!edits) return void inTurn(() => takeOwn(desk, { redo: true }))
  desk.project.plan.change([...edits])
  setUndo(desk, { dropped: dropped.slice(0, -1), made: made + 1, said: 'Done again' })
}

/** Takes back a change of whomever. */
export function undoVersion(desk: Desk, version: number): void {
  void inTurn(() => take(desk, { redo: false, version }))
}

/** Answers the question, or leaves everything as it is. */
export async function decide(desk: Desk, question: Question, onConflict: OnConflict | null): Promise<void> {
  if (desk.undo.get().question !== question) return
  setUndo(desk, { question: null })
  if (onConflict) await inTurn(() => take(desk, question.target, onConflict))
}

const waitingForServer = 'Undo waits for the server'

let turn: Promise<unknown> = Promise.resolve()

/** Does one thing after the other: each is about the plan that the one before has left. */
export function inTurn<T>(act: () => Promise<T>): Promise<T> {
  const done = turn.then(act)
  turn = done.catch(() => {})
  return done
}

/** Takes back what this window did last, once the server has it. */
async function takeOwn(desk: Desk, target: Target): Promise<void> {
  const { plan } = desk.project
  const { made } = desk.undo.get()
  const wentOn = () => desk.undo.get().made !== made
  if (plan.snapshot().waiting > 0) say(desk, waitingForServer)
  await new Promise<void>((resolve) => {
    const look = () => {
      const { waiting, status } = plan.snapshot()
      if (waiting > 0 && status.state !== 'ended' && !wentOn()) return
      stop()
      resolve()
    }
    const stop = plan.subscribe(look)
    look()
  })
  await take(desk, target, 'FAIL', wentOn)
}

/** Takes something back and says what that was; returns why it was not done, or null. */
export async function take(desk: Desk, target: Target, onConflict: OnConflict = 'FAIL', isStale = () => false): Promise<string | null> {
  try {
    const { change, notes } = await request(desk, target, onConflict, isStale)
    const what = change ? summaryOf(target.redo ? change.operations : inverse(change.operations)) : 'nothing was left to do'
    // Of many, only the end is said.
    if (!desk.undo.get().run) say(desk, [`${target.redo ? 'Done again' : 'Undone'}: ${what}`, ...notes].join('. '))
    return null
  } catch (error) {
    const isQuestion = error instanceof Failure && error.conflicts.length > 0
    setUndo(desk, isQuestion ? { question: { target, conflicts: error.conflicts }, said: '' } : { said: messageOf(error) })
    return messageOf(error)
  }
}

function request(desk: Desk, { redo, version }: Target, onConflict: OnConflict, isStale: () => boolean): Promise<TakenBackFragment> {
  const { clientId } = connection
  const variables = { projectId: desk.project.id, version: version ?? null, onConflict, opId: newId(), clientId }
  return withRetries(async () => {
    // Without a version, the server would take the change for the newest that was made meanwhile.
    if (isStale()) throw new Failure('CONFLICT', 'You went on editing while the server did not answer. The history says whether it was undone')
    return redo ? (await connection.request(RedoDocument, variables)).redoChange : (await connection.request(UndoDocument, variables)).undoChange
  }, () => say(desk, waitingForServer))
}

/** Ends what is being undone after the change that is under way. */
export function stopRun(desk: Desk): void {
  setUndo(desk, { run: null })
}
