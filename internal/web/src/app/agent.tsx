// The sample agent, for people: the button that sends it, and what it says.
import { undoAllOf } from './avatar-menu.ts'
import { update, useDesk, useDeskState, type Desk } from './desk.ts'

export function canSendSampleAgent(desk: Desk): boolean {
  return !desk.state.get().sampleAgent?.isRunning
}

/** Sends it. Its script is loaded when somebody wants to see it. */
export function sendSampleAgent(desk: Desk): void {
  const begun = { actorId: null, since: new Date() }
  update(desk, { sampleAgent: { ...begun, said: [], isRunning: true } })
  import('./sample-agent.ts').then(({ run }) => run(desk), () => {
    update(desk, { sampleAgent: { ...begun, said: ['I cannot come: my script could not be loaded.'], isRunning: false } })
  })
}

export function SampleAgentButton() {
  const desk = useDesk()
  const isRunning = useDeskState().sampleAgent?.isRunning ?? false
  return (
    <button
      aria-disabled={isRunning} title="A script of this page joins and edits, over the same wire as every agent"
      onClick={() => { if (canSendSampleAgent(desk)) sendSampleAgent(desk) }}
    >
      Send a sample agent
    </button>
  )
}

export function SampleAgentNotice() {
  const desk = useDesk()
  const { sampleAgent } = useDeskState()
  if (!sampleAgent || sampleAgent.said.length === 0) return null
  const { actorId, since } = sampleAgent
  return (
    <div className="notice of-agent">
      <p><strong>Sample agent</strong> (a script of this page)</p>
      <ol>{sampleAgent.said.map((words) => <li key={words}>{words}</li>)}</ol>
      {!sampleAgent.isRunning && (
        <>
          {actorId !== null && <><button onClick={() => undoAllOf(desk, { name: 'Sample agent', actorId }, since)}>Undo what it did</button>{' '}</>}
          <button onClick={() => update(desk, { sampleAgent: null })}>Dismiss</button>
        </>
      )}
    </div>
  )
}
