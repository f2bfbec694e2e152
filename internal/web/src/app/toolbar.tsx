// What can be added to the plan, by a click or by a drag to its place, and what else the canvas can do.
import type { DragEvent } from 'react'
import type { NodeType } from '../client/index.ts'
import { additions, layOutCommand } from './commands.ts'
import { update, useDesk, useDeskState } from './desk.ts'
import { HistoryButtons } from './history-buttons.tsx'
import { later } from './later.tsx'
import { KindIcon, kindNames, kindOf } from './kinds.tsx'

const Tools = later(() => import('../data/tools.tsx'))

const dragged = 'application/x-layercake-kind'

/** The kind that is dragged over the canvas, which is known only when it is dropped. */
export const kindDropped = ({ dataTransfer }: DragEvent) => kindNames.find((kind) => kind === dataTransfer.getData(dragged))

/** Whether it is a kind that is dragged. */
export const isKindDragged = ({ dataTransfer }: DragEvent) => dataTransfer.types.includes(dragged)

export function Toolbar() {
  const desk = useDesk()
  const { boxing, outline } = useDeskState()
  const drag = (event: DragEvent, nodeType: NodeType) => {
    event.dataTransfer.setData(dragged, nodeType)
    event.dataTransfer.effectAllowed = 'copy'
  }
  return (
    <div className="toolbar" role="toolbar" aria-label="Edit the plan">
      {kindNames.map((nodeType, i) => (
        <button
          key={nodeType} data-kind={nodeType} title={`Add ${kindOf(nodeType).word} (${i + 1}), or drag it to its place`}
          draggable onDragStart={(event) => drag(event, nodeType)} onClick={() => additions[i]!.run(desk)}
        >
          <KindIcon nodeType={nodeType} /> {kindOf(nodeType).word}
        </button>
      ))}
      <Tools />
      <span className="gap" />
      <button aria-pressed={boxing} title="Drag a box around nodes (or hold Shift)" onClick={() => update(desk, { boxing: !boxing })}>Select by a box</button>
      <button title="Find new places for what is selected, or for all (L)" onClick={() => layOutCommand.run(desk)}>Lay out</button>
      <button title="Every command and every node (Ctrl+K)" onClick={() => update(desk, { finding: true })}>Find…</button>
      <HistoryButtons />
      <button aria-pressed={outline} title="The plan as rows (O)" onClick={() => update(desk, { outline: !outline })}>Outline</button>
    </div>
  )
}
