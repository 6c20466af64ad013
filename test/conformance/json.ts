/**
 * Reads and compares JSON of recordings, without anything of the code under test.
 */
import type { Json } from "./corpus.ts"

export const isRecord = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value)

export const record = (value: unknown): Json => isRecord(value) ? value : {}

export const list = (value: unknown): ReadonlyArray<unknown> => Array.isArray(value) ? value : []

export const records = (value: unknown): ReadonlyArray<Json> => list(value).filter(isRecord)

export const at = (value: unknown, ...path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>((inner, key) => record(inner)[key], value)

export const text = (value: unknown): string => typeof value === "string" ? value : ""

export const count = (value: unknown): number => typeof value === "number" ? value : 0

/** An object without the keys whose values are null, undefined or dropped. */
export const compact = (value: Json, ...dropped: ReadonlyArray<string>): Json =>
  Object.fromEntries(
    Object.entries(value).filter(([key, item]) => item !== null && item !== undefined && !dropped.includes(key))
  )

/** What arguments of a tool call say: servers write them as a text of JSON, or as the value. */
export const parsed = (value: unknown): { readonly value: unknown } | undefined => {
  if (typeof value !== "string") return { value: value ?? {} }
  if (value.trim() === "") return { value: {} }
  try {
    return { value: JSON.parse(value) as unknown }
  } catch {
    return undefined
  }
}

const shown = (value: unknown): string => {
  const shown = JSON.stringify(value) ?? "nothing"
  return shown.length > 160 ? `${shown.slice(0, 160)}…` : shown
}

/** Where two values differ; the order of keys does not count, and undefined is absent. */
export const differences = (expected: unknown, actual: unknown, path = ""): ReadonlyArray<string> => {
  if (Object.is(expected, actual)) return []
  if (Array.isArray(expected) && Array.isArray(actual)) {
    return Array.from({ length: Math.max(expected.length, actual.length) }, (_, index) => index).flatMap((index) =>
      differences(expected[index], actual[index], `${path}[${index}]`)
    )
  }
  if (isRecord(expected) && isRecord(actual)) {
    return [...new Set([...Object.keys(expected), ...Object.keys(actual)])].flatMap((key) =>
      differences(expected[key], actual[key], `${path}.${key}`)
    )
  }
  return [`${path}: recorded ${shown(expected)}, ours ${shown(actual)}`]
}
