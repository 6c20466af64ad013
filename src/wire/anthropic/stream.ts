/**
 * The events of an Anthropic Messages stream, put together to the body that the call without streaming gives. Source:
 * Anthropic API reference, "Streaming messages".
 */
import { isObject, type JsonRecord, number, object, parseJson, put, string } from "../json.ts"
import type { StreamDecoder } from "../Wire.ts"

interface Block {
  readonly fields: Record<string, unknown>
  readonly type: unknown
  /** Which of the answer's tool calls this is. */
  readonly call: number
  text: string
  signature: string
  json: string
  stopped: boolean
}

// A later count replaces an earlier one, except that some gateways send zeros where they know nothing.
const mergeUsage = (before: JsonRecord, after: JsonRecord): JsonRecord => {
  const merged: Record<string, unknown> = { ...before }
  for (const key in after) {
    const value = after[key]
    if (value !== null && (value !== 0 || merged[key] === undefined)) put(merged, key, value)
  }
  return merged
}

export const anthropicStream = (mintId: (index: number) => string): StreamDecoder => {
  let message: JsonRecord = {}
  let usage: JsonRecord = {}
  let end: JsonRecord = {}
  let calls = 0
  let done = false
  const blocks = new Map<number, Block>()

  const start = (index: number, fields: JsonRecord): Block => {
    const block: Block = {
      fields: { ...fields },
      type: fields["type"],
      // A call without a name cannot be run.
      call: fields["type"] === "tool_use" && string(fields["name"]) !== undefined ? calls++ : -1,
      text: string(fields["text"]) ?? string(fields["thinking"]) ?? "",
      signature: string(fields["signature"]) ?? "",
      json: "",
      stopped: false
    }
    blocks.set(index, block)
    return block
  }

  const whole = ({ fields, json, signature, text, type }: Block): JsonRecord => {
    switch (type) {
      case "text":
        return { ...fields, text }
      case "thinking":
        return { ...fields, thinking: text, signature }
      case "tool_use":
        // Parsed with the answer, which knows whether it was cut.
        return json === "" ? fields : { ...fields, partial_json: json }
      default:
        return json === "" ? fields : { ...fields, input: parseJson(json) ?? {} }
    }
  }

  const complete = (): boolean => string(end["stop_reason"]) !== undefined

  return {
    event: (event, parts) => {
      switch (event["type"]) {
        case "content_block_delta": {
          const block = blocks.get(number(event["index"]) ?? 0)
          const delta = object(event["delta"])
          if (block === undefined) return
          switch (delta["type"]) {
            case "text_delta": {
              const text = string(delta["text"])
              if (text === undefined) return
              block.text += text
              parts.push({ _tag: "TextDelta", text })
              return
            }
            case "thinking_delta": {
              const text = string(delta["thinking"])
              if (text === undefined) return
              block.text += text
              parts.push({ _tag: "ReasoningDelta", text })
              return
            }
            case "signature_delta":
              block.signature += string(delta["signature"]) ?? ""
              return
            case "input_json_delta": {
              const json = string(delta["partial_json"])
              if (json === undefined) return
              block.json += json
              if (block.call >= 0) parts.push({ _tag: "ToolCallDelta", index: block.call, arguments: json })
              return
            }
            case "citations_delta": {
              const citations = block.fields["citations"]
              if (delta["citation"] === undefined) return
              if (Array.isArray(citations)) citations.push(delta["citation"])
              else block.fields["citations"] = [delta["citation"]]
            }
          }
          return
        }
        case "content_block_start": {
          const fields = object(event["content_block"])
          const block = start(number(event["index"]) ?? blocks.size, fields)
          if (block.call >= 0) {
            const id = block.fields["id"] = string(fields["id"]) ?? mintId(block.call)
            parts.push({ _tag: "ToolCallStart", index: block.call, id, name: String(fields["name"]) })
          } else if (block.text !== "") {
            parts.push({ _tag: block.type === "thinking" ? "ReasoningDelta" : "TextDelta", text: block.text })
          }
          return
        }
        case "content_block_stop": {
          const block = blocks.get(number(event["index"]) ?? 0)
          if (block !== undefined) block.stopped = true
          return
        }
        case "message_start":
          message = object(event["message"])
          usage = object(message["usage"])
          return
        case "message_delta": {
          const delta = object(event["delta"])
          if (string(delta["stop_reason"]) !== undefined) end = delta
          if (isObject(event["usage"])) usage = mergeUsage(usage, event["usage"])
          return
        }
        case "message_stop":
          done = true
      }
    },
    done: () => done,
    complete,
    body: () => ({
      ...message,
      ...end,
      usage,
      content: [...blocks].sort(([a], [b]) => a - b)
        // A call that the stream broke off in is none.
        .filter(([, block]) => complete() || block.stopped || block.type !== "tool_use")
        .map(([, block]) => whole(block))
    })
  }
}
