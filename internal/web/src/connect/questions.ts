// The questions of docs/sql.md, read from that file, so that there is one copy.

/** A part of a page: a paragraph, a statement, or what it answers. */
export interface Block {
  kind: 'text' | 'sql' | 'answer'
  text: string
}

export interface Question {
  title: string
  blocks: Block[]
}

const kinds: Record<string, Block['kind']> = { '```sql': 'sql', '```text': 'answer' }

/** The sections of the page, the first of which has no title. */
export function readQuestions(page: string): Question[] {
  return page.split(/^#{1,2} /m).slice(1).map((section, i) => {
    const [title, ...lines] = section.split('\n')
    const blocks = [...lines.join('\n').matchAll(/^(```\w+)\n([^]*?)^```$|^(?!```)\S[^]*?(?=\n\n|\n?(?![^]))/gm)].map(([text, fence, inner]): Block => (
      fence === undefined ? { kind: 'text', text: text.replaceAll('\n', ' ') } : { kind: kinds[fence] ?? 'answer', text: inner!.trimEnd() }))
    return { title: i === 0 ? '' : title!, blocks }
  })
}

/** The project that stands in the statements of the page. */
const example = 7

/** A statement, or a title, about another project. */
export function about(text: string, project: number | null): string {
  if (project === null) return text
  return text.replace(new RegExp(String.raw`(project_id = |plan_at\(|plan_diff\(|verify_plan\(|project )${example}\b`, 'g'), `$1${project}`)
}

/** A paragraph in pieces, each second of which is code. */
export function pieces(text: string): string[] {
  return text.split('`')
}
