/**
 * The server half: reads a request. Source: Anthropic API reference, "Messages".
 */
import * as Encoding from "effect/encoding/Base64"
import * as Result from "effect/Result"
import * as Completion from "../../Completion.ts"
import type * as Message from "../../Message.ts"
import type * as Tool from "../../Tool.ts"
import { callArguments, present } from "../encode.ts"
import { array, isObject, type JsonRecord, number, object, string } from "../json.ts"
import type { Incoming, Refused, Server } from "../Wire.ts"
import { refuse } from "./refusal.ts"
import { encodeAnswer } from "./response.ts"
import { vendor } from "./shape.ts"
import { streamEncoder } from "./streamEncoder.ts"

type Read<A> = Result.Result<A, Refused>

const refused = (reason: Refused["reason"], description: string): Read<never> =>
  Result.fail({ _tag: "Refused", reason, description })

const unsupported = (where: string, type: unknown): Read<never> =>
  refused("Unsupported", `${where}: blocks of type ${String(type)} are not supported here`)

// ---------------------------------------------------------------------------------------------------------------------
// Contents
// ---------------------------------------------------------------------------------------------------------------------

const words = (value: unknown): string => typeof value === "string" ? value : ""

const cacheOf = (block: JsonRecord): { readonly cache?: Message.CacheHint } => {
  const mark = block["cache_control"]
  if (!isObject(mark)) return {}
  const ttl = mark["ttl"]
  return { cache: ttl === "5m" || ttl === "1h" ? { ttl } : {} }
}

const sourceOf = (source: JsonRecord, where: string): Read<Message.Source> => {
  switch (source["type"]) {
    case "base64":
      return Result.succeed({ _tag: "Base64", data: words(source["data"]), mediaType: words(source["media_type"]) })
    case "url":
      return Result.succeed({ _tag: "Url", url: words(source["url"]) })
    case "file":
      return Result.succeed({ _tag: "FileId", id: words(source["file_id"]) })
    case "text":
      return Result.succeed({
        _tag: "Base64",
        data: Encoding.encode(words(source["data"])),
        mediaType: "text/plain"
      })
    default:
      return refused("Unsupported", `${where}.source: sources of type ${String(source["type"])} are not supported here`)
  }
}

const blocksOf = (content: unknown): ReadonlyArray<JsonRecord> =>
  typeof content === "string" ? [{ type: "text", text: content }] : array(content).filter(isObject)

const textOf = (block: JsonRecord): Message.Text => ({ _tag: "Text", text: words(block["text"]), ...cacheOf(block) })

const imageOf = (block: JsonRecord, where: string): Read<Message.Image> =>
  Result.map(sourceOf(object(block["source"]), where), (source) => ({ _tag: "Image", source, ...cacheOf(block) }))

const documentOf = (block: JsonRecord, where: string): Read<Message.Document> =>
  Result.map(sourceOf(object(block["source"]), where), (source) => ({
    _tag: "Document",
    source,
    ...present("title", string(block["title"])),
    ...(object(block["citations"])["enabled"] === true && { citations: true }),
    ...cacheOf(block)
  }))

const resultContent = (block: JsonRecord, where: string): Read<Message.ToolResultContent> => {
  switch (block["type"]) {
    case "text":
      return Result.succeed(textOf(block))
    case "image":
      return imageOf(block, where)
    case "document":
      return documentOf(block, where)
    default:
      return unsupported(where, block["type"])
  }
}

// The first failure, or all values.
const each = <A>(
  blocks: ReadonlyArray<JsonRecord>,
  where: string,
  read: (block: JsonRecord, where: string) => Read<A>
): Read<Array<A>> => {
  const all: Array<A> = []
  for (const [index, block] of blocks.entries()) {
    const one = read(block, `${where}.${index}`)
    if (Result.isFailure(one)) return Result.fail(one.failure)
    all.push(one.success)
  }
  return Result.succeed(all)
}

