/**
 * Writes the body of an answer. Sources: OpenAI API reference, "Chat"; OpenRouter API reference, "Chat completion".
 */
import type { CompletionResponse, FinishReason } from "../../CompletionResponse.ts"
import type * as Message from "../../Message.ts"
import type * as TokenUsage from "../../TokenUsage.ts"
import { callArguments, present } from "../encode.ts"
import { isObject, type JsonRecord, object, string } from "../json.ts"
import type { Asked, Outgoing, Stamp } from "../Wire.ts"
import { readable, reasoningDetail, urlOf, writesDetails } from "./messages.ts"
import { type Dialect, finishWords, reasoningFields } from "./shape.ts"

/** The finish reason to write. */
export const finishWord = (reason: FinishReason): string =>
  reason._tag === "Other" ? reason.reason : finishWords[reason._tag]

/** The usage of an answer. */
export const usageOf = ({ cost, usage }: { readonly usage: TokenUsage.TokenUsage; readonly cost?: number }) => ({
  prompt_tokens: usage.inputTokens,
  completion_tokens: usage.outputTokens,
  total_tokens: usage.totalTokens,
  prompt_tokens_details: { cached_tokens: usage.cachedInputTokens, cache_write_tokens: usage.cacheWriteTokens },
  completion_tokens_details: { reasoning_tokens: usage.reasoningTokens },
  ...present("cost", cost)
})

const idPrefixes = { openai: "chatcmpl-", openrouter: "gen-" } as const

/** The id of an answer. */
export const idOf = ({ vendor }: Dialect, id: string | undefined, { seed }: Stamp): string =>
  id ?? `${idPrefixes[vendor]}${seed}`

/** The field for readable reasoning, unless the reasoning came from another field. */
export const usualField = ({ vendor }: Dialect): typeof reasoningFields[number] =>
  vendor === "openrouter" ? "reasoning" : "reasoning_content"

/**
 * Reasoning details, when they contain more than the text or the server always sends them. `before` is the number of
 * earlier details.
 */
export const detailsOf = ({ vendor }: Dialect, reasoning: ReadonlyArray<Message.Reasoning>, before = 0) =>
  vendor === "openrouter" || writesDetails(reasoning)
    ? reasoning.flatMap(({ content }) => content).map((part, index) => reasoningDetail(part, before + index))
    : []

const reasoningOf = (dialect: Dialect, reasoning: ReadonlyArray<Message.Reasoning>) => {
  const text = readable(reasoning.flatMap(({ content }) => content))
  const field = reasoningFields.find((name) => name === reasoning[0]?.field) ?? usualField(dialect)
  const details = detailsOf(dialect, reasoning)
  return {
    ...(text !== "" && { [field]: text }),
    ...(details.length > 0 && { reasoning_details: details })
  }
}

/** An image in an answer. */
export const imageOf = ({ source }: Message.Image) => ({ type: "image_url", image_url: { url: urlOf(source) } })

/** The audio in a block of this wire. */
export const audioOf = ({ block }: Message.ProviderBlock): JsonRecord | undefined =>
  isObject(block["audio"]) ? block["audio"] : undefined

/** The metadata of an answer from this wire, in its original places. */
export const besides = ({ metadata = {}, provider }: CompletionResponse) => {
  const fields = object(metadata[provider])
  const pick = (...names: ReadonlyArray<string>): JsonRecord =>
    Object.fromEntries(names.flatMap((name) => fields[name] === undefined ? [] : [[name, fields[name]]]))
  return {
    body: pick("service_tier", "system_fingerprint", "citations", "search_results"),
    choice: pick("logprobs", "native_finish_reason"),
    message: pick("annotations"),
    refusal: string(fields["refusal"])
  }
}

/** A tool call. Google's compatible server has a field for its signature. */
export const callOf = (
  { id, name, signature }: { readonly id: string; readonly name: string; readonly signature?: string },
  args: string
) => ({
  id,
  type: "function",
  function: { name, arguments: args },
  ...(signature !== undefined && { extra_content: { google: { thought_signature: signature } } })
})

/** The body of a whole answer. */
export const encode =
  (dialect: Dialect) => ({ cutCall, response }: Outgoing, asked: Asked, stamp: Stamp): JsonRecord => {
    const { choice } = response
    const texts = choice.flatMap((content) => content._tag === "Text" ? [content.text] : [])
    const calls = choice.flatMap((content) =>
      content._tag === "ToolCall" ? [callOf(content, JSON.stringify(callArguments(content.arguments)))] : []
    )
    const images = choice.flatMap((content) => content._tag === "Image" ? [imageOf(content)] : [])
    const [audio] = choice.flatMap((content) => content._tag === "ProviderBlock" ? audioOf(content) ?? [] : [])
    const all = [...calls, ...(cutCall === undefined ? [] : [callOf(cutCall, cutCall.arguments)])]
    const more = besides(response)
    const refused = more.refusal !== undefined && more.refusal === texts.join("")
    return {
      id: idOf(dialect, response.id, stamp),
      object: "chat.completion",
      created: stamp.created,
      model: response.model ?? asked.model,
      choices: [{
        index: 0,
        message: {
          role: "assistant",
          content: refused || (texts.length === 0 && all.length > 0) ? null : texts.join(""),
          refusal: refused ? more.refusal : null,
          ...reasoningOf(dialect, choice.filter((content) => content._tag === "Reasoning")),
          ...(all.length > 0 && { tool_calls: all }),
          ...(images.length > 0 && { images }),
          ...present("audio", audio),
          ...more.message
        },
        logprobs: null,
        finish_reason: finishWord(response.finishReason),
        ...more.choice
      }],
      usage: usageOf(response),
      ...more.body
    }
  }
