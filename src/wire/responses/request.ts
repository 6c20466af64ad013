/**
 * Writes the body of a request to the Responses API. Sources: OpenAI API reference, "Create a response", "Conversation
 * state", "Reasoning", "Prompt caching".
 */
import * as Hash from "effect/Hash"
import * as Completion from "../../Completion.ts"
import type * as Message from "../../Message.ts"
import * as Models from "../../Models.ts"
import type { ToolChoice, ToolDefinition } from "../../Tool.ts"
import { fitIds } from "../callIds.ts"
import { callArguments, decodeText, hasOtherTools, present, resultText, toolChoiceOf, verbatim } from "../encode.ts"
import { type JsonRecord, string } from "../json.ts"
import { structured } from "../jsonSchema.ts"
import type { Refused } from "../Wire.ts"
import {
  audioFormats,
  callFields,
  callIds,
  entry,
  omit,
  type Options,
  type Phase,
  pick,
  signed,
  withoutId
} from "./shape.ts"

/** The context of one request. */
interface Context {
  readonly options: Options
  readonly rules: Models.Rules
  /** The ids of the calls in the conversation that are not plain function calls. */
  readonly custom: ReadonlySet<string>
}

// ---------------------------------------------------------------------------------------------------------------------
// Contents
// ---------------------------------------------------------------------------------------------------------------------

const lifetimes = { "5m": "30m", "1h": "12h" } as const

// Marks the end of a prefix to cache, on models that support breakpoints.
const breakpoint = ({ options, rules }: Context, { cache }: { readonly cache?: Message.CacheHint }) =>
  present(
    "prompt_cache_breakpoint",
    cache !== undefined && options.native && rules.cacheBreakpoints === true
      ? { mode: "explicit", ...present("ttl", cache.ttl && lifetimes[cache.ttl]) } as const
      : undefined
  )

const inputText = (text: string) => ({ type: "input_text", text } as const)

const dataUrl = (source: Message.Base64): string => `data:${source.mediaType};base64,${source.data}`

const inputImage = ({ detail = "auto", source }: Message.Image) =>
  ({
    type: "input_image",
    detail,
    ...(source._tag === "FileId"
      ? { file_id: source.id }
      : { image_url: source._tag === "Url" ? source.url : dataUrl(source) })
  }) as const

const fileExtensions: Readonly<Record<string, string>> = { "application/pdf": ".pdf" }

const inputFile = ({ source, title }: Message.Document) => {
  switch (source._tag) {
    case "FileId":
      return { type: "input_file", file_id: source.id } as const
    case "Url":
      return { type: "input_file", file_url: source.url } as const
    case "Base64":
      return source.mediaType.startsWith("text/")
        ? inputText(decodeText(source.data))
        : {
          type: "input_file",
          filename: title ?? `document${entry(fileExtensions, source.mediaType) ?? ""}`,
          file_data: dataUrl(source)
        } as const
  }
}

const inputAudio = ({ source }: Message.Audio) => {
  // `accepts` was checked before: only base64 in a supported format gets here.
  const { data, mediaType } = source as Message.Base64
  return { type: "input_audio", input_audio: { data, format: entry(audioFormats, mediaType) ?? "wav" } } as const
}

type Shown = Message.Text | Message.Image | Message.Document

