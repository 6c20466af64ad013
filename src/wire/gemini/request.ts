/**
 * Writes a generateContent request. Sources: Google AI for Developers, Gemini API reference, "Generating content",
 * "Function calling", "Thought signatures".
 */
import * as Completion from "../../Completion.ts"
import * as Message from "../../Message.ts"
import type { ToolChoice } from "../../Tool.ts"
import { callArguments, decodeText, present, toolChoiceOf, verbatim } from "../encode.ts"
import { type JsonRecord, object } from "../json.ts"
import { withoutUnused } from "../jsonSchema.ts"
import type { Wire } from "../Wire.ts"
import { fit, type Fitted, type Options } from "./rules.ts"
import { isText, modelPath, noSignature, vendor, wantsSignatures } from "./shape.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Contents
// ---------------------------------------------------------------------------------------------------------------------

const inlinePart = ({ data, mediaType }: Message.Base64) => ({ inlineData: { mimeType: mediaType, data } })

const mediaPart = (source: Message.Source) => {
  switch (source._tag) {
    case "Base64":
      return isText(source.mediaType) ? { text: decodeText(source.data) } : inlinePart(source)
    case "Url":
      return { fileData: { ...present("mimeType", source.mediaType), fileUri: source.url } }
    // `accepts` excludes file ids.
    case "FileId":
      return {}
  }
}

const signed = (content: { readonly signature?: string }) => present("thoughtSignature", content.signature)

// The values of a result. A text stays a text, even if it looks like JSON. Other media are sent separately.
const resultValue = (content: Message.ToolResultContent) => {
  switch (content._tag) {
    case "Json":
      return [content.value]
    case "Text":
      return [content.text]
    case "Document":
      return content.source._tag === "Base64" && isText(content.source.mediaType)
        ? [decodeText(content.source.data)]
        : []
    case "Image":
      return []
  }
}

// `accepts` was checked before: other media are always base64.
const resultMedia = (content: Message.ToolResultContent) =>
  (content._tag === "Image" || content._tag === "Document") && content.source._tag === "Base64"
    && !(content._tag === "Document" && isText(content.source.mediaType))
    ? [inlinePart(content.source)]
    : []

/** The ids that this provider gave to calls. It accepts only those. */
type KnownIds = ReadonlySet<string>

const functionResponse = (result: Message.ToolResult, known: KnownIds) => {
  const media = result.content.flatMap(resultMedia)
  const values = result.content.flatMap(resultValue)
  // A single value, or a list of several.
  const value = values.length > 1 ? values : values[0]
  return {
    functionResponse: {
      ...(known.has(result.id) && { id: result.id }),
      name: result.name,
      response: result.isError === true ? { error: value ?? "the tool failed" } : present("result", value),
      ...(media.length > 0 && { parts: media })
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
    // Gemini cannot read the reasoning formats of other providers.
    case "Encrypted":
    case "Redacted":
      return []
  }
}

const assistantPart = (native: boolean, known: KnownIds, name: string) => (content: Message.AssistantContent) => {
  // A signature belongs to the part that it came with. Other providers cannot read it.
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
      return content.provider === name ? [verbatim(content.block)] : []
  }
}

const isNative = (message: Message.Assistant, name: string): boolean =>
  message.provider === undefined || message.provider === name

const knownIds = (messages: ReadonlyArray<Message.Message>, name: string): KnownIds =>
  new Set(messages.flatMap((message) =>
    message._tag === "Assistant" && isNative(message, name)
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

// The first call of a step needs a signature; parallel calls after it never have one.
const sign = (parts: Array<ModelPart>): void => {
  const index = parts.findIndex((part) => "functionCall" in part)
  const first = parts[index]
  if (first !== undefined && (first as JsonRecord)["thoughtSignature"] === undefined) {
    parts[index] = { ...first, thoughtSignature: noSignature }
  }
}

const conversation = (completion: Completion.Completion, model: string, name: string) => {
  const messages = Completion.messages(completion)
  const known = knownIds(messages, name)
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
        const parts = message.content.map(assistantPart(isNative(message, name), known, name)).flat()
        if (last?.role === "model") last.parts.push(...parts)
        else if (parts.length > 0) turns.push({ role: "model", parts })
      }
    }
  }
  // The results of a turn go into one content, before everything else in it.
  for (const turn of turns) if (turn.role === "user") turn.parts.sort(resultsFirst)
  if (wantsSignatures(model)) { for (const turn of turns) if (turn.role === "model") sign(turn.parts) }
  return { system, contents: turns }
}

// ---------------------------------------------------------------------------------------------------------------------
// Body
// ---------------------------------------------------------------------------------------------------------------------

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

// The API refuses an object without properties in one of its two schema fields. Leaving the schema out means the same.
const isEmpty = (parameters: JsonRecord): boolean =>
  Object.keys(object(parameters["properties"])).length === 0
  && Object.entries(parameters).every(([key, value]) =>
    ["type", "properties", "required", "$schema", "description", "title"].includes(key)
    || (key === "additionalProperties" && value === false)
  )

/** The body of a request. Its type is inferred, so that tests can compare it with the SDK's type. */
export const encode = (completion: Completion.Completion, model: string, name: string, fitted: Fitted) => {
  const { contents, system } = conversation(completion, model, name)
  const { outputSchema, seed, stopSequences = [], tools } = completion
  const { maxOutputTokens, temperature, thinkingConfig, topP } = fitted
  const generationConfig = {
    ...present("maxOutputTokens", maxOutputTokens),
    ...present("temperature", temperature),
    ...present("topP", topP),
    ...present("seed", seed),
    ...(stopSequences.length > 0 && { stopSequences }),
    ...(outputSchema && { responseMimeType: "application/json", responseJsonSchema: withoutUnused(outputSchema) }),
    ...present("thinkingConfig", thinkingConfig)
  }
  const choice = toolChoiceOf(completion, vendor, name)
  return {
    ...(system.length > 0 && { systemInstruction: { parts: system } }),
    contents,
    ...(tools.length > 0 && {
      tools: [{
        functionDeclarations: tools.map(({ description, name, parameters }) => ({
          name,
          description,
          ...(!isEmpty(parameters) && { parametersJsonSchema: parameters })
        }))
      }]
    }),
    ...(choice && { toolConfig: { functionCallingConfig: callingConfig(choice) } }),
    ...(Object.keys(generationConfig).length > 0 && { generationConfig })
  }
}

export const request = (name: string, options?: Options): Wire["request"] => (completion, model, streamed) => {
  const fitted = fit(completion, model, streamed, name, options)
  if ("_tag" in fitted) return fitted
  return {
    path: `${modelPath(model)}:${streamed ? "streamGenerateContent?alt=sse" : "generateContent"}`,
    body: encode(completion, model, name, fitted),
    warnings: fitted.warnings
  }
}
