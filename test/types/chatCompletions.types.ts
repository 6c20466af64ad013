/** What we send to OpenAI and to those that speak as it does, held against its SDK by the type checker alone. */
import type * as OpenAi from "openai/resources/chat/completions"
import type { Speaker } from "../../src/wire/chat/messages.ts"
import { encode } from "../../src/wire/chat/request.ts"
import type { Fitted } from "../../src/wire/chat/rules.ts"
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
  /** Together AI, "Reasoning". */
  readonly enabled?: boolean
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
  // Mistral, "Document AI", "Audio".
  | ({ readonly type: "document_url"; readonly document_url: string; readonly document_name?: string } & Marked)
  | ({
    readonly type: "input_audio"
    readonly input_audio: string | Plain<OpenAi.ChatCompletionContentPartInputAudio.InputAudio>
  } & Marked)

/** Mistral, "Reasoning". */
type Thinking = Marked & {
  readonly type: "thinking"
  readonly thinking: ReadonlyArray<{ readonly type: "text"; readonly text: string }>
}

type Content<P> = { readonly content: string | ReadonlyArray<P> }

type Message =
  | (Omit<Plain<OpenAi.ChatCompletionSystemMessageParam>, "content"> & Content<MarkedText>)
  | (Omit<Plain<OpenAi.ChatCompletionUserMessageParam>, "content"> & Content<Part>)
  | (Omit<Plain<OpenAi.ChatCompletionToolMessageParam>, "content"> & Content<MarkedText>)
  | (
    & Omit<Plain<OpenAi.ChatCompletionAssistantMessageParam>, "content" | "tool_calls">
    & Partial<Content<MarkedText | Thinking>>
    & {
      readonly tool_calls?: ReadonlyArray<Plain<OpenAi.ChatCompletionMessageToolCall> & Signed>
      readonly reasoning?: string
      readonly reasoning_content?: string
      readonly reasoning_details?: ReadonlyArray<ReasoningDetail>
    }
  )

type Params = Plain<OpenAi.ChatCompletionCreateParamsNonStreaming>

type Theirs = Omit<Params, "messages" | "tools" | "tool_choice"> & {
  readonly messages: ReadonlyArray<Message>
  readonly tools?: ReadonlyArray<Plain<OpenAi.ChatCompletionTool> & Marked>
  readonly reasoning?: Reasoning
  // DeepSeek, "Thinking mode"; Mistral, "Chat".
  readonly thinking?: { readonly type: "enabled" | "disabled" }
  readonly random_seed?: number
  readonly tool_choice?: NonNullable<Params["tool_choice"]> | "any"
}

export const checked = (speaker: Speaker, fitted: Fitted): Theirs => encode(speaker)(fitted, "gpt-6-luna")

export const unknownNames = none<Unknown<ReturnType<ReturnType<typeof encode>>, Theirs>>()
