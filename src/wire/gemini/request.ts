/**
 * Gemini generateContent. Source: Google AI for Developers, Gemini API reference, "Generating content", "Function
 * calling", "Thought signatures".
 */
import * as Completion from "../../Completion.ts"
import * as Message from "../../Message.ts"
import * as TokenUsage from "../../TokenUsage.ts"
import type { ToolChoice } from "../../Tool.ts"
import { callArguments, decodeText, present, toolChoiceOf, verbatim } from "../encode.ts"
import { array, isObject, type JsonRecord, number, object, string } from "../json.ts"
import { gemini as geminiSchema } from "../jsonSchema.ts"
import { finishReason, type FinishReasons, type Protocol } from "../Wire.ts"
import { geminiStream } from "./stream.ts"

const provider = "gemini"

// ---------------------------------------------------------------------------------------------------------------------
// Request
// ---------------------------------------------------------------------------------------------------------------------

const inlinePart = ({ data, mediaType }: Message.Base64) => ({ inlineData: { mimeType: mediaType, data } })

const mediaPart = (source: Message.Source) => {
  switch (source._tag) {
    case "Base64":
      return source.mediaType.startsWith("text/")
        ? { text: decodeText(source.data) }
        : inlinePart(source)
    case "Url":
      return { fileData: { ...present("mimeType", source.mediaType), fileUri: source.url } }
    // Refused before.
    case "FileId":
      return {}
  }
}

const signed = (content: { readonly signature?: string }) => present("thoughtSignature", content.signature)

// A result is one value, or a list of several; a text stays a text, even one that looks like JSON.
const resultValue = (values: ReadonlyArray<Message.Text | Message.Json>) => {
  const plain = values.map((value) => value._tag === "Json" ? value.value : value.text)
  return plain.length > 1 ? plain : plain[0]
}

/** Calls whose id this provider gave: only those ids go back to it. */
type KnownIds = ReadonlySet<string>

const functionResponse = (result: Message.ToolResult, known: KnownIds) => {
  const images = result.content.filter((content) => content._tag === "Image")
  const value = resultValue(result.content.filter((content) => content._tag !== "Image"))
  return {
    functionResponse: {
      ...(known.has(result.id) && { id: result.id }),
      name: result.name,
      response: result.isError === true ? { error: value ?? "the tool failed" } : present("result", value),
      // Anything but data was refused before.
      ...(images.length > 0 && { parts: images.map((image) => inlinePart(image.source as Message.Base64)) })
    }
  }
}

const userPart = (known: KnownIds) => (content: Message.UserContent) => {
  switch (content._tag) {
    case "Text":
      return content.text === "" ? [] : [{ text: content.text }]
    case "ToolResult":
      return [functionResponse(content, known)]
    default:
      return [mediaPart(content.source)]
  }
}

