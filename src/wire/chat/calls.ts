/**
 * Assembles the tool calls of a stream from their fragments. Servers number calls from 0, number them all 0, or do not
 * number them; send an id once, with every fragment, or never; and some repeat names. When a call remains uncertain, it
 * must not run: `doubt` says why.
 */
import { isObject, type JsonRecord, number, object, string } from "../json.ts"
import { signatureOf } from "./response.ts"

/**
 * Whether the text so far is a complete JSON object. It is scanned character by character, so that a long text is read
 * only once.
 */
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

/** A call so far. */
export interface Call {
  /** The position among the calls of the answer, from which a missing id is made. */
  readonly position: number
  /** The server's index of the call. */
  readonly slot: number | undefined
  id: string | undefined
  name: string
  arguments: string
  signature: string | undefined
  readonly scan: Scan
  /** The earlier call with the same index. */
  readonly before: Call | undefined
  /** The call is complete, and its `ContentEnd` was emitted. */
  ended: boolean
}

/** Whether the arguments have begun but are not complete JSON yet. */
export const isOpen = (call: Call): boolean => call.scan.state === "open"

/** What a fragment adds to a call. */
export interface Added {
  readonly call: Call
  readonly isNew: boolean
  /** The piece of the arguments in this fragment. */
  readonly piece: string
}

// Servers send arguments as pieces of a text, as a complete value, or as null when there are none.
const argumentsText = (value: unknown): string =>
  typeof value === "string" ? value : value === undefined || value === null ? "" : JSON.stringify(value)

/** An index as a number or, from some servers, as digits. */
export const indexOf = (index: unknown): number | undefined =>
  number(index) ?? (typeof index === "string" && /^\d{1,9}$/.test(index) ? Number(index) : undefined)

// A literal null stands for no arguments, or for arguments that follow later. Longer texts are not trimmed, which would
// be slow.
const isNull = (call: Call): boolean => call.arguments.length < 16 && call.arguments.trim() === "null"

/** Whether a call has no arguments so far. */
export const isEmpty = (call: Call): boolean => call.scan.state === "blank" || isNull(call)

/** Whether the arguments are a complete JSON object. */
export const isWhole = (call: Call): boolean => call.scan.state === "whole"

const isText = (piece: string): boolean => piece.trim() !== ""

// Whether a fragment with the index of an existing call begins a new call: a call has one name, and its arguments end.
const begins = (call: Call, id: string | undefined, name: string | undefined, piece: string): boolean => {
  if (name === undefined || call.name === "") return false
  if (name !== call.name) return true
  // The same call, whose id comes only now.
  if (id !== undefined && call.id === undefined && isEmpty(call)) return false
  const whole = isWhole(call)
  // Some servers repeat the name with every fragment, and the complete call at the end.
  if (id === undefined || call.id === undefined) return whole && isText(piece) && piece !== call.arguments
  // Some servers send a new id with every fragment of one call.
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

  // The call of a fragment: by id if a call with this index has it, otherwise by index.
  const find = (slot: number | undefined, id: string | undefined): Call | undefined => {
    const byId = id === undefined ? undefined : ids.get(id)
    return byId !== undefined && (slot === undefined || byId.slot === slot)
      ? byId
      : slot === undefined
      ? last
      : slots.get(slot)
  }

  return {
    calls: calls as ReadonlyArray<Call>,

    /** Adds a fragment; undefined when it changes nothing. */
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
      // The complete call was repeated.
      if (!isNew && name !== undefined && isWhole(call) && piece === call.arguments) return undefined
      if (isText(piece)) {
        if (call.ended) doubtful(call)
        // Without id and name, this fragment may belong to the earlier call that has no arguments yet.
        if (!isNew && call.before !== undefined && isEmpty(call.before) && id !== call.id) doubtful(call)
      }
      if (isNull(call) && isText(piece)) {
        call.arguments = piece
        call.scan.state = "blank"
      } else call.arguments += piece
      scanText(call.scan, piece)
      return { call, isNew, piece }
    },

    /** Whether all fragments so far could be assigned with certainty. */
    certain: (): boolean => doubt === undefined,

    /** Why the calls are uncertain, once the answer is complete. */
    doubt: (): string | undefined => {
      for (const call of calls) {
        // These may be fragments of one call, or one of the calls lacks its arguments.
        if (call.before?.name === call.name && (isEmpty(call) || isEmpty(call.before))) doubtful(call)
        // Arguments without a name belong to another call, which lacks them.
        if (call.name === "" && !isEmpty(call) && call.arguments !== "{}") {
          doubt ??= "the stream contains arguments of a call without a name"
        }
      }
      return doubt
    }
  }
}

export type Calls = ReturnType<typeof make>

/** The fragments of calls in a delta, including the legacy `function_call`. */
export const fragmentsOf = (delta: JsonRecord): ReadonlyArray<JsonRecord> => {
  const fragments = Array.isArray(delta["tool_calls"]) ? delta["tool_calls"].filter(isObject) : []
  const legacy = delta["function_call"]
  return isObject(legacy) ? [...fragments, { index: 0, function: legacy }] : fragments
}
