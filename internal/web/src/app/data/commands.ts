// What can be done about files and runs by a command. Keys and menus have them once this is loaded.
import type { Position } from '../../client/index.ts'
import { height, width } from '../card.tsx'
import { addCommands, type Command } from '../commands.ts'
import type { Desk } from '../desk.ts'
import { isNow } from '../history-state.ts'
import { addFiles, chooseFiles } from './files.ts'
import { cancel, isRunning, run, runnable } from './runs.ts'

/** Adds files that somebody chooses: at a place, or else in the middle of what is seen. */
function choose(desk: Desk, at?: Position): void {
  const { x, y } = at ?? desk.view.get()?.center() ?? { x: 0, y: 0 }
  const middle = at ? { x, y } : { x: x + width / 2, y: y + height / 2 }
  chooseFiles((files) => void addFiles(desk, files.map((file) => ({ file, isFolder: false })), middle), true)
}

export const addCommand: Command = { words: 'Add files…', key: 'F', menu: ['plan'], isPossible: isNow, run: choose }
export const runAllCommand: Command = {
  words: 'Run all', key: 'Control+Enter', menu: ['plan'], isPossible: isNow, run: (desk) => void run(desk, null),
}
export const cancelAllCommand: Command = {
  words: 'Cancel all runs', menu: ['plan'], isPossible: (desk) => isRunning(desk, null), run: (desk) => void cancel(desk, null),
}

addCommands([
  addCommand,
  { words: 'Run', key: 'R', menu: ['selection'], isPossible: (desk) => runnable(desk) !== null, run: (desk) => void run(desk, runnable(desk)) },
  runAllCommand,
  {
    words: 'Cancel the run', key: 'X', menu: ['selection'],
    isPossible(desk) {
      const node = runnable(desk)
      return node !== null && isRunning(desk, node)
    },
    run: (desk) => void cancel(desk, runnable(desk)),
  },
  cancelAllCommand,
])
