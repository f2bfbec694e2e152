// What is said of nodes and edges where they are drawn: how a plan of the past differs from now, and what somebody proposes.

/** An element is marked by a colour, a line and a word, so that none of them is needed alone. */
export interface Mark {
  kind: 'added' | 'gone' | 'changed'
  words: string
}

/** The marks of nodes and edges, by their ids. */
export interface Marks {
  nodes: ReadonlyMap<string, Mark>
  edges: ReadonlyMap<string, Mark>
}

export const noMarks: Marks = { nodes: new Map(), edges: new Map() }

/** The sign of each kind, for those who do not see its colour. */
export const signs: Record<Mark['kind'], string> = { added: '+', gone: '−', changed: '≠' }
