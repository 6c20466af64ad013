/**
 * One stream of one provider, from network bytes to the parts of an answer: a plain state machine that is fed one chunk
 * after another.
 */
import * as Result from "effect/Result"
import type { CompletionPart } from "../CompletionPart.ts"
import * as Part from "../CompletionPart.ts"
import type { CompletionResponse } from "../CompletionResponse.ts"
import { charactersOf } from "../Estimate.ts"
import type { Signal } from "../wire/failure.ts"
import { isObject, type JsonRecord, parseJson } from "../wire/json.ts"
import { type Answer, type Frame, readAnswer, sound, type Wire } from "../wire/Wire.ts"
import { exceeded, hasTooManyValues, type Limits, tooManyValues } from "./sizes.ts"

export interface Session {
  /** Reads chunks of the body. */
  readonly feed: (chunks: ReadonlyArray<Uint8Array>) => void
  /** Ends the body. */
  readonly end: () => void
  /** The extra body fields of a further request, if the stream continues with one. The next chunks are its response. */
  readonly further: () => JsonRecord | undefined
  /** Ends the stream after a network failure or a timeout; ignored once the answer is complete. */
  readonly fail: (signal: Signal) => void
  /** Returns the parts since the last call. */
  readonly take: () => ReadonlyArray<CompletionPart>
  /** Why the stream failed, to be read after the parts before it. */
  readonly failure: () => Signal | undefined
  /** Whether the answer is complete. */
  readonly finished: () => boolean
  /** How many events have changed the answer; not pings, comments and empty deltas. */
  readonly changes: () => number
  /** How many characters the parts contained, including incomplete tool calls. */
  readonly characters: () => number
  /** The answer so far. */
  readonly partial: () => CompletionResponse | undefined
}

