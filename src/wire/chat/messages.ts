/**
 * Writes the messages of a request. Sources: OpenAI API reference, "Chat"; OpenRouter API reference, "Reasoning
 * tokens".
 */
import type * as Message from "../../Message.ts"
import type { Overrides } from "../../Models.ts"
import { cacheControl, callArguments, decodeText, present, resultText } from "../encode.ts"
import { object, string } from "../json.ts"
import { audioFormats, detailsField, type Dialect, reasoningFields } from "./shape.ts"

/** The client side of a dialect, for one instance. */
export interface Speaker extends Dialect {
  readonly name: string
  /** The service's name in the tables of models; the name of the instance unless given. */
  readonly service?: string | undefined
  /** Overrides of the built-in rules for models. */
  readonly models?: Overrides | undefined
}

const dataUrl = (source: Message.Base64): string => `data:${source.mediaType};base64,${source.data}`

export const urlOf = (source: Message.Source): string =>
  source._tag === "Url" ? source.url : source._tag === "Base64" ? dataUrl(source) : source.id

const isPlainText = (source: Message.Source): source is Message.Base64 =>
  source._tag === "Base64" && source.mediaType.startsWith("text/")

const fileExtensions: Readonly<Record<string, string>> = { "application/pdf": "pdf" }

const file = ({ source, title }: Message.Document) => {
  if (source._tag === "FileId") return { file_id: source.id }
  const extension = fileExtensions[source.mediaType ?? "application/pdf"]
  return {
    filename: title ?? (extension === undefined ? "document" : `document.${extension}`),
    file_data: urlOf(source)
  }
}

const inputAudio = (source: Message.Source, plain: boolean) => {
  // `accepts` was checked before: only base64 gets here, in a supported format where that matters.
  const { data, mediaType } = source as Message.Base64
  return plain ? data : { data, format: (audioFormats[mediaType] ?? mediaType.split("/")[1]) as "wav" | "mp3" }
}

// Mistral's own format.
const document = ({ source, title }: Message.Document) => ({
  type: "document_url",
  document_url: urlOf(source),
  ...present("document_name", title)
} as const)

const userPart = (dialect: Dialect, content: Exclude<Message.UserContent, Message.ToolResult>) => {
  const mistral = dialect.media === "mistral"
  switch (content._tag) {
    case "Text":
      return { type: "text", text: content.text } as const
    case "Image":
      return {
        type: "image_url",
        image_url: { url: urlOf(content.source), ...present("detail", content.detail) }
      } as const
    case "Audio":
      return { type: "input_audio", input_audio: inputAudio(content.source, mistral) } as const
    case "Video":
      return { type: "video_url", video_url: { url: urlOf(content.source) } } as const
    case "Document":
      return isPlainText(content.source)
        ? { type: "text", text: decodeText(content.source.data) } as const
        : mistral && content.source._tag !== "FileId"
        ? document(content)
        : { type: "file", file: file(content) } as const
  }
}

type Marked = ReturnType<typeof cacheControl>

/** The cache mark of a content, if the server supports it. */
export const mark = (dialect: Dialect, content: { readonly cache?: Message.CacheHint }): Marked =>
  dialect.cacheMarks ? cacheControl(content) : {}

type TextPart = { readonly type: "text"; readonly text: string } & Marked

const textPart = (dialect: Dialect, text: string, marked: { readonly cache?: Message.CacheHint }): TextPart => ({
  type: "text",
  text,
  ...mark(dialect, marked)
})

// A single text without a mark is sent as a plain string, which every server accepts.
const contentOf = <Part extends { readonly type: string } & Marked>(parts: ReadonlyArray<Part | TextPart>) => {
  const [first] = parts
  return parts.length === 1 && first?.type === "text" && "text" in first && first.cache_control === undefined
    ? first.text
    : parts
}

const toolMessage = (dialect: Dialect) => (result: Message.ToolResult) => {
  // `accepts` excludes other contents.
  const texts = result.content.flatMap((item) => item._tag === "Text" || item._tag === "Json" ? [resultText(item)] : [])
  return {
    role: "tool",
    tool_call_id: result.id,
    content: contentOf([textPart(dialect, texts.join("\n"), result)])
  } as const
}

/** A part of reasoning in the format of `reasoning_details`, which OpenRouter and others send and accept. */
export const reasoningDetail = (part: Message.ReasoningPart, position: number) => {
  const common = { id: part.id ?? null, format: part.format ?? null, index: part.index ?? position }
  switch (part._tag) {
    case "Text":
      return { type: "reasoning.text", text: part.text, ...present("signature", part.signature), ...common } as const
    case "Summary":
      return { type: "reasoning.summary", summary: part.text, ...common } as const
    case "Encrypted":
    case "Redacted":
      return { type: "reasoning.encrypted", data: part.data, ...common } as const
  }
}

/** The readable text of reasoning. */
export const readable = (parts: ReadonlyArray<Message.ReasoningPart>): string =>
  parts.flatMap((part) => part._tag === "Text" || part._tag === "Summary" ? [part.text] : []).join("\n")

// Only details can carry a signature or encrypted data.
const isSealed = (part: Message.ReasoningPart): boolean =>
  part._tag === "Encrypted" || part._tag === "Redacted" || (part._tag === "Text" && part.signature !== undefined)

