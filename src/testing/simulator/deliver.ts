/**
 * Sends a response chunk by chunk, with its pace and its ending: as the body of a web `Response` for a client in the
 * process, and as a Stream for a server.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { chunks } from "./events.ts"
import type { SimulatedResponse } from "./exchange.ts"

/** The error that a client sees when the connection breaks. */
export const connectionReset = (): Error =>
  new TypeError("terminated", { cause: Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }) })

interface Chunk {
  readonly bytes: Uint8Array
  /** Milliseconds before the chunk. */
  readonly wait: number
}

/** The chunks of a body. Events between two waits are joined. */
const chunked = ({ body, chunkSize, pace = 0, waits = {} }: SimulatedResponse): ReadonlyArray<Chunk> => {
  const places = [...new Set([0, ...Object.keys(waits).map(Number).filter((place) => place < body.length)])]
    .sort((a, b) => a - b)
  return places.flatMap((place, index) =>
    chunks(body.slice(place, places[index + 1]).join(""), chunkSize).map((bytes, at) => ({
      bytes,
      wait: pace + (at === 0 ? waits[place] ?? 0 : 0)
    }))
  )
}

/** `wait` waits for the pace of the response. `onCancel` is called when a reader leaves before the end. */
export const toReadableStream = (
  response: SimulatedResponse,
  signal: AbortSignal,
  wait: (millis: number) => Promise<void>,
  onCancel: () => void
): ReadableStream<Uint8Array> => {
  const { ending } = response
  const waiting = chunked(response)
  let next = 0
  let over = false
  const cancel = (): void => {
    if (!over) onCancel()
    over = true
  }
  const emit = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
    const chunk = waiting[next++]
    if (chunk !== undefined) return controller.enqueue(chunk.bytes)
    if (ending === "Stall") return
    over = true
    if (ending === "End") controller.close()
    else controller.error(connectionReset())
  }
  return new ReadableStream({
    start: (controller) => {
      signal.addEventListener("abort", () => {
        if (!over) controller.error(signal.reason)
        cancel()
      })
    },
    pull: (controller) => {
      const millis = waiting[next]?.wait ?? response.pace ?? 0
      return millis === 0 ? emit(controller) : wait(millis).then(() => emit(controller))
    },
    cancel
  }, { highWaterMark: 0 })
}

// Flushes the headers before a body that never starts.
const nothing = new Uint8Array(0)

/** `closing` ends a stalled body. */
export const toStream = (
  response: SimulatedResponse,
  closing: Effect.Effect<void>,
  onCancel: () => void
): Stream.Stream<Uint8Array> => {
  // Without a turn of the event loop, chunks are sent together, and a reset discards the last one.
  const between = (millis: number) => millis === 0 ? Effect.yieldNow : Effect.sleep(millis)
  const sent = Stream.fromArray([{ bytes: nothing, wait: 0 }, ...chunked(response)]).pipe(
    Stream.rechunk(1),
    Stream.mapEffect(({ bytes, wait }) => Effect.as(between(wait), bytes))
  )
  const end = {
    End: Stream.empty,
    Reset: Stream.die(connectionReset()),
    Stall: Stream.fromEffectDrain(closing)
  }[response.ending]
  return Stream.concat(sent, Stream.unwrap(Effect.as(between(response.pace ?? 0), end))).pipe(
    Stream.onExit((exit) =>
      Effect.sync(() => {
        if (Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)) onCancel()
      })
    )
  )
}
