/**
 * Reads and writes the body of an answer. Source: Anthropic API reference, "Messages", "Stop reasons", "Citations",
 * "Compaction", "Refusals and fallback".
 */
import type { CompletionResponse, Warning } from "../../CompletionResponse.ts"
import type * as Message from "../../Message.ts"
import { callArguments, present } from "../encode.ts"
import { array, isObject, type JsonRecord, number, object, parseJson, string, survives } from "../json.ts"
import { type Answer, finishReason, type Outgoing, type Server, type Wire } from "../Wire.ts"
import { finishReasons, stopReason, vendor } from "./shape.ts"
import { billed, billing, uncounted } from "./usage.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Read
// ---------------------------------------------------------------------------------------------------------------------

/** The arguments of a call; undefined when they are not a JSON object. */
export const inputOf = (input: unknown): JsonRecord | undefined => {
  if (input === undefined || input === null || input === "") return {}
  const value = typeof input === "string" ? parseJson(input) : input
  return isObject(value) ? value : undefined
}

/** The content of a block, for the instance `name`; undefined when the block cannot be used. */
export const contentOf = (
  block: JsonRecord,
  name: string,
  mint: () => string
): Message.AssistantContent | undefined => {
  switch (block["type"]) {
    case "text": {
      const citations = array(block["citations"]) as NonNullable<Message.Text["citations"]>
      const text = string(block["text"])
      return text === undefined ? undefined : { _tag: "Text", text, ...(citations.length > 0 && { citations }) }
    }
    case "tool_use": {
      const tool = string(block["name"])
      const input = inputOf(block["input"])
      // A call cannot be run without a name, or with input that is not JSON.
      return tool === undefined || input === undefined ? undefined : {
        _tag: "ToolCall",
        id: string(block["id"]) ?? mint(),
        name: tool,
        arguments: input as Message.ToolCall["arguments"]
      }
    }
    case "thinking":
      return {
        _tag: "Reasoning",
        content: [{
          _tag: "Text",
          text: string(block["thinking"]) ?? "",
          ...present("signature", string(block["signature"]))
        }]
      }
    case "redacted_thinking":
      return { _tag: "Reasoning", content: [{ _tag: "Redacted", data: string(block["data"]) ?? "" }] }
    default:
      return { _tag: "ProviderBlock", provider: name, block: block as Message.ProviderBlock["block"] }
  }
}

/** The description of the error for a tool call that cannot be read. */
export const malformed = (block: JsonRecord): string =>
  `the arguments of the call of ${string(block["name"]) ?? "a tool"} are not a JSON object`

/** Whether the last content may be incomplete with this stop reason. */
export const mayCut = (finish: string | undefined): boolean => {
  const reason = finishReason(finishReasons, finish)
  return reason._tag === "MaxTokens" || reason._tag === "ContentFilter"
}

// Fields that are read elsewhere or carry no information.
const known: ReadonlySet<string> = new Set([
  "id",
  "type",
  "role",
  "model",
  "content",
  "stop_reason",
  "stop_sequence",
  "usage"
])

const says = (value: unknown): boolean =>
  value !== undefined && value !== null && !(Array.isArray(value) && value.length === 0) && survives(value)

const metadataOf = (body: JsonRecord): JsonRecord | undefined => {
  const usage = uncounted(object(body["usage"]))
  const metadata: JsonRecord = {
    ...Object.fromEntries(Object.entries(body).filter(([key, value]) => !known.has(key) && says(value))),
    ...(Object.keys(usage).length > 0 && survives(usage) && { usage })
  }
  return Object.keys(metadata).length === 0 ? undefined : metadata
}

// The provider dropped thinking from another conversation, model or account.
const warningsOf = (body: JsonRecord): ReadonlyArray<Warning> | undefined => {
  const dropped = array(body["input_transformations"]).map(object).filter(({ type }) => type === "thinking_dropped")
  return dropped.length === 0 ? undefined : dropped.map(({ path, reason }) => ({
    field: "history",
    description: `the provider left out the thinking at ${string(path) ?? "an unnamed place"}: ${
      string(reason) ?? "no reason given"
    }`
  }))
}

