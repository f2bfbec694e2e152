// What the toolbar has for files and runs.
import { useDesk } from '../app/desk.ts'
import { addCommand, runAllCommand } from './commands.ts'

export default function Tools() {
  const desk = useDesk()
  return (
    <>
      <button title="Add CSV, TSV and JSON files (F), or drop them on the canvas" onClick={() => addCommand.run(desk)}>Files…</button>
      <button title="Build all that is out of date (Ctrl+Enter)" onClick={() => runAllCommand.run(desk)}>Run all</button>
    </>
  )
}
