// What can be added to the plan.
import { commands } from './commands.ts'
import { useDesk } from './desk.ts'
import { KindIcon, kindNames, kindOf } from './kinds.tsx'

export function Toolbar() {
  const desk = useDesk()
  return (
    <div className="toolbar" role="toolbar" aria-label="Add to the plan">
      {kindNames.map((nodeType, i) => (
        <button key={nodeType} data-kind={nodeType} title={`Add ${kindOf(nodeType).word} (${i + 1})`} onClick={() => commands[i]!.run(desk)}>
          <KindIcon nodeType={nodeType} /> {kindOf(nodeType).word}
        </button>
      ))}
    </div>
  )
}
