// What the sections of the inspector have in common that are about files, builds and outputs.
import type { ReactNode } from 'react'
import type { PlanNode } from '../client/index.ts'
import { useDesk } from '../app/desk.ts'
import { cancel, run } from './runs.ts'
import './section.css'
import { isOpen } from './states.ts'

export function Section({ name, children }: { name: string; children: ReactNode }) {
  return <section className="of-node" aria-label={name}><h3>{name}</h3>{children}</section>
}

export function Facts({ facts }: { facts: readonly (readonly [string, ReactNode])[] }) {
  return <dl>{facts.map(([name, value]) => <div key={name}><dt>{name}</dt><dd dir="auto">{value}</dd></div>)}</dl>
}

/** Runs a node, or ends that. */
export function RunButtons({ node }: { node: PlanNode }) {
  const desk = useDesk()
  return (
    <>
      <button title="Builds what is out of date of this and of what it needs (R)" onClick={() => void run(desk, node.id)}>Run</button>
      {isOpen(node) && <button title="Ends this build, and those of what depends on it (X)" onClick={() => void cancel(desk, node.id)}>Cancel the run</button>}
    </>
  )
}
