/**
 * Reads values of unknown JSON without failing: a value of another type is undefined.
 */
import * as Result from "effect/Result"

export type JsonRecord = Readonly<Record<string, unknown>>

export const isObject = (value: unknown): value is JsonRecord =>
  typeof value === "object" && value !== null && !Array.isArray(value)

export const object = (value: unknown): JsonRecord => isObject(value) ? value : {}

export const array = (value: unknown): ReadonlyArray<unknown> => Array.isArray(value) ? value : []

/** A text that is not empty. Wires write an empty string for an absent one. */
export const string = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined

/** A finite number. JSON can also write 1e999, which would not survive a round trip. */
export const number = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isFinite(value) ? value : undefined

export const integer = (value: unknown): number | undefined => Number.isSafeInteger(value) ? value as number : undefined

// Deeper values may overflow the stack of recursive functions, including JSON.stringify.
const deepest = 512

/** Whether a parsed JSON value can be serialized again: all numbers are finite, and it is not too deep. */
export const survives = (value: unknown, depth = 0): boolean => {
  if (typeof value === "number") return Number.isFinite(value)
  if (typeof value !== "object" || value === null) return true
  return depth < deepest && Object.values(value).every((item) => survives(item, depth + 1))
}

/** Defines a field. Assigning to `__proto__`, which JSON allows as a key, would set the prototype. */
export const put = (record: Record<string, unknown>, key: string, value: unknown): void => {
  if (key !== "__proto__") record[key] = value
  else Object.defineProperty(record, key, { value, enumerable: true, configurable: true, writable: true })
}

/** The fields of these names, in their order, as far as they are there. */
export const pick = (record: JsonRecord, names: ReadonlyArray<string>): JsonRecord =>
  Object.fromEntries(names.flatMap((name) => record[name] === undefined ? [] : [[name, record[name]]]))

/** Deeply merges `over` into `base`: objects are merged, everything else is replaced. */
export const merge = (base: JsonRecord, over: JsonRecord): JsonRecord => {
  const merged: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key]
    put(merged, key, isObject(below) && isObject(value) ? merge(below, value) : value)
  }
  return merged
}

/** The value of a JSON text; undefined when it is not JSON. */
export const parseJson = (text: string): unknown => Result.getOrUndefined(Result.try(() => JSON.parse(text) as unknown))
