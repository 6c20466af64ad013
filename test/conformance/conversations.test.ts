import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { type CompletionResponse, Message } from "../../src/index.ts"
import { full, sample } from "../effort.ts"
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
import { frames, heard } from "./events.ts"
import { compact, differences, isRecord, record, records, text } from "./json.ts"
import { followUp, replay, type Replayed, type Run, streaming, withoutStreaming } from "./replay.ts"
import { answered, bodyOf, conversation, misplaced, type Result as ToolResult, rounds } from "./wire.ts"

/** Where we deliberately send something else than the recorded client. */
const allowed: ReadonlyArray<
  {
    readonly api: Api
    readonly recording: RegExp
    readonly where: RegExp
    readonly modes: ReadonlyArray<ModeName>
    readonly why: string
  }
> = [
  {
    api: "gemini-generate-content",
    recording: /five_turn_chat_history_stress_preserves_context_and_tools$/,
    where: /\.content\[[01]\]\.thoughtSignature: /,
    modes: ["whole"],
    why: "the client moved the signature of a text to the thought before it; ours goes back where it came from"
  },
  {
    api: "openrouter-chat",
    recording: /./,
    where: /\.details\[\d+\]\.format: recorded nothing, /,
    modes: ["whole", "streamed"],
    why: "the client forgot the format of a detail; ours goes back as it came"
  },
  {
    api: "openrouter-chat",
    recording: /^openrouter\/reasoning_roundtrip\/streaming$/,
    where: /\.details\[[01]\]/,
    modes: ["streamed"],
    why: "the client forgot the summary, and sent the encrypted detail alone; ours goes back whole"
  },
  {
    api: "openai-compatible-chat",
    recording: /^groq\/agent_tool_sessions\/parallel_tool_calls_single_turn_streaming$/,
    where: /\.calls\[[01]\]\.arguments: recorded null, ours \{\}$/,
    modes: ["streamed"],
    why: "the server writes null for no arguments, which are an object"
  }
]

/** The lines that nothing allows; what allows others is added to `used`. */
const unexcused = (
  mode: ModeName,
  api: Api,
  recording: Recording,
  lines: ReadonlyArray<string>,
  used: Set<string>
): ReadonlyArray<string> =>
  lines.filter((line) => {
    const exception = allowed.find((exception) =>
      exception.api === api && exception.modes.includes(mode) && exception.recording.test(recording.id) &&
      exception.where.test(line)
    )
    if (exception !== undefined) used.add(exception.why)
    return exception === undefined
  })

/** The turns of a recorded request that are earlier answers, against those that we send. */
const roundDifferences = (api: Api, { conversation, exchange, sent }: Replayed): ReadonlyArray<string> => {
  const recorded = rounds(api, exchange.request.body)
  const ours = rounds(api, sent.body)
  return conversation.reused.flatMap(({ round }) => {
    const expected = recorded[round]
    const actual = ours[round]
    return expected === undefined || actual === undefined
      ? [`turn ${round}: missing`]
      : [
        ...differences(expected.said, actual.said, `turn ${round}`),
        ...differences(expected.results, actual.results, `turn ${round}.results`)
      ]
  })
}

/** How the exchanges are run, and which of them count: those whose answer is no stream, or those whose answer is one. */
interface Mode {
  readonly name: string
  readonly run: Run
  readonly counts: (exchange: Exchange) => boolean
  readonly body: (api: Api, exchange: Exchange) => Json
}

const modes = {
  whole: {
    name: "an answer",
    run: withoutStreaming,
    counts: (exchange) => !isStream(exchange),
    body: (_, { response }) => bodyOf(response.body)
  },
  streamed: {
    name: "the answer of a stream",
    run: streaming(new Map()),
    counts: isStream,
    body: (api, { response }) => heard(api, frames(response.body)).body
  }
} as const satisfies { readonly [name: string]: Mode }

type ModeName = keyof typeof modes

const modeNames: ReadonlyArray<ModeName> = ["whole", "streamed"]

