import type { PlanNode } from '../client/index.ts'

export default function Picture({ name }: { projectId: number; node: PlanNode; name: string; tables: () => void; changed: () => void }) {
  return <p>{name}</p>
}
