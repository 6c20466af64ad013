/**
 * Limits how much of a response is read, so that an endless response cannot fill the memory.
 */
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import type { HttpClientError } from "effect/http/HttpClientError"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Stream from "effect/Stream"
import type { Signal } from "../wire/failure.ts"

export interface Limits {
  /** Bytes of a whole body after decompression, streamed or not. */
  readonly body: number
  /** Characters of one event of a stream. */
  readonly event: number
}

/** How many bytes of a failure's body are read. */
export const failureLimit = 1 << 20

const subjects = { body: "the body", event: "an event of the stream" } as const

/** The failure of a response that is larger than its limit; `text` is the part that was read. */
export const exceeded = (limits: Limits, name: keyof Limits, text = ""): Signal => ({
  _tag: "Malformed",
  text,
  description: `${subjects[name]} is larger than limits.${name}, ${ByteSize.format(ByteSize.bytes(limits[name]))}`,
  final: true
})

// A parsed value takes up to forty times the memory of its text.
const mostValues = 1_000_000

/** The failure of a JSON text with too many values, which is not parsed. */
export const tooManyValues: Signal = {
  _tag: "Malformed",
  text: "",
  description: `the answer holds more than ${mostValues.toLocaleString("en")} JSON values`,
  final: true
}

/** Whether a JSON text holds too many values. It counts the characters that begin or separate them. */
export const hasTooManyValues = (text: string): boolean => {
  // A value and its separator have at least two characters.
  if (text.length < 2 * mostValues) return false
  let values = 0
  let quoted = false
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (quoted) {
      if (code === 0x5c) index++
      else if (code === 0x22) quoted = false
    } else if (code === 0x22) quoted = true
    else if (code === 0x2c || code === 0x5b || code === 0x7b) {
      if (++values > mostValues) return true
    }
  }
  return false
}

// Smaller pieces are joined before they are decoded: a string of a few bytes takes many times its length in memory.
const pieceSize = 1 << 12

/** Decodes text from byte pieces of any size, in little more memory than the text takes. */
export const textReader = (): { readonly add: (piece: Uint8Array) => void; readonly end: () => string } => {
  const utf8 = new TextDecoder()
  let text = ""
  let small: Uint8Array | undefined
  let filled = 0
  const flush = () => {
    if (small === undefined || filled === 0) return
    text += utf8.decode(small.subarray(0, filled), { stream: true })
    filled = 0
  }
  return {
    add: (piece) => {
      if (filled + piece.byteLength > pieceSize) flush()
      if (piece.byteLength > pieceSize) text += utf8.decode(piece, { stream: true })
      else {
        small ??= new Uint8Array(pieceSize)
        small.set(piece, filled)
        filled += piece.byteLength
      }
    },
    end: () => {
      flush()
      return text + utf8.decode()
    }
  }
}

/** The text of a body, and whether it is complete. Bytes beyond the limit are not read, and the connection closes. */
export const readText = (
  response: HttpClientResponse,
  limit: number
): Effect.Effect<{ readonly text: string; readonly whole: boolean }, HttpClientError> =>
  Effect.suspend(() => {
    // HTTP enforces an announced length, and reading all at once takes a third of the time. Compressed bodies may grow.
    const announced = Number(response.headers["content-length"])
    if (announced <= limit && response.headers["content-encoding"] === undefined) {
      return Effect.map(response.text, (text) => ({ text, whole: true }))
    }
    const reader = textReader()
    let size = 0
    const take = (chunk: Uint8Array): boolean => {
      size += chunk.byteLength
      if (size > limit) return false
      reader.add(chunk)
      return true
    }
    return Stream.runForEachWhile(response.stream, (chunk) => Effect.sync(() => take(chunk))).pipe(
      Effect.catchIf(({ reason }) => reason._tag === "EmptyBodyError", () => Effect.void),
      Effect.map(() => ({ text: reader.end(), whole: size <= limit }))
    )
  })
