/**
 * The tool calls of a stream, put together from their fragments.
 *
 * Servers number calls from 0, number them all 0, or not at all; give an id once, with every fragment, or never; repeat
 * names, or do not. What remains uncertain is never a call: `doubt` says why.
 */
import { isObject, type JsonRecord, number, object, string } from "../json.ts"
import { signatureOf } from "./response.ts"

/** Whether the text so far is one whole JSON object, told letter by letter, so that a long text is read once. */
interface Scan {
  depth: number
  inText: boolean
  escaped: boolean
  state: "blank" | "open" | "whole" | "other"
}

const blank = /\s/

const scanText = (scan: Scan, text: string): void => {
  for (const letter of text) {
    if (scan.inText) {
      if (scan.escaped) scan.escaped = false
      else if (letter === "\\") scan.escaped = true
      else if (letter === '"') scan.inText = false
    } else if (scan.state === "open") {
      if (letter === '"') scan.inText = true
      else if (letter === "{" || letter === "[") scan.depth++
      else if ((letter === "}" || letter === "]") && --scan.depth === 0) scan.state = "whole"
    } else if (!blank.test(letter)) {
      scan.state = scan.state === "blank" && letter === "{" ? "open" : "other"
      scan.depth = 1
    }
  }
}

/** A call as far as it came. */
export interface Call {
  /** Its place among the answer's calls, from which an id is made where none comes. */
  readonly position: number
  /** The number that the server gave it. */
  readonly slot: number | undefined
  id: string | undefined
  name: string
  arguments: string
  signature: string | undefined
  readonly scan: Scan
  /** The call that stood at this place before it. */
  readonly before: Call | undefined
  /** Nothing can be added any more. */
  ended: boolean
}

/** Whether a call's arguments have begun, and not ended: they are not JSON. */
export const isOpen = (call: Call): boolean => call.scan.state === "open"

/** What a fragment adds to a call. */
export interface Added {
  readonly call: Call
  readonly isNew: boolean
  /** The piece of its arguments. */
  readonly piece: string
}

// Servers write arguments as pieces of a text, as the whole value, or as null for none.
const argumentsText = (value: unknown): string =>
  typeof value === "string" ? value : value === undefined || value === null ? "" : JSON.stringify(value)

/** An index; some servers write its digits. */
export const indexOf = (index: unknown): number | undefined =>
  number(index) ?? (typeof index === "string" && /^\d{1,9}$/.test(index) ? Number(index) : undefined)

// A literal null stands for no arguments, or for some that are still to come. Long texts are not looked at.
const isNull = (call: Call): boolean => call.arguments.length < 16 && call.arguments.trim() === "null"

/** Whether nothing of a call's arguments came. */
export const isEmpty = (call: Call): boolean => call.scan.state === "blank" || isNull(call)

/** Whether all of a call's arguments came, as far as their text tells. */
export const isWhole = (call: Call): boolean => call.scan.state === "whole"

const isText = (piece: string): boolean => piece.trim() !== ""

// Whether a fragment that comes to the place of a call begins another one: a call has one name, and arguments end.
const begins = (call: Call, id: string | undefined, name: string | undefined, piece: string): boolean => {
  if (name === undefined || call.name === "") return false
  if (name !== call.name) return true
  // What came without an id has it now.
  if (id !== undefined && call.id === undefined && isEmpty(call)) return false
  const whole = isWhole(call)
  // Some servers repeat the name with every fragment, and the whole call at its end.
  if (id === undefined || call.id === undefined) return whole && isText(piece) && piece !== call.arguments
  // Others give every fragment of one call a new id.
  return id !== call.id && (whole || !isText(piece))
}

export const make = () => {
  const calls: Array<Call> = []
  const slots = new Map<number, Call>()
  const ids = new Map<string, Call>()
  let last: Call | undefined
  let doubt: string | undefined

  const doubtful = (call: Call): void => {
    doubt ??= `it is not certain which arguments belong to the call of ${call.name}`
  }

  const open = (
    slot: number | undefined,
    id: string | undefined,
    name: string | undefined,
    before: Call | undefined
  ) => {
    const call: Call = {
      position: calls.length,
      slot,
      id,
      name: name ?? "",
      arguments: "",
      signature: undefined,
      scan: { depth: 0, inText: false, escaped: false, state: "blank" },
      before,
      ended: false
    }
    calls.push(call)
    if (slot !== undefined) slots.set(slot, call)
    if (id !== undefined && !ids.has(id)) ids.set(id, call)
    return call
  }

  // The call that a fragment belongs to: by its id where that is known at this place, else by its place.
  const find = (slot: number | undefined, id: string | undefined): Call | undefined => {
    const known = id === undefined ? undefined : ids.get(id)
    return known !== undefined && (slot === undefined || known.slot === slot)
      ? known
      : slot === undefined
      ? last
      : slots.get(slot)
  }

  return {
    calls: calls as ReadonlyArray<Call>,

    /** Takes in a fragment; undefined when it adds nothing. */
    add: (fragment: JsonRecord): Added | undefined => {
      const made = object(fragment["function"])
      const slot = indexOf(fragment["index"])
      const id = string(fragment["id"])
      const name = string(made["name"])
      const piece = argumentsText(made["arguments"])
      if (id === undefined && name === undefined && piece === "") return undefined
      const found = find(slot, id)
      const isNew = found === undefined || begins(found, id, name, piece)
      const call = isNew ? open(slot, id, name, found) : found
      last = call
      if (call.name === "" && name !== undefined) call.name = name
      if (call.id === undefined && id !== undefined) call.id = id
      call.signature ??= signatureOf(fragment)
      // The whole call once more.
      if (!isNew && name !== undefined && isWhole(call) && piece === call.arguments) return undefined
      if (isText(piece)) {
        if (call.ended) doubtful(call)
        // A fragment that names neither could have been meant for the call that has no arguments yet.
        if (!isNew && call.before !== undefined && isEmpty(call.before) && id !== call.id) doubtful(call)
      }
      if (isNull(call) && isText(piece)) {
        call.arguments = piece
        call.scan.state = "blank"
      } else call.arguments += piece
      scanText(call.scan, piece)
      return { call, isNew, piece }
    },

    /** Whether every fragment so far belongs to one call for sure. */
    certain: (): boolean => doubt === undefined,

    /** Why it is not certain what was called, once the answer is complete. */
    doubt: (): string | undefined => {
      for (const call of calls) {
        // Fragments of one call, or calls of which one has no arguments.
        if (call.before?.name === call.name && (isEmpty(call) || isEmpty(call.before))) doubtful(call)
        // Arguments of a call that nobody named are missing elsewhere.
        if (call.name === "" && !isEmpty(call) && call.arguments !== "{}") {
          doubt ??= "the stream holds arguments of a call that has no name"
        }
      }
      return doubt
    }
  }
}

export type Calls = ReturnType<typeof make>

/** The fragments of calls in a delta, the older form of a single one included. */
export const fragmentsOf = (delta: JsonRecord): ReadonlyArray<JsonRecord> => {
  const fragments = Array.isArray(delta["tool_calls"]) ? delta["tool_calls"].filter(isObject) : []
  const legacy = delta["function_call"]
  return isObject(legacy) ? [...fragments, { index: 0, function: legacy }] : fragments
}
