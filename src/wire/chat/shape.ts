/**
 * Chat Completions of OpenAI, OpenRouter and compatible servers: their differences, and the words that both halves
 * share. Sources: OpenAI API reference, "Chat"; OpenRouter API reference, "Chat completion".
 */
import type { FinishReason } from "../../CompletionResponse.ts"
import type { CallIds } from "../callIds.ts"
import type { Accepts, FinishReasons } from "../Wire.ts"

/** How servers of this protocol differ. */
export interface Dialect {
  readonly vendor: "openai" | "openrouter"
  readonly accepts: Accepts
  /** The tool call ids that a server accepts, by model. */
  readonly callIds: (model: string) => CallIds
  /** How reasoning is sent back: in the field or the content that it came in, as details, or not at all. */
  readonly reasoning: "field" | "content" | "details" | "none"
  /** How a request asks for reasoning: by an effort, or by an object that also supports budgets. */
  readonly asksReasoning: "reasoning_effort" | "reasoning"
  /** The switch that turns reasoning on and off, on servers that have one. */
  readonly toggle?: "thinking" | "reasoning" | undefined
  /** Whether contents may have Anthropic's cache marks. */
  readonly cacheMarks: boolean
  /** The field for `maxTokens`; it differs among OpenAI's models. */
  readonly maxTokens: "max_tokens" | "max_completion_tokens" | "byModel"
  /** Some servers do not call tools in a request with structured output. */
  readonly schemaAfterTools: boolean
  /** Whether the root of an output schema must be an object. */
  readonly objectAtRoot: boolean
  /** Whether the usage of a stream must be requested. */
  readonly streamOptions: boolean
  readonly seedField: "seed" | "random_seed"
  /** The tool choice for any tool. */
  readonly requiredWord: "required" | "any"
  /** Whether a tool can be forced while the model thinks. */
  readonly forcedTools?: "withoutThinking" | undefined
  /** The format of documents and audio. */
  readonly media: "openai" | "mistral"
}

/** How a server differs from most compatible servers. */
export type Particulars = Partial<
  Pick<
    Dialect,
    | "forcedTools"
    | "maxTokens"
    | "media"
    | "reasoning"
    | "requiredWord"
    | "schemaAfterTools"
    | "seedField"
    | "streamOptions"
    | "toggle"
  >
>

// ---------------------------------------------------------------------------------------------------------------------
// Words
// ---------------------------------------------------------------------------------------------------------------------

/** Finish reasons, by the server's words. */
export const finishReasons = {
  stop: "Stop",
  eos: "Stop",
  stop_sequence: "Stop",
  end_turn: "Stop",
  completed: "Stop",
  length: "MaxTokens",
  max_tokens: "MaxTokens",
  max_output_tokens: "MaxTokens",
  model_length: "MaxTokens",
  model_context_window_exceeded: "MaxTokens",
  tool_calls: "ToolUse",
  tool_use: "ToolUse",
  function_call: "ToolUse",
  content_filter: "ContentFilter",
  safety: "ContentFilter",
  blocklist: "ContentFilter",
  prohibited_content: "ContentFilter",
  spii: "ContentFilter"
} satisfies FinishReasons

/** The finish reason to write. One that this wire does not have becomes `stop`, because clients do not know others. */
export const finishWords = {
  None: "stop",
  Stop: "stop",
  MaxTokens: "length",
  ToolUse: "tool_calls",
  ContentFilter: "content_filter",
  Other: "stop"
} as const satisfies Readonly<Record<FinishReason["_tag"], string>>

/** The fields in which servers send reasoning. It goes back in the field that it came from. */
export const reasoningFields = ["reasoning_content", "reasoning"] as const

/** The field of reasoning that came only as details. */
export const detailsField = "reasoning_details"

/** The format of an audio type, if it differs from the subtype. */
export const audioFormats: Readonly<Record<string, string>> = {
  "audio/mpeg": "mp3",
  "audio/x-wav": "wav",
  "audio/wave": "wav",
  "audio/vnd.wave": "wav",
  "audio/x-aiff": "aiff",
  "audio/mp4": "m4a",
  "audio/x-m4a": "m4a"
}

/** The audio type of a format, if it is not `audio/` and the format. */
export const audioTypes: Readonly<Record<string, string>> = { mp3: "audio/mpeg", m4a: "audio/mp4" }

/** Media types by file extension, for both directions. */
export const fileTypes: Readonly<Record<string, string>> = {
  pdf: "application/pdf",
  png: "image/png",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  gif: "image/gif",
  webp: "image/webp",
  mp4: "video/mp4",
  webm: "video/webm",
  mov: "video/quicktime",
  mpeg: "video/mpeg"
}

// ---------------------------------------------------------------------------------------------------------------------
// Dialects
// ---------------------------------------------------------------------------------------------------------------------

// Azure documents this limit; OpenAI's later one is longer.
const isShort = (id: string): boolean => id.length <= 40

const openAiCallIds: CallIds = { fits: isShort }

// Mistral's models are strict behind other servers too, because their chat template refuses other ids.
const mistral = /(^|[/:])(open-)?(mistral|mixtral|ministral|magistral|devstral|codestral|pixtral|voxtral)/i

const mistralCallIds: CallIds = { fits: (id) => /^[a-zA-Z0-9]{9}$/.test(id) }

// A server accepts its own ids unchanged. Other ids must have the common format.
const otherCallIds: CallIds = { fits: (id, own) => own || (isShort(id) && /^[a-zA-Z0-9_-]+$/.test(id)) }

const callIdsOf = (model: string): CallIds => mistral.test(model) ? mistralCallIds : otherCallIds

const openAiAccepts: Accepts = {
  user: {
    Image: { Url: true, Base64: true },
    Audio: { Base64: ["audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave", "audio/mp3", "audio/mpeg"] },
    Document: {
      Base64: ["application/pdf", "text/plain", "text/markdown", "text/html", "text/csv", "text/xml"],
      FileId: true
    }
  },
  severalToolNames: true
}

/** OpenAI's own API. */
export const openAiDialect: Dialect = {
  vendor: "openai",
  accepts: openAiAccepts,
  callIds: () => openAiCallIds,
  reasoning: "none",
  asksReasoning: "reasoning_effort",
  cacheMarks: false,
  maxTokens: "byModel",
  schemaAfterTools: false,
  objectAtRoot: true,
  streamOptions: true,
  seedField: "seed",
  requiredWord: "required",
  media: "openai"
}

/** Other servers: they accept more contents, and get no newer features. */
export const compatibleDialect: Dialect = {
  ...openAiDialect,
  accepts: { user: { ...openAiAccepts.user, Audio: { Base64: true }, Video: { Url: true, Base64: true } } },
  callIds: callIdsOf,
  reasoning: "field",
  schemaAfterTools: true,
  objectAtRoot: false
}

export const openRouterDialect: Dialect = {
  vendor: "openrouter",
  accepts: {
    user: {
      Image: { Url: true, Base64: true },
      Audio: { Base64: true },
      Video: { Url: true, Base64: true },
      Document: { Url: true, Base64: true }
    },
    // Generated images are not sent back, but left out of their message.
    assistant: { Url: true, Base64: true }
  },
  callIds: callIdsOf,
  reasoning: "details",
  asksReasoning: "reasoning",
  cacheMarks: true,
  maxTokens: "max_tokens",
  schemaAfterTools: false,
  objectAtRoot: true,
  streamOptions: true,
  seedField: "seed",
  requiredWord: "required",
  media: "openai"
}
