// What the toolbar has for files and runs.
import { useSyncExternalStore } from 'react'
import { useDesk } from '../desk.ts'
import { addCommand, cancelAllCommand, runAllCommand } from './commands.ts'
import { isRunning } from './runs.ts'

export default function Tools() {
  const desk = useDesk()
  useSyncExternalStore(desk.states.subscribe, desk.states.get)
  const running = isRunning(desk, null)
  return (
    <>
      <button title="Add CSV, TSV and JSON files (F), or drop them on the canvas" onClick={() => addCommand.run(desk)}>Files…</button>
      {running
        ? <button title="End all builds that are waiting or under way" onClick={() => cancelAllCommand.run(desk)}>Cancel all</button>
        : <button title="Build all that is out of date (Ctrl+Enter)" onClick={() => runAllCommand.run(desk)}>Run all</button>}
    </>
  )
}
