/**
 * Assembles the events of a stream into the answer that the call without streaming returns. Items are identified by
 * `output_index`, because their ids change from event to event behind some gateways. Source: OpenAI API reference,
 * "Streaming events".
 */
import type { CompletionPart } from "../../CompletionPart.ts"
import type * as Message from "../../Message.ts"
import { array, integer, isObject, type JsonRecord, object, string } from "../json.ts"
import type { StreamDecoder } from "../Wire.ts"
import {
  argumentsOf,
  blockOf,
  callId,
  callOf,
  frameOf,
  isCut,
  malformed,
  partsOf,
  reasoningOf,
  textOf
} from "./response.ts"
import { omit, phaseOf, word } from "./shape.ts"

type Parts = Array<CompletionPart>

// A failed response was already turned into an error.
const statuses: Readonly<Record<string, string>> = {
  "response.completed": "completed",
  "response.incomplete": "incomplete"
}

/** A content of the answer, or the place for one. */
interface Open {
  readonly index: number
  /** The streamed pieces; for reasoning by the index of its part. */
  readonly pieces: Map<string, string>
  annotations: Array<unknown>
  refused: boolean
  /** The complete content. */
  content?: Message.AssistantContent | undefined
}

/** One item of the output. */
interface Slot {
  readonly type: string
  /** The last complete version of the item. */
  item: JsonRecord
  /** The contents by index. Only messages have more than one. */
  readonly contents: Map<number, Open>
  /** The number of the call in the answer, and its id after its start was emitted. */
  call?: { readonly number: number; id?: string }
  /** The arguments are complete. */
  whole: boolean
  done: boolean
}

const numberOf = (value: unknown): number | undefined =>
  integer(value) ?? (typeof value === "string" && /^\d{1,9}$/.test(value) ? Number(value) : undefined)

const typeOfItem = (item: JsonRecord): string => string(item["type"]) ?? "message"

// The type of the item that an event belongs to.
const typeOf = (event: string): string =>
  event.startsWith("response.reasoning")
    ? "reasoning"
    : event.startsWith("response.function_call")
    ? "function_call"
    : "message"

const argumentsText = (value: unknown): string =>
  typeof value === "string" ? value : value === undefined || value === null ? "" : JSON.stringify(value)

