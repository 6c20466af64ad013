/**
 * The events of a stream, put together to what the body of the call without streaming says. Source: Anthropic API
 * reference, "Streaming messages".
 */
import type { CompletionPart } from "../../CompletionPart.ts"
import type * as Message from "../../Message.ts"
import { array, isObject, type JsonRecord, number, object, parseJson, put, string } from "../json.ts"
import type { StreamDecoder, Wire } from "../Wire.ts"
import { answerOf, contentOf, inputOf, malformed, mayCut } from "./response.ts"

interface Block {
  /** Which content of the answer this is. */
  readonly index: number
  readonly type: unknown
  readonly fields: JsonRecord
  readonly citations: Array<unknown>
  /** The text of a text or of thinking; the summary of a compaction. */
  text: string
  signature: string
  /** What only the provider can read of a compaction. */
  encrypted: string
  /** The JSON text of an input, as far as it came. */
  json: string
  /** Nothing more belongs to it. */
  stopped: boolean
  /** It is whole, and was given out. */
  ended: boolean
}

/** An index as some servers write it; undefined when it is none. */
const indexOf = (value: unknown): number | undefined =>
  number(value) ?? (typeof value === "string" && /^\d{1,9}$/.test(value) ? Number(value) : undefined)

// A later count replaces an earlier one, except that some gateways send zeros where they know nothing.
const mergeUsage = (before: JsonRecord, after: JsonRecord): JsonRecord => {
  const merged: Record<string, unknown> = { ...before }
  for (const key in after) {
    const value = after[key]
    if (value !== null && (value !== 0 || merged[key] === undefined)) put(merged, key, value)
  }
  return merged
}

// What an event says that stands at the top of the body, where it says it.
const told = (fields: JsonRecord, ...apart: ReadonlyArray<string>): JsonRecord =>
  Object.fromEntries(Object.entries(fields).filter(([key, value]) => value !== null && !apart.includes(key)))

// Whether a call is at its end, whatever cuts the answer: a JSON object is no beginning of a longer one. A call without
// arguments looks like one that was cut before them until something comes behind it.
const isWhole = (block: Block): boolean => {
  if (!isCall(block)) return true
  const { fields, json } = block
  return json === "" ? Object.keys(object(fields["input"])).length > 0 : isObject(parseJson(json))
}

const isCall = ({ fields, type }: Block): boolean => type === "tool_use" && string(fields["name"]) !== undefined

// The kind of the blocks to which a delta belongs; others take any block that has an input.
const kinds: Readonly<Record<string, string>> = {
  text_delta: "text",
  citations_delta: "text",
  thinking_delta: "thinking",
  compaction_delta: "compaction"
}

// The kinds of which every piece is of use; redacted thinking is whole at its start.
const pieceable: ReadonlySet<unknown> = new Set(["text", "thinking", "redacted_thinking"])

// Where the text of a block stands.
const textFields: Readonly<Record<string, string>> = { thinking: "thinking", compaction: "content" }

// The block as the body of the call without streaming would have it.
const wholeBlock = ({ citations, encrypted, fields, json, signature, text, type }: Block): JsonRecord | undefined => {
  switch (type) {
    case "text":
      return { ...fields, text, ...(citations.length > 0 && { citations }) }
    case "thinking":
      return { ...fields, thinking: text, signature }
    case "compaction":
      return {
        ...fields,
        ...(text !== "" && { content: text }),
        ...(encrypted !== "" && { encrypted_content: encrypted }),
        ...(signature !== "" && { signature })
      }
    case "tool_use":
      return json === "" ? fields : { ...fields, input: json }
    default: {
      if (json === "") return fields
      const input = parseJson(json)
      return input === undefined ? undefined : { ...fields, input }
    }
  }
}

