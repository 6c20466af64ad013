/**
 * One stream of one provider, from the bytes of the network to the parts of an answer: a plain state machine, fed with
 * one network chunk after the other.
 */
import * as Sse from "effect/encoding/Sse"
import * as Result from "effect/Result"
import type { CompletionPart } from "../CompletionPart.ts"
import * as Part from "../CompletionPart.ts"
import type { CompletionResponse } from "../CompletionResponse.ts"
import type { Signal } from "../wire/failure.ts"
import { errorIn } from "../wire/failure.ts"
import { isObject, parseJson } from "../wire/json.ts"
import { type Answer, type Protocol, readAnswer } from "../wire/Wire.ts"
import { exceeded, type Limits } from "./sizes.ts"

export interface Session {
  /** Takes in chunks of the body, as the network gives them. */
  readonly feed: (chunks: ReadonlyArray<Uint8Array>) => void
  /** The body is at its end. */
  readonly end: () => void
  /** The network failed, or took too long; what it does after the answer is there is of no interest. */
  readonly fail: (signal: Signal) => void
  /** Gives the parts that came since the last call. */
  readonly take: () => ReadonlyArray<CompletionPart>
  /** Why the stream is none, once the parts before it are taken. */
  readonly failure: () => Signal | undefined
  /** Whether the last part was given. */
  readonly finished: () => boolean
  /** The answer as far as it came. */
  readonly partial: () => CompletionResponse | undefined
}

// A line that only event streams have: a field, or a comment.
const eventLine = /^(data|event|id|retry|):/m

export const make = (options: {
  readonly protocol: Protocol
  readonly limits: Limits
  readonly mintId: (index: number) => string
  readonly toResponse: (answer: Answer) => CompletionResponse
  readonly judge: (answer: Answer) => Signal | undefined
}): Session => {
  const { judge, limits, mintId, protocol, toResponse } = options
  const decoder = protocol.stream(mintId)
  const utf8 = new TextDecoder()
  let parts: Array<CompletionPart> = []
  let failure: Signal | undefined
  let finished = false
  let ended = false
  let events = 0
  let size = 0
  const plain: Array<string> = []
  let plainAnswer: Answer | undefined
  let plainLength = 0

  const answer = (body = decoder.body()) => readAnswer(protocol, body, mintId)

  const malformed = (text: string, description: string): Signal => ({ _tag: "Malformed", text, description })

  const finish = (whole: Answer | undefined): CompletionResponse | undefined => {
    failure = whole === undefined ? malformed("", "the stream lacks what every answer has") : judge(whole)
    if (whole === undefined || failure !== undefined) return undefined
    finished = true
    return toResponse(whole)
  }

  const finishStream = (): void => {
    const response = finish(answer())
    if (response !== undefined) parts.push({ _tag: "Finish", response })
  }

  // What goes wrong after the provider ended the answer does not unmake it.
  const breakOff = (signal: Signal): void => {
    if (finished || failure !== undefined) return
    if (decoder.complete()) finishStream()
    else failure = signal
  }

  const onEvent = (name: string, data: string): void => {
    if (finished || failure !== undefined) return
    if (data === "[DONE]") {
      if (events === 0) return
      decoder.end?.()
      if (decoder.complete()) finishStream()
      return
    }
    const event = parseJson(data)
    if (event === undefined) {
      if (data.trim() === "") return
      // What the end of the body cut is not malformed.
      return breakOff(ended ? { _tag: "Truncated" } : malformed(data, "an event of the stream is not JSON"))
    }
    if (name === "error" || errorIn(event) !== undefined) {
      events++
      return breakOff({ _tag: "Failed", text: data, body: event })
    }
    // Some servers keep the connection alive with events that are no objects.
    if (!isObject(event)) return
    // From here on the body is a stream, and what was kept in case it is not can go.
    if (events++ === 0) plain.length = 0
    decoder.event(event, parts)
    if (decoder.done() && decoder.complete()) finishStream()
  }

  const parser = Sse.makeParser((event) => {
    if (event._tag === "Event") onEvent(event.event, event.data)
  }, { maxEventSize: limits.event })

  const feedText = (text: string): void => {
    // As much of a body without events is kept as one of them may have.
    if (events === 0 && plainLength < limits.event) {
      plain.push(text)
      plainLength += text.length
    }
    if (parser.feed(text) !== undefined) breakOff(exceeded(limits, "event"))
  }

  // A body that is one JSON text: an error, or the answer of a server that does not stream.
  const finishPlain = (): void => {
    const text = plain.join("")
    const body = parseJson(text)
    plainAnswer = isObject(body) ? answer(body) : undefined
    if (errorIn(body) !== undefined) {
      failure = { _tag: "Failed", text, body }
      return
    }
    if (!isObject(body)) {
      failure = text.trim() === "" || eventLine.test(text)
        ? { _tag: "Truncated" }
        : malformed(text, "the body is no event stream")
      return
    }
    const response = finish(plainAnswer)
    if (response !== undefined) parts.push(...Part.fromResponse(response))
  }

  // JSON can be nested more deeply than it can be walked through, and its objects can have a `toString` of their own.
  const guarded = (step: () => void): void => {
    if (finished || failure !== undefined) return
    if (Result.isFailure(Result.try(step))) failure = malformed("", "an event of the stream cannot be read")
  }

  return {
    feed: (chunks) =>
      guarded(() => {
        for (const chunk of chunks) {
          size += chunk.byteLength
          if (size > limits.body) return breakOff(exceeded(limits, "body"))
          feedText(utf8.decode(chunk, { stream: true }))
        }
      }),
    end: () =>
      guarded(() => {
        ended = true
        // The last event may lack the empty line that ends it.
        feedText(`${utf8.decode()}\n\n`)
        if (finished || failure !== undefined) return
        if (decoder.complete()) finishStream()
        else if (events === 0) finishPlain()
        else failure = { _tag: "Truncated" }
      }),
    fail: breakOff,
    take: () => {
      const taken = parts
      parts = []
      return taken
    },
    failure: () => failure,
    finished: () => finished,
    partial: () => {
      const whole = events === 0 ? plainAnswer : answer()
      return whole === undefined ? undefined : toResponse(whole)
    }
  }
}
