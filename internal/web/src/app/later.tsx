// Parts of the editor that are loaded when somebody first asks for them.
import { useEffect, useState, type ComponentType } from 'react'
import { flushSync } from 'react-dom'
import { update, useDesk } from './desk.ts'

/** A component that is empty until its module has come. When that fails, a sentence says so, and the next time that it is shown it tries again. */
export function later<Props extends object>(load: () => Promise<{ default: ComponentType<Props> }>): ComponentType<Props> {
  let known: ComponentType<Props> | undefined
  return function Later(props: Props) {
    const desk = useDesk()
    const [Loaded, setLoaded] = useState(() => known)
    useEffect(() => {
      if (Loaded) return
      let isShown = true
      load().then((module) => {
        known = module.default
        if (isShown) setLoaded(() => known)
      }, () => update(desk, {
        message: 'This could not be loaded. Close it, and try again when the server is there.',
        looking: null, // nobody could close a dialog that did not come
      }))
      return () => { isShown = false }
    }, [Loaded, desk])
    return Loaded ? <Loaded {...props} /> : null
  }
}

/**
 * Does something that shows an element, and gives it the focus as soon as it is there: its part may still be loading. After another key or
 * press it is too late for that.
 */
export function showAndFocus(selector: string, show: () => void): void {
  flushSync(show)
  const focus = () => {
    const element = document.querySelector<HTMLElement>(selector)
    element?.focus()
    return element !== null
  }
  if (focus()) return
  const observer = new MutationObserver(() => { if (focus()) end() })
  const end = () => {
    observer.disconnect()
    for (const event of ['keydown', 'pointerdown']) removeEventListener(event, end, true)
  }
  observer.observe(document.body, { childList: true, subtree: true })
  for (const event of ['keydown', 'pointerdown']) addEventListener(event, end, true)
}
