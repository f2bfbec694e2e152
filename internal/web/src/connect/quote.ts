// Texts of people inside of commands, files and scripts, so that none of them ends what it stands in.

/** The shells that commands are written for: any of POSIX, or PowerShell of 7.3 or later, which hands quotes on to programs. */
export type Shell = 'posix' | 'powershell'

/** Words that mean themselves without quotes. */
const plain: Record<Shell, RegExp> = { posix: /^[\w@%+=:,./-]+$/, powershell: /^[\w:./-]+$/ }

/** A word of a command. PowerShell takes typographic quotes for quotes, too. */
export function word(text: string, shell: Shell): string {
  if (plain[shell].test(text)) return text
  return shell === 'posix' ? `'${text.replaceAll("'", String.raw`'\''`)}'` : `'${text.replace(/['‘’‚‛]/g, '$&$&')}'`
}

/** A command of several lines, the first of which begins with the program. */
export function command(lines: readonly (readonly string[])[], shell: Shell): string {
  const next = shell === 'posix' ? ' \\\n  ' : ' `\n  '
  return lines.filter((words) => words.length > 0).map((words) => words.map((each) => word(each, shell)).join(' ')).join(next)
}

/** A command that sets a variable of the environment for those after it. */
export function variable(name: string, value: string, shell: Shell): string {
  return shell === 'posix' ? `export ${name}=${word(value, shell)}` : `$env:${name} = '${value.replace(/['‘’‚‛]/g, '$&$&')}'`
}

/** A string of JavaScript, which can stand in a script element of a page, too. */
export function scriptString(text: string): string {
  const inner = JSON.stringify(text).slice(1, -1).replaceAll(String.raw`\"`, '"')
  return `'${inner.replaceAll("'", String.raw`\'`).replaceAll('<', String.raw`\u003c`).replaceAll('\u2028', String.raw`\u2028`).replaceAll('\u2029', String.raw`\u2029`)}'`
}

/** A basic string of TOML, which is that of JSON but for what is no character, and for DEL. */
export function tomlString(text: string): string {
  return JSON.stringify(text.toWellFormed()).replaceAll('\u007f', String.raw`\u007f`)
}

/** JSON as people read it: objects of texts in one line, as a header or the arguments of a program. */
export function json(value: object): string {
  return JSON.stringify(value, null, 2)
}