const isNumbered = ({ format, id, index }: Message.ReasoningPart): boolean =>
  id !== undefined || format !== undefined || index !== undefined

const plainField = (reasoning: ReadonlyArray<Message.Reasoning>) =>
  reasoningFields.find((name) => name === reasoning[0]?.field)

/** Whether the reasoning came as details, which contain more than its text. */
export const writesDetails = (reasoning: ReadonlyArray<Message.Reasoning>): boolean => {
  const parts = reasoning.flatMap(({ content }) => content)
  return reasoning[0]?.field === detailsField || parts.some(isSealed)
    || (plainField(reasoning) === undefined && parts.some(isNumbered))
}

const reasoningOf = (dialect: Dialect, contents: ReadonlyArray<Message.AssistantContent>) => {
  const reasoning = contents.filter((content) => content._tag === "Reasoning")
  const parts = reasoning.flatMap(({ content }) => content)
  if (dialect.reasoning === "none" || dialect.reasoning === "content" || parts.length === 0) return {}
  const plain = plainField(reasoning)
  const inDetails = dialect.reasoning === "details" || writesDetails(reasoning)
  const text = dialect.reasoning === "field" && (plain !== undefined || !inDetails) ? readable(parts) : ""
  return {
    ...(inDetails && { reasoning_details: parts.map(reasoningDetail) }),
    ...present(plain ?? "reasoning_content", text === "" ? undefined : text)
  }
}

// The other fields of a server's own answer go back unchanged. Of audio, the server only accepts the id.
const ownFields = (blocks: ReadonlyArray<Message.ProviderBlock>): object =>
  Object.fromEntries(
    blocks.flatMap(({ block }) => Object.entries(block)).map(([key, value]) => {
      const id = key === "audio" ? string(object(value)["id"]) : undefined
      return [key, id === undefined ? value : { id }]
    })
  )

export interface ThinkingPart extends Marked {
  readonly type: "thinking"
  readonly thinking: ReadonlyArray<{ readonly type: "text"; readonly text: string }>
}

// Reasoning as a part of the content, in Mistral's format.
const thinkingPart = ({ content }: Message.Reasoning): ThinkingPart => ({
  type: "thinking",
  thinking: content.flatMap((part) =>
    part._tag === "Text" || part._tag === "Summary" ? [{ type: "text", text: part.text } as const] : []
  )
})

const assistantPart = (speaker: Speaker, native: boolean) =>
(
  content: Message.AssistantContent
): ReadonlyArray<TextPart | ThinkingPart> => {
  if (content._tag === "Text") return content.text === "" ? [] : [textPart(speaker, content.text, content)]
  return content._tag === "Reasoning" && native && speaker.reasoning === "content" ? [thinkingPart(content)] : []
}

const assistantMessages = (speaker: Speaker, message: Message.Assistant, reasoningInTurns: boolean) => {
  const native = message.provider === undefined || message.provider === speaker.name
  const parts = message.content.flatMap(assistantPart(speaker, native))
  const calls = message.content.filter((content) => content._tag === "ToolCall")
  const reasoning = native ? reasoningOf(speaker, message.content) : {}
  const blocks = message.content.filter((content) => content._tag === "ProviderBlock")
    // A block with a type is an item of the Responses API, which a message cannot contain.
    .filter(({ block, provider }) => provider === speaker.name && block["type"] === undefined)
  const encoded = {
    role: "assistant",
    ...(parts.length > 0 && { content: contentOf(parts) }),
    ...(reasoningInTurns && { reasoning_content: "" }),
    ...reasoning,
    ...(calls.length > 0 && {
      tool_calls: calls.map((call) => ({
        id: call.id,
        type: "function",
        function: { name: call.name, arguments: JSON.stringify(callArguments(call.arguments)) },
        // Google's compatible server refuses a call without its signature.
        ...(native && call.signature !== undefined && speaker.reasoning === "field"
          && { extra_content: { google: { thought_signature: call.signature } } })
      } as const))
    }),
    ...ownFields(blocks)
  } as const
  // Servers refuse a message that contains only reasoning.
  return parts.some((part) => part.type === "text") || calls.length > 0 || blocks.length > 0 ? [encoded] : []
}

const userMessages = (dialect: Dialect, message: Message.User) => {
  const results = message.content.filter((content) => content._tag === "ToolResult")
  const parts = message.content.flatMap((content) =>
    content._tag === "ToolResult" || (content._tag === "Text" && content.text === "")
      ? []
      : [{ ...userPart(dialect, content), ...mark(dialect, content) }]
  )
  // The results of a turn must directly follow its calls.
  return [
    ...results.map(toolMessage(dialect)),
    ...(parts.length > 0 ? [{ role: "user", content: contentOf(parts) } as const] : [])
  ]
}

/** System text as a message; none when it is empty. */
export const systemMessages = (dialect: Dialect, text: string, marked: { readonly cache?: Message.CacheHint }) =>
  text === "" ? [] : [{ role: "system", content: contentOf([textPart(dialect, text, marked)]) } as const]

/** The messages to send for one message. */
export const messagesOf = (speaker: Speaker, reasoningInTurns: boolean) => (message: Message.Message) => {
  switch (message._tag) {
    case "System":
      return systemMessages(speaker, message.content, message)
    case "User":
      return userMessages(speaker, message)
    case "Assistant":
      return assistantMessages(speaker, message, reasoningInTurns)
  }
}
