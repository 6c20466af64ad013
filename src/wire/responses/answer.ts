/**
 * Writes an answer as a body of the Responses API. Source: OpenAI API reference, "The response object".
 */
import type { FinishReason } from "../../CompletionResponse.ts"
import type * as Message from "../../Message.ts"
import type * as TokenUsage from "../../TokenUsage.ts"
import { present } from "../encode.ts"
import type { JsonRecord } from "../json.ts"
import type { Asked, Outgoing, Stamp } from "../Wire.ts"
import { schemaFormat, toolChoice, toolItem } from "./request.ts"
import { callFields, entry, isAnnotation, pick, refusal, signed } from "./shape.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Items
// ---------------------------------------------------------------------------------------------------------------------

const prefixes = {
  Text: "msg",
  ToolCall: "fc",
  Reasoning: "rs",
  Image: "ig",
  ProviderBlock: "item"
} satisfies Record<Message.AssistantContent["_tag"], string>

/** The id of the n-th item. */
export const itemId = (tag: Message.AssistantContent["_tag"], { seed }: Stamp, index: number): string =>
  `${prefixes[tag]}_${seed}_${index}`

type Status = "in_progress" | "completed" | "incomplete"

export const textPart = (text: string, citations: ReadonlyArray<unknown> = []): JsonRecord => ({
  type: "output_text",
  text,
  annotations: citations.filter(isAnnotation),
  logprobs: []
})

export const messageItem = (
  id: string,
  phase: Message.Text["phase"],
  status: Status,
  content: ReadonlyArray<JsonRecord>
): JsonRecord => ({ type: "message", id, role: "assistant", status, content, ...present("phase", phase) })

/** The fields of a call besides its arguments. Another wire's signature adds none. */
export interface Call {
  readonly id: string
  readonly name: string
  readonly signature?: string | undefined
}

export const callItem = (id: string, call: Call, status: Status, args: string): JsonRecord => ({
  type: "function_call",
  id,
  call_id: call.id,
  name: call.name,
  arguments: args,
  status,
  ...pick(signed(call.signature), callFields)
})

/** The readable text of reasoning, by parts. */
export const summaryOf = (reasoning: Message.Reasoning): ReadonlyArray<string> =>
  reasoning.content.flatMap((part) => part._tag === "Summary" || part._tag === "Text" ? [part.text] : [])

export const reasoningItem = (id: string, reasoning: Message.Reasoning): JsonRecord => {
  const encrypted = reasoning.content.find((part) => part._tag === "Encrypted")
  return {
    type: "reasoning",
    id,
    summary: summaryOf(reasoning).map((text) => ({ type: "summary_text", text })),
    ...present("encrypted_content", encrypted?.data),
    ...present("format", encrypted?.format)
  }
}

// The items that clients of this API know, and the field that each must have: other providers' blocks may have the same
// types.
const requiredFields: Readonly<Record<string, string>> = {
  apply_patch_call: "call_id",
  apply_patch_call_output: "call_id",
  code_interpreter_call: "container_id",
  compaction: "encrypted_content",
  computer_call: "call_id",
  custom_tool_call: "call_id",
  file_search_call: "queries",
  image_generation_call: "id",
  local_shell_call: "call_id",
  mcp_approval_request: "server_label",
  mcp_call: "server_label",
  mcp_list_tools: "server_label",
  program: "call_id",
  program_output: "call_id",
  shell_call: "call_id",
  shell_call_output: "call_id",
  tool_search_call: "arguments",
  tool_search_output: "tools",
  web_search_call: "id"
}

const imageItem = (id: string, { signature, source }: Message.Image): JsonRecord =>
  source._tag === "Base64"
    ? {
      id,
      status: "completed",
      output_format: source.mediaType.split("/")[1],
      ...signed(signature),
      type: "image_generation_call",
      result: source.data
    }
    // There is no item for an image by URL or file id.
    : messageItem(id, undefined, "completed", [textPart(`![image](${source._tag === "Url" ? source.url : source.id})`)])

