/** What we send to OpenAI and to those that speak as it does, held against its SDK by the type checker alone. */
import type * as OpenAi from "openai/resources/chat/completions"
import type { Completion } from "../../src/Completion.ts"
import { type Dialect, encode } from "../../src/wire/chat/request.ts"
import { none, type Plain, type Unknown } from "./exact.ts"

/** Anthropic's cache mark, which OpenRouter takes on parts and tools. */
interface Marked {
  readonly cache_control?: { readonly type: "ephemeral"; readonly ttl?: "5m" | "1h" }
}

/** OpenRouter API reference, "Reasoning tokens". */
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
  | (Omit<Plain<OpenAi.ChatCompletionAssistantMessageParam>, "content"> & Partial<Content<MarkedText>> & {
    readonly reasoning?: string
    readonly reasoning_content?: string
    readonly reasoning_details?: ReadonlyArray<ReasoningDetail>
  })

type Theirs = Omit<Plain<OpenAi.ChatCompletionCreateParamsNonStreaming>, "messages" | "tools"> & {
  readonly messages: ReadonlyArray<Message>
  readonly tools?: ReadonlyArray<Plain<OpenAi.ChatCompletionTool> & Marked>
}

export const checked = (dialect: Dialect, completion: Completion): Theirs => encode(dialect)(completion, "gpt-5")

export const unknownNames = none<Unknown<ReturnType<ReturnType<typeof encode>>, Theirs>>()