const userContent =
  (names: ReadonlyMap<string, string>) => (block: JsonRecord, where: string): Read<Message.UserContent> => {
    switch (block["type"]) {
      case "text":
        return Result.succeed(textOf(block))
      case "image":
        return imageOf(block, where)
      case "document":
        return documentOf(block, where)
      case "tool_result": {
        const id = words(block["tool_use_id"])
        return Result.map(each(blocksOf(block["content"]), `${where}.content`, resultContent), (content) => ({
          _tag: "ToolResult",
          id,
          name: names.get(id) ?? "",
          content,
          ...(block["is_error"] === true && { isError: true }),
          ...cacheOf(block)
        }))
      }
      default:
        return unsupported(where, block["type"])
    }
  }

const assistantContent = (block: JsonRecord): Message.AssistantContent => {
  switch (block["type"]) {
    case "text":
      return {
        ...textOf(block),
        ...(Array.isArray(block["citations"]) && { citations: block["citations"] as Array<never> })
      }
    case "tool_use":
      return {
        _tag: "ToolCall",
        id: words(block["id"]),
        name: words(block["name"]),
        arguments: callArguments(block["input"]) as Message.ToolCall["arguments"],
        ...cacheOf(block)
      }
    case "thinking":
      return {
        _tag: "Reasoning",
        content: [{
          _tag: "Text",
          text: words(block["thinking"]),
          ...present("signature", string(block["signature"]))
        }]
      }
    case "redacted_thinking":
      return { _tag: "Reasoning", content: [{ _tag: "Redacted", data: words(block["data"]) }] }
    default:
      return { _tag: "ProviderBlock", provider: vendor, block: block as Message.ProviderBlock["block"] }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Conversation
// ---------------------------------------------------------------------------------------------------------------------

const systemOf = (content: unknown): ReadonlyArray<Message.System> =>
  blocksOf(content).map((block) => ({ _tag: "System", content: words(block["text"]), ...cacheOf(block) }))

const messagesOf = (list: ReadonlyArray<unknown>): Read<Array<Message.Message>> => {
  // Results do not repeat the name of their call, so the names are kept by id.
  const names = new Map<string, string>()
  const all: Array<Message.Message> = []
  for (const [index, message] of list.map(object).entries()) {
    const { content, role } = message
    switch (role) {
      case "assistant": {
        const contents = blocksOf(content).map(assistantContent)
        for (const call of contents) if (call._tag === "ToolCall") names.set(call.id, call.name)
        all.push({ _tag: "Assistant", provider: vendor, content: contents })
        break
      }
      case "system":
        all.push(...systemOf(content))
        break
      case "user": {
        const contents = each(blocksOf(content), `messages.${index}.content`, userContent(names))
        if (Result.isFailure(contents)) return Result.fail(contents.failure)
        const [first, ...rest] = contents.success
        if (first !== undefined) all.push({ _tag: "User", content: [first, ...rest] })
        break
      }
      default:
        return refused("InvalidRequest", `messages.${index}.role: Input should be 'user', 'assistant' or 'system'`)
    }
  }
  return Result.succeed(all)
}

// ---------------------------------------------------------------------------------------------------------------------
// Settings
// ---------------------------------------------------------------------------------------------------------------------

const choiceOf = ({ name, type }: JsonRecord): Tool.ToolChoice | undefined => {
  switch (type) {
    case "auto":
      return { _tag: "Auto" }
    case "none":
      return { _tag: "None" }
    case "any":
      return { _tag: "Required" }
    case "tool":
      return { _tag: "Specific", names: [words(name)] }
    default:
      return undefined
  }
}

const efforts: ReadonlySet<unknown> = new Set(["low", "medium", "high", "xhigh", "max"])

const displays: Readonly<Record<string, boolean>> = { summarized: true, omitted: false }

const reasoningOf = (thinking: JsonRecord, effort: unknown): Completion.Reasoning | undefined => {
  const display = string(thinking["display"])
  const level = thinking["type"] === "disabled" ? "none" : efforts.has(effort) ? effort : undefined
  const reasoning: Completion.Reasoning = {
    ...present("effort", level as Completion.Reasoning["effort"]),
    ...present("budgetTokens", thinking["type"] === "enabled" ? number(thinking["budget_tokens"]) : undefined),
    ...present("summary", display !== undefined && Object.hasOwn(displays, display) ? displays[display] : undefined)
  }
  return Object.keys(reasoning).length === 0 && thinking["type"] === undefined ? undefined : reasoning
}

const isCustom = (tool: JsonRecord): boolean => isObject(tool["input_schema"])

const known: ReadonlySet<string> = new Set([
  "model",
  "messages",
  "system",
  "max_tokens",
  "temperature",
  "top_p",
  "stop_sequences",
  "stream",
  "tools",
  "tool_choice",
  "thinking",
  "output_config"
])

const rest = (record: JsonRecord, apart: (key: string) => boolean): JsonRecord =>
  Object.fromEntries(Object.entries(record).filter(([key]) => !apart(key)))

// Fields without a counterpart in the vocabulary, which only Anthropic understands.
const ownParams = (body: JsonRecord): JsonRecord => {
  const others = array(body["tools"]).filter(isObject).filter((tool) => !isCustom(tool))
  const output = rest(object(body["output_config"]), (key) => key === "effort" || key === "format")
  const thinking = rest(
    object(body["thinking"]),
    (key) => key === "type" || key === "budget_tokens" || key === "display"
  )
  return {
    ...rest(body, (key) => known.has(key)),
    ...(others.length > 0 && { tools: others }),
    ...(Object.keys(output).length > 0 && { output_config: output }),
    ...(Object.keys(thinking).length > 0 && { thinking })
  }
}

const toolOf = (tool: JsonRecord): Tool.ToolDefinition => ({
  name: words(tool["name"]),
  description: words(tool["description"]),
  parameters: object(tool["input_schema"]) as Tool.ToolDefinition["parameters"],
  ...cacheOf(tool)
})

const completionOf = (
  { body, headers }: Incoming,
  model: string,
  messages: ReadonlyArray<Message.Message>
): Completion.Completion => {
  const choice = object(body["tool_choice"])
  const single = choice["disable_parallel_tool_use"]
  const output = object(body["output_config"])
  const schema = object(output["format"])["schema"]
  const params = ownParams(body)
  const beta = headers["anthropic-beta"]
  return Completion.make({
    model,
    messages: [...systemOf(body["system"]), ...messages],
    tools: array(body["tools"]).filter(isObject).filter(isCustom).map(toolOf),
    toolChoice: choiceOf(choice),
    parallelToolCalls: typeof single === "boolean" ? !single : undefined,
    maxTokens: number(body["max_tokens"]),
    temperature: number(body["temperature"]),
    topP: number(body["top_p"]),
    stopSequences: Array.isArray(body["stop_sequences"]) ? body["stop_sequences"].map(String) : undefined,
    outputSchema: isObject(schema) ? schema as NonNullable<Completion.Completion["outputSchema"]> : undefined,
    reasoning: reasoningOf(object(body["thinking"]), output["effort"]),
    providerParams: Object.keys(params).length === 0 ? undefined : { [vendor]: params as never },
    headers: beta === undefined ? undefined : { "anthropic-beta": beta }
  })
}

const decode: Server["decode"] = (incoming) => {
  const { body } = incoming
  const model = string(body["model"])
  if (model === undefined) return refused("InvalidRequest", "model: Field required")
  if (!Array.isArray(body["messages"])) return refused("InvalidRequest", "messages: Field required")
  return Result.flatMap(messagesOf(body["messages"]), (messages) =>
    messages.length === 0
      ? refused("InvalidRequest", "messages: at least one message is required")
      : Result.succeed({
        completion: completionOf(incoming, model, messages),
        model,
        streamed: body["stream"] === true
      }))
}

/** The server half of Anthropic Messages. */
export const server: Server = { vendor, decode, encode: encodeAnswer, stream: streamEncoder, refuse }
