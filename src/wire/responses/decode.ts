/**
 * Reads a request to the Responses API leniently, as a completion.
 */
import * as Result from "effect/Result"
import * as Completion from "../../Completion.ts"
import type * as Message from "../../Message.ts"
import type * as Tool from "../../Tool.ts"
import { present } from "../encode.ts"
import { array, isObject, type JsonRecord, number, object, string } from "../json.ts"
import type { Asked, Incoming, Refused } from "../Wire.ts"
import { argumentsOf, blockOf, callId, callOf, partsOf, reasoningOf, textOf } from "./response.ts"
import { type audioFormats, entry, omit, word } from "./shape.ts"

/** The provider of the assistant's messages. They go back in their native form only to OpenAI. */
const provider = "openai"

const invalid = (description: string): Refused => ({ _tag: "Refused", reason: "InvalidRequest", description })

const unsupported = (description: string): Refused => ({ _tag: "Refused", reason: "Unsupported", description })

/** Why an input cannot be read. */
class Unreadable {
  readonly refused: Refused
  constructor(refused: Refused) {
    this.refused = refused
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Contents
// ---------------------------------------------------------------------------------------------------------------------

const sourceOf = (url: string): Message.Source => {
  const comma = url.slice(0, 256).indexOf(";base64,")
  return url.startsWith("data:") && comma > 0
    ? { _tag: "Base64", mediaType: url.slice("data:".length, comma).split(";")[0]!, data: url.slice(comma + 8) }
    : { _tag: "Url", url }
}

const fileOf = (id: unknown, ...urls: ReadonlyArray<unknown>): Message.Source => {
  const fileId = string(id)
  return fileId === undefined
    ? sourceOf(urls.flatMap((url) => string(url) ?? [])[0] ?? "")
    : { _tag: "FileId", id: fileId }
}

const cacheOf = (part: JsonRecord): { readonly cache?: Message.CacheHint } => {
  const mark = part["prompt_cache_breakpoint"]
  if (!isObject(mark)) return {}
  const { ttl } = mark
  return { cache: ttl === "12h" ? { ttl: "1h" } : ttl === "30m" ? { ttl: "5m" } : {} }
}

const mediaTypes = { wav: "audio/wav", mp3: "audio/mpeg" } as const satisfies Record<
  typeof audioFormats[string],
  string
>

type Shown = Message.Text | Message.Image | Message.Document

const shownOf = (part: JsonRecord): Shown | undefined => {
  const { detail, file_data, file_id, file_url, filename, image_url, text, type } = part
  const cache = cacheOf(part)
  switch (type) {
    case "input_text":
    case "output_text":
    case "text":
      return { _tag: "Text", text: typeof text === "string" ? text : "", ...cache }
    case "input_image":
      return {
        _tag: "Image",
        source: fileOf(file_id, image_url),
        ...((detail === "low" || detail === "high") && { detail }),
        ...cache
      }
    case "input_file":
      return {
        _tag: "Document",
        source: fileOf(file_id, file_data, file_url),
        ...present("title", string(filename)),
        ...cache
      }
    default:
      return undefined
  }
}

const inputParts = (content: unknown): ReadonlyArray<JsonRecord> =>
  typeof content === "string" ? [{ type: "input_text", text: content }] : array(content).filter(isObject)

const notTaken = (part: JsonRecord, where: string): Unreadable =>
  new Unreadable(unsupported(`${where}: a content of type '${word(part["type"])}' is not supported`))

const userContent = (part: JsonRecord, where: string): Message.UserContent | Unreadable => {
  if (part["type"] !== "input_audio") return shownOf(part) ?? notTaken(part, where)
  const { data, format } = object(part["input_audio"])
  return {
    _tag: "Audio",
    source: {
      _tag: "Base64",
      data: string(data) ?? "",
      mediaType: format === "wav" || format === "mp3" ? mediaTypes[format] : `audio/${word(format)}`
    }
  }
}

const resultContent = (part: JsonRecord, where: string): Message.ToolResultContent | Unreadable => {
  const shown = shownOf(part)
  if (shown === undefined) return notTaken(part, where)
  const { cache: _, ...content } = shown
  return content
}

const all = <A>(items: ReadonlyArray<A | Unreadable>): Array<A> | Unreadable =>
  items.find((item): item is Unreadable => item instanceof Unreadable) ?? items as Array<A>

// ---------------------------------------------------------------------------------------------------------------------
// Items
// ---------------------------------------------------------------------------------------------------------------------

/** The conversation so far. Consecutive items of the model form one message, and so do consecutive results. */
interface Conversation {
  readonly messages: Array<Message.Message>
  turn?: { readonly of: "assistant" | "results"; readonly content: Array<unknown> } | undefined
  /** The names of the calls, by id. */
  readonly names: Map<string, string>
}

const add = (conversation: Conversation, of: "assistant" | "results", contents: ReadonlyArray<unknown>): void => {
  if (conversation.turn?.of !== of) {
    const content: Array<unknown> = []
    conversation.turn = { of, content }
    // The list is filled during the turn.
    conversation.messages.push(
      of === "assistant"
        ? { _tag: "Assistant", provider, content: content as Array<Message.AssistantContent> }
        : { _tag: "User", content: content as unknown as Message.User["content"] }
    )
  }
  conversation.turn.content.push(...contents)
}

const message = (conversation: Conversation, item: JsonRecord, where: string): Unreadable | undefined => {
  switch (item["role"]) {
    case "assistant":
      add(conversation, "assistant", partsOf(item).flatMap((part) => textOf(part, item["phase"]) ?? []))
      return undefined
    case "system":
    case "developer":
      conversation.turn = undefined
      for (const part of inputParts(item["content"])) {
        conversation.messages.push({ _tag: "System", content: string(part["text"]) ?? "", ...cacheOf(part) })
      }
      return undefined
    case "user": {
      conversation.turn = undefined
      const content = all(inputParts(item["content"]).map((part) => userContent(part, where)))
      if (content instanceof Unreadable) return content
      if (content.length > 0) {
        conversation.messages.push({ _tag: "User", content: content as unknown as Message.User["content"] })
      }
      return undefined
    }
    default:
      return new Unreadable(invalid(
        `Invalid value: '${word(item["role"])}'. Supported values are: 'assistant', 'system', 'developer', and 'user'.`
      ))
  }
}

const result = (conversation: Conversation, item: JsonRecord, where: string): Unreadable | undefined => {
  const id = string(item["call_id"])
  if (id === undefined) return new Unreadable(invalid(`Missing required parameter: '${where}.call_id'.`))
  const content = all(inputParts(item["output"]).map((part) => resultContent(part, where)))
  if (content instanceof Unreadable) return content
  const last = inputParts(item["output"]).at(-1)
  const name = conversation.names.get(id) ?? string(item["name"]) ?? ""
  add(conversation, "results", [{ _tag: "ToolResult", id, name, content, ...(last && cacheOf(last)) }])
  return undefined
}

const inputItem = (conversation: Conversation, item: JsonRecord, where: string): Unreadable | undefined => {
  const type = string(item["type"]) ?? "message"
  switch (type) {
    case "message":
      return message(conversation, item, where)
    case "function_call": {
      const id = callId(item)
      const name = string(item["name"])
      if (id === undefined || name === undefined) {
        return new Unreadable(
          invalid(`Missing required parameter: '${where}.${id === undefined ? "call_id" : "name"}'.`)
        )
      }
      conversation.names.set(id, name)
      add(conversation, "assistant", [callOf(item, name, id, argumentsOf(item["arguments"], false) ?? {})])
      return undefined
    }
    case "reasoning": {
      const reasoning = reasoningOf(item)
      add(conversation, "assistant", reasoning === undefined ? [] : [reasoning])
      return undefined
    }
    case "function_call_output":
    case "custom_tool_call_output":
      return result(conversation, item, where)
    case "item_reference":
      return new Unreadable(unsupported(`${where}: nothing is stored: send the items themselves instead of references`))
    default: {
      const id = string(item["call_id"])
      if (id !== undefined) conversation.names.set(id, string(item["name"]) ?? type)
      add(conversation, "assistant", [blockOf(item, provider)])
      return undefined
    }
  }
}

const conversationOf = (input: unknown): ReadonlyArray<Message.Message> | Unreadable => {
  if (typeof input === "string") return [{ _tag: "User", content: [{ _tag: "Text", text: input }] }]
  if (!Array.isArray(input)) return new Unreadable(invalid("Missing required parameter: 'input'."))
  const conversation: Conversation = { messages: [], names: new Map() }
  for (const [at, item] of input.entries()) {
    const failed = inputItem(conversation, object(item), `input[${at}]`)
    if (failed !== undefined) return failed
  }
  return conversation.messages.filter((message) => message.content.length > 0)
}

// ---------------------------------------------------------------------------------------------------------------------
// Settings
// ---------------------------------------------------------------------------------------------------------------------

const isFunction = ({ type }: JsonRecord): boolean => type === "function"

const toolOf = (tool: JsonRecord): Tool.ToolDefinition => ({
  name: string(tool["name"]) ?? "",
  description: string(tool["description"]) ?? "",
  parameters:
    (isObject(tool["parameters"]) ? tool["parameters"] : { type: "object", properties: {} }) as Tool.ToolDefinition[
      "parameters"
    ]
})

const namesIn = (tools: unknown): ReadonlyArray<string> =>
  array(tools).flatMap((tool) => string(object(tool)["name"]) ?? [])

const plainChoices: Readonly<Record<string, Tool.ToolChoice>> = {
  auto: { _tag: "Auto" },
  none: { _tag: "None" },
  required: { _tag: "Required" }
}

// A choice among tools that are not functions is passed on to the provider.
const choiceOf = (choice: unknown): Tool.ToolChoice | undefined => {
  if (typeof choice === "string") return entry(plainChoices, choice)
  const { mode, name, tools, type } = object(choice)
  if (type === "function") return { _tag: "Specific", names: [string(name) ?? ""] }
  return type === "allowed_tools" && mode === "required" ? { _tag: "Specific", names: namesIn(tools) } : undefined
}

// "auto" with a list of tools means a choice among those tools.
const allowed = (choice: unknown): ReadonlySet<string> | undefined => {
  const { mode, tools, type } = object(choice)
  return type === "allowed_tools" && mode === "auto" ? new Set(namesIn(tools)) : undefined
}

const schemaOf = (format: JsonRecord): JsonRecord | undefined => {
  if (format["type"] !== "json_schema" || !isObject(format["schema"])) return undefined
  const name = string(format["name"])
  return { ...(name !== undefined && name !== "response" && { title: name }), ...format["schema"] }
}

const efforts = ["none", "minimal", "low", "medium", "high", "xhigh", "max"] as const

const effortOf = (value: unknown) => efforts.find((effort) => effort === value)

const reasoningSetting = (reasoning: JsonRecord): Completion.Reasoning | undefined => {
  const effort = effortOf(reasoning["effort"])
  const summary = string(reasoning["summary"])
  return effort === undefined && summary === undefined
    ? undefined
    : { ...present("effort", effort), ...(summary !== undefined && { summary: true }) }
}

/** The fields that a completion has a counterpart for, or that control delivery and storage. */
const readFields = [
  "include",
  "input",
  "instructions",
  "max_output_tokens",
  "model",
  "parallel_tool_calls",
  "reasoning",
  "background",
  "store",
  "stream",
  "stream_options",
  "temperature",
  "text",
  "tool_choice",
  "tools",
  "top_p"
]

/** Fields that need data stored at the provider. */
const stored = ["previous_response_id", "conversation", "prompt"]

/** Tools that access an account's stored data or connectors. */
const storedTools: Readonly<Record<string, (tool: JsonRecord) => boolean>> = {
  file_search: () => true,
  mcp: (tool) => tool["connector_id"] !== undefined,
  code_interpreter: (tool) => typeof tool["container"] === "string"
}

const isPresent = (value: unknown): boolean => value !== undefined && value !== null

const refusedIn = (body: JsonRecord, tools: ReadonlyArray<JsonRecord>): Refused | undefined => {
  if (string(body["model"]) === undefined) return invalid("Missing required parameter: 'model'.")
  const field = stored.find((name) => isPresent(body[name]))
  if (field !== undefined) {
    return unsupported(`Unsupported parameter: '${field}': nothing is stored: send the whole input`)
  }
  if (body["background"] === true) return unsupported("Unsupported parameter: 'background'")
  const tool = tools.find((tool) => entry(storedTools, tool["type"])?.(tool) === true)
  return tool && unsupported(`Unsupported value: a tool of type '${word(tool["type"])}' that needs stored data`)
}

const withoutNulls = (record: JsonRecord): JsonRecord =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => isPresent(value)))

