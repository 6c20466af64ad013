/**
 * The events of a Gemini stream, put together to the body that the call without streaming gives: parts are added up,
 * of everything else the last word counts. Source: Google AI for Developers, "streamGenerateContent".
 */
import type { CompletionPart } from "../../CompletionPart.ts"
import { array, isObject, type JsonRecord, number, object, string } from "../json.ts"
import type { StreamDecoder } from "../Wire.ts"

const isText = (part: JsonRecord): boolean => typeof part["text"] === "string"

export const geminiStream = (mintId: (index: number) => string): StreamDecoder => {
  let head: JsonRecord = {}
  let candidate: JsonRecord = {}
  let hasCandidate = false
  let calls = 0
  let minted = 0
  const all: Array<Record<string, unknown>> = []

  const add = (part: JsonRecord, parts: Array<CompletionPart>): void => {
    const call = part["functionCall"]
    if (isObject(call)) {
      all.push({ ...part })
      const name = string(call["name"])
      // A call without a name cannot be run.
      if (name === undefined) return
      const index = calls++
      parts.push(
        { _tag: "ToolCallStart", index, id: string(call["id"]) ?? mintId(minted++), name },
        { _tag: "ToolCallDelta", index, arguments: JSON.stringify(call["args"] ?? {}) }
      )
      return
    }
    if (!isText(part)) {
      all.push({ ...part })
      return
    }
    const text = String(part["text"])
    if (text !== "") parts.push({ _tag: part["thought"] === true ? "ReasoningDelta" : "TextDelta", text })
    const last = all.at(-1)
    // A text goes on until a signature closes it, which often comes with a text of its own that is empty.
    if (
      last !== undefined && isText(last) && last["thought"] === part["thought"] &&
      last["thoughtSignature"] === undefined
    ) {
      last["text"] = String(last["text"]) + text
      if (part["thoughtSignature"] !== undefined) last["thoughtSignature"] = part["thoughtSignature"]
    } else all.push({ ...part })
  }

  return {
    event: (event, parts) => {
      const { candidates, ...rest } = event
      head = { ...head, ...rest }
      const first = array(candidates).find((item) => isObject(item) && (number(item["index"]) ?? 0) === 0)
      if (!isObject(first)) return
      hasCandidate = true
      const { content, ...fields } = first
      candidate = { ...candidate, ...fields }
      for (const part of array(object(content)["parts"])) if (isObject(part)) add(part, parts)
    },
    done: () => false,
    complete: () =>
      string(candidate["finishReason"]) !== undefined ||
      string(object(head["promptFeedback"])["blockReason"]) !== undefined,
    body: () => ({ ...head, ...(hasCandidate && { candidates: [{ ...candidate, content: { parts: all } }] }) })
  }
}
