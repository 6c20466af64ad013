import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { type CompletionResponse, Message } from "../../src/index.ts"
import { type Api, apis, available, type Json, recordings, skipped } from "./corpus.ts"
import { compact, differences, isRecord, record, records, text } from "./json.ts"
import { followUp, replay, type Replayed } from "./replay.ts"
import { answered, bodyOf, conversation, misplaced, type Result as ToolResult, rounds } from "./wire.ts"

/** Where we deliberately send something else than the recorded client. */
const allowed: ReadonlyArray<
  { readonly api: Api; readonly recording: RegExp; readonly where: RegExp; readonly why: string }
> = [
  {
    api: "gemini-generate-content",
    recording: /five_turn_chat_history_stress_preserves_context_and_tools$/,
    where: /\.content\[[01]\]\.thoughtSignature: /,
    why: "the client moved the signature of a text to the thought before it; ours goes back where it came from"
  },
  {
    api: "openrouter-chat",
    recording: /./,
    where: /\.details\[\d+\]\.format: recorded nothing, /,
    why: "the client forgot the format of a detail; ours goes back as it came"
  }
]

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

/** What the recordings hold: answers that went back, results behind them, and turns that are no answer. */
const goesBack: { readonly [A in Api]: { readonly turns: number; readonly results: number; readonly others: number } } =
  {
    "anthropic-messages": { turns: 30, results: 24, others: 3 },
    "openai-chat": { turns: 7, results: 6, others: 8 },
    "gemini-generate-content": { turns: 75, results: 65, others: 1 },
    "openrouter-chat": { turns: 21, results: 20, others: 9 },
    "openai-compatible-chat": { turns: 68, results: 73, others: 24 }
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
const answers: { readonly [A in Api]: number } = {
  "anthropic-messages": 155,
  "openai-chat": 71,
  "gemini-generate-content": 133,
  "openrouter-chat": 94,
  "openai-compatible-chat": 269
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
    for (const api of apis) {
      it.effect(`${api}: an answer goes back as the recorded client sent it, and results stand behind their calls`, () =>
        Effect.gen(function*() {
          const found: Array<string> = []
          const used = new Set<string>()
          let turns = 0
          let results = 0
          let others = 0
          for (const recording of recordings(api)) {
            for (const one of yield* replay(recording)) {
              const { conversation: { reused }, exchange, sent } = one
              const recorded = rounds(api, exchange.request.body)
              turns += reused.length
              results += reused.reduce((sum, { round }) => sum + (recorded[round]?.results.length ?? 0), 0)
              others += recorded.length - reused.length
              for (const line of [...roundDifferences(api, one), ...misplaced(api, sent.body)]) {
                const exception = allowed.find((exception) =>
                  exception.api === api && exception.recording.test(recording.id) && exception.where.test(line)
                )
                if (exception === undefined) found.push(`${recording.id} #${one.index} ${line}`)
                else used.add(exception.why)
              }
            }
          }
          assert.deepStrictEqual(found, [])
          assert.deepStrictEqual(
            [...used],
            allowed.filter((exception) => exception.api === api).map(({ why }) => why),
            "every exception is needed"
          )
          assert.deepStrictEqual({ turns, results, others }, goesBack[api])
        }))

      it.effect(`${api}: the results of every recorded request, streamed or not, stand behind their calls`, () =>
        Effect.gen(function*() {
          const found: Array<string> = []
          let compared = 0
          for (const recording of recordings(api)) {
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
          assert.strictEqual(compared, resultsHeld[api])
        }))

      it.effect(`${api}: every answer goes back as it came, also when it was stored as JSON`, () =>
        Effect.gen(function*() {
          const found: Array<string> = []
          let compared = 0
          for (const recording of recordings(api)) {
            for (const { exchange, index, result } of yield* replay(recording)) {
              if (Result.isFailure(result)) continue
              const message = JSON.parse(JSON.stringify(result.success.message)) as Message.Assistant
              const answer = bodyOf(exchange.response.body)
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
                found.push(...lines.map((line) => `${recording.id} #${index} ${line}`))
              }
            }
          }
          assert.deepStrictEqual(found, [])
          assert.strictEqual(compared, answers[api])
        }))
    }
  }
})
