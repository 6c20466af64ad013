/**
 * Reads the contents of a generateContent request as messages.
 */
import * as Result from "effect/Result"
import * as Message from "../../Message.ts"
import { callArguments, present } from "../encode.ts"
import { array, isObject, type JsonRecord, object, string } from "../json.ts"
import { vendor } from "./shape.ts"

/** A call of the previous turn. Its result matches it by id, otherwise by name and order. */
interface Waiting {
  readonly ownId: string | undefined
  readonly id: string
  readonly name: string
}

interface Media {
  readonly source: Message.Base64 | Message.Url
  readonly mediaType: string
}

const mediaOf = (part: JsonRecord): Media | undefined => {
  const inline = part["inlineData"]
  if (isObject(inline)) {
    const mediaType = string(inline["mimeType"]) ?? "application/octet-stream"
    return { mediaType, source: { _tag: "Base64", data: string(inline["data"]) ?? "", mediaType } }
  }
  const file = part["fileData"]
  if (!isObject(file)) return undefined
  const mediaType = string(file["mimeType"])
  return {
    mediaType: mediaType ?? "",
    source: { _tag: "Url", url: string(file["fileUri"]) ?? "", ...present("mediaType", mediaType) }
  }
}

const mediaContent = ({ mediaType, source }: Media): Message.UserContent =>
  mediaType.startsWith("image/")
    ? { _tag: "Image", source }
    : mediaType.startsWith("audio/")
    ? { _tag: "Audio", source }
    // Only YouTube URLs come without a media type.
    : mediaType.startsWith("video/") || mediaType === ""
    ? { _tag: "Video", source }
    : { _tag: "Document", source }

// ---------------------------------------------------------------------------------------------------------------------
// Results
// ---------------------------------------------------------------------------------------------------------------------

const valueContent = (value: unknown): Message.ToolResultContent =>
  typeof value === "string" ? { _tag: "Text", text: value } : { _tag: "Json", value: value as Message.Json["value"] }

const resultMedia = (part: unknown): ReadonlyArray<Message.ToolResultContent> => {
  const media = mediaOf(object(part))
  return media === undefined
    ? []
    : [{ _tag: media.mediaType.startsWith("image/") ? "Image" : "Document", source: media.source }]
}

// The fields in which clients write a tool result. Without one of them, the result is the whole object.
const names = ["error", "output", "result", "content"]

const resultOf = (response: JsonRecord, waiting: Array<Waiting>): Message.ToolResult => {
  const ownId = string(response["id"])
  const name = string(response["name"]) ?? ""
  const byId = ownId === undefined ? -1 : waiting.findIndex((call) => call.ownId === ownId)
  const place = byId >= 0 ?
    byId :
    waiting.findIndex((call) => call.name === name && (ownId === undefined || call.ownId === undefined))
  const call = place < 0 ? undefined : waiting.splice(place, 1)[0]
  const value = object(response["response"])
  const field = names.find((field) => field in value)
  const values = field !== undefined ? [value[field]] : Object.keys(value).length > 0 ? [value] : []
  return {
    _tag: "ToolResult",
    id: call?.id ?? ownId ?? name,
    name,
    content: [...values.map(valueContent), ...array(response["parts"]).flatMap(resultMedia)],
    ...(field === "error" && { isError: true })
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Messages
// ---------------------------------------------------------------------------------------------------------------------

const isThought = (part: JsonRecord): boolean =>
  part["thought"] === true && (typeof part["text"] === "string" || part["thoughtSignature"] !== undefined)
  && part["inlineData"] === undefined && part["fileData"] === undefined

const modelContent = (part: JsonRecord, mint: () => string): Message.AssistantContent => {
  const signature = present("signature", string(part["thoughtSignature"]))
  const text = typeof part["text"] === "string" ? part["text"] : ""
  const call = part["functionCall"]
  if (isObject(call)) {
    return {
      _tag: "ToolCall",
      id: string(call["id"]) ?? mint(),
      name: string(call["name"]) ?? "",
      arguments: callArguments(call["args"]) as Message.ToolCall["arguments"],
      ...signature
    }
  }
  if (isThought(part)) return { _tag: "Reasoning", content: [{ _tag: "Text", text, ...signature }] }
  if (typeof part["text"] === "string") return { _tag: "Text", text, ...signature }
  const media = part["thought"] === true ? undefined : mediaOf(part)
  return media?.mediaType.startsWith("image/") === true
    ? { _tag: "Image", source: media.source, ...signature }
    : { _tag: "ProviderBlock", provider: vendor, block: part as Message.ProviderBlock["block"] }
}

const userContent = (part: JsonRecord, waiting: Array<Waiting>): Message.UserContent | undefined => {
  if (isObject(part["functionResponse"])) return resultOf(part["functionResponse"], waiting)
  if (typeof part["text"] === "string") return { _tag: "Text", text: part["text"] }
  const media = mediaOf(part)
  return media && mediaContent(media)
}

/** The messages of a request, oldest first. Fails with what is wrong. */
export const history = (contents: unknown): Result.Result<ReadonlyArray<Message.Message>, string> => {
  const messages: Array<Message.Message> = []
  let waiting: Array<Waiting> = []
  let minted = 0
  // A single content is accepted instead of a list, and a text instead of a content.
  const turns = (Array.isArray(contents) ? contents : contents === undefined ? [] : [contents]).map((content) =>
    typeof content === "string" ? { parts: [{ text: content }] } : object(content)
  )
  for (const [turn, content] of turns.entries()) {
    const parts = array(content["parts"]).filter(isObject).filter((part) => Object.keys(part).length > 0)
    if (parts.length === 0) continue
    if (content["role"] === "model") {
      const said = parts.map((part) => modelContent(part, () => Message.mintId("request", minted++)))
      waiting = said.flatMap((content, index) =>
        content._tag === "ToolCall"
          ? [{ id: content.id, name: content.name, ownId: string(object(parts[index]!["functionCall"])["id"]) }]
          : []
      )
      messages.push({ _tag: "Assistant", provider: vendor, content: said })
      continue
    }
    const collected: Array<Message.UserContent> = []
    for (const part of parts) {
      const content = userContent(part, waiting)
      if (content === undefined) {
        return Result.fail(`contents[${turn}]: a part of ${Object.keys(part).join(", ")} is not supported`)
      }
      collected.push(content)
    }
    messages.push({ _tag: "User", content: collected as ReadonlyArray<Message.UserContent> as Message.User["content"] })
  }
  return messages.length === 0 ? Result.fail("contents is not specified") : Result.succeed(messages)
}
