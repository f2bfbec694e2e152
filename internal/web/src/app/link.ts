// A node in the address of the page: #node=ID.
import { planOf, select, selected, type Desk } from './desk.ts'

/** The node that the address names; null for none. */
export function linkedNode(): string | null {
  return new URLSearchParams(location.hash.slice(1)).get('node')
}

/** Selects the node that the address names, also when that changes, and names the node that is selected, until what it returns is called. */
export function followLink(desk: Desk): () => void {
  const go = () => {
    const id = linkedNode()
    if (id === null || !planOf(desk)?.nodes.has(id)) return
    select(desk, [id])
    desk.view.get()?.reveal([id])
  }
  const write = () => {
    const { nodes, edges } = selected(desk)
    const id = nodes.length === 1 && edges.length === 0 ? nodes[0]! : null
    if (id === linkedNode()) return
    // The state is the screen's own, and there is nothing to go back to.
    history.replaceState(history.state, '', id === null ? location.pathname : `#${new URLSearchParams({ node: id })}`)
  }
  go()
  addEventListener('hashchange', go)
  const stop = desk.state.subscribe(write)
  return () => {
    removeEventListener('hashchange', go)
    stop()
  }
}
