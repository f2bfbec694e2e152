// The menu of what is under the pointer.
import { useEffect, useRef } from 'react'
import type { Position } from '../client/index.ts'
import { commands, keyWords, type Command } from './commands.ts'
import { update, useDesk, useDeskState, type Desk, type Menu as MenuOf } from './desk.ts'
import { KindIcon } from './kinds.tsx'

/** Opens the menu for what is selected, or for the plan, which then adds at the given place. */
export function openCommands(desk: Desk, { left, top }: { left: number; top: number }, about: 'selection' | 'plan', at?: Position): void {
  const offered = commands.filter((command) => command.menu?.includes(about) && command.isPossible(desk))
  update(desk, {
    menu: {
      name: about === 'plan' ? 'Plan' : 'Selection', left, top,
      items: offered.map((command: Command) => ({
        words: command.words, key: keyWords(command), ...(command.kind && { kind: command.kind }), run: () => command.run(desk, at),
      })),
    },
  })
}

export function Menu() {
  const { menu } = useDeskState()
  return menu && <OpenMenu menu={menu} />
}

function OpenMenu({ menu }: { menu: MenuOf }) {
  const desk = useDesk()
  const box = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const element = box.current!
    const before = document.activeElement
    element.showPopover()
    const { offsetWidth, offsetHeight } = element
    element.style.left = `${Math.max(0, Math.min(menu.left, innerWidth - offsetWidth - 4))}px`
    element.style.top = `${Math.max(0, Math.min(menu.top, innerHeight - offsetHeight - 4))}px`
    element.querySelector('button')?.focus()
    return () => {
      const isElsewhere = document.activeElement !== document.body // where somebody clicked
      if (!isElsewhere && (before instanceof HTMLElement || before instanceof SVGElement)) before.focus({ preventScroll: true })
    }
  }, [menu])
  const close = () => update(desk, { menu: null })
  const step = (by: number | 'first' | 'last') => {
    const items = [...box.current!.querySelectorAll('button')]
    const at = items.findIndex((item) => item === document.activeElement)
    const next = by === 'first' ? 0 : by === 'last' ? -1 : (at + by) % items.length
    items.at(next)?.focus()
  }
  const steps: Record<string, number | 'first' | 'last'> = { ArrowDown: 1, ArrowUp: -1, Home: 'first', End: 'last' }
  // The browser would end an automatic popover by the same release of the button that opens this one.
  return (
    <div
      ref={box} className="menu" popover="manual" role="menu" tabIndex={-1} aria-label={menu.name}
      onBlur={({ relatedTarget }) => { if (!box.current!.contains(relatedTarget) && desk.state.get().menu === menu) close() }}
      onKeyDown={(event) => {
        const by = steps[event.key]
        if (event.key === 'Tab' || event.key === 'Escape') close()
        if (by === undefined) return
        event.preventDefault()
        step(by)
      }}
    >
      {menu.items.map(({ words, key, kind, run }) => (
        <button key={words} role="menuitem" tabIndex={-1} data-kind={kind} onClick={() => { close(); run() }}>
          {kind && <KindIcon nodeType={kind} />}<span>{words}</span>{' '}{key && <kbd>{key}</kbd>}
        </button>
      ))}
    </div>
  )
}
