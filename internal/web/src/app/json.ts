// JSON as it was written. JSON.parse would lose digits of long numbers and the order of keys, and says nothing sure of where an error is.

/** A number, by its text. */
export interface JsonNumber {
  readonly number: string
}

export type JsonObject = ReadonlyMap<string, Json>

export type Json = null | boolean | string | JsonNumber | readonly Json[] | JsonObject

/** What is wrong with a text, and where. Lines and columns begin with 1. */
export interface JsonError {
  message: string
  offset: number
  line: number
  column: number
}

/** Deeper values are refused, before they exhaust the stack. */
const maxDepth = 1_000

const blank = /[ \t\r\n]*/y
const beginOfString = /"[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\u0000-\u001f]*)*/y // oxlint-disable-line no-control-regex -- JSON refuses them
const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const word = /true|false|null/y
const words: Record<string, Json> = { true: true, false: false, null: null }

/** Reads a text. Of a key that is there twice, the last value counts, as everywhere. */
export function parse(text: string): { value: Json } | { error: JsonError } {
  const reader = new Reader(text)
  try {
    return { value: reader.whole() }
  } catch (error) {
    if (error instanceof Misread) return { error: { message: error.message, ...placeOf(text, error.offset) } }
    throw error
  }
}

/** Reads a text that should be an object; null when it is none. */
export function parseObject(text: string): JsonObject | null {
  const parsed = parse(text)
  return 'value' in parsed && isObject(parsed.value) ? parsed.value : null
}

class Misread extends Error {
  readonly offset: number

  constructor(message: string, offset: number) {
    super(message)
    this.offset = offset
  }
}

class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  whole(): Json {
    const value = this.#value(0)
    if (this.#at < this.#text.length) this.#fail('Nothing may follow the end')
    return value
  }

  #value(depth: number): Json {
    if (depth > maxDepth) this.#fail('This is nested too deeply')
    this.#take(blank)
    const value = this.#bare(depth)
    this.#take(blank)
    return value
  }

  #bare(depth: number): Json {
    switch (this.#text[this.#at]) {
      case '{': return this.#object(depth)
      case '[': return this.#list(depth)
      case '"': return this.#string()
    }
    const digits = this.#take(number)
    if (digits) return { number: digits }
    const name = this.#take(word)
    if (name) return words[name]!
    return this.#fail('A value is missing: a text in quotes, a number, true, false, null, [ or {')
  }

  #object(depth: number): JsonObject {
    const members = new Map<string, Json>()
    this.#at++
    this.#take(blank)
    if (this.#skip('}')) return members
    do {
      this.#take(blank)
      if (this.#text[this.#at] !== '"') this.#fail('A key in double quotes is missing')
      const key = this.#string()
      this.#take(blank)
      if (!this.#skip(':')) this.#fail('A colon is missing')
      members.set(key, this.#value(depth + 1))
    } while (this.#skip(','))
    if (!this.#skip('}')) this.#fail('A comma or } is missing')
    return members
  }

  #list(depth: number): Json[] {
    const values: Json[] = []
    this.#at++
    this.#take(blank)
    if (this.#skip(']')) return values
    do values.push(this.#value(depth + 1))
    while (this.#skip(','))
    if (!this.#skip(']')) this.#fail('A comma or ] is missing')
    return values
  }

  #string(): string {
    const begin = this.#take(beginOfString)
    if (this.#skip('"')) return JSON.parse(`${begin}"`) as string
    if (this.#text[this.#at] === '\\') this.#fail('There is no such escape')
    return this.#fail('The text in quotes does not end in its line; a line break is \\n, a tab is \\t')
  }

  /** Takes what a pattern finds here; an empty text when that is nothing. */
  #take(pattern: RegExp): string {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)?.[0] ?? ''
    this.#at += found.length
    return found
  }

  #skip(character: string): boolean {
    if (this.#text[this.#at] !== character) return false
    this.#at++
    return true
  }

  #fail(message: string): never {
    throw new Misread(this.#at < this.#text.length ? message : 'The text ends too early', this.#at)
  }
}

function placeOf(text: string, offset: number): Omit<JsonError, 'message'> {
  const before = text.slice(0, offset)
  const start = before.lastIndexOf('\n') + 1
  return { offset, line: before.split('\n').length, column: offset - start + 1 }
}

/** The text of a value: in one line, or with an indent in many. */
export function write(value: Json, indent = '', outer = ''): string {
  const inner = outer + indent
  const inLines = (open: string, parts: string[], close: string) => {
    if (parts.length === 0) return open + close
    return indent ? `${open}\n${inner}${parts.join(`,\n${inner}`)}\n${outer}${close}` : open + parts.join(',') + close
  }
  if (isObject(value)) {
    const colon = indent ? ': ' : ':'
    return inLines('{', [...value].map(([key, member]) => JSON.stringify(key) + colon + write(member, indent, inner)), '}')
  }
  if (Array.isArray(value)) return inLines('[', value.map((member: Json) => write(member, indent, inner)), ']')
  return isNumber(value) ? value.number : JSON.stringify(value)
}

export function isObject(value: Json | undefined): value is JsonObject {
  return value instanceof Map
}

export function isNumber(value: Json | undefined): value is JsonNumber {
  return typeof value === 'object' && value !== null && 'number' in value
}

/** Whether two values are the same, whatever the order of their keys. Undefined is no value. */
export function isSame(one: Json | undefined, other: Json | undefined): boolean {
  if (one === other) return true
  if (isObject(one) && isObject(other)) {
    return one.size === other.size && [...one].every(([key, member]) => other.has(key) && isSame(member, other.get(key)))
  }
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((member: Json, i) => isSame(member, (other as Json[])[i]))
  }
  return isNumber(one) && isNumber(other) && one.number === other.number
}

/** The value at a path of keys; undefined when there is none. */
export function valueAt(value: Json | undefined, path: readonly string[]): Json | undefined {
  return path.reduce<Json | undefined>((inner, key) => (isObject(inner) ? inner.get(key) : undefined), value)
}

/** An object with another value at a path of keys, or without one. The order of the keys stays. */
export function withValueAt(object: JsonObject, [key, ...inner]: readonly [string, ...string[]], value: Json | undefined): JsonObject {
  const members = new Map(object)
  const before = object.get(key)
  const [next, ...others] = inner
  const member = next === undefined ? value : withValueAt(isObject(before) ? before : new Map(), [next, ...others], value)
  if (member === undefined) members.delete(key)
  else members.set(key, member)
  return members
}
