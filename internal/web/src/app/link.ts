// A node in the address of the page, and how one looks at what it holds: #node=ID&look=table.
import { planOf, select, selected, update, type Desk } from './desk.ts'
import { isView } from './looking.ts'

const linked = () => new URLSearchParams(location.hash.slice(1))

/** The node that the address names; null for none. */
export function linkedNode(): string | null {
  return linked().get('node')
}

/** Selects the node that the address names, also when that changes, and names the node that is selected, until what it returns is called. */
export function followLink(desk: Desk): () => void {
  const go = () => {
    const id = linkedNode()
    if (id === null || !planOf(desk)?.nodes.has(id)) return
    const view = linked().get('look') // what is selected is written into the address
    select(desk, [id])
    desk.view.get()?.reveal([id])
    if (isView(view)) update(desk, { looking: { node: id, view } })
  }
  const write = () => {
    const { nodes, edges } = selected(desk)
    const { looking } = desk.state.get()
    const id = nodes.length === 1 && edges.length === 0 ? nodes[0]! : null
    const parts = new URLSearchParams({ ...(id !== null && { node: id }), ...(looking && looking.node === id && { look: looking.view }) })
    if (`${parts}` === `${linked()}`) return
    // The state is the screen's own, and there is nothing to go back to.
    history.replaceState(history.state, '', parts.size === 0 ? location.pathname : `#${parts}`)
  }
  go()
  addEventListener('hashchange', go)
  const stop = desk.state.subscribe(write)
  return () => {
    removeEventListener('hashchange', go)
    stop()
  }
}
