/**
 * Reads the recorded text of a stream by rules of its own: what its events say one by one, and the body that they are
 * the pieces of.
 */
import type { Api, Json } from "./corpus.ts"
import { at, compact, count, isRecord, parsed, record, records, text } from "./json.ts"

/** An event, and where in the text of the stream it ends. */
export interface Frame {
  readonly data: Json | "[DONE]"
  readonly end: number
}

/** The events of a stream, without comments. */
export const frames = (body: string): ReadonlyArray<Frame> => {
  const found: Array<Frame> = []
  let start = 0
  for (const { 0: blank, index } of [...body.matchAll(/\r?\n\r?\n/g), { 0: "", index: body.length }]) {
    const data = body.slice(start, index).split(/\r?\n/).flatMap((line) =>
      line.startsWith("data:") ? [line.slice(5).trim()] : []
    ).join("\n")
    start = index + blank.length
    if (data !== "") found.push({ data: data === "[DONE]" ? data : record(JSON.parse(data)), end: start })
  }
  return found
}

/** A tool call as a stream brings it. */
export interface Fragments {
  /** Undefined where the provider gives none. */
  readonly id: unknown
  readonly name: unknown
  /** The JSON text of the arguments as far as it came. */
  readonly arguments: string
}

/** What the events say, each kind put together. */
export interface Said {
  readonly text: string
  readonly reasoning: string
  readonly calls: ReadonlyArray<Fragments>
}

/** How the streams of one kind are read. */
interface Wire {
  readonly said: (events: ReadonlyArray<Json>) => Said
  /** Whether the provider said how the answer ends. */
  readonly ended: (events: ReadonlyArray<Json>, done: boolean) => boolean
  /** The body that the call without streaming would give, without calls that are not whole when it broke off. */
  readonly body: (events: ReadonlyArray<Json>, ended: boolean) => Json
}

const joined = (pieces: ReadonlyArray<unknown>): string => pieces.map(text).join("")

const last = (values: ReadonlyArray<unknown>): unknown =>
  values.findLast((value) => value !== undefined && value !== null && value !== "")

const first = (values: ReadonlyArray<unknown>): unknown =>
  values.find((value) => value !== undefined && value !== null && value !== "")

// ---------------------------------------------------------------------------------------------------------------------
// Anthropic
// ---------------------------------------------------------------------------------------------------------------------

const ofType = (events: ReadonlyArray<Json>, type: string): ReadonlyArray<Json> =>
  events.filter((event) => event["type"] === type)

interface Block {
  readonly start: Json
  readonly deltas: ReadonlyArray<Json>
  readonly stopped: boolean
}

const blocks = (events: ReadonlyArray<Json>): ReadonlyArray<Block> =>
  ofType(events, "content_block_start").map((event) => {
    const own = events.filter(({ index }) => index === event["index"])
    return {
      start: record(event["content_block"]),
      deltas: ofType(own, "content_block_delta").map(({ delta }) => record(delta)),
      stopped: ofType(own, "content_block_stop").length > 0
    }
  })

const deltaTexts = ({ deltas }: Block, name: string): string => joined(deltas.map((delta) => delta[name]))

const anthropicBlock =
  (ended: boolean) => (block: Block, index: number, all: ReadonlyArray<Block>): ReadonlyArray<Json> => {
    const { start, stopped } = block
    const signature = text(start["signature"]) + deltaTexts(block, "signature")
    const citations = block.deltas.flatMap(({ citation }) => isRecord(citation) ? [citation] : [])
    switch (start["type"]) {
      case "text": {
        const said = text(start["text"]) + deltaTexts(block, "text")
        return said === "" ? [] : [{ ...start, text: said, citations: citations.length === 0 ? null : citations }]
      }
      case "thinking":
        return [{
          ...start,
          thinking: text(start["thinking"]) + deltaTexts(block, "thinking"),
          signature: signature === "" ? null : signature
        }]
      case "tool_use":
      case "server_tool_use": {
        const written = deltaTexts(block, "partial_json")
        // Without arguments it may be that they were cut, unless something stands behind it.
        const told = stopped && (written !== "" || index < all.length - 1)
        if (!ended && !told) return []
        const input = parsed(written)
        return [{ ...start, input: input?.value }]
      }
      default:
        return [start]
    }
  }

