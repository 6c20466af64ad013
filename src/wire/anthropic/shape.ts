/**
 * What a request to Anthropic may contain, and the words that both halves share. Source: Anthropic API reference,
 * "Messages", "Vision", "PDF support", "Stop reasons".
 */
import type { FinishReason } from "../../CompletionResponse.ts"
import type { CallIds } from "../callIds.ts"
import type { Accepts, FinishReasons, Media } from "../Wire.ts"

/** The key of parameters, metadata and blocks; it does not depend on the name of the instance. */
export const vendor = "anthropic"

/** The path of the endpoint, below the base URL. */
export const path = "/v1/messages"

export const imageTypes = ["image/jpeg", "image/png", "image/gif", "image/webp"] as const

export const documentTypes = ["application/pdf", "text/plain"] as const

const images: Media = { Url: true, Base64: imageTypes, FileId: true }

const documents: Media = { Url: true, Base64: documentTypes, FileId: true }

export const accepts: Accepts = {
  user: { Image: images, Document: documents },
  toolResult: { Image: images, Document: documents }
}

/** The format of tool call ids. */
export const callIds: CallIds = { fits: (id) => /^[a-zA-Z0-9_-]+$/.test(id), unique: true }

/** The provider refuses blank texts, although its models write them. */
export const isBlank = (text: string): boolean => text.trim() === ""

/** Stop reasons, by the provider's words. */
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

/** The stop reason to write. Reasons that only other providers know become `end_turn`. */
export const stopReason = (reason: FinishReason, own: boolean, stopSequence: string | undefined): string =>
  reason._tag === "Other"
    ? own ? reason.reason : "end_turn"
    : reason._tag === "Stop" && stopSequence !== undefined
    ? "stop_sequence"
    : stopReasons[reason._tag]

/**
 * Passes that the provider leaves out of the total counts. The total includes all other kinds, except what a model used
 * before a fallback.
 */
export const passesApart: ReadonlySet<string> = new Set(["compaction", "advisor_message"])
