/**
 * Gemini generateContent. Source: Google AI for Developers, Gemini API reference, "Generating content", "Function
 * calling", "Thought signatures".
 */
import * as Completion from "../Completion.ts"
import * as Message from "../Message.ts"
import * as TokenUsage from "../TokenUsage.ts"
import type { ToolChoice } from "../Tool.ts"
import { decodeText, present } from "./encode.ts"
import { geminiStream } from "./geminiStream.ts"
import { array, isObject, type JsonRecord, number, object, string } from "./json.ts"
import { gemini as geminiSchema } from "./jsonSchema.ts"
import { finishReason, type FinishReasons, type Protocol } from "./Protocol.ts"

const provider = "gemini"

// ---------------------------------------------------------------------------------------------------------------------
// Request
// ---------------------------------------------------------------------------------------------------------------------

const mediaPart = (source: Message.Source): JsonRecord => {
  switch (source._tag) {
    case "Base64":
      return source.mediaType.startsWith("text/")
        ? { text: decodeText(source.data) }
        : { inlineData: { mimeType: source.mediaType, data: source.data } }
    case "Url":
      return { fileData: { ...present("mimeType", source.mediaType), fileUri: source.url } }
    // Refused before.
    case "FileId":
      return {}
  }
}

const signed = (content: { readonly signature?: string }): JsonRecord => present("thoughtSignature", content.signature)

// A result is one value, or a list of several; a text stays a text, even one that looks like JSON.
const resultValue = (values: ReadonlyArray<Message.Text | Message.Json>): JsonRecord => {
  const plain = values.map((value) => value._tag === "Json" ? value.value : value.text)
  return plain.length === 0 ? {} : { result: plain.length === 1 ? plain[0] : plain }
}

/** Calls whose id this provider gave: only those ids go back to it. */
type KnownIds = ReadonlySet<string>

const functionResponse = (result: Message.ToolResult, known: KnownIds): JsonRecord => {
  const images = result.content.filter((content) => content._tag === "Image")
  const values = result.content.filter((content) => content._tag !== "Image")
  const value = resultValue(values)
  return {
    functionResponse: {
      ...(known.has(result.id) && { id: result.id }),
      name: result.name,
      response: result.isError === true ? { error: value["result"] ?? "the tool failed" } : value,
      ...(images.length > 0 && { parts: images.map((image) => mediaPart(image.source)) })
    }
  }
}

const userPart = (content: Message.UserContent, known: KnownIds): JsonRecord =>
  content._tag === "Text"
    ? { text: content.text }
    : content._tag === "ToolResult"
    ? functionResponse(content, known)
    : mediaPart(content.source)

const reasoningPart = (part: Message.ReasoningPart): ReadonlyArray<JsonRecord> => {
  switch (part._tag) {
    case "Text":
      return [{ text: part.text, thought: true, ...signed(part) }]
    case "Summary":
      return [{ text: part.text, thought: true }]
    // Other providers' forms, which Gemini cannot read.
    case "Encrypted":
    case "Redacted":
      return []
  }
}

const assistantPart =
  (native: boolean, known: KnownIds) => (content: Message.AssistantContent): ReadonlyArray<JsonRecord> => {
    const signature = native ? (content: { readonly signature?: string }) => signed(content) : () => ({})
    switch (content._tag) {
      case "Text":
        return content.text === "" && content.signature === undefined
          ? []
          : [{ text: content.text, ...signature(content) }]
      case "ToolCall":
        return [{
          functionCall: {
            ...(known.has(content.id) && { id: content.id }),
            name: content.name,
            args: object(content.arguments)
          },
          ...signature(content)
        }]
      case "Reasoning":
        return native ? content.content.flatMap(reasoningPart) : []
      case "Image":
        return [{ ...mediaPart(content.source), ...signature(content) }]
      case "ProviderBlock":
        return content.provider === provider ? [content.block] : []
    }
  }

const isNative = (message: Message.Assistant): boolean =>
  message.provider === undefined || message.provider === provider

const knownIds = (messages: ReadonlyArray<Message.Message>): KnownIds =>
  new Set(messages.flatMap((message) =>
    message._tag === "Assistant" && isNative(message)
      ? message.content.flatMap((content) =>
        content._tag === "ToolCall" && !Message.isMintedId(content.id) ? [content.id] : []
      )
      : []
  ))

