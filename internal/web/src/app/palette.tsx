// Finds every command and every node by a part of its words.
import { useEffect, useMemo, useRef, useState } from 'react'
import { commands, keyWords } from './commands.ts'
import { planOf, select, update, useDesk, useDeskState, type Desk } from './desk.ts'
import { kindOf, KindIcon } from './kinds.tsx'

/** More are not listed: who sees that many types another letter. */
const mostFound = 50

interface Found {
  id: string
  words: string
  detail?: string | undefined
  kind?: string
  run(): void
}

export default function Palette() {
  return useDeskState().finding && <OpenPalette />
}

function OpenPalette() {
  const desk = useDesk()
  const dialog = useRef<HTMLDialogElement>(null)
  const [text, setText] = useState('')
  const [at, setAt] = useState(0)
  const all = useMemo(() => everything(desk), [desk])
  const found = useMemo(() => find(all, text), [all, text])
  const active = found[at]
  useEffect(() => {
    dialog.current!.showModal()
  }, [])
  useEffect(() => {
    if (active) document.getElementById(active.id)?.scrollIntoView({ block: 'nearest' })
  }, [active])
  const close = () => update(desk, { finding: false })
  // The dialog gives the focus back before anything is done, so that it may go elsewhere.
  const run = (chosen: Found | undefined) => {
    if (!chosen) return
    dialog.current!.close()
    chosen.run()
  }
  const step = (by: number) => setAt((before) => (before + by + found.length) % Math.max(found.length, 1))
  return (
    <dialog ref={dialog} className="palette" aria-label="Find a command or a node" onClose={close}>
      <input
        role="combobox" aria-label="Command or node" aria-expanded="true" aria-controls="found" aria-autocomplete="list"
        aria-activedescendant={active?.id} placeholder="Command or node" autoComplete="off" spellCheck={false} value={text}
        onChange={({ target }) => { setText(target.value); setAt(0) }}
        onKeyDown={(event) => {
          const { key } = event
          if (key === 'Enter' && !event.nativeEvent.isComposing) run(active)
          else if (key === 'ArrowDown') step(1)
          else if (key === 'ArrowUp') step(-1)
          else if (key === 'Escape') close()
          else return
          event.preventDefault()
        }}
      />
      <div className="found" id="found" role="listbox" aria-label="Found">
        {found.map((each, i) => (
          // Keys go to the field, which says by aria-activedescendant where they are.
          // oxlint-disable-next-line jsx-a11y/click-events-have-key-events
          <div key={each.id} id={each.id} role="option" aria-selected={i === at} tabIndex={-1} data-kind={each.kind} onClick={() => run(each)}>
            {each.kind && <KindIcon nodeType={each.kind} />}<span dir="auto">{each.words}</span>{' '}{each.detail && <kbd>{each.detail}</kbd>}
          </div>
        ))}
      </div>
      <p role="status">{found.length === 0 ? 'Nothing has these words in it.' : found.length === mostFound ? 'There is more: type another letter.' : ''}</p>
    </dialog>
  )
}

function everything(desk: Desk): Found[] {
  return [
    ...commands.filter((command) => command.isPossible(desk) && command.key !== 'Control+K').map((command, i): Found => (
      { id: `command${i}`, words: command.words, detail: keyWords(command), ...(command.kind && { kind: command.kind }), run: () => command.run(desk) })),
    ...[...planOf(desk)?.nodes.values() ?? []].map(({ id, nodeType, metadata: { label } }, i): Found => ({
      id: `node${i}`, words: label || id, detail: kindOf(nodeType).word, kind: nodeType,
      run() {
        select(desk, [id])
        desk.view.get()?.reveal([id])
      },
    })),
  ]
}

/** What has all parts of a text in it; first what begins with the text. */
function find(all: readonly Found[], text: string): Found[] {
  const typed = text.trim().toLowerCase()
  const parts = typed.split(/\s+/)
  const rank = ({ words }: Found) => Number(!words.toLowerCase().startsWith(typed))
  return all.filter(({ words }) => parts.every((part) => words.toLowerCase().includes(part)))
    .toSorted((one, other) => rank(one) - rank(other)).slice(0, mostFound)
}
