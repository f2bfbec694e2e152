// Two who changed one value, each not knowing of the other.
import { isObject, isSame, type Json } from './json.ts'

/** A place that is not the same in two values; undefined is no value. */
export interface Difference {
  path: readonly string[]
  mine: Json | undefined
  theirs: Json | undefined
}

export type Side = 'mine' | 'theirs'

/**
 * Does to a value what two changes of it did: objects are merged key by key, however deep, anything else is one value. Where both set
 * other values, or one removed what the other changed, they differ, and the preferred side counts.
 */
export function merge(
  base: Json | undefined, mine: Json | undefined, theirs: Json | undefined, preferred: Side,
): { merged: Json | undefined; differences: Difference[] } {
  const differences: Difference[] = []
  const mergeAt = (path: readonly string[], before: Json | undefined, one: Json | undefined, other: Json | undefined): Json | undefined => {
    if (isSame(one, before) || isSame(one, other)) return other
    if (isSame(other, before)) return one
    if (isObject(one) && isObject(other) && (before === undefined || isObject(before))) {
      const keys = new Set([...other.keys(), ...one.keys()])
      const members = [...keys].map((key) => [key, mergeAt([...path, key], before?.get(key), one.get(key), other.get(key))] as const)
      return new Map(members.filter((member): member is [string, Json] => member[1] !== undefined))
    }
    differences.push({ path, mine: one, theirs: other })
    return preferred === 'mine' ? one : other
  }
  const merged = mergeAt([], base, mine, theirs)
  return { merged, differences }
}

/** Where a value is another than it was: theirs is what it is, mine what it was. */
export function differencesOf(before: Json, after: Json, path: readonly string[] = []): Difference[] {
  if (isSame(before, after)) return []
  if (!isObject(before) || !isObject(after)) return [{ path, mine: before, theirs: after }]
  return [...new Set([...after.keys(), ...before.keys()])].flatMap((key): Difference[] => {
    const [one, other] = [before.get(key), after.get(key)]
    if (one !== undefined && other !== undefined) return differencesOf(one, other, [...path, key])
    return one === other ? [] : [{ path: [...path, key], mine: one, theirs: other }]
  })
}
