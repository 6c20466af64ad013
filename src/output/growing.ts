/**
 * Parses a JSON text that is still being written.
 */
import { JSONParser } from "@streamparser/json"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import { isObject, put } from "../wire/json.ts"

// Skips what comes before the JSON: a code fence, or prose.
const skipping = (begin: (bracket: string) => JSONParser) => {
  let parser: JSONParser | undefined
  let dead = false
  return (text: string): void => {
    const start = parser === undefined ? text.search(/[{[]/) : 0
    if (dead || start < 0) return
    parser ??= begin(text[start]!)
    // After the value, or if the text is not JSON, nothing more is read: errors are found in the whole answer.
    dead = Result.isFailure(Result.try(() => parser!.write(text.slice(start))))
  }
}

type Container = Array<unknown> | Record<string, unknown>

/** An incomplete text and its place in the value. */
interface Tip {
  readonly parent: unknown
  readonly key: string | number
  readonly text: string
}

const copy = (value: unknown, tip: Tip | undefined): unknown => {
  if (typeof value !== "object" || value === null) return value
  const into: Container = Array.isArray(value) ? [] : {}
  const set = (key: string | number, item: unknown) =>
    Array.isArray(into) ? into.push(item) : put(into, String(key), item)
  for (const [key, item] of Object.entries(value)) set(key, copy(item, tip))
  if (tip?.parent === value) set(tip.key, tip.text)
  return into
}

// A cut escape: the parser emits an incomplete text at the end of a piece, unless the piece ends inside an escape.
const cutEscape = /(?<!\\)(?:\\\\)*(\\(?:u[0-9a-fA-F]{0,3})?)$/

/** Parses pieces of a JSON text. */
export interface Growing {
  readonly feed: (piece: string) => void
  /**
   * A copy of the value so far; undefined if there is none, or if it is too early for one. A copy costs time
   * proportional to the text, so one is made only when the text has grown by a fraction of its length: all copies
   * together stay proportional to it.
   */
  readonly take: () => Schema.Json | undefined
}

/**
 * Texts grow, and lists and objects fill up. A number, a literal or a key appears when it is complete, so nothing that
 * was shown is removed. `wrapped`: the value is in the field `value`.
 */
export const make = (wrapped: boolean): Growing => {
  let root: unknown
  let tip: Tip | undefined
  let pieces = ""
  let length = 0
  let due = 0
  const write = skipping(() => {
    const parser = new JSONParser({ emitPartialTokens: true, emitPartialValues: true })
    parser.onValue = ({ key, parent, partial, stack, value }) => {
      root = stack.length === 0 ? value : stack.length === 1 ? parent : stack[1]!.value
      tip = partial === true && typeof value === "string" && key !== undefined
        ? { parent, key, text: value }
        : undefined
    }
    return parser
  })
  return {
    feed: (piece) => {
      pieces += piece
      length += piece.length
    },
    take: () => {
      if (pieces === "" || length < due) return undefined
      due = length + (length >> 6)
      const cut = pieces.length - (cutEscape.exec(pieces)?.[1]?.length ?? 0)
      write(pieces.slice(0, cut))
      pieces = pieces.slice(cut)
      // A value that is nested too deeply to be copied is only shown at the end.
      const copied = Result.getOrUndefined(Result.try(() => copy(root, tip)))
      const value = !wrapped || Array.isArray(copied) ? copied : isObject(copied) ? copied["value"] : undefined
      return value as Schema.Json | undefined
    }
  }
}

/** Parses pieces of the JSON text of a list, with or without the object around it. */
export interface Elements {
  /** The elements that this piece completed. */
  readonly feed: (piece: string) => ReadonlyArray<unknown>
  /** Whether the list has ended. */
  readonly whole: () => boolean
}

export const elements = (): Elements => {
  let found: Array<unknown> = []
  let whole = false
  const write = skipping((bracket) => {
    const depth = bracket === "[" ? 0 : 1
    const list = depth === 0 ? "$" : "$.value"
    const parser = new JSONParser({ paths: [list, `${list}.*`] })
    parser.onValue = ({ key, stack, value }) => {
      if (stack.length === depth) whole = Array.isArray(value)
      else if (typeof key === "number") found.push(value)
    }
    return parser
  })
  return {
    feed: (piece) => {
      found = []
      write(piece)
      return found
    },
    whole: () => whole
  }
}
