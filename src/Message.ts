/**
 * The turns of a conversation: system, user and assistant messages, and their contents.
 *
 * Everything here is plain data, discriminated by `_tag`, and survives JSON in both directions, so that a conversation
 * can be stored, queued and continued elsewhere. Optional fields of contents carry what a provider needs back, such as
 * signatures and its own ids. Leave them unchanged, and append `CompletionResponse.message` to the history.
 *
 * ```ts
 * import { Message } from "effect-llm"
 *
 * const history = [
 *   Message.user(["What is on this picture?", Message.image(Message.url("https://example.com/cat.png"))]),
 *   Message.assistant("A cat.")
 * ]
 * ```
 */

import * as Schema from "effect/Schema"
import { defined, type Optional } from "./fields.ts"

/** A mark for the provider's prompt cache: everything up to and including the marked content may be cached. */
export const CacheHint = Schema.Struct({
  /** How long the provider keeps the entry. Without it, the provider's default applies. */
  ttl: Schema.optionalKey(Schema.Literals(["5m", "1h"]))
})
export interface CacheHint extends Schema.Schema.Type<typeof CacheHint> {}

// By its name, so that an editor shows it and not what it stands for.
const Hint: Schema.Codec<CacheHint> = CacheHint

const cache = Schema.optionalKey(Hint)

// ---------------------------------------------------------------------------------------------------------------------
// Sources
// ---------------------------------------------------------------------------------------------------------------------

/** A URL that the provider fetches. Some providers require the `mediaType`. */
export const Url = Schema.TaggedStruct("Url", { url: Schema.String, mediaType: Schema.optionalKey(Schema.String) })
export interface Url extends Schema.Schema.Type<typeof Url> {}

/** Base64 data in the request, with its media type, such as `image/png`. */
export const Base64 = Schema.TaggedStruct("Base64", { data: Schema.String, mediaType: Schema.String })
export interface Base64 extends Schema.Schema.Type<typeof Base64> {}

/** A file that was uploaded to the provider earlier. */
export const FileId = Schema.TaggedStruct("FileId", { id: Schema.String })
export interface FileId extends Schema.Schema.Type<typeof FileId> {}

export type Source = Url | Base64 | FileId
export const Source: Schema.Codec<Source> = Schema.Union([Url, Base64, FileId])

// ---------------------------------------------------------------------------------------------------------------------
// Contents
// ---------------------------------------------------------------------------------------------------------------------

export const Text = Schema.TaggedStruct("Text", {
  text: Schema.String,
  /** The provider's signature of this text (Gemini's `thoughtSignature`). */
  signature: Schema.optionalKey(Schema.String),
  /** The provider's citations, verbatim. */
  citations: Schema.optionalKey(Schema.Array(Schema.Json)),
  /** Whether the text is commentary or the final answer, if the provider distinguishes them. */
  phase: Schema.optionalKey(Schema.Literals(["commentary", "final_answer"])),
  cache
})
export interface Text extends Schema.Schema.Type<typeof Text> {}

export const Image = Schema.TaggedStruct("Image", {
  source: Source,
  /** How closely the model looks at the image, if the provider supports it. */
  detail: Schema.optionalKey(Schema.Literals(["low", "high", "auto"])),
  /** The provider's signature of a generated image. */
  signature: Schema.optionalKey(Schema.String),
  cache
})
export interface Image extends Schema.Schema.Type<typeof Image> {}

export const Audio = Schema.TaggedStruct("Audio", { source: Source, cache })
export interface Audio extends Schema.Schema.Type<typeof Audio> {}

export const Video = Schema.TaggedStruct("Video", { source: Source, cache })
export interface Video extends Schema.Schema.Type<typeof Video> {}

export const Document = Schema.TaggedStruct("Document", {
  source: Source,
  title: Schema.optionalKey(Schema.String),
  /** Asks for citations of this document (Anthropic). */
  citations: Schema.optionalKey(Schema.Boolean),
  cache
})
export interface Document extends Schema.Schema.Type<typeof Document> {}

/** A JSON value as a tool result. Providers that only accept text get its JSON text. */
export const Json = Schema.TaggedStruct("Json", { value: Schema.Json })
export interface Json extends Schema.Schema.Type<typeof Json> {}