/** What the recordings hold: answers that went back, results behind them, and turns that are no answer. */
const goesBack: {
  readonly [M in ModeName]: {
    readonly [A in Api]: { readonly turns: number; readonly results: number; readonly others: number }
  }
} = {
  whole: {
    "anthropic-messages": { turns: 30, results: 24, others: 3 },
    "openai-chat": { turns: 7, results: 6, others: 8 },
    "gemini-generate-content": { turns: 75, results: 65, others: 1 },
    "openrouter-chat": { turns: 21, results: 20, others: 9 },
    "openai-compatible-chat": { turns: 68, results: 73, others: 24 }
  },
  streamed: {
    "anthropic-messages": { turns: 23, results: 23, others: 0 },
    "openai-chat": { turns: 3, results: 2, others: 10 },
    "gemini-generate-content": { turns: 22, results: 21, others: 1 },
    "openrouter-chat": { turns: 17, results: 17, others: 8 },
    "openai-compatible-chat": { turns: 30, results: 32, others: 9 }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Every answer
// ---------------------------------------------------------------------------------------------------------------------

/** The calls of a turn, as their results have to name them. */
const callsOf = (said: Json): ReadonlyArray<ToolResult> => [
  ...records(said["calls"]).map((call) => ({ id: call["id"], content: "done" })),
  ...records(said["content"]).flatMap((block): ReadonlyArray<ToolResult> => {
    const call = block["functionCall"]
    return block["type"] === "tool_use"
      ? [{ id: block["id"], content: "done" }]
      : isRecord(call)
      ? [{ ...compact({ id: call["id"], name: call["name"] }), content: "done" }]
      : []
  })
]

/** An answer as it has to go back: without what is no part of a request, and without calls that were cut. */
const returnable = (api: Api, said: Json, response: CompletionResponse.CompletionResponse): Json => {
  if (!("calls" in said)) {
    // "direct" is what a call without the field is.
    const direct = (block: Json) =>
      block["type"] === "tool_use" && differences({ type: "direct" }, block["caller"]).length === 0
    return { content: records(said["content"]).map((block) => direct(block) ? compact(block, "caller") : block) }
  }
  const calls = records(said["calls"]).filter((call) =>
    call["arguments"] !== undefined || response.finishReason._tag !== "MaxTokens"
  )
  // Details say what the text of the reasoning says, and more; OpenRouter takes them, other servers take the text.
  const kept = compact(
    { ...said, calls },
    said["details"] === undefined || api !== "openrouter-chat" ? "details" : "reasoning"
  )
  return kept["text"] === undefined && kept["details"] === undefined && calls.length === 0 ? {} : kept
}

// Applications append the results of a turn as one message, or as one each.
const conversationsAfter = (answer: Message.Assistant): ReadonlyArray<Parameters<typeof followUp>[2]> => {
  const results = answer.content.flatMap((content): ReadonlyArray<Message.ToolResult> =>
    content._tag === "ToolCall"
      ? [{ _tag: "ToolResult", id: content.id, name: content.name, content: [Message.text("done")] }]
      : []
  )
  const begin = [Message.user("Begin."), answer] as const
  const [last, ...others] = results.map((result) => Message.user(result)).toReversed()
  return last === undefined
    ? [[...begin, Message.user("Go on.")]]
    : [[...begin, Message.user(results)], [...begin, ...others.toReversed(), last]]
}

const nothing = (said: Json): boolean =>
  Object.values(said).every((part) => part === undefined || Array.isArray(part) && part.length === 0)

// Servers of Chat Completions call the field by different names, and read only their own.
const reasoningField = (message: Json | undefined): string | undefined =>
  ["reasoning_content", "reasoning"].find((name) => text(message?.[name]) !== "")

const fieldDifferences = (api: Api, answer: Json, sent: Json): ReadonlyArray<string> => {
  const ours = records(sent["messages"]).find((message) => message["role"] === "assistant")
  return api !== "openai-compatible-chat" || ours === undefined
    ? []
    : differences(reasoningField(record(records(answer["choices"])[0]?.["message"])), reasoningField(ours), "field")
}

/** How many answers of a file hold something that can go back. */
const answers: { readonly [M in ModeName]: { readonly [A in Api]: number } } = {
  whole: {
    "anthropic-messages": 155,
    "openai-chat": 71,
    "gemini-generate-content": 133,
    "openrouter-chat": 94,
    "openai-compatible-chat": 269
  },
  streamed: {
    "anthropic-messages": 110,
    "openai-chat": 60,
    "gemini-generate-content": 68,
    "openrouter-chat": 71,
    "openai-compatible-chat": 117
  }
}

/** How many results of tools the requests of a file hold. */
const resultsHeld: { readonly [A in Api]: number } = {
  "anthropic-messages": 47,
  "openai-chat": 27,
  "gemini-generate-content": 88,
  "openrouter-chat": 49,
  "openai-compatible-chat": 126
}

describe("recorded conversations", () => {
  if (!available) it.skip(skipped, () => {})
  else {
    for (const [mode, api] of modeNames.flatMap((mode) => apis.map((api) => [mode, api] as const))) {
      const { body: bodyIn, counts, name, run } = modes[mode]

      it.effect(`${api}: ${name} goes back as the recorded client sent it, and results stand behind their calls`, () =>
        Effect.gen(function*() {
          const found: Array<string> = []
          const used = new Set<string>()
          let turns = 0
          let results = 0
          let others = 0
          for (const recording of sample(3, recordings(api).filter(({ exchanges }) => exchanges.some(counts)))) {
            for (const one of yield* replay(recording, run)) {
              const { conversation: { reused: all }, exchange, sent } = one
              const reused = all.filter((reuse) => counts(recording.exchanges[reuse.exchange]!))
              const recorded = rounds(api, exchange.request.body)
              turns += reused.length
              results += reused.reduce((sum, { round }) => sum + (recorded[round]?.results.length ?? 0), 0)
              others += recorded.length - all.length
              const lines = [...roundDifferences(api, one), ...misplaced(api, sent.body)]
              found.push(
                ...unexcused(mode, api, recording, lines, used).map((line) => `${recording.id} #${one.index} ${line}`)
              )
            }
          }
          assert.deepStrictEqual(found, [])
          if (!full) return assert.isAbove(turns, 0)
          assert.deepStrictEqual(
            [...used].toSorted(),
            allowed.filter((exception) => exception.api === api && exception.modes.includes(mode)).map(({ why }) => why)
              .toSorted(),
            "every exception is needed"
          )
          assert.deepStrictEqual({ turns, results, others }, goesBack[mode][api])
        }))

      it.effect(`${api}: ${name} goes back as it came, also when it was stored as JSON`, () =>
        Effect.gen(function*() {
          const found: Array<string> = []
          let compared = 0
          for (const recording of sample(3, recordings(api).filter(({ exchanges }) => exchanges.some(counts)), 1)) {
            for (const { exchange, index, result } of yield* replay(recording, run)) {
              if (Result.isFailure(result) || !counts(exchange)) continue
              const message = JSON.parse(JSON.stringify(result.success.message)) as Message.Assistant
              const answer = bodyIn(api, exchange)
              const expected = returnable(api, answered(api, answer), result.success)
              if (!nothing(expected)) compared++
              for (const messages of conversationsAfter(message)) {
                const body = yield* followUp(recording, exchange, messages)
                const [ours, ...more] = rounds(api, body)
                const lines = nothing(expected)
                  // Providers refuse a turn that says nothing.
                  ? differences(undefined, ours, "empty turn")
                  : [
                    ...differences(expected, ours?.said, "turn"),
                    ...differences(callsOf(expected), ours?.results, "results"),
                    ...differences([], more, "more turns"),
                    ...fieldDifferences(api, answer, body),
                    ...misplaced(api, body)
                  ]
                found.push(
                  ...unexcused(mode, api, recording, lines, new Set()).map((line) =>
                    `${recording.id} #${index} ${line}`
                  )
                )
              }
            }
          }
          assert.deepStrictEqual(found, [])
          if (full) assert.strictEqual(compared, answers[mode][api])
          else assert.isAbove(compared, 15)
        }))
    }

    for (const api of apis) {
      it.effect(`${api}: the results of every recorded request, streamed or not, stand behind their calls`, () =>
        Effect.gen(function*() {
          const found: Array<string> = []
          let compared = 0
          for (const recording of sample(3, recordings(api), 2)) {
            for (const [index, exchange] of recording.exchanges.entries()) {
              const expected = rounds(api, exchange.request.body).map(({ results }) => results)
              if (expected.flat().length === 0) continue
              compared += expected.flat().length
              const { messages } = conversation(api, exchange.request.body, [])
              const body = yield* followUp(recording, exchange, messages)
              const ours = rounds(api, body).map(({ results }) => results)
              const lines = [...differences(expected, ours, "results"), ...misplaced(api, body)]
              found.push(...lines.map((line) => `${recording.id} #${index} ${line}`))
            }
          }
          assert.deepStrictEqual(found, [])
          if (full) assert.strictEqual(compared, resultsHeld[api])
          else assert.isAbove(compared, 5)
        }))
    }
  }
})
