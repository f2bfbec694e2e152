// The fields of a form, as a JSON Schema describes them, and how values become texts that people edit.
import { isNumber, isObject, parse, write, type Json, type JsonNumber } from './json.ts'

interface Named {
  /** The keys that lead to it. */
  path: readonly [string, ...string[]]
  description: string | undefined
}

/** Several fields under one name. */
export interface Group extends Named {
  kind: 'group'
  fields: FormField[]
}

/** A value of a form. */
export interface ValueField extends Named {
  kind: 'string' | 'integer' | 'number' | 'choice'
  /** The values to choose from, if these are all. */
  choices: Json[]
  /** What counts while there is no value, for people. */
  fallback: string | undefined
  minimum: number | undefined
  maximum: number | undefined
}

export type FormField = Group | ValueField

/** What this page understands of a schema. A schema that says more is not made a form: it would promise what the server refuses. */
const keywords = new Set(['type', 'properties', 'description', 'title', 'default', 'enum', 'minimum', 'maximum', 'additionalProperties'])

type Schema = Record<string, unknown>

/** The fields of an object's schema; null when there is something in it that this page does not understand. */
export function fieldsOf(schema: unknown): FormField[] | null {
  return isSchema(schema) && schema.type === 'object' ? membersOf(schema, []) : null
}

function membersOf({ properties = {} }: Schema, path: readonly string[]): FormField[] | null {
  if (typeof properties !== 'object' || properties === null) return null
  const members = Object.entries(properties).filter(([, part]) => path.length > 0 || !isList(part))
  const fields = members.map(([key, part]) => fieldOf(part, [...path, key] as unknown as Named['path']))
  return fields.every((field) => field !== null) ? fields : null
}

function fieldOf(schema: unknown, path: Named['path']): FormField | null {
  if (!isSchema(schema)) return null
  const { type, description, enum: choices } = schema
  const named = { path, description: typeof description === 'string' ? description : undefined }
  if (type === 'object') {
    const fields = membersOf(schema, path)
    return fields && { kind: 'group', ...named, fields }
  }
  const bound = (value: unknown) => (typeof value === 'number' ? value : undefined)
  const value = {
    ...named, choices: [], fallback: 'default' in schema ? textOf(jsonOf(schema.default)) : undefined,
    minimum: bound(schema.minimum), maximum: bound(schema.maximum),
  }
  if (Array.isArray(choices)) return { ...value, kind: 'choice', choices: choices.map(jsonOf) }
  if (type === 'boolean') return { ...value, kind: 'choice', choices: [true, false] }
  return type === 'string' || type === 'integer' || type === 'number' ? { ...value, kind: type } : null
}

/** Whether a member is a list. One of the config itself has no field: people edit it as JSON, and the form says that it is there. */
function isList(schema: unknown): boolean {
  return typeof schema === 'object' && schema !== null && 'type' in schema && schema.type === 'array'
}

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).every((keyword) => keywords.has(keyword))
}

/** A part of a schema, which came as JSON. */
function jsonOf(value: unknown): Json {
  const parsed = parse(JSON.stringify(value))
  return 'value' in parsed ? parsed.value : null
}

/** A value as its field shows it. What is no text is written as JSON; no value is an empty text. */
export function textOf(value: Json | undefined): string {
  if (value === undefined) return ''
  return typeof value === 'string' ? value : write(value)
}

/** Whether a field can show a value: others are left to the JSON. */
export function takes(field: FormField, value: Json | undefined): boolean {
  if (value === undefined) return true
  switch (field.kind) {
    case 'group': return isObject(value)
    case 'string': return typeof value === 'string'
    case 'choice': return !isObject(value) && !Array.isArray(value)
    case 'integer': case 'number': return isNumber(value)
  }
}

/** The value that somebody typed; undefined for none, or a sentence that says what is wrong. */
export function valueOf(field: ValueField, text: string): { value: Json | undefined } | { problem: string } {
  if (text === '') return { value: undefined }
  if (field.kind === 'string') return { value: text }
  if (field.kind === 'choice') {
    const value = field.choices.find((choice) => textOf(choice) === text)
    return value === undefined ? { problem: 'Choose one of the values' } : { value }
  }
  const parsed = parse(text)
  if (!('value' in parsed) || !isNumber(parsed.value) || !Number.isFinite(sizeOf(parsed.value))) return { problem: 'Type a number, such as 12' }
  const size = sizeOf(parsed.value)
  if (field.kind === 'integer' && !/^-?\d+$/.test(parsed.value.number)) return { problem: 'Type a whole number' }
  if (field.minimum !== undefined && size < field.minimum) return { problem: `Type ${field.minimum} or more` }
  if (field.maximum !== undefined && size > field.maximum) return { problem: `Type ${field.maximum} or less` }
  return { value: parsed.value }
}

function sizeOf({ number }: JsonNumber): number {
  return Number(number)
}

/** The paths of what a form has no field for, and of values that its fields cannot show. */
export function othersOf(fields: readonly FormField[], object: Json | undefined, path: readonly string[] = []): string[][] {
  if (!isObject(object)) return []
  return [...object].flatMap(([key, value]): string[][] => {
    const field = fields.find((each) => each.path.at(-1) === key)
    const here = [...path, key]
    if (!field || !takes(field, value)) return [here]
    return field.kind === 'group' ? othersOf(field.fields, value, here) : []
  })
}