/** Everything in a body except its content. */
export const answerOf = (
  body: JsonRecord,
  choice: Array<Message.AssistantContent>,
  malformedCall: string | undefined
): Answer => {
  const finish = string(body["stop_reason"])
  const details = object(body["stop_details"])
  const usage = object(body["usage"])
  const model = string(body["model"])
  return {
    choice,
    malformedCall,
    finishReason: finishReason(finishReasons, finish),
    finish,
    stopSequence: string(body["stop_sequence"]),
    filter: string(details["category"]) ?? string(details["explanation"]),
    ...billed(usage, model),
    // Gateways report what they charge.
    cost: number(usage["cost"]),
    id: string(body["id"]),
    model,
    metadata: metadataOf(body),
    warnings: warningsOf(body)
  }
}

/** Reads the body of an answer to the instance `name`. */
export const response = (name: string): Wire["response"] => (body, mintId) => {
  if (!Array.isArray(body["content"])) return undefined
  const blocks = body["content"].filter(isObject)
  // The last block may have been cut at the limit. A call in it is incomplete, even if its input parses.
  const cut = mayCut(string(body["stop_reason"])) && blocks.at(-1)?.["type"] === "tool_use"
  const whole = cut ? blocks.slice(0, -1) : blocks
  const broken = whole.find((block) => block["type"] === "tool_use" && inputOf(block["input"]) === undefined)
  return answerOf(
    body,
    whole.flatMap((block, index) => contentOf(block, name, () => mintId(index)) ?? []),
    broken && malformed(broken)
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// Write
// ---------------------------------------------------------------------------------------------------------------------

// Anthropic has no image block in answers, so an image is written as a Markdown link.
const link = ({ source }: Message.Image): string => {
  switch (source._tag) {
    case "Url":
      return `![image](${source.url})`
    case "Base64":
      return `![image](data:${source.mediaType};base64,${source.data})`
    case "FileId":
      return `![image](${source.id})`
  }
}

const thinkingBlock = (part: Message.ReasoningPart): ReadonlyArray<JsonRecord> => {
  switch (part._tag) {
    case "Text":
      return [{ type: "thinking", thinking: part.text, signature: part.signature ?? "" }]
    case "Summary":
      return [{ type: "thinking", thinking: part.text, signature: "" }]
    case "Redacted":
      return [{ type: "redacted_thinking", data: part.data }]
    // Only the provider that wrote it can read it.
    case "Encrypted":
      return []
  }
}

/** The blocks of a content: usually one, or none when the content is empty. */
export const blocksOf = (content: Message.AssistantContent): ReadonlyArray<JsonRecord> => {
  switch (content._tag) {
    case "Text":
      return content.text === ""
        ? []
        : [{ type: "text", text: content.text, ...present("citations", content.citations) }]
    case "ToolCall":
      return [{
        type: "tool_use",
        id: content.id,
        name: content.name,
        input: callArguments(content.arguments)
      }]
    case "Reasoning":
      return content.content.flatMap(thinkingBlock)
    case "ProviderBlock":
      return content.provider === vendor ? [content.block] : []
    case "Image":
      return [{ type: "text", text: link(content) }]
  }
}

const metadata = (response: CompletionResponse): JsonRecord => response.metadata?.[vendor] ?? {}

/** The stop reason and the stop sequence. */
export const endOf = (response: CompletionResponse): JsonRecord => ({
  stop_reason: stopReason(response.finishReason, response.provider === vendor, response.stopSequence),
  stop_sequence: response.stopSequence ?? null
})

/** Usage and everything else except the content and the stop reason. */
export const restOf = (response: CompletionResponse): JsonRecord => {
  const { usage, ...rest } = metadata(response)
  return {
    ...rest,
    usage: {
      ...object(usage),
      ...billing(response.usage, response.passes),
      ...present("cost", response.cost)
    }
  }
}

/** The body of a whole answer. */
export const encodeAnswer: Server["encode"] = ({ cutCall, response }: Outgoing, asked, stamp) => ({
  ...restOf(response),
  id: response.id ?? `msg_${stamp.seed}`,
  type: "message",
  role: "assistant",
  model: response.model ?? asked.model,
  content: [
    ...response.choice.flatMap(blocksOf),
    ...(cutCall === undefined ? [] : [{ type: "tool_use", id: cutCall.id, name: cutCall.name, input: {} }])
  ],
  ...endOf(response)
})
