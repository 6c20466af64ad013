/**
 * Compares what became of an exchange with what its answer says.
 */
import * as Result from "effect/Result"
import { type CompletionResponse, Message } from "../../src/index.ts"
import type { Api, Exchange, Json } from "./corpus.ts"
import { type Answer, type Outcome, requestId } from "./expected.ts"
import { compact, differences } from "./json.ts"
import { modelOf, type Replayed } from "./replay.ts"

const textsOf = (choice: ReadonlyArray<Json>): string =>
  choice.filter((content) => content["_tag"] === "Text").map((content) => content["text"]).join("")

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
export const answerDifferences = (
  api: Api,
  exchange: Exchange,
  expected: Answer,
  ours: CompletionResponse.CompletionResponse
): ReadonlyArray<string> => {
  const { choice, cost, finishReason, id, model, stopSequence, usage } = expected
  const calls = choice.filter((content) => content["_tag"] === "ToolCall")
  const ids = ours.toolCalls.map((call) => call.id)
  // What has no place in the vocabulary is each wire's own.
  const { metadata: _, passes: __, warnings: ___, ...said } = ours
  return [
    ...differences(
      {
        choice,
        finishReason,
        usage,
        provider: providers[api],
        model: model ?? modelOf(exchange),
        ...compact({ id, stopSequence, cost, requestId: requestId(exchange) })
      },
      { ...said, choice: withoutMintedIds(ours.choice) }
    ),
    ...differences(textsOf(choice), ours.text, ".text"),
    ...differences(readable(choice), ours.reasoning, ".reasoning"),
    ...differences(calls, withoutMintedIds(ours.toolCalls), ".toolCalls"),
    ...(new Set(ids).size === ids.length ? [] : [`.toolCalls: ids are given twice: ${ids.join(", ")}`])
  ]
}

/** Where an exchange ends otherwise than it should. */
export const outcomeDifferences = (
  api: Api,
  { exchange, result }: Pick<Replayed, "exchange" | "result">,
  expected: Outcome
): ReadonlyArray<string> => {
  if (expected._tag === "Answered") {
    return Result.isSuccess(result)
      ? answerDifferences(api, exchange, expected.answer, result.success)
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
      : answerDifferences(api, exchange, expected.answer, error.partial).map((line) => `.partial${line}`))
  ]
}
