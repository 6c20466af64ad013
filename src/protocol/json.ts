/**
 * Reads values of unknown JSON without failing: what is not of the wanted kind is absent.
 */
import * as Result from "effect/Result"

export type JsonRecord = Readonly<Record<string, unknown>>

export const isObject = (value: unknown): value is JsonRecord =>
  typeof value === "object" && value !== null && !Array.isArray(value)

export const object = (value: unknown): JsonRecord => isObject(value) ? value : {}

export const array = (value: unknown): ReadonlyArray<unknown> => Array.isArray(value) ? value : []

/** A text that is not empty: wires write an empty string where they mean none. */
export const string = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined

/** A number that is finite: JSON can write others, such as 1e999, but they do not survive it. */
export const number = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isFinite(value) ? value : undefined

export const integer = (value: unknown): number | undefined => Number.isSafeInteger(value) ? value as number : undefined

/** Merges `over` into `base` deeply: objects are merged, everything else is replaced. */
export const merge = (base: JsonRecord, over: JsonRecord): JsonRecord => {
  const merged: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key]
    // Not by assignment: a key `__proto__` from JSON is a key like any other.
    Object.defineProperty(merged, key, {
      value: isObject(below) && isObject(value) ? merge(below, value) : value,
      enumerable: true,
      configurable: true,
      writable: true
    })
  }
  return merged
}

/** The value of a JSON text; undefined when the text is not JSON. */
export const parseJson = (text: string): unknown => Result.getOrUndefined(Result.try(() => JSON.parse(text) as unknown))
