/**
 * Writes a streamed answer as chunks. Sources: OpenAI API reference, "Chat streaming"; OpenRouter API reference,
 * "Streaming".
 */
import type { CompletionPart } from "../../CompletionPart.ts"
import type { CompletionResponse } from "../../CompletionResponse.ts"
import type * as Message from "../../Message.ts"
import type { JsonRecord } from "../json.ts"
import type { Asked, Stamp, StreamEncoder } from "../Wire.ts"
import { audioOf, besides, callOf, detailsOf, finishWord, idOf, imageOf, usageOf, usualField } from "./answer.ts"
import { errorBody } from "./refusal.ts"
import type { Dialect } from "./shape.ts"

const pings = { openai: ": keep-alive\n\n", openrouter: ": OPENROUTER PROCESSING\n\n" } as const

const event = (data: JsonRecord): string => `data: ${JSON.stringify(data)}\n\n`

/** Writes one stream. */
export const stream = (dialect: Dialect) => (asked: Asked, stamp: Stamp): StreamEncoder => {
  // OpenRouter always reports usage.
  const withUsage = asked.usage === true || dialect.vendor === "openrouter"
  const field = usualField(dialect)
  // The index of each call among the calls, and whether its arguments have begun.
  const calls = new Map<number, { readonly number: number; begun: boolean }>()
  // How many reasoning details were written.
  let written = 0
  let head: JsonRecord | undefined

  const chunk = (delta: JsonRecord, choice: JsonRecord = {}, body: JsonRecord = {}): string =>
    event({
      ...head,
      choices: [{ index: 0, delta, logprobs: null, finish_reason: null, ...choice }],
      ...(asked.usage === true && dialect.vendor === "openai" && { usage: null }),
      ...body
    })

  const begin = (start: { readonly id?: string; readonly model?: string }): Array<string> => {
    if (head !== undefined) return []
    head = {
      id: idOf(dialect, start.id, stamp),
      object: "chat.completion.chunk",
      created: stamp.created,
      model: start.model ?? asked.model
    }
    return [chunk({ role: "assistant", content: "", refusal: null })]
  }

  const callDelta = (index: number, args: string): ReadonlyArray<string> => {
    const call = calls.get(index)
    if (call === undefined) return []
    call.begun = true
    return [chunk({ tool_calls: [{ index: call.number, function: { arguments: args } }] })]
  }

  const contentEnd = (content: Message.AssistantContent, index: number): ReadonlyArray<string> => {
    switch (content._tag) {
      case "Text":
        return []
      case "Reasoning": {
        const details = detailsOf(dialect, [content], written)
        written += details.length
        return details.length === 0 ? [] : [chunk({ reasoning_details: details })]
      }
      case "ToolCall":
        // Clients parse the arguments, and an empty text is not JSON.
        return calls.get(index)?.begun === true ? [] : callDelta(index, JSON.stringify(content.arguments))
      case "Image":
        return [chunk({ images: [imageOf(content)] })]
      case "ProviderBlock": {
        const audio = audioOf(content)
        return audio === undefined ? [] : [chunk({ audio })]
      }
    }
  }

  const finish = (response: CompletionResponse): ReadonlyArray<string> => {
    const more = besides(response)
    const last = { finish_reason: finishWord(response.finishReason), ...more.choice }
    return [
      chunk(more.message, last, more.body),
      ...(withUsage ? [event({ ...head, choices: [], usage: usageOf(response) })] : []),
      "data: [DONE]\n\n"
    ]
  }

  const write = (part: Exclude<CompletionPart, { readonly _tag: "Start" }>): ReadonlyArray<string> => {
    switch (part._tag) {
      case "TextDelta":
        return [chunk({ content: part.text })]
      case "ReasoningDelta":
        return [chunk({ [field]: part.text })]
      case "ToolCallStart": {
        const call = { number: calls.size, begun: false }
        calls.set(part.index, call)
        return [chunk({ tool_calls: [{ index: call.number, ...callOf(part, "") }] })]
      }
      case "ToolCallDelta":
        return callDelta(part.index, part.arguments)
      case "ContentEnd":
        return contentEnd(part.content, part.index)
      case "Finish":
        return finish(part.response)
    }
  }

  return {
    ping: pings[dialect.vendor],
    fail: (error) => [event(errorBody(dialect, error))],
    part: (part) =>
      part._tag === "Start"
        ? begin(part)
        : [...begin(part._tag === "Finish" ? part.response : {}), ...write(part)]
  }
}
