/**
 * Splits a streamed answer: into parts, texts into deltas, and the body into chunks as on a network.
 */
import { type CompletionPart, fromResponse } from "../../CompletionPart.ts"
import { isObject, type JsonRecord, parseJson } from "../../wire/json.ts"
import type { Outgoing, StreamEncoder } from "../../wire/Wire.ts"

/** The lengths of the deltas, in code points. */
const lengths = [3, 8, 5]

/** A text in deltas of a few letters each; none for an empty text. */
export const pieces = (text: string): ReadonlyArray<string> => {
  const letters = Array.from(text)
  const all: Array<string> = []
  let at = 0
  while (at < letters.length) {
    const end = at + (lengths[all.length % lengths.length] ?? 1)
    all.push(letters.slice(at, end).join(""))
    at = end
  }
  return all
}

const split = (part: CompletionPart): ReadonlyArray<CompletionPart> => {
  switch (part._tag) {
    case "TextDelta":
    case "ReasoningDelta":
      return pieces(part.text).map((text) => ({ ...part, text }))
    case "ToolCallDelta":
      return pieces(part.arguments).map((text) => ({ ...part, arguments: text }))
    default:
      return [part]
  }
}

/** The parts of a streamed answer: the start, small deltas, and the end. */
export const eventsOf = ({ cutCall, response }: Outgoing, encoder: StreamEncoder): Array<string> => {
  const whole = fromResponse(response)
  const index = response.choice.length
  const cut: ReadonlyArray<CompletionPart> = cutCall === undefined ? [] : [
    { _tag: "ToolCallStart", index, id: cutCall.id, name: cutCall.name },
    ...cutCall.arguments === "" ? [] : [{ _tag: "ToolCallDelta", index, arguments: cutCall.arguments } as const]
  ]
  return [...whole.slice(0, -1), ...cut, ...whole.slice(-1)].flatMap(split).flatMap(encoder.part)
}

/** A server-sent event with JSON data. */
export const dataEvent = (data: unknown, newline = "\n"): string => `data: ${JSON.stringify(data)}${newline}${newline}`

/** The event with changed data. An event without a JSON object is unchanged. */
export const withData = (event: string, change: (data: JsonRecord) => JsonRecord): string =>
  event.split("\n").map((line) => {
    const data = line.startsWith("data: {") ? parseJson(line.slice("data: ".length)) : undefined
    return isObject(data) ? `data: ${JSON.stringify(change(data))}${line.endsWith("\r") ? "\r" : ""}` : line
  }).join("\n")

/** The lengths of the chunks in bytes, before cuts are moved. */
const sizes = [1, 2, 61, 5, 3, 251, 7]

/** How far a cut is moved at most. */
const reach = 64

/** Whether a cut before this byte splits a character or a line end. */
const parts = (bytes: Uint8Array, at: number): boolean =>
  ((bytes[at] ?? 0) & 0xc0) === 0x80 || (bytes[at] === 0x0a && bytes[at - 1] === 0x0d)

const cutAfter = (bytes: Uint8Array, at: number): number => {
  for (let odd = at; odd < at + reach; odd++) if (parts(bytes, odd)) return odd
  return at
}

/**
 * A body in chunks that end at inconvenient places: within characters and line ends, if there are any. With a `size`,
 * all chunks have that length.
 */
export const chunks = (text: string, size?: number): ReadonlyArray<Uint8Array> => {
  const bytes = new TextEncoder().encode(text)
  const all: Array<Uint8Array> = []
  let at = 0
  while (at < bytes.length) {
    const end = size === undefined ? cutAfter(bytes, at + (sizes[all.length % sizes.length] ?? 1)) : at + size
    all.push(bytes.subarray(at, end))
    at = end
  }
  return all
}
