/**
 * The value of a JSON text that is still being written.
 */
import { JSONParser } from "@streamparser/json"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import { isObject, put } from "../wire/json.ts"

// What stands before the JSON is skipped: a fence, or words about it.
const skipping = (begin: (bracket: string) => JSONParser) => {
  let parser: JSONParser | undefined
  let dead = false
  return (text: string): void => {
    const start = parser === undefined ? text.search(/[{[]/) : 0
    if (dead || start < 0) return
    parser ??= begin(text[start]!)
    // Behind the value, or where the text is not JSON, nothing more is read: the whole answer says what is wrong.
    dead = Result.isFailure(Result.try(() => parser!.write(text.slice(start))))
  }
}

type Container = Array<unknown> | Record<string, unknown>

/** A text that is not whole yet, and where it stands. */
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

// An escape that is cut: the parser shows a text at the end of a piece, unless it ends within one.
const cutEscape = /(?<!\\)(?:\\\\)*(\\(?:u[0-9a-fA-F]{0,3})?)$/

/** Takes in pieces of a JSON text. */
export interface Growing {
  readonly feed: (piece: string) => void
  /**
   * The value so far, as a copy of its own, or undefined where there is none, or where it is not time for it: a copy
   * costs what the text is long, so one is made when the text has grown by a part of itself, which keeps all of them
   * together in proportion to its length.
   */
  readonly take: () => Schema.Json | undefined
}

/**
 * Texts grow, lists and objects fill up; a number, a literal or a key appears when it is whole: what was shown is never
 * taken back. `wrapped`: the value stands in the field `value`.
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
      // A value too deep to be copied is shown as a whole, at the end.
      const copied = Result.getOrUndefined(Result.try(() => copy(root, tip)))
      const value = !wrapped || Array.isArray(copied) ? copied : isObject(copied) ? copied["value"] : undefined
      return value as Schema.Json | undefined
    }
  }
}

/** Takes in pieces of the JSON text of a list, which stands in the field `value` or alone. */
export interface Elements {
  /** The elements that this piece made whole. */
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
