/**
 * Collects the fields of a stream without a counterpart in the vocabulary: log probabilities, annotations, other
 * choices.
 */
import { isObject, type JsonRecord, object, put, string } from "../json.ts"
import { indexOf } from "./calls.ts"

// Deeper values are replaced, not merged.
const deepest = 8

/** Adds the fields of a piece: lists grow, objects are merged, everything else is replaced. */
export const gather = (whole: Record<string, unknown>, piece: JsonRecord, depth = 0): void => {
  for (const key in piece) {
    const value = piece[key]
    // `__proto__` is an ordinary key in JSON; it must not reach the prototype.
    const before = Object.hasOwn(whole, key) ? whole[key] : undefined
    if (value === undefined || value === null) continue
    if (Array.isArray(before) && Array.isArray(value)) { for (const item of value) before.push(item) }
    else if (isObject(before) && isObject(value) && depth < deepest) {
      gather(before as Record<string, unknown>, value, depth + 1)
    } else put(whole, key, Array.isArray(value) ? [...value] : isObject(value) ? { ...value } : value)
  }
}

// Fields whose text is streamed in pieces.
const inPieces: ReadonlySet<string> = new Set([
  "content",
  "reasoning",
  "reasoning_content",
  "refusal",
  "arguments",
  "text",
  "data"
])

// Adds a delta of a message. An item of a numbered list continues the last one, if it has the same number.
const extend = (whole: Record<string, unknown>, piece: JsonRecord, depth = 0): void => {
  for (const key in piece) {
    const value = piece[key]
    // `__proto__` is an ordinary key in JSON; it must not reach the prototype.
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

/** The choices after the first, as the call without streaming returns them. */
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
