import { expect, test } from 'vitest'
import page from '../../../../docs/sql.md?raw'
import { about, pieces, readQuestions } from './questions.ts'

const [introduction, ...questions] = readQuestions(page)

test('the page is read whole', () => {
  const blocks = [introduction!, ...questions].flatMap((each) => each.blocks)
  const count = (kind: string) => blocks.filter((each) => each.kind === kind).length
  expect(count('sql')).toBe(page.match(/^```sql$/gm)!.length)
  expect(count('answer')).toBe(page.match(/^```text$/gm)!.length)
  expect(questions.map(({ title }) => title)).toEqual(page.match(/^## .*$/gm)!.map((line) => line.slice(3)))
  expect(questions.length).toBeGreaterThan(10)
  // Words for words: nothing between the fences and titles is lost, and nothing stays that would be shown as Markdown.
  const prose = page.replaceAll(/^```\w+\n[^]*?^```$/gm, '').replaceAll(/^#.*$/gm, '').split(/\s+/).filter(Boolean)
  const read = blocks.filter(({ kind }) => kind === 'text').flatMap(({ text }) => text.split(/\s+/))
  expect(read).toEqual(prose)
  for (const { kind, text } of blocks) {
    if (kind !== 'text') continue
    expect(pieces(text).length % 2).toBe(1)
    expect(text).not.toMatch(/\]\(|\*\*|^[-|>#]/)
  }
})

test('a question can be about another project', () => {
  expect(about(questions[0]!.title, null)).toBe('1. Who is in project 7?')
  expect(about(questions[0]!.title, 42)).toBe('1. Who is in project 42?')
  const statements = questions.flatMap(({ blocks }) => blocks).filter(({ kind }) => kind === 'sql').map(({ text }) => about(text, 42))
  expect(statements.filter((text) => text.includes('42')).length).toBeGreaterThan(5)
  for (const text of statements) expect(text).not.toMatch(/\b7\b(?! days)/)
})
