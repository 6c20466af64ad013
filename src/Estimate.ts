/**
 * Estimates the tokens of a request before it is sent. The provider's reported usage corrects it afterwards. If the
 * provider can count tokens, use `LLMClient.countTokens`.
 *
 * ```ts
 * import { Completion, Estimate } from "effect-llm"
 *
 * const tokens = Estimate.inputTokens(Completion.make({ prompt: "Why is the sky blue?" }))
 * ```
 *
 * | content | tokens |
 * |---|---|
 * | text, and documents of text | a token for 3.5 characters |
 * | other documents, such as a PDF | a page of 2,000 tokens for each 50 kB, at least 1,500 |
 * | audio and video | a token for 400 bytes, at least 1,500 |
 * | images, and content by URL or id | 1,500 each |
 */

import * as Result from "effect/Result"
import { type Completion, messages } from "./Completion.ts"
import type { CompletionPart } from "./CompletionPart.ts"
import type { CompletionResponse } from "./CompletionResponse.ts"
import type { Base64, Message } from "./Message.ts"
import * as TokenUsage from "./TokenUsage.ts"

// English text has about four characters per token, JSON about three; the estimate is rather too high.
const perToken = 3.5

// What providers charge for an image of common size; other media cost at least as much.
const perMedium = 1500

// A page of a PDF is charged as its text and, by some, as a picture of it. Pages with pictures take about 50 kB; those
// of text alone take less, and scanned ones more.
const documentBytesPerToken = 25

// Providers charge about 32 tokens for a second of sound, which takes 16 kB, and 300 for one of video, which takes more.
const mediaBytesPerToken = 400

/** The estimated tokens of this many characters. */
export const ofCharacters = (count: number): number => Math.ceil(count / perToken)

// A value that cannot be written as JSON cannot be sent either: its estimate does not matter.
const json = (value: unknown): number =>
  ofCharacters(Result.getOrElse(Result.try(() => JSON.stringify(value)), () => "")?.length ?? 0)

type Content = Exclude<Message["content"], string>[number]

const bytesOf = ({ data }: Base64): number => Math.floor(data.length * 3 / 4)

const isText = ({ mediaType }: Base64): boolean =>
  /^text\/|^application\/(?:json|xml|yaml|x-yaml|javascript|x-ndjson|sql)\b|\+(?:json|xml)\b/i.test(
    mediaType.slice(0, 128)
  )

const ofContent = (content: Content): number => {
  switch (content._tag) {
    case "Text":
      return ofCharacters(content.text.length)
    case "Image":
      return perMedium
    case "Audio":
    case "Video":
      return content.source._tag === "Base64"
        ? Math.max(perMedium, Math.ceil(bytesOf(content.source) / mediaBytesPerToken))
        : perMedium
    case "Document": {
      const { source } = content
      if (source._tag !== "Base64") return perMedium
      return isText(source)
        ? ofCharacters(bytesOf(source))
        : Math.max(perMedium, Math.ceil(bytesOf(source) / documentBytesPerToken))
    }
    case "ToolResult":
      return content.content.reduce((sum, part) => sum + (part._tag === "Json" ? json(part.value) : ofContent(part)), 0)
    default:
      return json(content)
  }
}

/** An estimate of the input tokens of a request: its messages, tools and schemas. */
export const inputTokens = (completion: Completion): number => {
  const { outputSchema, preamble = "", tools } = completion
  let tokens = ofCharacters(preamble.length) + (outputSchema === undefined ? 0 : json(outputSchema))
  for (const tool of tools) tokens += json(tool)
  for (const { content } of messages(completion)) {
    if (typeof content === "string") tokens += ofCharacters(content.length)
    else for (const item of content) tokens += ofContent(item)
  }
  return tokens
}

/** How many characters of the answer a stream part contains. */
export const charactersOf = (part: CompletionPart): number => {
  switch (part._tag) {
    case "TextDelta":
    case "ReasoningDelta":
      return part.text.length
    case "ToolCallDelta":
      return part.arguments.length
    default:
      return 0
  }
}

/** An estimate of the output tokens of an answer, complete or partial. */
export const outputTokens = ({ choice }: CompletionResponse): number =>
  choice.reduce((sum, content) => sum + ofContent(content), 0)

/**
 * The usage of an answer that broke off: as reported by the provider, or else estimated. A reported output count below
 * half of the estimate was sent before most of the answer, and is replaced: estimates are more accurate than that.
 */
export const ofBroken = (
  reported: TokenUsage.TokenUsage,
  estimate: { readonly inputTokens: number; readonly outputTokens: number }
): TokenUsage.TokenUsage => {
  const isInputKnown = reported.totalTokens > 0
  const isOutputKnown = reported.outputTokens * 2 >= estimate.outputTokens
  return isInputKnown && isOutputKnown ? reported : TokenUsage.make({
    ...reported,
    inputTokens: isInputKnown ? reported.inputTokens : estimate.inputTokens,
    outputTokens: isOutputKnown ? reported.outputTokens : estimate.outputTokens
  })
}
