/**
 * Assembles the events of a stream into the body that the call without streaming returns. Source: Anthropic API
 * reference, "Streaming messages".
 */
import type { CompletionPart } from "../../CompletionPart.ts"
import type * as Message from "../../Message.ts"
import { array, isObject, type JsonRecord, number, object, parseJson, put, string } from "../json.ts"
import type { StreamDecoder, Wire } from "../Wire.ts"
import { answerOf, contentOf, inputOf, malformed, mayCut } from "./response.ts"

interface Block {
  /** The index of the content in the answer. */
  readonly index: number
  readonly type: unknown
  readonly fields: JsonRecord
  readonly citations: Array<unknown>
  /** The text, the thinking, or the summary of a compaction. */
  text: string
  signature: string
  /** The encrypted part of a compaction, which only the provider can read. */
  encrypted: string
  /** The JSON text of the input so far. */
  json: string
  /** No more events belong to this block. */
  stopped: boolean
  /** The content is complete and its `ContentEnd` was emitted. */
  ended: boolean
}

/** An index as a number or, from some servers, as digits; otherwise undefined. */
const indexOf = (value: unknown): number | undefined =>
  number(value) ?? (typeof value === "string" && /^\d{1,9}$/.test(value) ? Number(value) : undefined)

// A later count replaces an earlier one, except for the zeros that some gateways send for unknown counts.
const mergeUsage = (before: JsonRecord, after: JsonRecord): JsonRecord => {
  const merged: Record<string, unknown> = { ...before }
  for (const key in after) {
    const value = after[key]
    if (value !== null && (value !== 0 || merged[key] === undefined)) put(merged, key, value)
  }
  return merged
}

// The fields of an event that belong at the top of the body.
const fieldsOf = (fields: JsonRecord, ...apart: ReadonlyArray<string>): JsonRecord =>
  Object.fromEntries(Object.entries(fields).filter(([key, value]) => value !== null && !apart.includes(key)))

// Whether the input of a call is complete: a JSON object cannot be the beginning of a longer one. A call without
// arguments may still get some, until another event follows.
const isWhole = (block: Block): boolean => {
  if (!isCall(block)) return true
  const { fields, json } = block
  return json === "" ? Object.keys(object(fields["input"])).length > 0 : isObject(parseJson(json))
}

const isCall = ({ fields, type }: Block): boolean => type === "tool_use" && string(fields["name"]) !== undefined

// The type of block that a delta belongs to. Other deltas match any block with an input.
const kinds: Readonly<Record<string, string>> = {
  text_delta: "text",
  citations_delta: "text",
  thinking_delta: "thinking",
  compaction_delta: "compaction"
}

// Block types that are usable in part. Redacted thinking is complete at its start.
const pieceable: ReadonlySet<unknown> = new Set(["text", "thinking", "redacted_thinking"])

// The field that holds the text of a block.
const textFields: Readonly<Record<string, string>> = { thinking: "thinking", compaction: "content" }

// The block as the call without streaming returns it.
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

/** A decoder for one stream, for the instance `name`. */
export const stream = (name: string): Wire["stream"] => (mintId): StreamDecoder => {
  let message: JsonRecord = {}
  let usage: JsonRecord = {}
  let rest: JsonRecord = {}
  let done = false
  // Whether arguments may have been added to the wrong call.
  let ambiguous = false
  const blocks: Array<Block> = []
  const byIndex = new Map<number, Block>()
  // The open blocks, oldest first. Stopped blocks are removed when they reach the top.
  const open: Array<Block> = []
  let unseen = 0
  let calls = 0
  let openCalls = 0
  // Stopped calls without arguments: the next event tells whether they are complete.
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
      // This call was not stopped. Without arguments, they may still come.
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

  // The block of an event: the one with its index, otherwise the last open one.
  const named = (event: JsonRecord): Block | undefined => {
    const index = indexOf(event["index"])
    const block = index === undefined ? undefined : byIndex.get(index)
    return block?.stopped === false ? block : undefined
  }

  const input = (block: Block | undefined, guessed: boolean, json: string, parts: Array<CompletionPart>): void => {
    // With several open calls it is unknown whose arguments these are; with no open call they belong to none.
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
    // Some servers never stop a block. A delta of another type shows that a new block has begun.
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

  // Whether the answer was cut inside this call.
  const isCut = (block: Block): boolean =>
    block === blocks.at(-1) && block.type === "tool_use" && mayCut(string(rest["stop_reason"])) && !isWhole(block)

  // Whether a block is complete, or usable as it is.
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
          rest = { ...rest, ...fieldsOf(event, "type", "delta", "usage"), ...fieldsOf(object(event["delta"])) }
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