const shownPart = (content: Shown) => {
  switch (content._tag) {
    case "Text":
      return inputText(content.text)
    case "Image":
      return inputImage(content)
    case "Document":
      return inputFile(content)
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Items of the user
// ---------------------------------------------------------------------------------------------------------------------

// A single text without a mark is sent as a plain string, which every server accepts.
const content = <Part extends { readonly type: string }>(parts: ReadonlyArray<Part>) => {
  const [first] = parts
  return parts.length === 1 && first?.type === "input_text" && "text" in first && !("prompt_cache_breakpoint" in first)
    ? first.text as string
    : parts
}

const resultPart = (item: Message.ToolResultContent) =>
  shownPart(item._tag === "Json" ? { _tag: "Text", text: resultText(item) } : item)

const isText = (item: Message.ToolResultContent): item is Message.Text | Message.Json =>
  item._tag === "Text" || item._tag === "Json"

const resultOutput = (context: Context, result: Message.ToolResult) => {
  const marked = breakpoint(context, result)
  if (result.content.every(isText) && Object.keys(marked).length === 0) {
    return result.content.map(resultText).join("\n")
  }
  const last = result.content.length - 1
  return result.content.map((item, at) => ({ ...resultPart(item), ...(at === last && marked) }))
}

const resultItem = (context: Context) => (result: Message.ToolResult) => {
  const fields = { call_id: result.id, output: resultOutput(context, result) }
  return context.custom.has(result.id)
    ? { type: "custom_tool_call_output", ...fields } as const
    : { type: "function_call_output", ...fields } as const
}

const userItems = (context: Context, message: Message.User) => {
  const parts = message.content.map((item) => {
    switch (item._tag) {
      case "Text":
        return item.text === "" ? [] : [{ ...inputText(item.text), ...breakpoint(context, item) }]
      case "Audio":
        return [inputAudio(item)]
      case "ToolResult":
      case "Video":
        // `accepts` excludes videos.
        return []
      default:
        return [{ ...shownPart(item), ...breakpoint(context, item) }]
    }
  }).flat()
  return [
    // The results of a turn must directly follow its calls.
    ...message.content.filter((item) => item._tag === "ToolResult").map(resultItem(context)),
    ...(parts.length > 0 ? [{ type: "message", role: "user", content: content(parts) } as const] : [])
  ]
}

// Some servers do not support OpenAI's newer role `developer`.
const systemItems = (context: Context, message: Message.System) =>
  message.content === "" ? [] : [
    {
      type: "message",
      role: context.options.native ? "developer" : "system",
      content: content([{ ...inputText(message.content), ...breakpoint(context, message) }])
    } as const
  ]

// ---------------------------------------------------------------------------------------------------------------------
// Items of the model
// ---------------------------------------------------------------------------------------------------------------------

const phaseOf = ({ options, rules }: Context, message: Message.Assistant, phase: Phase | undefined) =>
  options.native ? rules.phase === false ? undefined : phase : message.provider === options.name ? phase : undefined

const outputPart = (own: boolean, { citations = [], signature, text }: Message.Text) =>
  own && signed(signature)["type"] === "refusal"
    ? { type: "refusal", refusal: text } as const
    : { type: "output_text", text, ...(own && citations.length > 0 && { annotations: verbatim(citations) }) } as const

const messageItem = (context: Context, message: Message.Assistant, own: boolean, text: Message.Text) => ({
  type: "message",
  role: "assistant",
  content: [outputPart(own, text)],
  ...present("phase", phaseOf(context, message, text.phase))
} as const)

const callItem = (own: boolean, { arguments: args, id, name, signature }: Message.ToolCall) => ({
  type: "function_call",
  call_id: id,
  name,
  arguments: JSON.stringify(callArguments(args)),
  ...(own && verbatim(pick(signed(signature), callFields)) as {})
} as const)

const textsOf = (reasoning: Message.Reasoning, tag: "Summary" | "Text"): ReadonlyArray<string> =>
  reasoning.content.flatMap((part) => part._tag === tag ? [part.text] : [])

// OpenAI only accepts its reasoning back encrypted, and without the ids of items that it did not store. Other servers
// want their own item back.
const reasoningItems = ({ options }: Context, reasoning: Message.Reasoning) => {
  const encrypted = reasoning.content.find((part) => part._tag === "Encrypted")
  // Reasoning from Chat Completions has no matching item.
  if (reasoning.field !== undefined || (options.native && encrypted === undefined)) return []
  const texts = textsOf(reasoning, "Text")
  return [
    {
      type: "reasoning",
      ...present("id", options.native ? undefined : reasoning.content[0]?.id),
      summary: textsOf(reasoning, "Summary").map((text) => ({ type: "summary_text", text } as const)),
      ...(texts.length > 0 && { content: texts.map((text) => ({ type: "reasoning_text", text } as const)) }),
      ...present("encrypted_content", encrypted?.data),
      ...(encrypted?.format !== undefined && verbatim({ format: encrypted.format }) as {})
    } as const
  ]
}

const blockItems = ({ options }: Context, { block, provider }: Message.ProviderBlock) =>
  // Blocks from Chat Completions have no type.
  provider === options.name && string(block["type"]) !== undefined
    ? [verbatim(withoutId.has(block["type"]) ? omit(block, ["id"]) : block)]
    : []

// The provider's own image goes back as its original item. Another provider's image is sent as user input.
const imageItem = (own: boolean, image: Message.Image) => {
  const fields = own && image.source._tag === "Base64" ? signed(image.signature) : {}
  return string(fields["id"]) === undefined
    ? { type: "message", role: "user", content: [inputImage(image)] } as const
    : verbatim({ ...fields, type: "image_generation_call", result: (image.source as Message.Base64).data })
}

const assistantItems = (context: Context, message: Message.Assistant) => {
  const own = message.provider === undefined || message.provider === context.options.name
  return message.content.map((item) => {
    switch (item._tag) {
      case "Text":
        return item.text === "" ? [] : [messageItem(context, message, own, item)]
      case "ToolCall":
        return [callItem(own, item)]
      case "Reasoning":
        return own ? reasoningItems(context, item) : []
      case "ProviderBlock":
        return own ? blockItems(context, item) : []
      case "Image":
        return [imageItem(own, item)]
    }
  }).flat()
}

const itemsOf = (context: Context) => (message: Message.Message) => {
  switch (message._tag) {
    case "System":
      return systemItems(context, message)
    case "User":
      return userItems(context, message)
    case "Assistant":
      return assistantItems(context, message)
  }
}

const customCalls = (messages: ReadonlyArray<Message.Message>, name: string): ReadonlySet<string> =>
  new Set(
    messages.flatMap((message) =>
      message._tag !== "Assistant" ?
        [] :
        message.content.flatMap((item) =>
          item._tag === "ProviderBlock" && item.provider === name && item.block["type"] === "custom_tool_call"
            ? string(item.block["call_id"]) ?? []
            : []
        )
    )
  )

// ---------------------------------------------------------------------------------------------------------------------
// The request
// ---------------------------------------------------------------------------------------------------------------------

export const toolItem = ({ description, name, parameters }: ToolDefinition) =>
  ({ type: "function", name, description, parameters, strict: false }) as const

const named = (name: string) => ({ type: "function", name } as const)

const plainChoices = { Auto: "auto", None: "none", Required: "required" } as const

export const toolChoice = (choice: ToolChoice) =>
  choice._tag !== "Specific"
    ? plainChoices[choice._tag]
    : choice.names.length === 1
    ? named(choice.names[0]!)
    : { type: "allowed_tools", mode: "required", tools: choice.names.map(named) } as const

const isMarked = (completion: Completion.Completion): boolean =>
  completion.tools.some(({ cache }) => cache !== undefined)
  || Completion.messages(completion).some((message) =>
    message._tag === "System"
      ? message.cache !== undefined
      : message.content.some((item) => "cache" in item && item.cache !== undefined)
  )

// Requests with the same key are routed to the same cache.
const cacheKey = ({ preamble = "", tools }: Completion.Completion): string =>
  `effect-llm-${(Hash.string(preamble) >>> 0).toString(36)}-${(Hash.string(JSON.stringify(tools)) >>> 0).toString(36)}`

const reasoningOf = ({ reasoning }: Completion.Completion, rules: Models.Rules) => {
  const effort = reasoning?.effort
  const fields = {
    // The SDK's type does not contain some models' own names for efforts.
    ...present("effort", effort && (rules.effortNames?.[effort] ?? effort) as typeof effort),
    ...(reasoning?.summary === true && { summary: "auto" } as const)
  }
  return Object.keys(fields).length === 0 ? undefined : fields
}

// Models that do not reason refuse to include encrypted reasoning. An unknown model is probably new, and reasons.
const mayReason = (rules: Models.Rules): boolean => Models.isKnown(rules) ? (rules.thinking?.length ?? 0) > 0 : true

export const schemaFormat = (schema: JsonRecord) => ({
  type: "json_schema",
  name: (string(schema["title"]) ?? "response").replaceAll(/[^a-zA-Z0-9_-]/g, "_").slice(0, 64),
  ...structured(schema)
} as const)

/** The body of a request. Its type is inferred, so that tests can compare it with the SDK's type. */
export const encode = (options: Options) => (completion: Completion.Completion, model: string) => {
  const { name, native, stateless = native, vendor = "openai" } = options
  const { maxTokens, outputSchema, parallelToolCalls, preamble = "", temperature, tools, topP } = completion
  const rules = Models.find(vendor, model, options.models)
  const messages = fitIds(Completion.messages(completion), name, callIds)
  const context: Context = { options, rules, custom: customCalls(messages, name) }
  const hasTools = tools.length > 0 || hasOtherTools(completion, vendor, name)
  const choice = toolChoiceOf(completion, vendor, name)
  return {
    model,
    ...(preamble !== "" && { instructions: preamble }),
    input: messages.map(itemsOf(context)).flat(),
    ...(tools.length > 0 && { tools: tools.map(toolItem) }),
    ...(choice && { tool_choice: toolChoice(choice) }),
    // Servers refuse it without tools.
    ...present("parallel_tool_calls", hasTools ? parallelToolCalls : undefined),
    ...present("max_output_tokens", maxTokens),
    ...present("temperature", temperature),
    ...present("top_p", topP),
    ...present("reasoning", reasoningOf(completion, rules)),
    ...(outputSchema !== undefined && { text: { format: schemaFormat(outputSchema) } }),
    ...(native && isMarked(completion) && { prompt_cache_key: cacheKey(completion) }),
    ...(stateless && { store: false }),
    ...(stateless && mayReason(rules) && { include: ["reasoning.encrypted_content"] as const })
  }
}

const isObjectAtRoot = (schema: JsonRecord): boolean => schema["type"] === "object" && schema["anyOf"] === undefined

/** What OpenAI would refuse, and cannot be left out. */
export const refusal = ({ native }: Options, body: ReturnType<ReturnType<typeof encode>>): Refused | undefined =>
  !native || body.text === undefined || isObjectAtRoot(body.text.format.schema) ? undefined : {
    _tag: "Refused",
    reason: "Unsupported",
    description:
      "the root of outputSchema must be an object here, and not a union: put the value into a field of an object"
  }