// Counts only grow, so that the greatest is the last that means something.
const grown = (reports: ReadonlyArray<Json>): Json => {
  const grownTo: Record<string, unknown> = {}
  for (const report of reports) {
    for (const [key, value] of Object.entries(compact(report))) {
      grownTo[key] = typeof value === "number" ? Math.max(count(grownTo[key]), value) : value
    }
  }
  return grownTo
}

const anthropic: Wire = {
  said: (events) => ({
    text: joined(
      blocks(events).filter(({ start }) => start["type"] === "text").map((block) => deltaTexts(block, "text"))
    ),
    reasoning: joined(blocks(events).map((block) => deltaTexts(block, "thinking"))),
    calls: blocks(events).filter(({ start }) => start["type"] === "tool_use").map((block) => ({
      id: block.start["id"],
      name: block.start["name"],
      arguments: deltaTexts(block, "partial_json")
    }))
  }),
  ended: (events) => ofType(events, "message_delta").some((event) => at(event, "delta", "stop_reason") !== null),
  body: (events, ended) => {
    const message = record(ofType(events, "message_start")[0]?.["message"])
    const end = ofType(events, "message_delta")
    return {
      ...message,
      ...record(end.at(-1)?.["delta"]),
      usage: grown([record(message["usage"]), ...end.map(({ usage }) => record(usage))]),
      content: blocks(events).flatMap(anthropicBlock(ended))
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Chat Completions
// ---------------------------------------------------------------------------------------------------------------------

const choices = (events: ReadonlyArray<Json>): ReadonlyArray<Json> =>
  events.flatMap((event) => records(event["choices"]).filter(({ index }) => index === 0))

const deltas = (events: ReadonlyArray<Json>): ReadonlyArray<Json> => choices(events).map(({ delta }) => record(delta))

const details = (delta: Json): ReadonlyArray<Json> => records(delta["reasoning_details"])

const chatCalls = (events: ReadonlyArray<Json>): ReadonlyArray<Fragments> => {
  const fragments = deltas(events).flatMap((delta) => records(delta["tool_calls"]))
  return [...new Set(fragments.map(({ index }) => index))].map((index) => {
    const own = fragments.filter((fragment) => fragment["index"] === index)
    const written = joined(own.map((fragment) => at(fragment, "function", "arguments")))
    return {
      id: first(own.map(({ id }) => id)),
      name: first(own.map((fragment) => at(fragment, "function", "name"))),
      // Groq writes null for none.
      arguments: written === "null" ? "" : written
    }
  })
}

// Details of one kind and place are pieces of one.
const wholeDetails = (events: ReadonlyArray<Json>): ReadonlyArray<Json> => {
  const all = deltas(events).flatMap(details)
  const key = (detail: Json) => `${text(detail["type"])} ${String(detail["index"])}`
  return [...new Set(all.map(key))].map((wanted) => {
    const own = all.filter((detail) => key(detail) === wanted)
    const names = [...new Set(own.flatMap(Object.keys))]
    return Object.fromEntries(
      names.map((name) => {
        const values = own.map((detail) => detail[name])
        return [name, ["text", "summary", "data"].includes(name) ? joined(values) : last(values)]
      })
    )
  })
}

const chat: Wire = {
  said: (events) => ({
    text: joined(deltas(events).map((delta) => text(delta["content"]) || delta["refusal"])),
    reasoning: joined(
      deltas(events).map((delta) =>
        text(delta["reasoning_content"]) || text(delta["reasoning"])
        || joined(details(delta).map((detail) => detail["text"] ?? detail["summary"]))
      )
    ),
    calls: chatCalls(events)
  }),
  ended: (events, done) =>
    (done && choices(events).length > 0) ||
    last(choices(events).map((choice) => choice["finish_reason"])) !== undefined,
  body: (events, ended) => {
    const all = deltas(events)
    const message = {
      content: joined(all.map((delta) => delta["content"])),
      refusal: joined(all.map((delta) => delta["refusal"])),
      reasoning_content: joined(all.map((delta) => delta["reasoning_content"])),
      reasoning: joined(all.map((delta) => delta["reasoning"])),
      reasoning_details: wholeDetails(events),
      tool_calls: chatCalls(events)
        .filter((call) => ended || (call.arguments !== "" && parsed(call.arguments) !== undefined))
        .map(({ arguments: written, id, name }) => ({ id, function: { name, arguments: written } }))
    }
    return {
      id: first(events.map(({ id }) => id)),
      model: first(events.map(({ model }) => model)),
      choices: all.length === 0 ? [] : [{
        message,
        finish_reason: last(choices(events).map((choice) => choice["finish_reason"])),
        native_finish_reason: last(choices(events).map((choice) => choice["native_finish_reason"]))
      }],
      usage: last(events.map((event) => event["usage"] ?? at(event, "x_groq", "usage")))
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Gemini
// ---------------------------------------------------------------------------------------------------------------------

const candidates = (events: ReadonlyArray<Json>): ReadonlyArray<Json> =>
  events.flatMap((event) => records(event["candidates"]).slice(0, 1))

const parts = (events: ReadonlyArray<Json>): ReadonlyArray<Json> =>
  candidates(events).flatMap((candidate) => records(at(candidate, "content", "parts")))

const continues = (before: Json | undefined, part: Json): before is Json =>
  before !== undefined && typeof before["text"] === "string" && typeof part["text"] === "string"
  && before["thought"] === part["thought"] && before["thoughtSignature"] === undefined

// Texts of one kind are pieces of one, until a signature ends it.
const wholeParts = (all: ReadonlyArray<Json>): ReadonlyArray<Json> =>
  all.reduce<ReadonlyArray<Json>>((whole, part) => {
    const before = whole.at(-1)
    return continues(before, part)
      ? [...whole.slice(0, -1), { ...before, ...part, text: joined([before["text"], part["text"]]) }]
      : [...whole, part]
  }, [])

const gemini: Wire = {
  said: (events) => ({
    text: joined(parts(events).filter(({ thought }) => thought !== true).map((part) => part["text"])),
    reasoning: joined(parts(events).filter(({ thought }) => thought === true).map((part) => part["text"])),
    calls: parts(events).flatMap(({ functionCall: call }) =>
      isRecord(call) ? [{ id: call["id"], name: call["name"], arguments: JSON.stringify(call["args"] ?? {}) }] : []
    )
  }),
  ended: (events) => candidates(events).some(({ finishReason }) => typeof finishReason === "string"),
  body: (events) => ({
    ...Object.assign({}, ...events),
    // A count that an event leaves out is as it was.
    usageMetadata: Object.assign({}, ...events.map(({ usageMetadata }) => usageMetadata)),
    candidates: [{
      ...Object.assign({}, ...candidates(events)),
      content: { parts: wholeParts(parts(events)) }
    }]
  })
}

const wires: { readonly [A in Api]: Wire } = {
  "anthropic-messages": anthropic,
  "openai-chat": chat,
  "gemini-generate-content": gemini,
  "openrouter-chat": chat,
  "openai-compatible-chat": chat
}

/** A stream, or the beginning of one, as its events say it. */
export interface Heard {
  readonly events: number
  readonly said: Said
  readonly ended: boolean
  readonly body: Json
}

export const heard = (api: Api, frames: ReadonlyArray<Frame>): Heard => {
  const wire = wires[api]
  const events = frames.flatMap(({ data }) => data === "[DONE]" ? [] : [data])
  const ended = wire.ended(events, events.length < frames.length)
  return { events: events.length, said: wire.said(events), ended, body: wire.body(events, ended) }
}
