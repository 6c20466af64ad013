/**
 * Puts together what a stream says that the vocabulary has no place for: log probabilities, annotations, other choices.
 */
import { isObject, type JsonRecord, object, put, string } from "../json.ts"
import { indexOf } from "./calls.ts"

// What is nested more deeply is taken as it comes.
const deepest = 8

/** Adds the fields of a piece: lists grow, objects are merged, everything else is replaced. */
export const gather = (whole: Record<string, unknown>, piece: JsonRecord, depth = 0): void => {
  for (const key in piece) {
    const value = piece[key]
    // A key `__proto__` is a field like any other, and no way to what all objects share.
    const before = Object.hasOwn(whole, key) ? whole[key] : undefined
    if (value === undefined || value === null) continue
    if (Array.isArray(before) && Array.isArray(value)) { for (const item of value) before.push(item) }
    else if (isObject(before) && isObject(value) && depth < deepest) {
      gather(before as Record<string, unknown>, value, depth + 1)
    } else put(whole, key, Array.isArray(value) ? [...value] : isObject(value) ? { ...value } : value)
  }
}

// The fields whose text comes in pieces.
const inPieces: ReadonlySet<string> = new Set([
  "content",
  "reasoning",
  "reasoning_content",
  "refusal",
  "arguments",
  "text",
  "data"
])

// Adds a delta of a message. A list of numbered items goes on with the last of them, or has another.
const extend = (whole: Record<string, unknown>, piece: JsonRecord, depth = 0): void => {
  for (const key in piece) {
    const value = piece[key]
    // A key `__proto__` is a field like any other, and no way to what all objects share.
    const before = Object.hasOwn(whole, key) ? whole[key] : undefined
    if (value === undefined || value === null) continue
    if (typeof value === "string" && inPieces.has(key)) put(whole, key, `${string(before) ?? ""}${value}`)
    else if (depth >= deepest) put(whole, key, value)
    else if (Array.isArray(value)) {
      const list: Array<unknown> = Array.isArray(before) ? before : []
      for (const item of value) {
        const last = list.at(-1)
        const index = isObject(item) ? indexOf(item["index"]) : undefined
        if (isObject(item) && isObject(last) && index !== undefined && indexOf(last["index"]) === index) {
          extend(last as Record<string, unknown>, item, depth + 1)
        } else list.push(isObject(item) ? { ...item } : item)
      }
      put(whole, key, list)
    } else if (isObject(value)) {
      const inner = isObject(before) ? before as Record<string, unknown> : {}
      extend(inner, value, depth + 1)
      put(whole, key, inner)
    } else put(whole, key, value)
  }
}

/** The choices besides the first, as the call without streaming has them. */
export const gatherChoices = () => {
  const choices = new Map<
    number,
    { readonly message: Record<string, unknown>; readonly rest: Record<string, unknown> }
  >()
  return {
    add: (index: number, choice: JsonRecord): void => {
      const found = choices.get(index) ?? { message: {}, rest: {} }
      choices.set(index, found)
      const { delta, ...rest } = choice
      extend(found.message, object(delta))
      gather(found.rest, rest)
    },
    choices: (): ReadonlyArray<JsonRecord> => [...choices.values()].map(({ message, rest }) => ({ ...rest, message }))
  }
}
