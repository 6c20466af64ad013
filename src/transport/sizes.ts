/**
 * How much of what a provider sends is taken in: nothing else bounds the memory of a caller whose peer sends without end.
 */
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import type { HttpClientError } from "effect/http/HttpClientError"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Stream from "effect/Stream"
import type { Signal } from "../wire/failure.ts"

export interface Limits {
  /** Bytes of a whole body, streamed or not, once it is decompressed. */
  readonly body: number
  /** Characters of one event of a stream. */
  readonly event: number
}

/** As much of the body of a failure is read, in bytes: its status says more than what stands behind that. */
export const failureLimit = 1 << 20

const what = { body: "the body", event: "an event of the stream" } as const

/** What is larger than its limit is no answer; `text` is what there was of it. */
export const exceeded = (limits: Limits, name: keyof Limits, text = ""): Signal => ({
  _tag: "Malformed",
  text,
  description: `${what[name]} is larger than limits.${name}, ${ByteSize.format(ByteSize.bytes(limits[name]))}`,
  final: true
})

// A parsed value takes up to forty times the memory of its text.
const mostValues = 1_000_000

/** Why a JSON text is not parsed: it holds more values than the memory of a caller should. */
export const tooManyValues: Signal = {
  _tag: "Malformed",
  text: "",
  description: `the answer holds more than ${mostValues.toLocaleString("en")} JSON values`,
  final: true
}

/** Whether a JSON text holds more values than are taken in; counted by the marks that begin or separate them. */
export const hasTooManyValues = (text: string): boolean => {
  // A value and what separates it from the next have two characters at least.
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

// Smaller pieces are put together before they become text: strings of a few bytes each take many times what they hold.
const together = 1 << 12

/** Reads text from bytes that come in pieces of any size; takes no more memory than the text, and a little. */
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
      if (filled + piece.byteLength > together) flush()
      if (piece.byteLength > together) text += utf8.decode(piece, { stream: true })
      else {
        small ??= new Uint8Array(together)
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

/** The text of a body, and whether that is all of it: what is beyond the limit is not read, and the connection closes. */
export const readText = (
  response: HttpClientResponse,
  limit: number
): Effect.Effect<{ readonly text: string; readonly whole: boolean }, HttpClientError> =>
  Effect.suspend(() => {
    // A length that was announced is kept by HTTP, and reading all at once costs a third; what is compressed grows.
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