// The remaining fields of reasoning or text; "auto" is the normal way to ask for a summary.
const besides = (record: JsonRecord, ...names: ReadonlyArray<string>): JsonRecord | undefined => {
  const rest = withoutNulls(omit(record, names))
  return Object.keys(rest).length === 0 ? undefined : rest
}

// The other fields are only sent to OpenAI.
const paramsOf = (body: JsonRecord, others: ReadonlyArray<JsonRecord>): JsonRecord => {
  const text = object(body["text"])
  const format = object(text["format"])
  const reasoning = object(body["reasoning"])
  const readReasoning = [
    ...(effortOf(reasoning["effort"]) === undefined ? [] : ["effort"]),
    ...(reasoning["summary"] === "auto" ? ["summary"] : [])
  ]
  const choice = object(body["tool_choice"])
  const include = array(body["include"]).filter((name) => name !== "reasoning.encrypted_content")
  return {
    ...withoutNulls(omit(body, [...readFields, ...stored])),
    ...(others.length > 0 && { tools: others }),
    ...present("text", besides(text, ...(format["type"] === "json_object" ? [] : ["format"]))),
    ...present("reasoning", besides(reasoning, ...readReasoning)),
    ...(include.length > 0 && { include: ["reasoning.encrypted_content", ...include] }),
    ...(isPresent(choice["type"]) && !isFunction(choice) && choice["type"] !== "allowed_tools"
      && { tool_choice: choice })
  }
}

