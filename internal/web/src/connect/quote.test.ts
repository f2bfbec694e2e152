import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { command, scriptString, tomlString, variable, word } from './quote.ts'

/** Texts as people write them, and those that bite. No program can be given a NUL. */
const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.array(fc.constantFrom(...`'"\`$\\!&|;<>(){}[]*?~#%^@,=:- \n\t\r‘’‚‛“”é𝒳👩‍👩‍👧ש</script>`.split(''), '$(id)', '${x}', "'\\''", '\u2028', '\u2029', '\u007f', '\ud800')).map((parts) => parts.join('')),
).map((each) => each.replaceAll('\0', ''))

/** What a shell hands to a program. It has no lone halves of characters. */
const given = (each: string) => each.toWellFormed()

test('a shell gives each word as it was', () => {
  fc.assert(fc.property(fc.array(text.map(given), { minLength: 1, maxLength: 40 }), (words) => {
    const lines = [['printf', String.raw`%s\0`], ...words.map((each) => [each])]
    expect(execFileSync('sh', ['-c', command(lines, 'posix')], { encoding: 'utf8' }).split('\0').slice(0, -1)).toEqual(words)
    const [first] = words
    const shown = execFileSync('sh', ['-c', `${variable('TRIED', first!, 'posix')}; printf '%s\\0' "$TRIED"`], { encoding: 'utf8' })
    expect(shown).toBe(`${first}\0`)
  }), { numRuns: 40 })
})

test('PowerShell reads one word', () => {
  fc.assert(fc.property(text, (each) => {
    const written = word(each, 'powershell')
    if (!written.startsWith("'")) {
      expect(written).toMatch(/^[\w:./-]+$/)
      expect(written).toBe(each)
      return
    }
    const inner = written.slice(1, -1)
    expect(inner.replace(/(['‘’‚‛])\1/g, '')).not.toMatch(/['‘’‚‛]/) // each quote is doubled
    expect(inner.replace(/(['‘’‚‛])\1/g, '$1')).toBe(each)
    expect(variable('X', each, 'powershell')).toMatch(/^\$env:X = '/)
  }))
})

test('a script reads the same string, within a page, too', () => {
  fc.assert(fc.property(text, (each) => {
    const written = scriptString(each)
    expect((0, eval)(written)).toBe(each) // oxlint-disable-line no-eval -- as a browser reads it
    expect(written).not.toMatch(/[<\n\r\u2028\u2029]/)
  }))
})

test('TOML reads the same string', () => {
  fc.assert(fc.property(text, (each) => {
    const written = tomlString(each)
    expect(JSON.parse(written)).toBe(given(each))
    expect(written).not.toMatch(/[\u0000-\u001f\u007f]|\\ud[89a-f]/i) // oxlint-disable-line no-control-regex -- TOML refuses them
  }))
})