/** A decoder of one stream to the instance `name`. */
export const stream = (name: string): Wire["stream"] => (mintId): StreamDecoder => {
  let message: JsonRecord = {}
  let usage: JsonRecord = {}
  let rest: JsonRecord = {}
  let done = false
  // Whether the arguments of a call may have gone to another one.
  let ambiguous = false
  const blocks: Array<Block> = []
  const byIndex = new Map<number, Block>()
  // Those that are open, oldest first; what was stopped is taken off when it comes to the top.
  const open: Array<Block> = []
  let unseen = 0
  let calls = 0
  let openCalls = 0
  // Calls that were stopped, and of which only what comes next tells that they are whole.
  let waiting: Array<Block> = []

  const complete = (): boolean => string(rest["stop_reason"]) !== undefined

  const contentIn = (block: Block): Message.AssistantContent | undefined => {
    const whole = wholeBlock(block)
    return whole && contentOf(whole, name, () => mintId(block.index))
  }

  const finish = (block: Block, parts: Array<CompletionPart>): void => {
    if (block.ended) return
    block.ended = true
    const content = contentIn(block)
    if (content !== undefined) parts.push({ _tag: "ContentEnd", index: block.index, content })
  }

  const stop = (block: Block, parts: Array<CompletionPart>): void => {
    block.stopped = true
    if (isCall(block)) openCalls--
    if (isWhole(block)) finish(block, parts)
    else waiting.push(block)
  }

  const lastOpen = (): Block | undefined => {
    while (open.at(-1)?.stopped === true) open.pop()
    return open.at(-1)
  }

  const start = (at: number | undefined, fields: JsonRecord, parts: Array<CompletionPart>): Block => {
    for (const block of waiting) finish(block, parts)
    waiting = []
    const index = at ?? blocks.length
    const before = byIndex.get(index)
    if (before !== undefined && !before.stopped) {
      // Nobody said that the call is at its end: without arguments it may be that they are still to come.
      if (isCall(before) && !isWhole(before)) ambiguous = true
      stop(before, parts)
    }
    const block: Block = {
      index: blocks.length,
      type: fields["type"],
      fields,
      citations: [...array(fields["citations"])],
      text: string(fields[textFields[String(fields["type"])] ?? "text"]) ?? "",
      signature: string(fields["signature"]) ?? "",
      encrypted: string(fields["encrypted_content"]) ?? "",
      json: "",
      stopped: false,
      ended: false
    }
    if (isCall(block)) {
      calls++
      openCalls++
    }
    unseen++
    blocks.push(block)
    open.push(block)
    byIndex.set(index, block)
    return block
  }

  const begin = (event: JsonRecord, parts: Array<CompletionPart>): void => {
    const block = start(indexOf(event["index"]), object(event["content_block"]), parts)
    const { fields, index, text, type } = block
    if (isCall(block)) {
      const id = string(fields["id"]) ?? mintId(index)
      parts.push({ _tag: "ToolCallStart", index, id, name: String(fields["name"]) })
    } else if (text !== "" && type === "text") {
      parts.push({ _tag: "TextDelta", index, text })
    } else if (text !== "" && type === "thinking") {
      parts.push({ _tag: "ReasoningDelta", index, text })
    }
  }

  // The block of an event: the one that its index names, else the last that is open.
  const named = (event: JsonRecord): Block | undefined => {
    const index = indexOf(event["index"])
    const block = index === undefined ? undefined : byIndex.get(index)
    return block?.stopped === false ? block : undefined
  }

  const input = (block: Block | undefined, guessed: boolean, json: string, parts: Array<CompletionPart>): void => {
    // With several calls open it is not known whose arguments these are; without any, they are no call's.
    if (block === undefined || block.type === "text" || block.type === "thinking") {
      ambiguous ||= calls > 0
      return
    }
    if (guessed && openCalls > 1) ambiguous = true
    block.json += json
    if (isCall(block)) parts.push({ _tag: "ToolCallDelta", index: block.index, arguments: json })
  }

  const grow = (event: JsonRecord, parts: Array<CompletionPart>): void => {
    const delta = object(event["delta"])
    const type = string(delta["type"]) ?? ""
    const own = named(event)
    const found = own ?? lastOpen()
    if (type === "input_json_delta") {
      const json = string(delta["partial_json"])
      if (json !== undefined) input(found, own === undefined, json, parts)
      return
    }
    if (found === undefined) return
    const kind = Object.hasOwn(kinds, type) ? kinds[type] : undefined
    // A server that says no block is over says by the kind of its deltas that another has begun.
    const block = kind === undefined || kind === found.type
      ? found
      : start(indexOf(event["index"]), { type: kind }, parts)
    switch (type) {
      case "text_delta": {
        const text = string(delta["text"])
        if (text === undefined) return
        block.text += text
        parts.push({ _tag: "TextDelta", index: block.index, text })
        return
      }
      case "thinking_delta": {
        const text = string(delta["thinking"])
        if (text === undefined) return
        block.text += text
        parts.push({ _tag: "ReasoningDelta", index: block.index, text })
        return
      }
      case "signature_delta":
        unseen++
        block.signature += string(delta["signature"]) ?? ""
        return
      case "citations_delta":
        if (delta["citation"] === undefined) return
        unseen++
        block.citations.push(delta["citation"])
        return
      case "compaction_delta":
        unseen++
        block.text += string(delta["content"]) ?? ""
        block.encrypted += string(delta["encrypted_content"]) ?? ""
    }
  }

  // Whether this is the call in which the answer was cut.
  const isCut = (block: Block): boolean =>
    block === blocks.at(-1) && block.type === "tool_use" && mayCut(string(rest["stop_reason"])) && !isWhole(block)

  // Whether all of a block is there that will be, or what there is of it will do.
  const isThere = (block: Block): boolean =>
    block.ended || (complete() ? !isCut(block) : pieceable.has(block.type) || (block.stopped && isWhole(block)))

  const broken = (): string | undefined => {
    if (ambiguous) return "the events of the stream do not say which call the arguments belong to"
    const block = blocks.find((block) =>
      block.type === "tool_use" && isThere(block) && inputOf(wholeBlock(block)?.["input"]) === undefined
    )
    return block && malformed(block.fields)
  }

  return {
    event: (event, parts) => {
      switch (event["type"]) {
        case "content_block_delta":
          return grow(event, parts)
        case "content_block_start":
          return begin(event, parts)
        case "content_block_stop": {
          const block = named(event) ?? lastOpen()
          if (block !== undefined) stop(block, parts)
          return
        }
        case "message_start":
          message = { ...message, ...object(event["message"]) }
          usage = mergeUsage(usage, object(message["usage"]))
          return
        case "message_delta":
          rest = { ...rest, ...told(event, "type", "delta", "usage"), ...told(object(event["delta"])) }
          if (isObject(event["usage"])) usage = mergeUsage(usage, event["usage"])
          return
        case "message_stop":
          done = true
      }
    },
    done: () => done,
    complete,
    close: (parts) => {
      for (const block of blocks) if (isThere(block)) finish(block, parts)
    },
    changes: () => unseen,
    head: () => ({ id: string(message["id"]), model: string(message["model"]) }),
    answer: () =>
      answerOf(
        { ...message, ...rest, usage },
        blocks.flatMap((block) => (isThere(block) ? contentIn(block) : undefined) ?? []),
        broken()
      )
  }
}
