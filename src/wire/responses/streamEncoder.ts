/**
 * Writes the parts of an answer as the events of a stream. Source: OpenAI API reference, "Streaming events".
 */
import type { CompletionPart } from "../../CompletionPart.ts"
import type * as LLMError from "../../LLMError.ts"
import type * as Message from "../../Message.ts"
import { present } from "../encode.ts"
import type { JsonRecord } from "../json.ts"
import type { Asked, Stamp, StreamEncoder } from "../Wire.ts"
import {
  bodyOf,
  type Call,
  callItem,
  ended,
  itemId,
  itemOf,
  messageItem,
  reasoningItem,
  summaryOf,
  textPart
} from "./answer.ts"
import { errorOf } from "./refusal.ts"
import { isAnnotation } from "./shape.ts"

/** An open item, and what was written of it. */
interface Item {
  readonly output: number
  readonly id: string
  readonly phase?: Message.Text["phase"]
  readonly call?: Call
  text: string
}

type Tag = "Text" | "Reasoning" | "ToolCall"

export const streamEncoder = (asked: Asked, stamp: Stamp): StreamEncoder => {
  const items = new Map<number, Item>()
  /** The finished items, by their index in the output. */
  const output: Array<JsonRecord | undefined> = []
  let head: { id?: string | undefined; model?: string | undefined } = {}
  let started = false
  let sequence = 0
  let events: Array<string> = []

  const write = (type: string, fields: JsonRecord): void => {
    events.push(`event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: sequence++, ...fields })}\n\n`)
  }

  const body = (fields: JsonRecord): JsonRecord => bodyOf(asked, stamp, head, fields)

  const start = (): void => {
    if (started) return
    started = true
    write("response.created", { response: body({}) })
    write("response.in_progress", { response: body({}) })
  }

  // The fields that say where an event belongs.
  const inItem = ({ id, output }: Item): JsonRecord => ({ item_id: id, output_index: output })
  const inText = (item: Item): JsonRecord => ({ ...inItem(item), content_index: 0 })
  const inSummary = (item: Item): JsonRecord => ({ ...inItem(item), summary_index: 0 })

  const begin = (index: number, tag: Tag, fields: Pick<Item, "call" | "phase">): Item => {
    const found = items.get(index)
    if (found !== undefined) return found
    const at = output.push(undefined) - 1
    const item: Item = { output: at, id: itemId(tag, stamp, at), text: "", ...fields }
    items.set(index, item)
    const added = (value: JsonRecord) => write("response.output_item.added", { output_index: at, item: value })
    switch (tag) {
      case "Text":
        added(messageItem(item.id, item.phase, "in_progress", []))
        write("response.content_part.added", { ...inText(item), part: textPart("") })
        break
      case "Reasoning":
        added(reasoningItem(item.id, { _tag: "Reasoning", content: [] }))
        break
      case "ToolCall":
        added(callItem(item.id, item.call!, "in_progress", ""))
    }
    return item
  }

  const done = (at: number, item: JsonRecord): void => {
    output[at] = item
    write("response.output_item.done", { output_index: at, item })
  }

  const addText = (index: number, text: string, phase: Message.Text["phase"]): Item => {
    const item = begin(index, "Text", { ...present("phase", phase) })
    item.text += text
    if (text !== "") write("response.output_text.delta", { ...inText(item), delta: text, logprobs: [] })
    return item
  }

  const addReasoning = (index: number, text: string): Item => {
    const item = begin(index, "Reasoning", {})
    if (text === "") return item
    if (item.text === "") {
      write("response.reasoning_summary_part.added", { ...inSummary(item), part: { type: "summary_text", text: "" } })
    }
    item.text += text
    write("response.reasoning_summary_text.delta", { ...inSummary(item), delta: text })
    return item
  }

  const addArguments = (item: Item, text: string): void => {
    item.text += text
    write("response.function_call_arguments.delta", { ...inItem(item), delta: text })
  }

  const endText = (index: number, content: Message.Text): void => {
    if (content.text === "" && content.citations === undefined && !items.has(index)) return
    const item = items.get(index) ?? addText(index, content.text, content.phase)
    const part = textPart(item.text, content.citations)
    const citations = (content.citations ?? []).filter(isAnnotation)
    citations.forEach((annotation, at) =>
      write("response.output_text.annotation.added", { ...inText(item), annotation_index: at, annotation })
    )
    write("response.output_text.done", { ...inText(item), text: item.text, logprobs: [] })
    write("response.content_part.done", { ...inText(item), part })
    done(item.output, messageItem(item.id, item.phase ?? content.phase, "completed", [part]))
  }

  const endReasoning = (index: number, content: Message.Reasoning): void => {
    const item = items.get(index) ?? addReasoning(index, summaryOf(content).join("\n"))
    if (item.text !== "") {
      write("response.reasoning_summary_text.done", { ...inSummary(item), text: item.text })
      write("response.reasoning_summary_part.done", {
        ...inSummary(item),
        part: { type: "summary_text", text: item.text }
      })
    }
    done(item.output, reasoningItem(item.id, content))
  }

  const endCall = (item: Item, status: "completed" | "incomplete", args: string): void => {
    write("response.function_call_arguments.done", { ...inItem(item), arguments: args })
    done(item.output, callItem(item.id, item.call!, status, args))
  }

  const end = (index: number, content: Message.AssistantContent): void => {
    switch (content._tag) {
      case "Text":
        return endText(index, content)
      case "Reasoning":
        return endReasoning(index, content)
      case "ToolCall": {
        const item = begin(index, "ToolCall", { call: content })
        const args = JSON.stringify(content.arguments)
        if (item.text === "") addArguments(item, args)
        return endCall(item, "completed", item.text)
      }
      default: {
        const item = itemOf(content, itemId(content._tag, stamp, output.length))
        if (item === undefined) return
        const at = output.push(undefined) - 1
        write("response.output_item.added", { output_index: at, item })
        done(at, item)
      }
    }
  }

  // The call whose arguments were cut.
  const endCut = (): void => {
    for (const item of items.values()) {
      if (item.call !== undefined && output[item.output] === undefined) endCall(item, "incomplete", item.text)
    }
  }

  const onPart = (part: CompletionPart): void => {
    if (part._tag === "Start") head = part
    start()
    switch (part._tag) {
      case "Start":
        return
      case "TextDelta":
        addText(part.index, part.text, part.phase)
        return
      case "ReasoningDelta":
        addReasoning(part.index, part.text)
        return
      case "ToolCallStart":
        begin(part.index, "ToolCall", { call: part })
        return
      case "ToolCallDelta": {
        const item = items.get(part.index)
        if (item !== undefined) addArguments(item, part.arguments)
        return
      }
      case "ContentEnd":
        return end(part.index, part.content)
      case "Finish": {
        endCut()
        const { response } = part
        const fields = ended({ response }, output.filter((item) => item !== undefined), stamp)
        write(fields.status === "completed" ? "response.completed" : "response.incomplete", { response: body(fields) })
      }
    }
  }

  const taken = (step: () => void): ReadonlyArray<string> => {
    step()
    const all = events
    events = []
    return all
  }

  return {
    part: (part) => taken(() => onPart(part)),
    fail: (error: LLMError.LLMError) =>
      taken(() => {
        start()
        const { code, message, ...rest } = errorOf(error)
        write("error", { error: { ...rest, code, message } })
        write("response.failed", {
          response: body({
            status: "failed",
            error: { code: code ?? rest["type"], message },
            output: output.filter((item) => item !== undefined)
          })
        })
      }),
    // An SSE comment.
    ping: ": keep-alive\n\n"
  }
}