/** A content as an item; undefined when the API has no item for it. */
export const itemOf = (content: Message.AssistantContent, id: string): JsonRecord | undefined => {
  switch (content._tag) {
    case "Text": {
      const refused = content.signature === refusal
      const part = refused ? { type: "refusal", refusal: content.text } : textPart(content.text, content.citations)
      return content.text === "" && content.citations === undefined
        ? undefined
        : messageItem(id, content.phase, "completed", [part])
    }
    case "ToolCall":
      return callItem(id, content, "completed", JSON.stringify(content.arguments))
    case "Reasoning":
      return reasoningItem(id, content)
    case "Image":
      return imageItem(id, content)
    case "ProviderBlock": {
      const field = entry(requiredFields, content.block["type"])
      return field !== undefined && content.block[field] !== undefined ? content.block : undefined
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// The response
// ---------------------------------------------------------------------------------------------------------------------

export const usageOf = (usage: TokenUsage.TokenUsage, cost: number | undefined): JsonRecord => ({
  input_tokens: usage.inputTokens,
  input_tokens_details: {
    cached_tokens: usage.cachedInputTokens,
    cache_write_tokens: usage.cacheWriteTokens,
    ...(usage.longCacheWriteTokens > 0 && {
      cache_write_tokens_details: { ttl_12h_tokens: usage.longCacheWriteTokens }
    })
  },
  output_tokens: usage.outputTokens,
  output_tokens_details: { reasoning_tokens: usage.reasoningTokens },
  total_tokens: usage.totalTokens,
  ...present("cost", cost)
})

/** The status of an answer, and why it is incomplete. */
export const endOf = (finish: FinishReason): { readonly status: string; readonly reason?: string } => {
  switch (finish._tag) {
    case "MaxTokens":
      return { status: "incomplete", reason: "max_output_tokens" }
    case "ContentFilter":
      return { status: "incomplete", reason: "content_filter" }
    case "Other":
      return { status: "incomplete", reason: finish.reason }
    default:
      return { status: "completed" }
  }
}

/** The fields around the items of an answer, which are the same in every event that contains it. */
export const bodyOf = (
  { completion, model }: Asked,
  { created, seed }: Stamp,
  answer: { readonly id?: string | undefined; readonly model?: string | undefined },
  fields: JsonRecord
): JsonRecord => {
  const {
    maxTokens,
    outputSchema,
    parallelToolCalls,
    preamble,
    reasoning,
    temperature,
    toolChoice: choice,
    tools,
    topP
  } = completion
  return {
    id: answer.id ?? `resp_${seed}`,
    object: "response",
    created_at: created,
    status: "in_progress",
    background: false,
    error: null,
    incomplete_details: null,
    instructions: preamble ?? null,
    max_output_tokens: maxTokens ?? null,
    metadata: {},
    model: answer.model ?? model,
    output: [],
    parallel_tool_calls: parallelToolCalls ?? true,
    previous_response_id: null,
    reasoning: { effort: reasoning?.effort ?? null, summary: reasoning?.summary === true ? "auto" : null },
    store: false,
    temperature: temperature ?? 1,
    text: { format: outputSchema === undefined ? { type: "text" } : schemaFormat(outputSchema) },
    tool_choice: choice === undefined ? "auto" : toolChoice(choice),
    tools: tools.map(toolItem),
    top_p: topP ?? 1,
    truncation: "disabled",
    usage: null,
    ...fields
  }
}

/** The fields of a finished answer. */
export const ended = (
  { response }: Outgoing,
  output: ReadonlyArray<JsonRecord>,
  { created }: Stamp
) => {
  const { reason, status } = endOf(response.finishReason)
  return {
    status,
    completed_at: status === "completed" ? created : null,
    incomplete_details: reason === undefined ? null : { reason },
    output,
    usage: usageOf(response.usage, response.cost)
  }
}

/** The body of a whole answer. */
export const encode = (answer: Outgoing, asked: Asked, stamp: Stamp): JsonRecord => {
  const output: Array<JsonRecord> = []
  for (const content of answer.response.choice) {
    const item = itemOf(content, itemId(content._tag, stamp, output.length))
    if (item !== undefined) output.push(item)
  }
  const { cutCall } = answer
  if (cutCall !== undefined) {
    output.push(callItem(itemId("ToolCall", stamp, output.length), cutCall, "incomplete", cutCall.arguments))
  }
  return bodyOf(asked, stamp, answer.response, ended(answer, output, stamp))
}
