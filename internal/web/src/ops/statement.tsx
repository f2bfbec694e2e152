// A statement, to copy.
import { useRef, useState } from 'react'

export function Statement({ sql, of }: { sql: string; of?: string }) {
  const code = useRef<HTMLElement>(null)
  const [said, setSaid] = useState('')
  const copy = async () => {
    if (code.current) getSelection()?.selectAllChildren(code.current)
    try {
      await navigator.clipboard.writeText(sql)
      setSaid('Copied')
    } catch {
      setSaid('It is selected: copy it by your keyboard.') // the browser lets no page copy here
    }
  }
  return (
    <p className="sql">
      <code ref={code}>{sql}</code>
      <button type="button" onClick={copy} aria-label={of ? `Copy the SQL of ${of}` : 'Copy the SQL'}>Copy</button>
      <span role="status">{said}</span>
    </p>
  )
}
