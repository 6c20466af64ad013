/**
 * The body of a request. Source: Anthropic API reference, "Messages", "Tool use", "Extended thinking", "Prompt
 * caching", "Structured outputs".
 */
import * as Completion from "../../Completion.ts"
import type * as Message from "../../Message.ts"
import type { ToolChoice } from "../../Tool.ts"
import { fitIds } from "../callIds.ts"
import { cacheControl, callArguments, decodeText, hasOtherTools, present, resultText, verbatim } from "../encode.ts"
import { withoutUnused } from "../jsonSchema.ts"
import type { Wire } from "../Wire.ts"
import { fit, type Fitted, type Options } from "./rules.ts"
import { closed } from "./schema.ts"
import { callIds, type imageTypes, isBlank, path, vendor } from "./shape.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Contents
// ---------------------------------------------------------------------------------------------------------------------

// `accepts` was checked before, so the media types are supported.
const source = <MediaType extends string>(source: Message.Source) => {
  switch (source._tag) {
    case "Url":
      return { type: "url", url: source.url } as const
    case "Base64":
      return { type: "base64", media_type: source.mediaType as MediaType, data: source.data } as const
    case "FileId":
      return { type: "file", file_id: source.id } as const
  }
}

const documentSource = (from: Message.Source) =>
  from._tag === "Base64" && from.mediaType === "text/plain"
    ? { type: "text", media_type: "text/plain", data: decodeText(from.data) } as const
    : source<"application/pdf">(from)

// Citations have the provider's own format, so only its own answers carry them.
const text = (content: Message.Text, cited: boolean) => ({
  type: "text",
  text: content.text,
  ...(cited && present("citations", content.citations && verbatim(content.citations))),
  ...cacheControl(content)
} as const)

const image = (content: Message.Image) => ({
  type: "image",
  source: source<typeof imageTypes[number]>(content.source),
  ...cacheControl(content)
} as const)

const document = (content: Message.Document) => ({
  type: "document",
  source: documentSource(content.source),
  ...present("title", content.title),
  ...(content.citations === true && { citations: { enabled: true } }),
  ...cacheControl(content)
} as const)

const resultBlock = (item: Message.ToolResultContent) => {
  switch (item._tag) {
    case "Image":
      return [image(item)]
    case "Document":
      return [document(item)]
    case "Text":
    case "Json":
      return isBlank(resultText(item)) ? [] : [{ type: "text", text: resultText(item) } as const]
  }
}

const toolResult = (result: Message.ToolResult) => {
  const content = result.content.map(resultBlock).flat()
  return {
    type: "tool_result",
    tool_use_id: result.id,
    ...(content.length > 0 && { content }),
    ...(result.isError === true && { is_error: true }),
    ...cacheControl(result)
  } as const
}

const userBlock = (content: Message.UserContent) => {
  switch (content._tag) {
    case "Text":
      return isBlank(content.text) ? [] : [text(content, false)]
    case "Image":
      return [image(content)]
    case "Document":
      return [document(content)]
    case "ToolResult":
      return [toolResult(content)]
    // `accepts` excludes audio and video.
    case "Audio":
    case "Video":
      return []
  }
}

const reasoningBlock = (part: Message.ReasoningPart) => {
  switch (part._tag) {
    case "Text":
      // The provider refuses thinking without its signature.
      return part.signature === undefined
        ? []
        : [{ type: "thinking", thinking: part.text, signature: part.signature } as const]
    case "Redacted":
      return [{ type: "redacted_thinking", data: part.data } as const]
    // Anthropic cannot read the reasoning formats of other providers.
    case "Summary":
    case "Encrypted":
      return []
  }
}

const assistantBlock = (name: string, native: boolean) => (content: Message.AssistantContent) => {
  switch (content._tag) {
    case "Text":
      return isBlank(content.text) ? [] : [text(content, native)]
    case "ToolCall":
      return [
        {
          type: "tool_use",
          id: content.id,
          name: content.name,
          input: callArguments(content.arguments),
          ...cacheControl(content)
        } as const
      ]
    case "Reasoning":
      return native ? content.content.map(reasoningBlock).flat() : []
    case "ProviderBlock":
      return content.provider === name ? [verbatim(content.block)] : []
    // `accepts` excludes images in answers.
    case "Image":
      return []
  }
}

const systemBlock = (content: string, marked: { readonly cache?: Message.CacheHint }) => ({
  type: "text",
  text: content,
  ...cacheControl(marked)
} as const)

// ---------------------------------------------------------------------------------------------------------------------
// Conversation
// ---------------------------------------------------------------------------------------------------------------------

type SystemBlock = ReturnType<typeof systemBlock>
type UserBlock = ReturnType<typeof userBlock>[number]
type AssistantBlock = ReturnType<ReturnType<typeof assistantBlock>>[number]

type Turn =
  | { readonly role: "system"; readonly content: ReadonlyArray<SystemBlock> }
  | { readonly role: "user"; readonly content: Array<UserBlock> }
  | { readonly role: "assistant"; readonly content: ReadonlyArray<AssistantBlock> }

const resultsFirst = (a: UserBlock, b: UserBlock): number =>
  Number(b.type === "tool_result") - Number(a.type === "tool_result")

