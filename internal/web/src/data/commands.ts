// What can be done about files and runs by a command. Keys and menus have them once this is loaded.
import type { PlanNode, Position } from '../client/index.ts'
import { height, width } from '../app/card.tsx'
import { addCommands, type Command } from '../app/commands.ts'
import { planOf, selected, type Desk } from '../app/desk.ts'
import { isNow } from '../app/history-state.ts'
import { addFiles, chooseFileOf, chooseFiles, isPast } from './files.ts'
import { cancel, isRunning, run, runnable } from './runs.ts'
import { giveSampleFiles, lacksSampleFiles, sampleWords } from './sample-files.ts'

/** Adds files that somebody chooses: at a place, or else in the middle of what is seen. */
function choose(desk: Desk, at?: Position): void {
  if (isPast(desk)) return
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

/** The selected source, if it is the only thing that is. */
function selectedSource(desk: Desk): PlanNode | undefined {
  const { nodes, edges } = selected(desk)
  const node = nodes.length === 1 && edges.length === 0 ? planOf(desk)?.nodes.get(nodes[0]!) : undefined
  return node?.nodeType === 'DataSourceNode' && isNow(desk) ? node : undefined
}

addCommands([
  addCommand,
  { words: sampleWords, menu: ['plan'], isPossible: lacksSampleFiles, run: giveSampleFiles },
  {
    words: 'Choose the file of this source…', menu: ['selection'], isPossible: (desk) => selectedSource(desk) !== undefined,
    run(desk) {
      const source = selectedSource(desk)
      if (source) chooseFileOf(desk, source)
    },
  },
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