export type ToolResultContent = Text | Image | Document | Json
export const ToolResultContent: Schema.Codec<ToolResultContent> = Schema.Union([Text, Image, Document, Json])

/** The result of a tool call, whose `id` and `name` it repeats. */
export const ToolResult = Schema.TaggedStruct("ToolResult", {
  id: Schema.String,
  name: Schema.String,
  content: Schema.Array(ToolResultContent),
  isError: Schema.optionalKey(Schema.Boolean),
  cache
})
export interface ToolResult extends Schema.Schema.Type<typeof ToolResult> {}

/** A complete tool call. `arguments` are parsed JSON. */
export const ToolCall = Schema.TaggedStruct("ToolCall", {
  /** The provider's id of the call or, if there is none, a generated one (see `isMintedId`). Never empty. */
  id: Schema.String,
  name: Schema.String,
  arguments: Schema.Json,
  /** The provider's signature of this call (Gemini's `thoughtSignature`). */
  signature: Schema.optionalKey(Schema.String),
  cache
})
export interface ToolCall extends Schema.Schema.Type<typeof ToolCall> {}

const reasoningPart = {
  id: Schema.optionalKey(Schema.String),
  /** The provider's name for the format of this part (OpenRouter's `format`). */
  format: Schema.optionalKey(Schema.String),
  /** The provider's index of this part. */
  index: Schema.optionalKey(Schema.Int)
}

export const ReasoningText = Schema.TaggedStruct("Text", {
  text: Schema.String,
  signature: Schema.optionalKey(Schema.String),
  ...reasoningPart
})
export interface ReasoningText extends Schema.Schema.Type<typeof ReasoningText> {}

export const ReasoningSummary = Schema.TaggedStruct("Summary", { text: Schema.String, ...reasoningPart })
export interface ReasoningSummary extends Schema.Schema.Type<typeof ReasoningSummary> {}

/** Reasoning that only the provider can read. Send it back unchanged. */
export const ReasoningEncrypted = Schema.TaggedStruct("Encrypted", { data: Schema.String, ...reasoningPart })
export interface ReasoningEncrypted extends Schema.Schema.Type<typeof ReasoningEncrypted> {}

/** Reasoning that the provider withheld for safety. Send it back unchanged. */
export const ReasoningRedacted = Schema.TaggedStruct("Redacted", { data: Schema.String, ...reasoningPart })
export interface ReasoningRedacted extends Schema.Schema.Type<typeof ReasoningRedacted> {}

export type ReasoningPart = ReasoningText | ReasoningSummary | ReasoningEncrypted | ReasoningRedacted
export const ReasoningPart: Schema.Codec<ReasoningPart> = Schema.Union([
  ReasoningText,
  ReasoningSummary,
  ReasoningEncrypted,
  ReasoningRedacted
])

/** The model's reasoning before its answer, in order. */
export const Reasoning = Schema.TaggedStruct("Reasoning", {
  content: Schema.Array(ReasoningPart),
  /**
   * The field that it came in, where servers differ (`reasoning_content`, `reasoning`), so that it goes back in the
   * same one.
   */
  field: Schema.optionalKey(Schema.String)
})
export interface Reasoning extends Schema.Schema.Type<typeof Reasoning> {}

/** A block without a counterpart in the vocabulary, kept unchanged to be sent back to its provider. */
export const ProviderBlock = Schema.TaggedStruct("ProviderBlock", { provider: Schema.String, block: Schema.JsonObject })
export interface ProviderBlock extends Schema.Schema.Type<typeof ProviderBlock> {}

export type UserContent = Text | Image | Audio | Video | Document | ToolResult
export const UserContent: Schema.Codec<UserContent> = Schema.Union([Text, Image, Audio, Video, Document, ToolResult])

export type AssistantContent = Text | ToolCall | Reasoning | Image | ProviderBlock
export const AssistantContent: Schema.Codec<AssistantContent> = Schema.Union([
  Text,
  ToolCall,
  Reasoning,
  Image,
  ProviderBlock
])

// ---------------------------------------------------------------------------------------------------------------------
// Messages
// ---------------------------------------------------------------------------------------------------------------------

