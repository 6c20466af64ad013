/**
 * Writes the parts of an answer as the events of a stream. Source: Google AI for Developers, Gemini API reference,
 * "streamGenerateContent".
 */
import type * as Message from "../../Message.ts"
import type { JsonRecord } from "../json.ts"
import type { Server } from "../Wire.ts"
import { failureBody } from "./refusal.ts"
import { lastBody, partsOf } from "./write.ts"

const event = (json: string): string => `data: ${json}\r\n\r\n`

// The signature of a text or a thought follows in a part with an empty text.
const signatureOf = (content: Message.AssistantContent): JsonRecord | undefined => {
  if (content._tag === "Text") {
    return content.signature === undefined ? undefined : { text: "", thoughtSignature: content.signature }
  }
  const last = content._tag === "Reasoning" ? content.content.at(-1) : undefined
  return last?._tag !== "Text" || last.signature === undefined
    ? undefined
    : { text: "", thought: true, thoughtSignature: last.signature }
}

export const streamEncoder: Server["stream"] = (asked, stamp) => {
  const thoughts = asked.thoughts === true
  // The end of every event, serialized once.
  const tailFor = (model: string, id: string): string =>
    `],"role":"model"},"index":0}],"modelVersion":${JSON.stringify(model)},"responseId":${JSON.stringify(id)}}`
  let tail = tailFor(asked.model, stamp.seed)

  const chunk = (part: string): ReadonlyArray<string> => [event(`{"candidates":[{"content":{"parts":[${part}${tail}`)]

  const ended = (content: Message.AssistantContent): ReadonlyArray<string> => {
    if (content._tag === "Text" || content._tag === "Reasoning") {
      const signature = signatureOf(content)
      return signature === undefined ? [] : chunk(JSON.stringify(signature))
    }
    return partsOf(content, thoughts).flatMap((part) => chunk(JSON.stringify(part)))
  }

  return {
    ping: ": keep-alive\r\n\r\n",
    fail: (error) => [event(JSON.stringify(failureBody(error)))],
    part: (part) => {
      switch (part._tag) {
        case "Start":
          tail = tailFor(part.model ?? asked.model, part.id ?? stamp.seed)
          return []
        case "TextDelta":
          return chunk(`{"text":${JSON.stringify(part.text)}}`)
        case "ReasoningDelta":
          return thoughts ? chunk(`{"text":${JSON.stringify(part.text)},"thought":true}`) : []
        // Calls are sent whole, when their arguments are complete.
        case "ToolCallStart":
        case "ToolCallDelta":
          return []
        case "ContentEnd":
          return ended(part.content)
        case "Finish":
          return [event(JSON.stringify(lastBody(part.response, [{ text: "" }], asked, stamp)))]
      }
    }
  }
}
