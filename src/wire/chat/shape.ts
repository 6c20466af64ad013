/**
 * Chat Completions, as OpenAI, OpenRouter and every compatible server speak it: how they differ, and the words that both
 * halves of the wire share. Sources: OpenAI API reference, "Chat"; OpenRouter API reference, "Chat completion".
 */
import type { FinishReason } from "../../CompletionResponse.ts"
import type { CallIds } from "../callIds.ts"
import type { Accepts, FinishReasons } from "../Wire.ts"

/** How servers of this protocol differ. */
export interface Dialect {
  readonly vendor: "openai" | "openrouter"
  readonly accepts: Accepts
  /** Which ids of tool calls a server takes, by model. */
  readonly callIds: (model: string) => CallIds
  /** How reasoning goes back: in the fields or the content that it came in, as a list of details, or not at all. */
  readonly reasoning: "field" | "content" | "details" | "none"
  /** How a request asks for reasoning: by an effort, or by an object that knows budgets too. */
  readonly asksReasoning: "reasoning_effort" | "reasoning"
  /** The switch that turns reasoning on and off, where efforts alone do not. */
  readonly toggle?: "thinking" | "reasoning" | undefined
  /** Whether contents may carry Anthropic's cache marks. */
  readonly cacheMarks: boolean
  /** Where `maxTokens` goes; OpenAI's models differ. */
  readonly maxTokens: "max_tokens" | "max_completion_tokens" | "byModel"
  /** Some servers call no tools when they are asked for structured output at the same time. */
  readonly schemaAfterTools: boolean
  /** Whether a schema of the answer must be an object at its root. */
  readonly objectAtRoot: boolean
  /** Whether a stream has to be asked for its usage. */
  readonly streamOptions: boolean
  readonly seedField: "seed" | "random_seed"
  /** The word for any tool, but one. */
  readonly requiredWord: "required" | "any"
  /** Whether a tool can be forced while the model thinks. */
  readonly forcedTools?: "withoutThinking" | undefined
  /** How documents and audio are written. */
  readonly media: "openai" | "mistral"
}

/** What a server does in another way than most that are compatible with OpenAI. */
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

/** What the words for the end mean. */
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

/** The word for an end; a reason that this wire does not know is a stop, since clients know no other words. */
export const finishWords = {
  None: "stop",
  Stop: "stop",
  MaxTokens: "length",
  ToolUse: "tool_calls",
  ContentFilter: "content_filter",
  Other: "stop"
} as const satisfies Readonly<Record<FinishReason["_tag"], string>>

/** The fields that servers put reasoning into; it goes back into the one that it came from. */
export const reasoningFields = ["reasoning_content", "reasoning"] as const

/** Stands for the field of reasoning that came in details alone. */
export const detailsField = "reasoning_details"

/** The format of an audio type, where it is not what stands behind the slash. */
export const audioFormats: Readonly<Record<string, string>> = {
  "audio/mpeg": "mp3",
  "audio/x-wav": "wav",
  "audio/wave": "wav",
  "audio/vnd.wave": "wav",
  "audio/x-aiff": "aiff",
  "audio/mp4": "m4a",
  "audio/x-m4a": "m4a"
}

/** The audio type of a format, where it is not `audio/` and the format. */
export const audioTypes: Readonly<Record<string, string>> = { mp3: "audio/mpeg", m4a: "audio/mp4" }

/** The types of files that are told by their extension, in both directions. */
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

// Azure names this limit, OpenAI a later and longer one.
const isShort = (id: string): boolean => id.length <= 40

const openAiCallIds: CallIds = { fits: isShort }

// Models of Mistral are as strict behind other servers, since it is their template that refuses.
const mistral = /(^|[/:])(open-)?(mistral|mixtral|ministral|magistral|devstral|codestral|pixtral|voxtral)/i

const mistralCallIds: CallIds = { fits: (id) => /^[a-zA-Z0-9]{9}$/.test(id) }

// A server takes its own ids as it wrote them, whatever they are; of others only what most take.
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

/** Any other server of the protocol: takes more contents, and is asked for no newer features. */
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
    // Images that a model made are not sent back: they are left out of its message.
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
