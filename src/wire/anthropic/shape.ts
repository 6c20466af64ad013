/**
 * What a request to Anthropic may hold, and the words that both halves of the wire share. Source: Anthropic API
 * reference, "Messages", "Vision", "PDF support", "Stop reasons".
 */
import type { FinishReason } from "../../CompletionResponse.ts"
import type { CallIds } from "../callIds.ts"
import type { Accepts, FinishReasons, Media } from "../Wire.ts"

/** Whose parameters, metadata and blocks these are, whatever an instance is called. */
export const vendor = "anthropic"

/** The path of the one endpoint, below the base URL. */
export const path = "/v1/messages"

export const imageTypes = ["image/jpeg", "image/png", "image/gif", "image/webp"] as const

export const documentTypes = ["application/pdf", "text/plain"] as const

const images: Media = { Url: true, Base64: imageTypes, FileId: true }

const documents: Media = { Url: true, Base64: documentTypes, FileId: true }

export const accepts: Accepts = {
  user: { Image: images, Document: documents },
  toolResult: { Image: images, Document: documents }
}

/** The form of the ids of tool calls. */
export const callIds: CallIds = { fits: (id) => /^[a-zA-Z0-9_-]+$/.test(id), unique: true }

/** The provider refuses texts of nothing but white space, although its models write them. */
export const isBlank = (text: string): boolean => text.trim() === ""

/** What the stop reasons mean. */
export const finishReasons = {
  end_turn: "Stop",
  stop_sequence: "Stop",
  max_tokens: "MaxTokens",
  model_context_window_exceeded: "MaxTokens",
  tool_use: "ToolUse",
  refusal: "ContentFilter"
} satisfies FinishReasons

const stopReasons = {
  None: "end_turn",
  Stop: "end_turn",
  MaxTokens: "max_tokens",
  ToolUse: "tool_use",
  ContentFilter: "refusal"
} satisfies Record<Exclude<FinishReason["_tag"], "Other">, keyof typeof finishReasons>

/** The stop reason of an answer; those that only another provider knows are the end of a turn. */
export const stopReason = (reason: FinishReason, own: boolean, stopSequence: string | undefined): string =>
  reason._tag === "Other"
    ? own ? reason.reason : "end_turn"
    : reason._tag === "Stop" && stopSequence !== undefined
    ? "stop_sequence"
    : stopReasons[reason._tag]

/**
 * The passes of the model whose tokens the counts of the whole answer leave out. Those of all other kinds are in them,
 * but for what a model before a fallback spent.
 */
export const passesApart: ReadonlySet<string> = new Set(["compaction", "advisor_message"])
