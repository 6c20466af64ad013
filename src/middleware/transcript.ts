/**
 * Messages in the form of OpenTelemetry's conventions (`gen_ai.input.messages` and similar attributes). The bytes of
 * media are never included, only their size.
 */
import * as Result from "effect/Result"
import * as Completion from "../Completion.ts"
import type * as Message from "../Message.ts"
import { system } from "../Message.ts"

/** The part of a message that may be recorded; undefined for nothing. */
export type Content = (message: Message.Message) => Message.Message | undefined

type Part = Readonly<Record<string, unknown>>

const media = (modality: string, source: Message.Source): Part => {
  switch (source._tag) {
    case "Url":
      return { type: "uri", modality, mime_type: source.mediaType, uri: source.url }
    case "FileId":
      return { type: "file", modality, file_id: source.id }
    case "Base64":
      return {
        type: "blob",
        modality,
        mime_type: source.mediaType,
        content: "",
        size: Math.floor(source.data.length * 0.75)
      }
  }
}

const result = (content: Message.ToolResultContent): unknown => {
  switch (content._tag) {
    case "Json":
      return content.value
    case "Text":
      return content.text
    case "Image":
    case "Document":
      return media(content._tag.toLowerCase(), content.source)
  }
}

const part = (content: Message.UserContent | Message.AssistantContent): Part => {
  switch (content._tag) {
    case "Text":
      return { type: "text", content: content.text }
    case "Reasoning":
      return {
        type: "reasoning",
        content: content.content.flatMap((part) => "text" in part ? [part.text] : []).join("\n")
      }
    case "ToolCall":
      return { type: "tool_call", id: content.id, name: content.name, arguments: content.arguments }
    case "ToolResult": {
      const [only, ...others] = content.content
      const response = only !== undefined && others.length === 0 ? result(only) : content.content.map(result)
      return { type: "tool_call_response", id: content.id, response }
    }
    case "ProviderBlock":
      return { type: "provider_block", provider: content.provider }
    case "Image":
    case "Audio":
    case "Video":
    case "Document":
      return media(content._tag.toLowerCase(), content.source)
  }
}

const parts = (message: Message.Message): ReadonlyArray<Part> =>
  message._tag === "System" ? [{ type: "text", content: message.content }] : message.content.map(part)

const roles = { System: "system", User: "user", Assistant: "assistant" } as const

const role = (message: Message.Message): string =>
  message._tag === "User" && message.content.every(({ _tag }) => _tag === "ToolResult") ? "tool" : roles[message._tag]

// If the caller's function throws, nothing is recorded, and the call goes on.
const json = (make: () => ReadonlyArray<unknown>): string | undefined =>
  Result.getOrUndefined(Result.try(() => {
    const items = make()
    return items.length === 0 ? undefined : JSON.stringify(items)
  }))

const messages = (all: ReadonlyArray<Message.Message>, content: Content): ReadonlyArray<unknown> =>
  all.flatMap((message) => {
    const shown = content(message)
    return shown === undefined ? [] : [{ role: role(shown), parts: parts(shown) }]
  })

/** The messages that were sent; undefined if none of them may be recorded. */
export const input = (completion: Completion.Completion, content: Content): string | undefined =>
  json(() => messages(Completion.messages(completion), content))

/** The preamble, which is sent separately from the messages. */
export const instructions = ({ preamble }: Completion.Completion, content: Content): string | undefined =>
  preamble === undefined ? undefined : json(() => {
    const shown = content(system(preamble))
    return shown === undefined ? [] : parts(shown)
  })

/** The message of the answer. */
export const output = (message: Message.Assistant, content: Content): string | undefined =>
  json(() => messages([message], content))
