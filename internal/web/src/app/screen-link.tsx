// A link to another screen of the page.
import type { MouseEvent, ReactNode } from 'react'
import { addressOf, navigate } from './path.ts'

/** A link that is followed within the page, unless the browser is asked for another window. */
export function ScreenLink({ to, children, ...more }: { to: string; children: ReactNode; dir?: 'auto' }) {
  const follow = (event: MouseEvent) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return
    event.preventDefault()
    navigate(to)
  }
  return <a href={addressOf(to)} onClick={follow} {...more}>{children}</a>
}