interface Turn {
  readonly role: "user" | "model"
  readonly parts: Array<JsonRecord>
}

const conversation = (completion: Completion.Completion) => {
  const messages = Completion.messages(completion)
  const known = knownIds(messages)
  const system: Array<JsonRecord> = completion.preamble ? [{ text: completion.preamble }] : []
  const turns: Array<Turn> = []
  for (const message of messages) {
    switch (message._tag) {
      case "System":
        if (message.content !== "") system.push({ text: message.content })
        break
      case "User": {
        const parts = message.content.map((content) => userPart(content, known))
        const last = turns.at(-1)
        // All results of one turn belong into one content.
        if (last?.role === "user") last.parts.push(...parts)
        else turns.push({ role: "user", parts })
        break
      }
      case "Assistant":
        turns.push({ role: "model", parts: message.content.flatMap(assistantPart(isNative(message), known)) })
    }
  }
  return { system, contents: turns.filter((turn) => turn.parts.length > 0) }
}

const callingConfig = (choice: ToolChoice): JsonRecord => {
  switch (choice._tag) {
    case "Auto":
      return { mode: "AUTO" }
    case "None":
      return { mode: "NONE" }
    case "Required":
      return { mode: "ANY" }
    case "Specific":
      return { mode: "ANY", allowedFunctionNames: choice.names }
  }
}

const modelPath = (model: string): string =>
  (model.includes("/") ? model : `models/${model}`).split("/").map(encodeURIComponent).join("/")

const hasProperties = (parameters: JsonRecord): boolean =>
  Object.keys(object(parameters["properties"])).length > 0 || parameters["$ref"] !== undefined
  || ["anyOf", "oneOf", "allOf"].some((key) => parameters[key] !== undefined)

