/**
 * What a generateContent request may contain, and the words that both directions share. Sources: Google AI for
 * Developers, Gemini API reference, "Generating content", "Function calling", "Thought signatures".
 */
import type { FinishReason } from "../../CompletionResponse.ts"
import type { Accepts, FinishReasons } from "../Wire.ts"

/** The key of `providerParams`. */
export const vendor = "gemini"

const imageTypes = ["image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"]

const textTypes = ["text/plain", "text/html", "text/css", "text/csv", "text/xml", "text/markdown", "text/rtf"]

export const accepts: Accepts = {
  user: {
    Image: { Url: true, Base64: imageTypes },
    Audio: { Url: true, Base64: true },
    Video: { Url: true, Base64: true },
    Document: { Url: true, Base64: ["application/pdf", "application/json", ...textTypes] }
  },
  toolResult: {
    Image: { Base64: ["image/png", "image/jpeg", "image/webp"] },
    Document: { Base64: ["application/pdf", ...textTypes] }
  },
  assistant: { Url: true, Base64: imageTypes },
  severalToolNames: true,
  urlWithoutMediaType: ["https://www.youtube.com/", "https://youtube.com/", "https://youtu.be/"]
}

/** Whether data of this type must be sent as text, because the API does not accept its bytes. */
export const isText = (mediaType: string): boolean => mediaType.startsWith("text/")

// From version 3 on, including names without a number.
const signed = /gemini-([3-9]|\d\d|[a-z-]+latest)/

/** Whether the model requires signatures on its calls. */
export const wantsSignatures = (model: string): boolean => signed.test(model)

/** The documented placeholder for calls without a signature, such as those of another model. */
export const noSignature = "skip_thought_signature_validator"

/** The finish reason of a request at its own limit, when a follow-up request can continue the answer. */
export const continuation = "CONTINUATION"

export const finishReasons = {
  FINISH_REASON_UNSPECIFIED: "None",
  STOP: "Stop",
  MAX_TOKENS: "MaxTokens",
  CONTINUATION: "MaxTokens",
  SAFETY: "ContentFilter",
  RECITATION: "ContentFilter",
  BLOCKLIST: "ContentFilter",
  PROHIBITED_CONTENT: "ContentFilter",
  SPII: "ContentFilter",
  IMAGE_SAFETY: "ContentFilter",
  IMAGE_PROHIBITED_CONTENT: "ContentFilter",
  IMAGE_RECITATION: "ContentFilter",
  ESCALATION: "ContentFilter",
  PUP_LIMITED_DISABLED: "ContentFilter",
  MODEL_ARMOR: "ContentFilter"
} as const satisfies FinishReasons

const finishWords: Readonly<Record<Exclude<FinishReason["_tag"], "Other">, keyof typeof finishReasons>> = {
  None: "FINISH_REASON_UNSPECIFIED",
  Stop: "STOP",
  // Gemini has no finish reason for calls.
  ToolUse: "STOP",
  MaxTokens: "MAX_TOKENS",
  ContentFilter: "SAFETY"
}

/** The finish reason to write; another provider's becomes `OTHER`. */
export const finishWord = (reason: FinishReason): string =>
  reason._tag !== "Other"
    ? finishWords[reason._tag]
    : /^[A-Z][A-Z_]{0,63}$/.test(reason.reason) && !Object.hasOwn(finishReasons, reason.reason)
    ? reason.reason
    : "OTHER"

/** Fields at the top of a body. All others belong to the candidate. */
export const bodyFields = ["promptFeedback", "modelStatus", "createTime", "usageMetadata"] as const

/** The counts of `usageMetadata` that `TokenUsage` has. */
export const countedFields = [
  "promptTokenCount",
  "candidatesTokenCount",
  "totalTokenCount",
  "cachedContentTokenCount",
  "thoughtsTokenCount",
  "toolUsePromptTokenCount"
] as const

/** The resource name of a model. */
export const modelName = (model: string): string => model.includes("/") ? model : `models/${model}`

/** The path of a model, to which a colon and the method are added. */
export const modelPath = (model: string): string =>
  `/v1beta/${modelName(model).split("/").map(encodeURIComponent).join("/")}`