// A system message may only follow a user message, or a turn that ended with a server tool, and precede an assistant
// turn.
const standsAt = (messages: ReadonlyArray<Message.Message>, index: number): boolean => {
  const previous = messages[index - 1]
  const next = messages[index + 1]
  const last = previous?._tag === "Assistant" ? previous.content.at(-1) : undefined
  return (previous?._tag === "User" || last?._tag === "ProviderBlock")
    && (next === undefined || next._tag === "Assistant")
}

const conversation = (completion: Completion.Completion, name: string, systemInPlace: boolean) => {
  const system: Array<SystemBlock> = []
  const turns: Array<Turn> = []
  if (completion.preamble !== undefined && !isBlank(completion.preamble)) {
    system.push(systemBlock(completion.preamble, {}))
  }
  const messages = fitIds(Completion.messages(completion), name, callIds)
  messages.forEach((message, index) => {
    const last = turns.at(-1)
    switch (message._tag) {
      case "System": {
        if (isBlank(message.content)) return
        const block = systemBlock(message.content, message)
        if (systemInPlace && standsAt(messages, index)) turns.push({ role: "system", content: [block] })
        else system.push(block)
        return
      }
      case "User": {
        const content = message.content.map(userBlock).flat()
        if (last?.role === "user") { for (const block of content) last.content.push(block) }
        else if (content.length > 0) turns.push({ role: "user", content })
        return
      }
      case "Assistant": {
        const native = message.provider === undefined || message.provider === name
        const content = message.content.map(assistantBlock(name, native)).flat()
        // The provider refuses an empty turn, such as an empty answer to a tool result.
        if (content.length > 0) turns.push({ role: "assistant", content })
        return
      }
    }
  })
  // The results of a turn go into one message, before everything else in it.
  for (const turn of turns) if (turn.role === "user") turn.content.sort(resultsFirst)
  return { system, messages: turns }
}

// ---------------------------------------------------------------------------------------------------------------------
// Settings
// ---------------------------------------------------------------------------------------------------------------------

// Parallel tool calls are switched off inside the tool choice.
const toolChoice = (choice: ToolChoice | undefined, parallel: boolean | undefined) => {
  const single = present("disable_parallel_tool_use", parallel === undefined ? undefined : !parallel)
  switch (choice?._tag) {
    case undefined:
      return parallel === undefined ? {} : { tool_choice: { type: "auto", ...single } as const }
    case "Auto":
      return { tool_choice: { type: "auto", ...single } as const }
    case "None":
      return { tool_choice: { type: "none" } as const }
    case "Required":
      return { tool_choice: { type: "any", ...single } as const }
    case "Specific":
      return { tool_choice: { type: "tool", name: choice.names[0]!, ...single } as const }
  }
}

/** The body of a request. Its type is inferred, so that tests can compare it with the SDK's type. */
export const encode = (fitted: Fitted, model: string, name: string) => {
  const { completion, effort, maxTokens, systemInPlace, thinking } = fitted
  const { outputSchema, parallelToolCalls, stopSequences = [], temperature, tools, topP } = completion
  const { messages, system } = conversation(completion, name, systemInPlace)
  const format = outputSchema && ({ type: "json_schema", schema: closed(withoutUnused(outputSchema)) } as const)
  return {
    model,
    max_tokens: maxTokens,
    ...(system.length > 0 && { system }),
    messages,
    ...(tools.length > 0 && {
      tools: tools.map((tool) => ({
        name: tool.name,
        description: tool.description,
        input_schema: { type: "object", ...tool.parameters } as const,
        ...cacheControl(tool)
      }))
    }),
    ...((tools.length > 0 || hasOtherTools(completion, vendor, name))
      && toolChoice(completion.toolChoice, parallelToolCalls)),
    ...present("temperature", temperature),
    ...present("top_p", topP),
    ...(stopSequences.length > 0 && { stop_sequences: stopSequences }),
    ...present("thinking", thinking),
    ...((format !== undefined || effort !== undefined) && {
      output_config: { ...present("effort", effort), ...present("format", format) }
    })
  }
}

const isFile = (content: Message.UserContent | Message.ToolResultContent): boolean =>
  "source" in content
    ? content.source._tag === "FileId"
    : content._tag === "ToolResult" && content.content.some(isFile)

// Uploaded files are a beta feature that a header turns on.
const fileBetas = (completion: Completion.Completion): ReadonlyArray<string> =>
  Completion.messages(completion).some((message) => message._tag === "User" && message.content.some(isFile))
    ? ["files-api-2025-04-14"]
    : []

/** The request function of an instance. */
export const request = (name: string, options?: Options): Wire["request"] => (completion, model, streamed) => {
  const fitted = fit(completion, model, name, options)
  if ("_tag" in fitted) return fitted
  const betas = [...fileBetas(completion), ...fitted.betas]
  return {
    path,
    ...(betas.length > 0 && { headers: { "anthropic-beta": betas.join(",") } }),
    body: { ...encode(fitted, model, name), ...(streamed && { stream: true }) },
    ...(fitted.warnings.length > 0 && { warnings: fitted.warnings })
  }
}
