/**
 * An answer as a generateContent body. Source: Google AI for Developers, Gemini API reference,
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
  const beside = signature === undefined ? {} : { thoughtSignature: signature }
  switch (source._tag) {
    case "Base64":
      return [{ inlineData: { mimeType: source.mediaType, data: source.data }, ...beside }]
    case "Url":
      return [{ fileData: { ...present("mimeType", source.mediaType), fileUri: source.url }, ...beside }]
    case "FileId":
      return []
  }
}

const thoughtParts = (content: Message.Reasoning, shown: boolean): ReadonlyArray<JsonRecord> =>
  content.content.flatMap((part): ReadonlyArray<JsonRecord> => {
    if (part._tag === "Summary") return shown ? [{ text: part.text, thought: true }] : []
    // Other providers' forms have no place here.
    if (part._tag !== "Text") return []
    if (shown) return [{ text: part.text, thought: true, ...signed(part) }]
    // What nobody asked to read may still have to come back.
    return part.signature === undefined ? [] : [{ text: "", thought: true, ...signed(part) }]
  })

/** The parts of a content; thoughts are shown to those who ask for them. */
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

/** The counts of tokens. What was written to a cache is not said here. */
export const usageOf = (usage: TokenUsage): JsonRecord => ({
  promptTokenCount: usage.inputTokens,
  candidatesTokenCount: usage.outputTokens - usage.reasoningTokens,
  totalTokenCount: usage.totalTokens,
  ...(usage.cachedInputTokens > 0 && { cachedContentTokenCount: usage.cachedInputTokens }),
  ...(usage.reasoningTokens > 0 && { thoughtsTokenCount: usage.reasoningTokens })
})

/** What else Gemini said, where its fields stand: beside the candidates, or in the first of them. */
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

/** A body that ends an answer, with the parts that it still brings. */
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

/** The body of a whole answer. A call that was cut is not shown: its arguments are an object, or nothing. */
export const encode: Server["encode"] = ({ response }, asked, stamp) =>
  lastBody(response, response.choice.flatMap((content) => partsOf(content, asked.thoughts === true)), asked, stamp)