export const make = (options: {
  readonly wire: Wire
  readonly limits: Limits
  /** The requested model. */
  readonly model: string
  readonly mintId: (index: number) => string
  readonly toResponse: (answer: Answer) => CompletionResponse
  readonly judge: (answer: Answer) => Signal | undefined
}): Session => {
  const { judge, limits, mintId, model, toResponse, wire } = options
  const { failures, framing } = wire
  const decoder = wire.stream(mintId)
  let utf8 = new TextDecoder()
  let parts: Array<CompletionPart> = []
  let started = false
  let failure: Signal | undefined
  let finished = false
  let ended = false
  // Events of the current body, and of the bodies before it.
  let events = 0
  let earlierEvents = 0
  let further: JsonRecord | undefined
  let shown = 0
  let size = 0
  let characters = 0
  const plain: Array<string> = []
  let plainAnswer: Answer | undefined
  let plainLength = 0

  const malformed = (text: string, description: string): Signal => ({ _tag: "Malformed", text, description })

  // Adds the Start part, and removes what JSON cannot represent. `from` is the index of the first new part.
  const complement = (from: number): void => {
    for (let index = from; index < parts.length; index++) {
      const part = parts[index]!
      characters += charactersOf(part)
      if (part._tag !== "ContentEnd") continue
      const content = sound(part.content)
      if (content === undefined) parts.splice(index--, 1)
      else if (content !== part.content) parts[index] = { ...part, content }
    }
    if (started || parts.length === 0) return
    started = true
    const head = decoder.head()
    parts.unshift({
      _tag: "Start",
      provider: wire.name,
      model: head.model ?? model,
      ...(head.id !== undefined && { id: head.id })
    })
  }

  const finish = (whole: Answer | undefined): CompletionResponse | undefined => {
    failure = whole === undefined ? malformed("", "the stream lacks required fields") : judge(whole)
    if (whole === undefined || failure !== undefined) return undefined
    finished = true
    return toResponse(whole)
  }

  const finishStream = (): void => {
    const response = finish(readAnswer(decoder.answer))
    if (response === undefined) return
    const from = parts.length
    decoder.close(parts)
    parts.push({ _tag: "Finish", response })
    complement(from)
  }

  // Whether the stream continues with a further request.
  const goesOn = (): boolean => (further ??= decoder.continues?.()) !== undefined

  // A failure after the provider ended the answer is ignored.
  const breakOff = (signal: Signal): void => {
    if (finished || failure !== undefined) return
    if (decoder.complete()) finishStream()
    else if (signal._tag !== "Network" || !goesOn()) failure = signal
  }

  const onFrame = ({ data, name }: Frame): void => {
    if (finished || failure !== undefined) return
    if (data === framing.last) {
      if (events === 0) return
      decoder.end?.()
      if (decoder.complete()) finishStream()
      return
    }
    if (hasTooManyValues(data)) return breakOff(tooManyValues)
    const event = parseJson(data)
    if (event === undefined) {
      if (data.trim() === "") return
      // An event that the end of the body cut is not malformed.
      return breakOff(ended ? { _tag: "Truncated" } : malformed(data, "an event of the stream is not JSON"))
    }
    if ((name !== "" && name === framing.error) || failures.errorIn(event) !== undefined) {
      events++
      return breakOff({ _tag: "Failed", text: data, body: event })
    }
    // Some servers keep the connection alive with events that are not objects.
    if (!isObject(event)) return
    // The body is a stream: the copy for `finishPlain` is not needed.
    if (events++ === 0) plain.length = 0
    const from = parts.length
    decoder.event(event, parts)
    if (parts.length > from) {
      shown++
      complement(from)
    }
    if (decoder.done() && decoder.complete()) finishStream()
  }

  let reader = framing.reader(limits.event, onFrame)

  const feedText = (text: string): void => {
    // Keeps the beginning of a body without events, up to the limit of one event.
    if (events === 0 && plainLength < limits.event) {
      plain.push(text)
      plainLength += text.length
    }
    if (!reader.feed(text)) breakOff(exceeded(limits, "event"))
  }

  // A body that is one JSON text: an error, or the answer of a server that does not stream.
  const finishPlain = (): void => {
    const text = plain.join("")
    if (hasTooManyValues(text)) {
      failure = tooManyValues
      return
    }
    const body = parseJson(text)
    plainAnswer = isObject(body) ? readAnswer(() => wire.response(body, mintId)) : undefined
    if (failures.errorIn(body) !== undefined) {
      failure = { _tag: "Failed", text, body }
      return
    }
    if (!isObject(body) || earlierEvents > 0) {
      failure = text.trim() === "" || framing.recognizes(text)
        ? { _tag: "Truncated" }
        : malformed(text, "the body is not an event stream")
      return
    }
    const response = finish(plainAnswer)
    if (response !== undefined) parts.push(...Part.fromResponse(response))
  }

  // A step may throw: JSON can be nested too deeply for recursion, and its objects can have their own `toString`.
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
        feedText(utf8.decode())
        if (!reader.end()) breakOff(exceeded(limits, "event"))
        if (finished || failure !== undefined) return
        if (decoder.complete()) finishStream()
        else if (goesOn()) return
        else if (events === 0) finishPlain()
        else failure = { _tag: "Truncated" }
      }),
    further: () => {
      const fields = further
      if (fields === undefined) return undefined
      further = undefined
      utf8 = new TextDecoder()
      reader = framing.reader(limits.event, onFrame)
      ended = false
      earlierEvents += events
      events = plainLength = 0
      return fields
    },
    fail: breakOff,
    take: () => {
      const taken = parts
      parts = []
      return taken
    },
    failure: () => failure,
    finished: () => finished,
    changes: () => shown + (decoder.changes?.() ?? 0),
    characters: () => characters,
    partial: () => {
      const whole = events + earlierEvents === 0 ? plainAnswer : readAnswer(decoder.answer)
      return whole === undefined ? undefined : toResponse(whole)
    }
  }
}
