/**
 * Writes the parts of an answer as the events of a stream. Source: Anthropic API reference, "Streaming messages".
 */
import type { CompletionPart, Start } from "../../CompletionPart.ts"
import type { CompletionResponse } from "../../CompletionResponse.ts"
import type * as Message from "../../Message.ts"
import * as TokenUsage from "../../TokenUsage.ts"
import { array, type JsonRecord } from "../json.ts"
import type { Server } from "../Wire.ts"
import { errorBody } from "./refusal.ts"
import { blocksOf, endOf, restOf } from "./response.ts"
import { written } from "./usage.ts"

const event = (type: string, fields: JsonRecord = {}): string =>
  `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`

const ping = event("ping")

// An open block. Several calls may be open at once, but only one text or thinking block.
interface Open {
  readonly block: number
  readonly kind: "text" | "thinking" | "call"
}

// Blocks of server tools, whose input is streamed like that of a tool call.
const hasInput = (block: JsonRecord): boolean => typeof block["type"] === "string" && block["type"].endsWith("tool_use")

/** Writes one stream. */
export const streamEncoder: Server["stream"] = (asked, stamp) => {
  let begun = false
  let blocks = 0
  // The open blocks, by the index of their content.
  const open = new Map<number, Open>()
  // The index of the content whose text or thinking is open.
  let current: number | undefined
  // The contents whose block was begun.
  const started = new Set<number>()

  const begin = ({ id, model }: { readonly id?: string; readonly model?: string }): Array<string> => {
    if (begun) return []
    begun = true
    return [event("message_start", {
      message: {
        id: id ?? `msg_${stamp.seed}`,
        type: "message",
        role: "assistant",
        model: model ?? asked.model,
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: written(TokenUsage.zero)
      }
    })]
  }

  const start = (block: JsonRecord): string => event("content_block_start", { index: blocks++, content_block: block })

  const delta = (index: number, fields: JsonRecord): string => event("content_block_delta", { index, delta: fields })

  const stop = (content: number): Array<string> => {
    const found = open.get(content)
    if (found === undefined) return []
    open.delete(content)
    if (content === current) current = undefined
    return [event("content_block_stop", { index: found.block })]
  }

  // Closes the open text or thinking block, because clients expect one block after the other.
  const settle = (): Array<string> => current === undefined ? [] : stop(current)

  const grow = (content: number, kind: "text" | "thinking", text: string): Array<string> => {
    const found = open.get(content)
    const fields = { type: `${kind}_delta`, [kind]: text }
    if (found?.kind === kind) return [delta(found.block, fields)]
    const ended = settle()
    open.set(content, { block: blocks, kind })
    current = content
    started.add(content)
    const begin = start(
      kind === "text" ? { type: "text", text: "" } : { type: "thinking", thinking: "", signature: "" }
    )
    return [...ended, begin, delta(blocks - 1, fields)]
  }

  const whole = (block: JsonRecord): Array<string> => {
    const index = blocks
    const input = hasInput(block) ? block["input"] : undefined
    return [
      ...settle(),
      ...(input === undefined
        ? [start(block)]
        : [
          start({ ...block, input: {} }),
          delta(index, { type: "input_json_delta", partial_json: JSON.stringify(input) })
        ]),
      event("content_block_stop", { index })
    ]
  }

  // The deltas of a block that follow its text.
  const complete = (content: number, block: JsonRecord): Array<string> => {
    const found = open.get(content)!.block
    switch (block["type"]) {
      case "text":
        return array(block["citations"]).map((citation) => delta(found, { type: "citations_delta", citation }))
      case "thinking":
        return block["signature"] === ""
          ? []
          : [delta(found, { type: "signature_delta", signature: block["signature"] })]
      default:
        return []
    }
  }

  const end = (index: number, content: Message.AssistantContent): Array<string> => {
    if (content._tag === "ToolCall" && started.has(index)) return stop(index)
    const all = blocksOf(content)
    if (!started.has(index)) return all.flatMap(whole)
    // The first text or thinking block was streamed already. The other blocks follow it.
    const streamed = all.findIndex(({ type }) => type === "text" || type === "thinking")
    const finished = open.has(index) && streamed >= 0 ? complete(index, all[streamed]!) : []
    const rest = all.filter(({ type }) => type !== "text" && type !== "thinking")
    return [...finished, ...stop(index), ...rest.flatMap(whole)]
  }

  const finish = (response: CompletionResponse): Array<string> => {
    const { usage, ...rest } = restOf(response)
    return [
      ...begin(response),
      ...[...open.keys()].flatMap(stop),
      event("message_delta", { ...rest, delta: endOf(response), usage }),
      event("message_stop")
    ]
  }

  const write = (part: Exclude<CompletionPart, Start>): Array<string> => {
    switch (part._tag) {
      case "TextDelta":
        return grow(part.index, "text", part.text)
      case "ReasoningDelta":
        return grow(part.index, "thinking", part.text)
      case "ToolCallStart": {
        const ended = settle()
        open.set(part.index, { block: blocks, kind: "call" })
        started.add(part.index)
        return [...ended, start({ type: "tool_use", id: part.id, name: part.name, input: {} })]
      }
      case "ToolCallDelta": {
        const found = open.get(part.index)
        return found === undefined
          ? []
          : [delta(found.block, { type: "input_json_delta", partial_json: part.arguments })]
      }
      case "ContentEnd":
        return end(part.index, part.content)
      case "Finish":
        return finish(part.response)
    }
  }

  return {
    ping,
    part: (part) => part._tag === "Start" ? begin(part) : [...begin({}), ...write(part)],
    fail: (error) => [event("error", errorBody(error))]
  }
}
