import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { type CompletionResponse, Message } from "../../src/index.ts"
import { type Api, apis, available, isStream, type Json, type Recording, recordings, skipped } from "./corpus.ts"
import { type Answer, outcome, requestId } from "./expected.ts"
import { compact, differences } from "./json.ts"
import { modelOf, replay, type Replayed } from "./replay.ts"

const textsOf = (choice: ReadonlyArray<Json>): string =>
  choice.filter((content) => content["_tag"] === "Text").map((content) => content["text"]).join("\n")

const readable = (choice: ReadonlyArray<Json>): string =>
  choice.filter((content) => content["_tag"] === "Reasoning")
    .flatMap((content) => content["content"] as ReadonlyArray<Json>)
    .flatMap((part) => part["text"] === undefined || part["text"] === "" ? [] : [part["text"]])
    .join("\n")

const providers: { readonly [A in Api]: string } = {
  "anthropic-messages": "anthropic",
  "openai-chat": "openai",
  "gemini-generate-content": "gemini",
  "openrouter-chat": "openrouter",
  "openai-compatible-chat": "openai"
}

const withoutMintedIds = (choice: ReadonlyArray<Message.AssistantContent>): ReadonlyArray<unknown> =>
  choice.map((content) =>
    content._tag === "ToolCall" && Message.isMintedId(content.id) ? { ...content, id: "minted" } : content
  )

/** Where an answer is not what the body says. */
const answerDifferences = (
  api: Api,
  { exchange }: Replayed,
  expected: Answer,
  ours: CompletionResponse.CompletionResponse
): ReadonlyArray<string> => {
  const { choice, cost, finishReason, id, model, stopSequence, usage } = expected
  const calls = choice.filter((content) => content["_tag"] === "ToolCall")
  const ids = ours.toolCalls.map((call) => call.id)
  return [
    ...differences(
      {
        choice,
        finishReason,
        usage,
        provider: providers[api],
        model,
        ...compact({ id, stopSequence, cost, requestId: requestId(exchange) })
      },
      { ...ours, choice: withoutMintedIds(ours.choice) }
    ),
    ...differences(textsOf(choice), ours.text, ".text"),
    ...differences(readable(choice), ours.reasoning, ".reasoning"),
    ...differences(calls, withoutMintedIds(ours.toolCalls), ".toolCalls"),
    ...(new Set(ids).size === ids.length ? [] : [`.toolCalls: ids are given twice: ${ids.join(", ")}`])
  ]
}

const outcomeDifferences = (api: Api, replayed: Replayed): ReadonlyArray<string> => {
  const { conversation, exchange, result } = replayed
  const expected = outcome(api, exchange, conversation.endsWithResult)
  if (expected._tag === "Answered") {
    return Result.isSuccess(result)
      ? answerDifferences(api, replayed, expected.answer, result.success)
      : [`failed: ${result.failure.message}`]
  }
  if (Result.isSuccess(result)) return [`answered, though it is ${expected.tag} ${expected.reason}`]
  const error = result.failure
  return [
    ...differences(
      { tag: expected.tag, reason: expected.reason, provider: providers[api], model: modelOf(exchange) },
      { tag: error._tag, reason: error.reason, provider: error.provider, model: error.model }
    ),
    ...differences(exchange.response.status, error.status, ".status"),
    ...differences(requestId(exchange), error.requestId, ".requestId"),
    ...differences(expected.description ?? error.description, error.description, ".description"),
    ...(expected.answer === undefined
      ? differences(undefined, error.partial, ".partial")
      : error.partial === undefined
      ? [".partial is absent"]
      : answerDifferences(api, replayed, expected.answer, error.partial).map((line) => `.partial${line}`))
  ]
}

// The address and the model are those of the recorded request.
const requestDifferences = ({ exchange, sent }: Replayed): ReadonlyArray<string> => [
  ...differences(exchange.request.method, sent.method, "method"),
  ...differences(exchange.request.path.replace("streamGenerateContent", "generateContent"), sent.url.pathname, "path"),
  ...differences("", sent.url.search, "query"),
  ...differences(exchange.request.body["model"], sent.body["model"], "model")
]

/** How many exchanges a file holds whose answer is no stream, and how they end. */
const holds: { readonly [A in Api]: { readonly exchanges: number; readonly failures: Json } } = {
  "anthropic-messages": {
    exchanges: 189,
    failures: { "ClientError Authentication": 1, "ClientError InvalidRequest": 14, "ClientError NotFound": 3 }
  },
  "openai-chat": {
    exchanges: 84,
    failures: { "ClientError InvalidRequest": 1, "ClientError OutputBudget": 12 }
  },
  "gemini-generate-content": {
    exchanges: 136,
    failures: { "ClientError Authentication": 1, "ClientError NotFound": 1, "ClientError OutputBudget": 1 }
  },
  "openrouter-chat": {
    exchanges: 101,
    failures: { "ClientError InvalidRequest": 1, "ClientError OutputBudget": 6 }
  },
  "openai-compatible-chat": {
    exchanges: 321,
    failures: {
      "ClientError Authentication": 2,
      "ClientError ContextWindow": 2,
      "ClientError InvalidRequest": 13,
      "ClientError NotFound": 3,
      "ClientError OutputBudget": 28,
      "ClientError Permission": 2,
      "Transient Server": 1
    }
  }
}

const replayAll = (all: ReadonlyArray<Recording>) =>
  Effect.forEach(all, (recording) => Effect.map(replay(recording), (replayed) => ({ recording, replayed })))

describe("recorded answers", () => {
  if (!available) it.skip(skipped, () => {})
  else {
    for (const api of apis) {
      it.effect(`${api}: every answer is read as its body says, and every failure is judged`, () =>
        Effect.gen(function*() {
          const all = recordings(api)
          const done = yield* replayAll(all)
          const found = done.flatMap(({ recording, replayed }) =>
            replayed.flatMap((one) =>
              [...requestDifferences(one), ...outcomeDifferences(api, one)].map((line) =>
                `${recording.id} #${one.index} ${line}`
              )
            )
          )
          const replayed = done.flatMap(({ replayed }) => replayed)
          const failures: Record<string, number> = {}
          for (const { result } of replayed) {
            if (Result.isSuccess(result)) continue
            const kind = `${result.failure._tag} ${result.failure.reason}`
            failures[kind] = (failures[kind] ?? 0) + 1
          }
          assert.deepStrictEqual(found, [])
          assert.deepStrictEqual({ exchanges: replayed.length, failures }, holds[api])
          assert.strictEqual(
            replayed.length,
            all.flatMap(({ exchanges }) => exchanges).filter((exchange) => !isStream(exchange)).length
          )
        }))
    }
  }
})
