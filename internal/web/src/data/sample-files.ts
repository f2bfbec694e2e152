// The files of the sample plan, for whoever has none at hand: a web shop, its calls, and the teams that look after it.
import { planOf, type Desk } from '../app/desk.ts'
import { isNow } from '../app/history-state.ts'
import type { PlanNode } from '../client/index.ts'
import { uploadsTo } from './upload-list.ts'
import type { Kind } from './uploads.ts'

interface SampleFile {
  /** The source of the sample plan that takes it, as it is called there. */
  id: string
  label: string
  name: string
  kind: Kind
  text: string
}

const files: readonly SampleFile[] = [
  {
    id: 'datasourcenode_001', label: 'Services', name: 'services.csv', kind: 'nodes', text: `id,label,layer,is_partition,belongs_to
shop,Web shop,shop,true,
store,Storefront,web,true,shop
orders,Orders,trade,true,shop
stock,Warehouse,stock,true,shop
pages,Pages,web,false,store
search,Search,web,false,store
basket,Basket,trade,false,orders
payments,Payments,trade,true,orders
cards,Cards,trade,false,payments
invoices,Invoices,trade,false,payments
shelves,Shelves,stock,false,stock
robots,Robots,stock,false,stock
`,
  },
  {
    id: 'datasourcenode_002', label: 'Calls', name: 'calls.csv', kind: 'edges', text: `id,source,target,label,layer,weight
c1,pages,search,asks,web,5
c2,pages,basket,fills,web,3
c3,basket,cards,charges,trade,2
c4,basket,invoices,writes,trade,1
c5,basket,shelves,reserves,trade,2
c6,search,shelves,counts,stock,4
c7,shelves,robots,sends,stock,1
`,
  },
  {
    id: 'datasourcenode_003', label: 'Teams', name: 'teams.csv', kind: 'layers', text: `layer,label,background,border,text
shop,Everybody,f5f5f4,78716c,1c1917
web,Web team,dbeafe,1d4ed8,1e3a8a
trade,Trade team,fef3c7,b45309,78350f
stock,Stock team,dcfce7,15803d,14532d
`,
  },
]

export const sampleWords = 'Give the sample its files'

/** The sources of the sample plan that have no file, with the file of each. */
function lacking(desk: Desk): { file: SampleFile; node: PlanNode }[] {
  return files.flatMap((file) => {
    const node = planOf(desk)?.nodes.get(file.id)
    return node?.nodeType === 'DataSourceNode' && node.metadata.label === file.label && !node.datasourceExecution ? [{ file, node }] : []
  })
}

export function lacksSampleFiles(desk: Desk): boolean {
  return isNow(desk) && lacking(desk).length > 0
}

export function giveSampleFiles(desk: Desk): void {
  for (const { file: { name, kind, text }, node } of lacking(desk)) {
    uploadsTo(desk.project.id).add(new File([text], name, { type: 'text/csv' }), { node: node.id }, { kind })
  }
}