export const System = Schema.TaggedStruct("System", { content: Schema.String, cache })
export interface System extends Schema.Schema.Type<typeof System> {}

export const User = Schema.TaggedStruct("User", { content: Schema.NonEmptyArray(UserContent) })
export interface User extends Schema.Schema.Type<typeof User> {}

export const Assistant = Schema.TaggedStruct("Assistant", {
  /** The provider's id of the message. */
  id: Schema.optionalKey(Schema.String),
  /** The provider that wrote it. Other providers cannot use its signatures, ids and blocks. */
  provider: Schema.optionalKey(Schema.String),
  content: Schema.Array(AssistantContent)
})
export interface Assistant extends Schema.Schema.Type<typeof Assistant> {}

export type Message = System | User | Assistant
export const Message: Schema.Codec<Message> = Schema.Union([System, User, Assistant])

// ---------------------------------------------------------------------------------------------------------------------
// Constructors
// ---------------------------------------------------------------------------------------------------------------------

export const url = (url: string, mediaType?: string): Url => ({ _tag: "Url", url, ...(mediaType && { mediaType }) })

export const base64 = (data: string, mediaType: string): Base64 => ({ _tag: "Base64", data, mediaType })

export const fileId = (id: string): FileId => ({ _tag: "FileId", id })

type Options<A> = Optional<Omit<A, "_tag" | "source" | "text">>

export const text = (text: string, options?: Options<Text>): Text => defined<Text>({ _tag: "Text", text, ...options })

export const image = (source: Source, options?: Options<Image>): Image =>
  defined<Image>({ _tag: "Image", source, ...options })

export const audio = (source: Source, options?: Options<Audio>): Audio =>
  defined<Audio>({ _tag: "Audio", source, ...options })

export const video = (source: Source, options?: Options<Video>): Video =>
  defined<Video>({ _tag: "Video", source, ...options })

export const document = (source: Source, options?: Options<Document>): Document =>
  defined<Document>({ _tag: "Document", source, ...options })

export const json = (value: Schema.Json): Json => ({ _tag: "Json", value })

export const toolCall = (fields: Optional<Omit<ToolCall, "_tag">>): ToolCall =>
  defined<ToolCall>({ _tag: "ToolCall", ...fields })

const contents = <A>(input: string | A | ReadonlyArray<A | string>): Array<A | Text> =>
  (Array.isArray(input) ? input as ReadonlyArray<A | string> : [input as A | string])
    .map((item) => typeof item === "string" ? text(item) : item)

/** A system message. In the history, it is sent in place if the provider supports that. */
export const system = (content: string, options?: { readonly cache?: CacheHint | undefined }): System =>
  defined<System>({ _tag: "System", content, ...options })

/** A user message from a text, a content, or several of them. */
export const user = (content: string | UserContent | ReadonlyArray<UserContent | string>): User => ({
  _tag: "User",
  content: contents(content) as ReadonlyArray<UserContent> as User["content"]
})

/** An assistant message from a text, a content, or several of them. */
export const assistant = (
  content: string | AssistantContent | ReadonlyArray<AssistantContent | string>,
  options?: { readonly id?: string | undefined; readonly provider?: string | undefined }
): Assistant => defined<Assistant>({ _tag: "Assistant", ...options, content: contents(content) })

/** The result of a tool call, as a content of a user message. `id` and `name` are the call's. */
export const toolResult = ({ content, id, isError, name }: {
  readonly id: string
  readonly name: string
  readonly content: string | ToolResultContent | ReadonlyArray<ToolResultContent | string>
  readonly isError?: boolean | undefined
}): ToolResult => ({ _tag: "ToolResult", id, name, content: contents(content), ...(isError && { isError }) })

// ---------------------------------------------------------------------------------------------------------------------
// Tool-call ids
// ---------------------------------------------------------------------------------------------------------------------

const mintedPrefix = "minted_"

/** An id for the `index`-th call of an answer without ids. `answer` distinguishes answers. */
export const mintId = (answer: string, index: number): string => `${mintedPrefix}${answer}_${index}`

/** Whether a tool-call id is generated. A provider without ids never sees it. */
export const isMintedId = (id: string): boolean => id.startsWith(mintedPrefix)