const reasoningPart = (part: Message.ReasoningPart) => {
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

const assistantPart = (native: boolean, known: KnownIds) => (content: Message.AssistantContent) => {
  // A signature stands beside the part that it came with, and means nothing to any other provider.
  const signature = native && "signature" in content ? signed(content) : {}
  switch (content._tag) {
    case "Text":
      return content.text === "" && signature.thoughtSignature === undefined
        ? []
        : [{ text: content.text, ...signature }]
    case "ToolCall":
      return [{
        functionCall: {
          ...(known.has(content.id) && { id: content.id }),
          name: content.name,
          args: callArguments(content.arguments)
        },
        ...signature
      }]
    case "Reasoning":
      return native ? content.content.map(reasoningPart).flat() : []
    case "Image":
      return [{ ...mediaPart(content.source), ...signature }]
    case "ProviderBlock":
      return content.provider === provider ? [verbatim(content.block)] : []
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

type UserPart = ReturnType<ReturnType<typeof userPart>>[number]
type ModelPart = ReturnType<ReturnType<typeof assistantPart>>[number]

type Turn =
  | { readonly role: "user"; readonly parts: Array<UserPart> }
  | { readonly role: "model"; readonly parts: Array<ModelPart> }

const resultsFirst = (a: UserPart, b: UserPart): number =>
  Number("functionResponse" in b) - Number("functionResponse" in a)

// From version 3 on, and behind the names without a number.
const wantsSignatures = (model: string): boolean => /gemini-([3-9]|\d\d|[a-z-]+latest)/.test(model)

// What the documentation of thought signatures gives for calls that another model wrote, or nobody.
const placeholder = { thoughtSignature: "skip_thought_signature_validator" } as const

// The first call of a step must be signed; those beside it never are.
const sign = (parts: Array<ModelPart>): void => {
  const index = parts.findIndex((part) => "functionCall" in part)
  const first = parts[index]
  if (first !== undefined && (first as JsonRecord)["thoughtSignature"] === undefined) {
    parts[index] = { ...first, ...placeholder }
  }
}

const conversation = (completion: Completion.Completion, model: string) => {
  const messages = Completion.messages(completion)
  const known = knownIds(messages)
  const system = completion.preamble ? [{ text: completion.preamble }] : []
  const turns: Array<Turn> = []
  for (const message of messages) {
    const last = turns.at(-1)
    switch (message._tag) {
      case "System":
        if (message.content !== "") system.push({ text: message.content })
        break
      case "User": {
        const parts = message.content.map(userPart(known)).flat()
        if (last?.role === "user") last.parts.push(...parts)
        else if (parts.length > 0) turns.push({ role: "user", parts })
        break
      }
      case "Assistant": {
        const parts = message.content.map(assistantPart(isNative(message), known)).flat()
        if (last?.role === "model") last.parts.push(...parts)
        else if (parts.length > 0) turns.push({ role: "model", parts })
      }
    }
  }
  // All results of one turn belong into one content, and come before everything else in it.
  for (const turn of turns) if (turn.role === "user") turn.parts.sort(resultsFirst)
  if (wantsSignatures(model)) { for (const turn of turns) if (turn.role === "model") sign(turn.parts) }
  return { system, contents: turns }
}

const callingConfig = (choice: ToolChoice) => {
  switch (choice._tag) {
    case "Auto":
      return { mode: "AUTO" } as const
    case "None":
      return { mode: "NONE" } as const
    case "Required":
      return { mode: "ANY" } as const
    case "Specific":
      return { mode: "ANY", allowedFunctionNames: choice.names } as const
  }
}

const modelPath = (model: string): string =>
  (model.includes("/") ? model : `models/${model}`).split("/").map(encodeURIComponent).join("/")

const hasProperties = (parameters: JsonRecord): boolean =>
  Object.keys(object(parameters["properties"])).length > 0 || parameters["$ref"] !== undefined
  || ["anyOf", "oneOf", "allOf"].some((key) => parameters[key] !== undefined)

/** The body of a request. Its type is inferred, so that it can be held against the provider's own. */
export const encode = (completion: Completion.Completion, model: string) => {
  const { contents, system } = conversation(completion, model)
  const { maxTokens, outputSchema, stopSequences = [], temperature, tools } = completion
  const generationConfig = {
    ...present("maxOutputTokens", maxTokens),
    ...present("temperature", temperature),
    ...(stopSequences.length > 0 && { stopSequences }),
    ...(outputSchema && { responseMimeType: "application/json", responseJsonSchema: outputSchema })
  }
  const choice = toolChoiceOf(completion, provider)
  return {
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
    ...(choice && { toolConfig: { functionCallingConfig: callingConfig(choice) } }),
    ...(Object.keys(generationConfig).length > 0 && { generationConfig })
  }
}

const request: Protocol["request"] = (completion, model, streamed) => ({
  path: `/v1beta/${modelPath(model)}:${streamed ? "streamGenerateContent?alt=sse" : "generateContent"}`,
  body: encode(completion, model)
})

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

const decodeCall = (
  call: JsonRecord,
  signature: string | undefined,
  mint: () => string
): ReadonlyArray<Message.ToolCall> => {
  const name = string(call["name"])
  // A call without a name cannot be run.
  return name === undefined ? [] : [{
    _tag: "ToolCall",
    id: string(call["id"]) ?? mint(),
    name,
    arguments: callArguments(call["args"]) as Message.ToolCall["arguments"],
    ...present("signature", signature)
  }]
}

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
  if (isObject(part["functionCall"])) return decodeCall(part["functionCall"], signature, mint)
  if (typeof text === "string") {
    return text === "" && signature === undefined ? [] : [{ _tag: "Text", text, ...present("signature", signature) }]
  }
  const mediaType = string(inline["mimeType"]) ?? string(file["mimeType"])
  const data = string(inline["data"])
  const uri = string(file["fileUri"])
  if (mediaType?.startsWith("image/") === true && (data !== undefined || uri !== undefined)) {
    return [{
      _tag: "Image",
      source: data === undefined ? { _tag: "Url", url: uri!, mediaType } : { _tag: "Base64", data, mediaType },
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
