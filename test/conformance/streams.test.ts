import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { Completion, type CompletionPart, CompletionResponse, type LLMError, Message } from "../../src/index.ts"
import { full, sample } from "../effort.ts"
import { answerDifferences, outcomeDifferences } from "./compared.ts"
import {
  type Api,
  apis,
  available,
  type Exchange,
  isStream,
  type Json,
  type Recording,
  recordings,
  skipped
} from "./corpus.ts"
import { frames, type Heard, heard, type Said } from "./events.ts"
import { judged, read } from "./expected.ts"
import { differences, parsed } from "./json.ts"
import { modelOf, replay, streaming, withClient } from "./replay.ts"
import { conversation } from "./wire.ts"

type Parts = ReadonlyArray<CompletionPart.CompletionPart>

const isMinted = (id: unknown): boolean => typeof id === "string" && Message.isMintedId(id)

// ---------------------------------------------------------------------------------------------------------------------
// What is emitted
// ---------------------------------------------------------------------------------------------------------------------

/** What parts say, each kind put together. */
const saidBy = (parts: Parts): Said => {
  const calls = new Map<number, { id: unknown; name: unknown; arguments: string }>()
  let text = ""
  let reasoning = ""
  for (const part of parts) {
    switch (part._tag) {
      case "TextDelta":
        text += part.text
        break
      case "ReasoningDelta":
        reasoning += part.text
        break
      case "ToolCallStart":
        calls.set(part.index, { id: isMinted(part.id) ? undefined : part.id, name: part.name, arguments: "" })
        break
      case "ToolCallDelta":
        calls.get(part.index)!.arguments += part.arguments
    }
  }
  return { text, reasoning, calls: [...calls.values()] }
}

const isEmpty = (part: CompletionPart.CompletionPart): boolean =>
  "text" in part ? part.text === "" : part._tag === "ToolCallDelta" && part.arguments === ""

/** Where parts break the rules that hold for every stream. */
const broken = (parts: Parts): ReadonlyArray<string> => {
  const finishes = parts.filter(({ _tag }) => _tag === "Finish").length
  const calls = new Set<number>()
  const ended = new Set<number>()
  const seen = new Set<number>()
  let latest = -1
  return parts.flatMap((part, at) => {
    const last = at === parts.length - 1
    if ((part._tag === "Start") !== (at === 0)) return [`part ${at}: Start is not once and first`]
    if (part._tag === "Finish" && (!last || finishes > 1)) return [`part ${at}: Finish is not once and last`]
    if (part._tag === "Start" || part._tag === "Finish") return []
    const { index } = part
    if (isEmpty(part)) return [`part ${at}: an empty ${part._tag}`]
    if (ended.has(index)) return [`part ${at}: content ${index} had come to its end`]
    if (part._tag === "ContentEnd") {
      // A content that has no deltas may come to its end whenever it is whole.
      ended.add(index)
      return []
    }
    if (part._tag === "ToolCallStart") calls.add(index)
    if (part._tag === "ToolCallDelta" && !calls.has(index)) return [`part ${at}: a delta before its call`]
    const known = seen.has(index)
    seen.add(index)
    if (!known && index < latest) return [`part ${at}: content ${index} out of order`]
    latest = Math.max(latest, index)
    return []
  })
}

/** Where the parts of a stream are not what its events, or its answer, say. */
const partDifferences = (
  expected: Said,
  parts: Parts,
  answer: CompletionResponse.CompletionResponse | undefined
): ReadonlyArray<string> => {
  const said = saidBy(parts)
  const starts = parts.filter((part) => part._tag === "ToolCallStart")
  const ends = parts.filter((part) => part._tag === "ContentEnd").toSorted((a, b) => a.index - b.index)
  return [
    ...broken(parts),
    ...differences(expected, said, "said"),
    ...(answer === undefined ? [] : [
      ...differences(
        answer.choice.flatMap((content) => content._tag === "Text" ? [content.text] : []).join(""),
        said.text,
        "text of the answer"
      ),
      // What a stream that fails left open has not come to its end.
      ...(parts.at(-1)?._tag === "Finish"
        ? differences(answer.choice, ends.map(({ content }) => content), "contents")
        : []),
      ...answer.toolCalls.flatMap((call) => {
        const index = starts.findIndex(({ id }) => id === call.id)
        return differences(
          { name: call.name, arguments: call.arguments },
          { name: said.calls[index]?.name, arguments: parsed(said.calls[index]?.arguments ?? "")?.value ?? {} },
          `call ${call.id}`
        )
      })
    ])
  ]
}

/** How many streams a file holds, and how they end that are no answers. */
const holds: { readonly [A in Api]: { readonly streams: number; readonly failures: Json } } = {
  "anthropic-messages": { streams: 113, failures: {} },
  "openai-chat": { streams: 68, failures: { "ClientError OutputBudget": 8 } },
  "gemini-generate-content": { streams: 68, failures: {} },
  "openrouter-chat": { streams: 76, failures: { "ClientError OutputBudget": 5 } },
  "openai-compatible-chat": { streams: 143, failures: { "ClientError OutputBudget": 26 } }
}

