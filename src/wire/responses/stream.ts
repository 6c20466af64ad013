/**
 * The events of a Responses stream, put together to what the body of the call without streaming says. Items are told
 * apart by their `output_index`: their ids change from event to event behind some gateways. Source: OpenAI API
 * reference, "Streaming events".
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

// That a response failed is an error, which is seen before.
const statuses: Readonly<Record<string, string>> = {
  "response.completed": "completed",
  "response.incomplete": "incomplete"
}

/** One content of the answer, or what may become one. */
interface Open {
  readonly index: number
  /** What came of it in pieces: of reasoning by the index of its part. */
  readonly pieces: Map<string, string>
  annotations: Array<unknown>
  /** It is a refusal. */
  refused: boolean
  /** The content, once it is whole. */
  content?: Message.AssistantContent | undefined
}

/** One item of the output. */
interface Slot {
  readonly type: string
  /** What was last told of it as a whole. */
  item: JsonRecord
  /** Its contents, by their index in it; only messages have more than one. */
  readonly contents: Map<number, Open>
  /** Which call of the answer it is; its id, once its start was told. */
  call?: { readonly number: number; id?: string }
  /** Its arguments are whole. */
  whole: boolean
  done: boolean
}

const numberOf = (value: unknown): number | undefined =>
  integer(value) ?? (typeof value === "string" && /^\d{1,9}$/.test(value) ? Number(value) : undefined)

const typeOfItem = (item: JsonRecord): string => string(item["type"]) ?? "message"

// The type of the item that an event is about.
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
  let said = false

  const openSlot = (type: string, item: JsonRecord, index: number | undefined): Slot => {
    const slot: Slot = { type, item, contents: new Map(), whole: false, done: false }
    unseen++
    slots.push(slot)
    byType.set(type, slot)
    if (index !== undefined) byIndex.set(index, slot)
    // Its place among the contents is that of its beginning.
    openContent(slot, 0)
    if (type === "function_call") slot.call = { number: calls++ }
    return slot
  }

  const openContent = (slot: Slot, at: number): Open => {
    const known = slot.contents.get(at)
    if (known !== undefined) return known
    const open: Open = { index: next++, pieces: new Map(), annotations: [], refused: false }
    slot.contents.set(at, open)
    return open
  }

  // An event without an index belongs to the last item of its type, unless that is done.
  const find = (event: JsonRecord, type: string): Slot | undefined => {
    const index = numberOf(event["output_index"])
    const known = index === undefined ? byType.get(type) : byIndex.get(index)
    return known?.type !== type || (index === undefined && known.done) ? undefined : known
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
    // As `response.reasoning` has it, a line break stands between two parts.
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

  // What the whole has more than its pieces; undefined when they are not its beginning.
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

  // Of two versions of one call, nobody knows which was meant: neither is run.
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

  const piecesOf = (pieces: ReadonlyMap<string, string>, kind: string, told: unknown): unknown => {
    const came = [...pieces].filter(([key]) => key.startsWith(kind)).map(([, text]) => ({ text }))
    return array(told).length < came.length ? came : told
  }

  // Of an item that is not done, the encrypted form may be half.
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

  // What is open of a message or of reasoning is what came of it; of anything else half is nothing.
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
      // Which phase a text is of was told with its first piece.
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

  // The last event repeats the items; some servers name those only there that nothing was told of before, or that were
  // not told to be done.
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
      const told = event["response"]
      if (isObject(told)) {
        said = true
        head = { id: head.id ?? string(told["id"]), model: head.model ?? string(told["model"]) }
      }
      if (Object.hasOwn(statuses, type)) {
        said = true
        last = { ...omit(event, ["type", "sequence_number", "response"]), ...object(told), status: statuses[type] }
        reconcile(array(last["output"]).filter(isObject), parts)
      } else if (Object.hasOwn(handlers, type)) {
        said = true
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
      if (!said) return undefined
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
