/**
 * How many tokens a request will cost, as well as one can say before it is sent. The provider's own count corrects it
 * afterwards.
 */
import * as Result from "effect/Result"
import { type Completion, messages } from "../Completion.ts"
import type { CompletionResponse } from "../CompletionResponse.ts"
import type { Message } from "../Message.ts"
import { object } from "../wire/json.ts"

// English text has about four characters to a token, JSON about three; an estimate errs on the side of more.
const perToken = 3.5

// What providers charge for an image of usual size; other media cost at least as much.
const perMedium = 1500

/** Tokens of that many characters, about. */
export const ofCharacters = (count: number): number => Math.ceil(count / perToken)

// A value that cannot be written as JSON cannot be sent either: what it would cost is of no interest.
const json = (value: unknown): number =>
  ofCharacters(Result.getOrElse(Result.try(() => JSON.stringify(value)), () => "")?.length ?? 0)

type Content = Exclude<Message["content"], string>[number]

const ofContent = (content: Content): number => {
  switch (content._tag) {
    case "Text":
      return ofCharacters(content.text.length)
    case "Image":
    case "Audio":
    case "Video":
    case "Document":
      return perMedium
    case "ToolResult":
      return content.content.reduce((sum, part) => sum + (part._tag === "Json" ? json(part.value) : ofContent(part)), 0)
    default:
      return json(content)
  }
}

/** An estimate of the tokens that a request makes a model read: its messages, tools and schemas. */
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

/** An estimate of the tokens of an answer, as far as it came. */
export const outputTokens = ({ choice }: CompletionResponse): number =>
  choice.reduce((sum, content) => sum + ofContent(content), 0)

const limitNames = ["max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens"]

// Each setting of a request in the provider's own words, and those that Gemini puts below.
const settingsOf = ({ additionalParams = {}, providerParams = {} }: Completion, providers: ReadonlyArray<string>) =>
  [additionalParams, ...providers.map((provider) => object(providerParams[provider]))].flatMap((params) => [
    params,
    object(params["generationConfig"]),
    object(params["generation_config"])
  ])

const isNumber = (value: unknown): value is number => typeof value === "number"

/** The limits of output tokens that a request names, in our words or in those of the given providers. */
export const outputLimits = (completion: Completion, providers: ReadonlyArray<string>): ReadonlyArray<number> =>
  [
    completion.maxTokens,
    ...settingsOf(completion, providers).flatMap((params) => limitNames.map((name) => params[name]))
  ]
    .filter(isNumber)

/** The most tokens of reasoning that a request asks for: its limit of output has to lie above them. */
export const reasoningBudget = (completion: Completion, providers: ReadonlyArray<string>): number =>
  Math.max(
    0,
    ...settingsOf(completion, providers).flatMap((params) => [
      object(params["thinking"])["budget_tokens"],
      object(params["reasoning"])["max_tokens"],
      object(params["thinkingConfig"])["thinkingBudget"]
    ]).filter(isNumber)
  )