// ---------------------------------------------------------------------------------------------------------------------
// The same stream, in other pieces
// ---------------------------------------------------------------------------------------------------------------------

interface Run {
  readonly parts: Parts
  readonly error: LLMError.LLMError | undefined
}

interface Streamed {
  readonly name: string
  readonly exchange: Exchange
  readonly afterToolResult: boolean
  /** Streams the exchange with another body. */
  readonly run: (body: string | ReadableStream<Uint8Array>) => Effect.Effect<Run>
}

/** Every stream of a recording, to be run any number of times. */
const eachStream = <A>(
  recording: Recording,
  use: (streamed: Streamed) => Effect.Effect<A>
): Effect.Effect<ReadonlyArray<A>> =>
  withClient(
    recording,
    (client, answer) =>
      Effect.forEach(
        [...recording.exchanges.entries()].filter(([, exchange]) => isStream(exchange)),
        ([index, exchange]) => {
          const afterToolResult = conversation(recording.api, exchange.request.body, []).endsWithResult
          const prompt = afterToolResult
            ? Message.user(Message.toolResult({ id: "1", name: "tool", content: "done" }))
            : "Begin."
          const completion = Completion.make({ model: modelOf(exchange), prompt })
          return use({
            name: `${recording.id} #${index}`,
            exchange,
            afterToolResult,
            run: (body) =>
              Effect.suspend(() => {
                const parts: Array<CompletionPart.CompletionPart> = []
                answer(exchange, body)
                return Stream.runForEach(client.stream(completion), (part) => Effect.sync(() => parts.push(part))).pipe(
                  Effect.result,
                  Effect.map((result) => ({ parts, error: Result.isFailure(result) ? result.failure : undefined })),
                  // The same ids for calls that come without one.
                  Random.withSeed("streams")
                )
              })
          })
        }
      )
  )

const eachStreamOf = <A>(api: Api, use: (streamed: Streamed) => Effect.Effect<A>): Effect.Effect<ReadonlyArray<A>> =>
  Effect.map(Effect.forEach(recordings(api), (recording) => eachStream(recording, use)), (all) => all.flat())