const request: Protocol["request"] = (completion, model, streamed) => {
  const { contents, system } = conversation(completion)
  const { maxTokens, outputSchema, stopSequences = [], temperature, tools } = completion
  const generationConfig = {
    ...present("maxOutputTokens", maxTokens),
    ...present("temperature", temperature),
    ...(stopSequences.length > 0 && { stopSequences }),
    ...(outputSchema && { responseMimeType: "application/json", responseJsonSchema: outputSchema })
  }
  return {
    path: `/v1beta/${modelPath(model)}:${streamed ? "streamGenerateContent?alt=sse" : "generateContent"}`,
    body: {
      ...(system.length > 0 && { systemInstruction: { parts: system } }),
      contents,
      ...(tools.length > 0 && {
        tools: [{
          functionDeclarations: tools.map(({ description, name, parameters }) => ({
            name,
            description,
            // The API refuses an object without properties.
            ...(hasProperties(parameters) && { parameters: geminiSchema(parameters) })
          }))
        }]
      }),
      ...(completion.toolChoice && { toolConfig: { functionCallingConfig: callingConfig(completion.toolChoice) } }),
      ...(Object.keys(generationConfig).length > 0 && { generationConfig })
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Response
// ---------------------------------------------------------------------------------------------------------------------

const finishReasons = {
  FINISH_REASON_UNSPECIFIED: "None",
  STOP: "Stop",
  MAX_TOKENS: "MaxTokens",
  SAFETY: "ContentFilter",
  RECITATION: "ContentFilter",
  BLOCKLIST: "ContentFilter",
  PROHIBITED_CONTENT: "ContentFilter",
  SPII: "ContentFilter",
  IMAGE_SAFETY: "ContentFilter",
  IMAGE_PROHIBITED_CONTENT: "ContentFilter",
  IMAGE_RECITATION: "ContentFilter"
} satisfies FinishReasons

/** Usage: thoughts stand beside the candidates, and what tools made the model read beside the prompt. */
export const usage = (usage: JsonRecord): TokenUsage.TokenUsage => {
  const thoughts = number(usage["thoughtsTokenCount"]) ?? 0
  return TokenUsage.make({
    inputTokens: (number(usage["promptTokenCount"]) ?? 0) + (number(usage["toolUsePromptTokenCount"]) ?? 0),
    outputTokens: (number(usage["candidatesTokenCount"]) ?? 0) + thoughts,
    cachedInputTokens: number(usage["cachedContentTokenCount"]) ?? 0,
    reasoningTokens: thoughts
  })
}

const decodeCall = (call: JsonRecord, signature: string | undefined, mint: () => string): Message.ToolCall => ({
  _tag: "ToolCall",
  id: string(call["id"]) ?? mint(),
  name: String(call["name"]),
  arguments: (call["args"] ?? {}) as Message.ToolCall["arguments"],
  ...present("signature", signature)
})

const decodePart = (part: JsonRecord, mint: () => string): ReadonlyArray<Message.AssistantContent> => {
  const signature = string(part["thoughtSignature"])
  const text = part["text"]
  const inline = object(part["inlineData"])
  const file = object(part["fileData"])
  if (part["thought"] === true) {
    return [{
      _tag: "Reasoning",
      content: [{ _tag: "Text", text: string(text) ?? "", ...present("signature", signature) }]
    }]
  }
  if (isObject(part["functionCall"])) return [decodeCall(part["functionCall"], signature, mint)]
  if (typeof text === "string") {
    return text === "" && signature === undefined ? [] : [{ _tag: "Text", text, ...present("signature", signature) }]
  }
  const mediaType = string(inline["mimeType"]) ?? string(file["mimeType"])
  if (mediaType?.startsWith("image/") === true) {
    const data = string(inline["data"])
    return [{
      _tag: "Image",
      source: data === undefined
        ? { _tag: "Url", url: String(file["fileUri"]), mediaType }
        : { _tag: "Base64", data, mediaType },
      ...present("signature", signature)
    }]
  }
  // Code that the provider ran, and kinds of parts that are not known here.
  return Object.keys(part).length === 0
    ? []
    : [{ _tag: "ProviderBlock", provider, block: part as Message.ProviderBlock["block"] }]
}

// Why a filter took the prompt or the answer.
const filterOf = (body: JsonRecord, candidate: JsonRecord): string | undefined => {
  const feedback = object(body["promptFeedback"])
  const reason = string(feedback["blockReason"]) ?? string(candidate["finishReason"])
  const ratings = [...array(feedback["safetyRatings"]), ...array(candidate["safetyRatings"])].map(object)
  const blocked = ratings.filter((rating) => rating["blocked"] === true).flatMap((rating) =>
    string(rating["category"]) ?? []
  )
  const message = string(feedback["blockReasonMessage"]) ?? string(candidate["finishMessage"])
  const parts = [reason, ...blocked, message].filter((part) => part !== undefined)
  return parts.length === 0 ? undefined : parts.join(", ")
}

const response: Protocol["response"] = (body, mintId) => {
  const candidates = body["candidates"]
  const blockReason = string(object(body["promptFeedback"])["blockReason"])
  const known = ["candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId"].some((key) =>
    key in body
  )
  if (!known) return undefined
  const candidate = object(array(candidates)[0])
  let calls = 0
  const mint = () => mintId(calls++)
  const finish = string(candidate["finishReason"])
  return {
    choice: array(object(candidate["content"])["parts"]).filter(isObject).flatMap((part) => decodePart(part, mint)),
    finishReason: blockReason !== undefined && finish === undefined
      ? { _tag: "ContentFilter" }
      : finishReason(finishReasons, finish),
    finish: finish ?? blockReason,
    filter: filterOf(body, candidate),
    absent: !Array.isArray(candidates) || candidates.length === 0,
    usage: usage(object(body["usageMetadata"])),
    id: string(body["responseId"]),
    model: string(body["modelVersion"])
  }
}

const imageTypes = ["image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"]

const textTypes = ["text/plain", "text/html", "text/css", "text/csv", "text/xml", "text/markdown", "text/rtf"]

export const geminiGenerateContent: Protocol = {
  provider,
  accepts: {
    user: {
      Image: { Url: true, Base64: imageTypes },
      Audio: { Url: true, Base64: true },
      Video: { Url: true, Base64: true },
      Document: { Url: true, Base64: ["application/pdf", "application/json", ...textTypes] }
    },
    toolResult: { Base64: ["image/png", "image/jpeg", "image/webp"] },
    assistant: { Url: true, Base64: imageTypes },
    severalToolNames: true,
    urlWithoutMediaType: ["https://www.youtube.com/", "https://youtube.com/", "https://youtu.be/"]
  },
  request,
  response,
  stream: geminiStream
}
