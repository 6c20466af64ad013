/**
 * Server-sent events as the framing of a stream. Source: WHATWG HTML, "Server-sent events".
 */
import * as Sse from "effect/encoding/Sse"
import type { Framing } from "./Wire.ts"

// A line that only event streams contain: a field, or a comment.
const eventLine = /^(data|event|id|retry)?:/m

/** Server-sent events. `last` is the data of the last event, for wires that have one. */
export const sse = (last?: string): Framing => ({
  accept: "text/event-stream",
  ...(last !== undefined && { last }),
  error: "error",
  recognizes: (text) => eventLine.test(text),
  reader: (limit, onFrame) => {
    const parser = Sse.makeParser((event) => {
      if (event._tag === "Event") onFrame({ name: event.event, data: event.data })
    }, { maxEventSize: limit })
    const feed = (text: string): boolean => parser.feed(text) === undefined
    // The last event may lack its final empty line.
    return { feed, end: () => feed("\n\n") }
  }
})
