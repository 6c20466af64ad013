/**
 * Answers that a test gives instead of the simulated model.
 */
import type * as Effect from "effect/Effect"
import type * as Completion from "../../Completion.ts"
import * as CompletionResponse from "../../CompletionResponse.ts"
import type * as LLMError from "../../LLMError.ts"
import { refuse } from "../../middleware/options.ts"
import * as TokenUsage from "../../TokenUsage.ts"
import type { Outgoing } from "../../wire/Wire.ts"
import { choiceOf } from "../script/answer.ts"
import type { AnswerFields } from "../script/script.ts"
import type { Provider } from "./exchange.ts"
import { tokens } from "./json.ts"

/** A text, the fields of an answer, or a whole answer. With undefined, the simulated model answers. */
export type Given = string | AnswerFields | CompletionResponse.CompletionResponse | undefined

/** Answers a completion. A failure is written in the requested provider's words. */
export type Answerer = (
  completion: Completion.Completion,
  asked: { readonly provider: Provider; readonly streamed: boolean }
) => Given | Effect.Effect<Given, LLMError.LLMError>

const textsOf = (content: CompletionResponse.CompletionResponse["choice"][number]): string => {
  switch (content._tag) {
    case "Text":
      return content.text
    case "Reasoning":
      return content.content.map((part) => "text" in part ? part.text : part.data).join("")
    case "ToolCall":
      return JSON.stringify(content.arguments)
    default:
      return ""
  }
}

const estimated = (choice: CompletionResponse.CompletionResponse["choice"], inputTokens: number) => {
  const count = (tag: string, is: boolean): number =>
    choice.reduce((sum, content) => (content._tag === tag) === is ? sum + tokens(textsOf(content)) : sum, 0)
  const reasoningTokens = count("Reasoning", true)
  return { inputTokens, reasoningTokens, outputTokens: Math.max(1, reasoningTokens + count("Reasoning", false)) }
}

/** The answer, with missing fields filled in from the simulated model's answer. */
export const completed = (given: Given, usual: Outgoing, idOf: (index: number) => string): Outgoing => {
  if (given === undefined) return usual
  const fields: AnswerFields = typeof given === "string" ? { text: given } : { ...given }
  const { choice: _, reasoning: __, text: ___, toolCalls: ____, usage, ...rest } = fields
  const choice = choiceOf(fields, idOf)
  if (choice.length === 0 && fields.choice === undefined) {
    refuse("Simulator", "answer", "a text, tool calls, reasoning, or a choice (which may be empty)")
  }
  const { provider, usage: { cacheWriteTokens, inputTokens }, ...head } = usual.response
  return {
    response: CompletionResponse.make({
      ...head,
      stopSequence: undefined,
      finishReason: { _tag: choice.some(({ _tag }) => _tag === "ToolCall") ? "ToolUse" : "Stop" },
      ...rest,
      choice,
      usage: TokenUsage.make(usage ?? { ...estimated(choice, inputTokens), cacheWriteTokens }),
      provider
    })
  }
}
