/**
 * Reads the messages of a client's request. Source: OpenAI API reference, "Chat".
 */
import * as Result from "effect/Result"
import type * as Message from "../../Message.ts"
import { callArguments, present } from "../encode.ts"
import { array, isObject, type JsonRecord, object, string } from "../json.ts"
import type { Refused } from "../Wire.ts"
import { reasoningOf, signatureOf, sourceOf } from "./response.ts"
import { audioTypes, fileTypes } from "./shape.ts"

const refused = (reason: Refused["reason"], description: string) =>
  Result.fail<Refused>({ _tag: "Refused", reason, description })

/** The cache mark of a content or a tool. */
export const cacheOf = (part: JsonRecord): { readonly cache?: Message.CacheHint } => {
  const mark = part["cache_control"]
  if (!isObject(mark)) return {}
  const ttl = mark["ttl"]
  return { cache: ttl === "5m" || ttl === "1h" ? { ttl } : {} }
}

const partsOf = (content: unknown): ReadonlyArray<JsonRecord> =>
  typeof content === "string" ? [{ type: "text", text: content }] : array(content).filter(isObject)

const textOf = (part: JsonRecord): string => string(part["text"]) ?? string(part["refusal"]) ?? ""

const extension = /\.([a-z0-9]{1,8})(?:[?#]|$)/i

// Some providers require the media type of a URL, and clients do not send one: it is inferred from the extension.
const source = (url: unknown): Message.Source => {
  const found = sourceOf(string(url) ?? "")
  if (found._tag !== "Url") return found
  const name = found.url.split(/[?#]/, 1)[0]!.split("/").at(-1)!
  return { ...found, ...present("mediaType", fileTypes[extension.exec(name)?.[1]?.toLowerCase() ?? ""]) }
}

const details = ["low", "high", "auto"] as const

const userContent = (part: JsonRecord): Message.UserContent | undefined => {
  switch (part["type"]) {
    case "text":
      return { _tag: "Text", text: textOf(part), ...cacheOf(part) }
    case "image_url": {
      const { detail, url } = object(part["image_url"])
      return {
        _tag: "Image",
        source: source(url),
        ...present("detail", details.find((word) => word === detail)),
        ...cacheOf(part)
      }
    }
    case "input_audio": {
      const { data, format } = object(part["input_audio"])
      const name = string(format) ?? "wav"
      const mediaType = audioTypes[name] ?? `audio/${name}`
      return { _tag: "Audio", source: { _tag: "Base64", data: string(data) ?? "", mediaType }, ...cacheOf(part) }
    }
    case "video_url":
      return { _tag: "Video", source: source(object(part["video_url"])["url"]), ...cacheOf(part) }
    case "file": {
      const { file_data, file_id, filename } = object(part["file"])
      const id = string(file_id)
      return {
        _tag: "Document",
        source: id === undefined ? source(file_data) : { _tag: "FileId", id },
        ...present("title", string(filename)),
        ...cacheOf(part)
      }
    }
    default:
      return undefined
  }
}

const userMessage = (message: JsonRecord, where: string): Result.Result<Message.User, Refused> => {
  const parts = partsOf(message["content"])
  const contents = parts.map(userContent)
  const unknown = parts[contents.indexOf(undefined)]
  if (unknown !== undefined) {
    return refused(
      "Unsupported",
      `${where}: a content part of type '${String(unknown["type"])}' is not supported here.`
    )
  }
  return Result.succeed({
    _tag: "User",
    content: contents as ReadonlyArray<Message.UserContent> as Message.User["content"]
  })
}

const callOf = (call: JsonRecord, index: number): Message.ToolCall => {
  const made = object(call["function"])
  const args = made["arguments"]
  return {
    _tag: "ToolCall",
    id: string(call["id"]) ?? `call_${index}`,
    name: string(made["name"]) ?? "",
    arguments: callArguments(args) as Message.ToolCall["arguments"],
    ...present("signature", signatureOf(call))
  }
}

const callsOf = (message: JsonRecord): ReadonlyArray<JsonRecord> => {
  const legacy = message["function_call"]
  return [...array(message["tool_calls"]).filter(isObject), ...(isObject(legacy) ? [{ function: legacy }] : [])]
}

const assistantMessage = (message: JsonRecord, vendor: string): Message.Assistant => {
  const audio = object(message["audio"])
  return {
    _tag: "Assistant",
    // Encrypted reasoning and blocks can only be read by this wire's provider.
    provider: vendor,
    content: [
      ...reasoningOf(message),
      ...partsOf(message["content"] ?? message["refusal"]).flatMap((part): ReadonlyArray<Message.Text> =>
        textOf(part) === "" ? [] : [{ _tag: "Text", text: textOf(part), ...cacheOf(part) }]
      ),
      ...callsOf(message).map(callOf),
      ...(string(audio["id"]) === undefined
        ? []
        : [{ _tag: "ProviderBlock", provider: vendor, block: { audio } } as Message.ProviderBlock])
    ]
  }
}

const toolResult = (message: JsonRecord, names: ReadonlyMap<string, string>): Message.ToolResult => {
  const id = string(message["tool_call_id"]) ?? ""
  const parts = partsOf(message["content"])
  const [only] = parts
  return {
    _tag: "ToolResult",
    id,
    name: names.get(id) ?? string(message["name"]) ?? "",
    content: parts.map((part): Message.ToolResultContent =>
      part["type"] === "image_url"
        ? { _tag: "Image", source: source(object(part["image_url"])["url"]) }
        : { _tag: "Text", text: textOf(part) }
    ),
    // The mark of a result is on its last part.
    ...(only !== undefined && cacheOf(parts.at(-1) ?? only))
  }
}

const systemMessages = (message: JsonRecord): ReadonlyArray<Message.System> =>
  partsOf(message["content"]).map((part) => ({ _tag: "System", content: textOf(part), ...cacheOf(part) }))

const roles = "Supported values are: 'system', 'assistant', 'user', 'tool', and 'developer'."

/** The messages of a request. The results of a turn and the user's text after them become one message. */
export const messagesFrom = (
  incoming: ReadonlyArray<unknown>,
  vendor: string
): Result.Result<ReadonlyArray<Message.Message>, Refused> =>
  Result.gen(function*() {
    const names = new Map<string, string>()
    const messages: Array<Message.Message> = []
    let results: Array<Message.UserContent> | undefined
    for (const [index, message] of incoming.map(object).entries()) {
      const where = `messages[${index}]`
      switch (message["role"]) {
        case "tool":
        case "function": {
          const result = toolResult(message, names)
          if (results === undefined) messages.push({ _tag: "User", content: results = [] as never })
          results.push(result)
          continue
        }
        case "user": {
          const user = yield* userMessage(message, where)
          if (results === undefined) messages.push(user)
          else results.push(...user.content)
          break
        }
        case "system":
        case "developer":
          messages.push(...systemMessages(message))
          break
        case "assistant":
        case "model": {
          const assistant = assistantMessage(message, vendor)
          for (const content of assistant.content) if (content._tag === "ToolCall") names.set(content.id, content.name)
          messages.push(assistant)
          break
        }
        default:
          return yield* refused(
            "InvalidRequest",
            `Invalid value: '${String(message["role"])}' at ${where}.role. ${roles}`
          )
      }
      results = undefined
    }
    return messages
  })
