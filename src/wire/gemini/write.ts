/**
 * Writes an answer as a generateContent body. Source: Google AI for Developers, Gemini API reference,
 * "GenerateContentResponse".
 */
import type { CompletionResponse } from "../../CompletionResponse.ts"
import * as Message from "../../Message.ts"
import type { TokenUsage } from "../../TokenUsage.ts"
import { callArguments, present } from "../encode.ts"
import { type JsonRecord, object } from "../json.ts"
import type { Asked, Server, Stamp } from "../Wire.ts"
import { bodyFields, finishWord, vendor } from "./shape.ts"

const signed = (content: { readonly signature?: string }) => present("thoughtSignature", content.signature)

const imagePart = ({ signature, source }: Message.Image): ReadonlyArray<JsonRecord> => {
  const thoughtSignature = signature === undefined ? {} : { thoughtSignature: signature }
  switch (source._tag) {
    case "Base64":
      return [{ inlineData: { mimeType: source.mediaType, data: source.data }, ...thoughtSignature }]
    case "Url":
      return [{ fileData: { ...present("mimeType", source.mediaType), fileUri: source.url }, ...thoughtSignature }]
    case "FileId":
      return []
  }
}

const thoughtParts = (content: Message.Reasoning, shown: boolean): ReadonlyArray<JsonRecord> =>
  content.content.flatMap((part): ReadonlyArray<JsonRecord> => {
    if (part._tag === "Summary") return shown ? [{ text: part.text, thought: true }] : []
    // Gemini has no field for the reasoning formats of other providers.
    if (part._tag !== "Text") return []
    if (shown) return [{ text: part.text, thought: true, ...signed(part) }]
    // A hidden thought may still have a signature that must come back.
    return part.signature === undefined ? [] : [{ text: "", thought: true, ...signed(part) }]
  })

/** The parts of a content. Thoughts are only shown to clients that ask for them. */
export const partsOf = (content: Message.AssistantContent, thoughts: boolean): ReadonlyArray<JsonRecord> => {
  switch (content._tag) {
    case "Text":
      return content.text === "" && content.signature === undefined ? [] : [{ text: content.text, ...signed(content) }]
    case "Reasoning":
      return thoughtParts(content, thoughts)
    case "ToolCall":
      return [{
        functionCall: {
          ...(!Message.isMintedId(content.id) && { id: content.id }),
          name: content.name,
          args: callArguments(content.arguments)
        },
        ...signed(content)
      }]
    case "Image":
      return imagePart(content)
    case "ProviderBlock":
      return content.provider === vendor ? [content.block] : []
  }
}

/** The token counts. Gemini does not report cache writes. */
export const usageOf = (usage: TokenUsage): JsonRecord => ({
  promptTokenCount: usage.inputTokens,
  candidatesTokenCount: usage.outputTokens - usage.reasoningTokens,
  totalTokenCount: usage.totalTokens,
  ...(usage.cachedInputTokens > 0 && { cachedContentTokenCount: usage.cachedInputTokens }),
  ...(usage.reasoningTokens > 0 && { thoughtsTokenCount: usage.reasoningTokens })
})

/** The metadata of an answer from Gemini, in its original places. */
const metadataOf = ({ metadata, provider }: CompletionResponse) => {
  const { candidates: others, ...said } = object(provider === vendor ? metadata?.[vendor] : undefined)
  const isOfBody = (name: string): boolean => (bodyFields as ReadonlyArray<string>).includes(name)
  const entries = Object.entries(said)
  return {
    ofBody: Object.fromEntries(entries.filter(([name]) => isOfBody(name))),
    ofCandidate: Object.fromEntries(entries.filter(([name]) => !isOfBody(name))),
    others: Array.isArray(others) ? others as ReadonlyArray<unknown> : []
  }
}

/** The last body of an answer, with its remaining parts. */
export const lastBody = (
  response: CompletionResponse,
  parts: ReadonlyArray<JsonRecord>,
  asked: Asked,
  stamp: Stamp
): JsonRecord => {
  const { ofBody, ofCandidate, others } = metadataOf(response)
  return {
    candidates: [
      {
        content: { parts, role: "model" },
        finishReason: finishWord(response.finishReason),
        index: 0,
        ...ofCandidate
      },
      ...others
    ],
    ...ofBody,
    usageMetadata: { ...usageOf(response.usage), ...object(ofBody["usageMetadata"]) },
    modelVersion: response.model ?? asked.model,
    responseId: response.id ?? stamp.seed
  }
}

/** The body of a whole answer. An incomplete call is left out, because its arguments must be an object. */
export const encode: Server["encode"] = ({ response }, asked, stamp) =>
  lastBody(response, response.choice.flatMap((content) => partsOf(content, asked.thoughts === true)), asked, stamp)