export const stream = (provider: string) => (mintId: (index: number) => string): StreamDecoder => {
  const slots: Array<Slot> = []
  const byIndex = new Map<number, Slot>()
  const byType = new Map<string, Slot>()
  let next = 0
  let unseen = 0
  let calls = 0
  let head: ReturnType<StreamDecoder["head"]> = {}
  let last: JsonRecord | undefined
  let conflict: string | undefined
  let begun = false

  const openSlot = (type: string, item: JsonRecord, index: number | undefined): Slot => {
    const slot: Slot = { type, item, contents: new Map(), whole: false, done: false }
    unseen++
    slots.push(slot)
    byType.set(type, slot)
    if (index !== undefined) byIndex.set(index, slot)
    // The content's index is reserved when its item begins.
    openContent(slot, 0)
    if (type === "function_call") slot.call = { number: calls++ }
    return slot
  }

  const openContent = (slot: Slot, at: number): Open => {
    const found = slot.contents.get(at)
    if (found !== undefined) return found
    const open: Open = { index: next++, pieces: new Map(), annotations: [], refused: false }
    slot.contents.set(at, open)
    return open
  }

  // An event without an index belongs to the last item of its type, unless that is complete.
  const find = (event: JsonRecord, type: string): Slot | undefined => {
    const index = numberOf(event["output_index"])
    const found = index === undefined ? byType.get(type) : byIndex.get(index)
    return found?.type !== type || (index === undefined && found.done) ? undefined : found
  }

  const slotOf = (event: JsonRecord, type: string): Slot =>
    find(event, type) ?? openSlot(type, {}, numberOf(event["output_index"]))

  // -------------------------------------------------------------------------------------------------------------------
  // Pieces
  // -------------------------------------------------------------------------------------------------------------------

  const addText = (slot: Slot, at: number, text: string, refused: boolean, parts: Parts): void => {
    if (text === "" || slot.done) return
    const open = openContent(slot, at)
    const before = open.pieces.get("text")
    if (before === undefined) open.refused = refused
    open.pieces.set("text", (before ?? "") + text)
    const phase = phaseOf(slot.item["phase"])
    parts.push({ _tag: "TextDelta", index: open.index, text, ...(phase && { phase }) })
  }

  const addReasoning = (slot: Slot, key: string, text: string, parts: Parts): void => {
    if (text === "" || slot.done) return
    const { index, pieces } = openContent(slot, 0)
    const before = pieces.get(key)
    // Parts are joined by a line break, as in `response.reasoning`.
    parts.push({ _tag: "ReasoningDelta", index, text: before === undefined && pieces.size > 0 ? `\n${text}` : text })
    pieces.set(key, (before ?? "") + text)
  }

  const startCall = (slot: Slot, parts: Parts): void => {
    const name = string(slot.item["name"])
    const { call } = slot
    if (call === undefined || call.id !== undefined || name === undefined) return
    call.id = callId(slot.item) ?? mintId(call.number)
    const { index, pieces } = openContent(slot, 0)
    const { signature } = callOf(slot.item, name, call.id, {})
    parts.push({ _tag: "ToolCallStart", index, id: call.id, name, ...(signature !== undefined && { signature }) })
    const held = pieces.get("arguments") ?? ""
    if (held !== "") parts.push({ _tag: "ToolCallDelta", index, arguments: held })
  }

  const addArguments = (slot: Slot, text: string, parts: Parts): void => {
    if (text === "" || slot.done) return
    const { index, pieces } = openContent(slot, 0)
    pieces.set("arguments", (pieces.get("arguments") ?? "") + text)
    if (slot.call?.id !== undefined) parts.push({ _tag: "ToolCallDelta", index, arguments: text })
  }

  // What is missing from the pieces; undefined when the complete value does not begin with them.
  const rest = (pieces: string | undefined, whole: string): string | undefined =>
    pieces === undefined ? whole : whole.startsWith(pieces) ? whole.slice(pieces.length) : undefined

  const completeText = (slot: Slot, at: number, part: JsonRecord, parts: Parts): void => {
    const refused = typeof part["refusal"] === "string"
    const whole = string(refused ? part["refusal"] : part["text"]) ?? ""
    addText(slot, at, rest(slot.contents.get(at)?.pieces.get("text"), whole) ?? "", refused, parts)
    const annotations = array(part["annotations"])
    if (annotations.length > 0 && !slot.done) openContent(slot, at).annotations = [...annotations]
  }

  const completeReasoning = (slot: Slot, key: string, whole: string, parts: Parts): void =>
    addReasoning(slot, key, rest(slot.contents.get(0)?.pieces.get(key), whole) ?? "", parts)

  // If a call has two versions, it is unknown which one was meant. Neither must run.
  const completeArguments = (slot: Slot, whole: string, parts: Parts): void => {
    if (slot.whole || whole === "") return
    const pieces = slot.contents.get(0)?.pieces.get("arguments")
    const missing = rest(pieces, whole)
    if (missing !== undefined) addArguments(slot, missing, parts)
    else if (JSON.stringify(argumentsOf(pieces, true)) !== JSON.stringify(argumentsOf(whole, true))) {
      conflict ??= `the arguments of the call of ${word(slot.item["name"])} came in two versions`
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Contents
  // -------------------------------------------------------------------------------------------------------------------

  const textIn = ({ item }: Slot, { annotations, pieces, refused }: Open): Message.Text | undefined =>
    textOf({
      type: refused ? "refusal" : "output_text",
      [refused ? "refusal" : "text"]: pieces.get("text"),
      annotations
    }, item["phase"])

  const piecesOf = (pieces: ReadonlyMap<string, string>, kind: string, complete: unknown): unknown => {
    const came = [...pieces].filter(([key]) => key.startsWith(kind)).map(([, text]) => ({ text }))
    return array(complete).length < came.length ? came : complete
  }

  // The encrypted form of an incomplete item may be cut.
  const reasoningIn = ({ done, item }: Slot, { pieces }: Open): Message.Reasoning | undefined =>
    reasoningOf({
      ...(done ? item : omit(item, ["encrypted_content"])),
      summary: piecesOf(pieces, "summary", item["summary"]),
      content: piecesOf(pieces, "content", item["content"])
    })

  const isWhole = (slot: Slot): boolean => slot.whole || (last !== undefined && !isCut(last))

  const wasCut = ({ item }: Slot): boolean => item["status"] === "incomplete" || (last !== undefined && isCut(last))

  const callIn = (slot: Slot, { pieces }: Open): Message.ToolCall | undefined => {
    const { call, item } = slot
    const name = string(item["name"])
    if (call?.id === undefined || name === undefined || !isWhole(slot)) return undefined
    const args = argumentsOf(pieces.get("arguments"), wasCut(slot))
    return args === undefined ? undefined : callOf(item, name, call.id, args)
  }

  // An incomplete message or reasoning is usable as it is; any other incomplete item is not.
  const contentIn = (slot: Slot, open: Open): Message.AssistantContent | undefined => {
    if (open.content !== undefined) return open.content
    switch (slot.type) {
      case "message":
        return textIn(slot, open)
      case "reasoning":
        return reasoningIn(slot, open)
      case "function_call":
        return callIn(slot, open)
      default:
        return slot.done || last !== undefined ? blockOf(slot.item, provider) : undefined
    }
  }

  const endContents = (slot: Slot, parts: Parts): void => {
    for (const open of slot.contents.values()) {
      if (open.content !== undefined) continue
      open.content = contentIn(slot, open)
      if (open.content !== undefined) parts.push({ _tag: "ContentEnd", index: open.index, content: open.content })
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Items
  // -------------------------------------------------------------------------------------------------------------------

  const beginItem = (item: JsonRecord, index: number | undefined, parts: Parts): Slot => {
    const slot = openSlot(typeOfItem(item), item, index)
    startCall(slot, parts)
    return slot
  }

  const endItem = (slot: Slot, item: JsonRecord, parts: Parts): void => {
    if (slot.done) return
    unseen++
    const before = slot.item
    slot.item = item
    if (slot.type === "message") {
      // The phase cannot change after the first piece of text was emitted with it.
      const shown = [...slot.contents.values()].some(({ pieces }) => pieces.size > 0)
      slot.item = { ...item, phase: shown ? before["phase"] : before["phase"] ?? item["phase"] }
      partsOf(item).forEach((part, at) => completeText(slot, at, part, parts))
    } else if (slot.type === "reasoning") {
      array(item["summary"]).forEach((part, at) =>
        completeReasoning(slot, `summary ${at}`, string(object(part)["text"]) ?? "", parts)
      )
      array(item["content"]).forEach((part, at) =>
        completeReasoning(slot, `content ${at}`, string(object(part)["text"]) ?? "", parts)
      )
    } else if (slot.type === "function_call") {
      slot.item = { ...before, ...item }
      startCall(slot, parts)
      completeArguments(slot, argumentsText(item["arguments"]), parts)
      slot.whole = true
    }
    slot.done = true
    endContents(slot, parts)
  }

  // The last event repeats the items. Some servers send items only there, or never send their `done` event.
  const reconcile = (output: ReadonlyArray<JsonRecord>, parts: Parts): void => {
    const waiting = new Map<string, Array<Slot>>()
    for (const slot of slots) {
      const alike = waiting.get(slot.type)
      if (alike === undefined) waiting.set(slot.type, [slot])
      else alike.push(slot)
    }
    const taken = new Map<string, number>()
    for (const item of output) {
      const type = typeOfItem(item)
      const at = taken.get(type) ?? 0
      taken.set(type, at + 1)
      endItem(waiting.get(type)?.[at] ?? beginItem(item, undefined, parts), item, parts)
    }
  }

  const item = (event: JsonRecord): JsonRecord | undefined => isObject(event["item"]) ? event["item"] : undefined

  const at = (event: JsonRecord, key: "content_index" | "summary_index"): number => numberOf(event[key]) ?? 0

  const delta = (event: JsonRecord): string => typeof event["delta"] === "string" ? event["delta"] : ""

  const handlers: Readonly<Record<string, (event: JsonRecord, parts: Parts, type: string) => void>> = {
    "response.output_item.added": (event, parts) => {
      const added = item(event)
      if (added !== undefined) beginItem(added, numberOf(event["output_index"]), parts)
    },
    "response.output_item.done": (event, parts) => {
      const done = item(event)
      if (done === undefined) return
      const slot = find(event, typeOfItem(done)) ?? beginItem(done, numberOf(event["output_index"]), parts)
      endItem(slot, done, parts)
    },
    "response.output_text.delta": (event, parts, type) =>
      addText(slotOf(event, typeOf(type)), at(event, "content_index"), delta(event), false, parts),
    "response.refusal.delta": (event, parts, type) =>
      addText(slotOf(event, typeOf(type)), at(event, "content_index"), delta(event), true, parts),
    "response.output_text.done": (event, parts, type) =>
      completeText(slotOf(event, typeOf(type)), at(event, "content_index"), event, parts),
    "response.refusal.done": (event, parts, type) =>
      completeText(slotOf(event, typeOf(type)), at(event, "content_index"), event, parts),
    "response.output_text.annotation.added": (event, _, type) => {
      const slot = slotOf(event, typeOf(type))
      const { annotation } = event
      if (!slot.done && isObject(annotation)) openContent(slot, at(event, "content_index")).annotations.push(annotation)
    },
    "response.reasoning_summary_text.delta": (event, parts, type) =>
      addReasoning(slotOf(event, typeOf(type)), `summary ${at(event, "summary_index")}`, delta(event), parts),
    "response.reasoning_text.delta": (event, parts, type) =>
      addReasoning(slotOf(event, typeOf(type)), `content ${at(event, "content_index")}`, delta(event), parts),
    "response.reasoning_summary_text.done": (event, parts, type) =>
      completeReasoning(
        slotOf(event, typeOf(type)),
        `summary ${at(event, "summary_index")}`,
        string(event["text"]) ?? "",
        parts
      ),
    "response.reasoning_text.done": (event, parts, type) =>
      completeReasoning(
        slotOf(event, typeOf(type)),
        `content ${at(event, "content_index")}`,
        string(event["text"]) ?? "",
        parts
      ),
    "response.function_call_arguments.delta": (event, parts, type) =>
      addArguments(slotOf(event, typeOf(type)), delta(event), parts),
    "response.function_call_arguments.done": (event, parts, type) => {
      const slot = slotOf(event, typeOf(type))
      completeArguments(slot, argumentsText(event["arguments"]), parts)
      slot.whole = true
    }
  }

  return {
    event: (event, parts) => {
      const type = string(event["type"]) ?? ""
      const response = event["response"]
      if (isObject(response)) {
        begun = true
        head = { id: head.id ?? string(response["id"]), model: head.model ?? string(response["model"]) }
      }
      if (Object.hasOwn(statuses, type)) {
        begun = true
        last = { ...omit(event, ["type", "sequence_number", "response"]), ...object(response), status: statuses[type] }
        reconcile(array(last["output"]).filter(isObject), parts)
      } else if (Object.hasOwn(handlers, type)) {
        begun = true
        handlers[type]!(event, parts, type)
      }
    },
    done: () => last !== undefined,
    complete: () => last !== undefined,
    close: (parts) => {
      for (const slot of slots) endContents(slot, parts)
    },
    changes: () => unseen,
    head: () => head,
    answer: () => {
      if (!begun) return undefined
      const body = last ?? {}
      const contents = slots.flatMap((slot) =>
        [...slot.contents.values()].map((open) => ({ index: open.index, content: contentIn(slot, open) }))
      )
      const broken = slots.find((slot) =>
        slot.call?.id !== undefined && isWhole(slot) && !wasCut(slot)
        && argumentsOf(slot.contents.get(0)?.pieces.get("arguments"), false) === undefined
      )
      return {
        choice: contents.toSorted((a, b) => a.index - b.index).flatMap(({ content }) => content ?? []),
        malformedCall: conflict ?? (broken && malformed(word(broken.item["name"]))),
        ...frameOf({ ...head, ...body }, slots.map(({ item, type }) => ({ ...item, type }))),
        ...(last === undefined && { finishReason: { _tag: "None" }, finish: undefined })
      }
    }
  }
}
