// Buttons for undo, redo and the history.
import { useSyncExternalStore } from 'react'
import { useDesk } from './desk.ts'
import { closeHistory, openHistory } from './history-state.ts'
import { redoOwn, undoOwn } from './undo.ts'

export function HistoryButtons() {
  const desk = useDesk()
  const { open, past } = useSyncExternalStore(desk.history.subscribe, desk.history.get)
  return (
    <>
      {!past && (
        <>
          <button title="Undo what you did last (Ctrl+Z)" onClick={() => undoOwn(desk)}>Undo</button>
          <button title="Do again what you undid (Ctrl+Shift+Z)" onClick={() => redoOwn(desk)}>Redo</button>
        </>
      )}
      <button
        aria-pressed={open} title="Who did what, and the plan as it was (Ctrl+Shift+H)"
        onClick={() => (open ? closeHistory : openHistory)(desk)}
      >
        History
      </button>
    </>
  )
}