/** Reads a request. */
export const decode = ({ body }: Incoming): Result.Result<Asked, Refused> => {
  const tools = array(body["tools"]).filter(isObject)
  const refused = refusedIn(body, tools)
  if (refused !== undefined) return Result.fail(refused)
  const messages = conversationOf(body["input"])
  if (messages instanceof Unreadable) return Result.fail(messages.refused)
  const prompt = messages.at(-1)
  if (prompt === undefined) return Result.fail(invalid("Invalid 'input': empty array."))
  const model = string(body["model"]) ?? ""
  const among = allowed(body["tool_choice"])
  const params = paramsOf(body, tools.filter((tool) => !isFunction(tool)))
  const schema = schemaOf(object(object(body["text"])["format"]))
  return Result.succeed({
    model,
    streamed: body["stream"] === true,
    completion: Completion.make({
      model,
      prompt,
      history: messages.slice(0, -1),
      preamble: string(body["instructions"]),
      tools: tools.filter(isFunction).map(toolOf).filter(({ name }) => among === undefined || among.has(name)),
      toolChoice: choiceOf(body["tool_choice"]),
      maxTokens: number(body["max_output_tokens"]),
      temperature: number(body["temperature"]),
      topP: number(body["top_p"]),
      parallelToolCalls: typeof body["parallel_tool_calls"] === "boolean" ? body["parallel_tool_calls"] : undefined,
      reasoning: reasoningSetting(object(body["reasoning"])),
      outputSchema: schema as Completion.Completion["outputSchema"],
      providerParams: Object.keys(params).length === 0
        ? undefined
        : { [provider]: params } as Completion.ProviderParams
    })
  })
}