// Mulberry32: the same numbers on every run.
const numbers = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (state + 0x6D2B79F5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

const bodyInPieces = (bytes: Uint8Array, cuts: ReadonlyArray<number>): ReadableStream<Uint8Array> => {
  const ends = [...new Set([...cuts, bytes.length])].toSorted((a, b) => a - b)
  let start = 0
  return new ReadableStream({
    pull: (controller) => {
      const end = ends.shift()
      if (end === undefined) return controller.close()
      controller.enqueue(bytes.slice(start, start = end))
    }
  })
}

/** A body of at most so many bytes also comes byte by byte. */
const short = 1200

// All boundaries of a short stream, some of a long one; the first and the last are among them.
const boundaries = (events: number): ReadonlyArray<number> =>
  events <= 40
    ? Array.from({ length: events + 1 }, (_, index) => index)
    : Array.from({ length: 25 }, (_, index) => Math.round(index * events / 24))

/** How many streams of a file come byte by byte, when all do that are short. */
const inBytes: { readonly [A in Api]: number } = {
  "anthropic-messages": 8,
  "openai-chat": 2,
  "gemini-generate-content": 47,
  "openrouter-chat": 0,
  "openai-compatible-chat": 37
}

/** At how many events the streams of a file are broken off, at all boundaries: before their end was told, and after. */
const cutOff: { readonly [A in Api]: Json } = {
  "anthropic-messages": { truncated: 1049, ended: 226 },
  "openai-chat": { truncated: 624, ended: 198 },
  "gemini-generate-content": { truncated: 191, ended: 81 },
  "openrouter-chat": { truncated: 945, ended: 211 },
  "openai-compatible-chat": { truncated: 1689, ended: 283 }
}

/** A partial answer with the usage that was recorded in place of an estimate, which is far more where it stands. */
const asReported = (
  partial: CompletionResponse.CompletionResponse,
  { usage }: ReturnType<typeof read>
): CompletionResponse.CompletionResponse => {
  const isEstimated = partial.warnings?.some(({ field }) => field === "usage") === true
  const isFarMore = partial.usage.outputTokens > usage.outputTokens * 2
  return isEstimated && (usage.inputTokens === 0 || isFarMore)
    ? CompletionResponse.make({ ...partial, usage })
    : partial
}

const truncatedDifferences = (api: Api, exchange: Exchange, { body, events }: Heard, { error }: Run) => {
  if (error === undefined) return ["it ends as an answer"]
  const said = read(api, body)
  return [
    ...differences({ tag: "Transient", reason: "Truncated" }, { tag: error._tag, reason: error.reason }),
    ...(events === 0
      ? differences(undefined, error.partial, ".partial")
      : error.partial === undefined
      ? [".partial is absent"]
      : answerDifferences(api, exchange, said, asReported(error.partial, said)).map((line) => `.partial${line}`))
  ]
}

describe("recorded streams", () => {
  if (!available) it.skip(skipped, () => {})
  else {
    for (const api of apis) {
      it.effect(`${api}: every stream emits what its events say, and ends with the answer that they make`, () =>
        Effect.gen(function*() {
          const found: Array<string> = []
          const failures: Record<string, number> = {}
          let streams = 0
          for (const recording of recordings(api)) {
            const emitted = new Map<Exchange, Parts>()
            for (const one of yield* replay(recording, streaming(emitted))) {
              const { conversation, exchange, index, result, sent } = one
              const parts = emitted.get(exchange)
              if (parts === undefined) continue
              streams++
              const { body, said } = heard(api, frames(exchange.response.body))
              if (Result.isFailure(result)) {
                const kind = `${result.failure._tag} ${result.failure.reason}`
                failures[kind] = (failures[kind] ?? 0) + 1
              }
              const lines = [
                ...differences(exchange.request.path, sent.url.pathname, "path"),
                ...outcomeDifferences(api, one, judged(api, body, conversation.endsWithResult)),
                ...partDifferences(said, parts, Result.isSuccess(result) ? result.success : result.failure.partial)
              ]
              found.push(...lines.map((line) => `${recording.id} #${index} ${line}`))
            }
          }
          assert.deepStrictEqual(found, [])
          assert.deepStrictEqual({ streams, failures }, holds[api])
        }))

      it.effect(`${api}: a stream says the same in whatever pieces it comes`, () =>
        Effect.gen(function*() {
          const random = numbers(1)
          let shorts = 0
          let bytewise = 0
          const found = yield* eachStreamOf(api, ({ exchange, name, run }) =>
            Effect.gen(function*() {
              const text = exchange.response.body
              const bytes = new TextEncoder().encode(text)
              const whole = yield* run(text)
              const lines: Array<string> = []
              const pieces = sample(
                2,
                [1 + random(3), 4 + random(20)].map((cuts) => Array.from({ length: cuts }, () => random(bytes.length))),
                random(2)
              ).slice()
              if (bytes.length <= short && (full || shorts++ % 4 === 0)) {
                bytewise++
                pieces.push(Array.from(bytes.keys()))
              }
              for (const cuts of pieces) {
                const { error, parts } = yield* run(bodyInPieces(bytes, cuts))
                lines.push(
                  ...[...differences(whole.parts, parts, "parts"), ...differences(whole.error, error, "error")]
                    .map((line) => `cut at ${cuts.join(", ")}: ${line}`)
                )
              }
              return lines.map((line) => `${name} ${line}`)
            }))
          assert.deepStrictEqual(found.flat(), [])
          assert.strictEqual(bytewise, full ? inBytes[api] : Math.ceil(inBytes[api] / 4))
        }))

      it.effect(`${api}: a stream that breaks off is Truncated with the partial answer, unless its end was received`, () =>
        Effect.gen(function*() {
          let streams = 0
          let truncated = 0
          let ended = 0
          const found = yield* eachStreamOf(api, ({ afterToolResult, exchange, name, run }) =>
            Effect.gen(function*() {
              const lines: Array<string> = []
              const text = exchange.response.body
              const all = frames(text)
              // A sample takes other boundaries of each stream.
              for (const boundary of sample(12, boundaries(all.length), streams++)) {
                const begun = heard(api, all.slice(0, boundary))
                const cut = yield* run(text.slice(0, all[boundary - 1]?.end ?? 0))
                const answer = cut.parts.at(-1)
                const result = cut.error === undefined && answer?._tag === "Finish"
                  ? Result.succeed(answer.response)
                  : cut.error === undefined
                  ? undefined
                  : Result.fail(cut.error)
                if (begun.ended) ended++
                else truncated++
                lines.push(
                  ...[
                    ...partDifferences(begun.said, cut.parts, undefined),
                    ...(result === undefined
                      ? ["it ends without Finish"]
                      : begun.ended
                      ? outcomeDifferences(api, { exchange, result }, judged(api, begun.body, afterToolResult))
                      : truncatedDifferences(api, exchange, begun, cut))
                  ].map((line) => `after ${boundary} of ${all.length} events: ${line}`)
                )
              }
              return lines.map((line) => `${name} ${line}`)
            }))
          assert.deepStrictEqual(found.flat(), [])
          if (full) assert.deepStrictEqual({ truncated, ended }, cutOff[api])
          else assert(truncated > 10 && ended > 3, `${truncated} truncated, ${ended} ended`)
        }))
    }
  }
})
