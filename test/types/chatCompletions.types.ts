/** What we send to OpenAI and to those that speak as it does, held against its SDK by the type checker alone. */
import type * as OpenAi from "openai/resources/chat/completions"
import type { Completion } from "../../src/Completion.ts"
import type { Speaker } from "../../src/wire/chat/messages.ts"
import { encode } from "../../src/wire/chat/request.ts"
import { none, type Plain, type Unknown } from "./exact.ts"

/** Anthropic's cache mark, which OpenRouter takes on parts and tools. */
interface Marked {
  readonly cache_control?: { readonly type: "ephemeral"; readonly ttl?: "5m" | "1h" }
}

/** Google AI for Developers, "OpenAI compatibility", "Thought signatures". */
interface Signed {
  readonly extra_content?: { readonly google: { readonly thought_signature: string } }
}

/** OpenRouter API reference, "Reasoning tokens". */
interface Reasoning {
  readonly effort?: "none" | "minimal" | "low" | "medium" | "high" | "xhigh" | "max"
  readonly max_tokens?: number
  readonly exclude?: boolean
}

/** The same. */
type ReasoningDetail =
  & { readonly id: string | null; readonly format: string | null; readonly index: number }
  & (
    | { readonly type: "reasoning.text"; readonly text: string; readonly signature?: string }
    | { readonly type: "reasoning.summary"; readonly summary: string }
    | { readonly type: "reasoning.encrypted"; readonly data: string }
  )

type MarkedText = Plain<OpenAi.ChatCompletionContentPartText> & Marked

type Part =
  | (Plain<OpenAi.ChatCompletionContentPart> & Marked)
  | ({ readonly type: "video_url"; readonly video_url: { readonly url: string } } & Marked)

type Content<P> = { readonly content: string | ReadonlyArray<P> }

type Message =
  | (Omit<Plain<OpenAi.ChatCompletionSystemMessageParam>, "content"> & Content<MarkedText>)
  | (Omit<Plain<OpenAi.ChatCompletionUserMessageParam>, "content"> & Content<Part>)
  | (Omit<Plain<OpenAi.ChatCompletionToolMessageParam>, "content"> & Content<MarkedText>)
  | (
    & Omit<Plain<OpenAi.ChatCompletionAssistantMessageParam>, "content" | "tool_calls">
    & Partial<Content<MarkedText>>
    & {
      readonly tool_calls?: ReadonlyArray<Plain<OpenAi.ChatCompletionMessageToolCall> & Signed>
      readonly reasoning?: string
      readonly reasoning_content?: string
      readonly reasoning_details?: ReadonlyArray<ReasoningDetail>
    }
  )

type Theirs = Omit<Plain<OpenAi.ChatCompletionCreateParamsNonStreaming>, "messages" | "tools"> & {
  readonly messages: ReadonlyArray<Message>
  readonly tools?: ReadonlyArray<Plain<OpenAi.ChatCompletionTool> & Marked>
  readonly reasoning?: Reasoning
}

export const checked = (dialect: Speaker, completion: Completion): Theirs => encode(dialect)(completion, "gpt-5")

export const unknownNames = none<Unknown<ReturnType<ReturnType<typeof encode>>, Theirs>>()
