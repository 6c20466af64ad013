/**
 * Brings a response chunk by chunk, with its pace and its ending: as the body of a web `Response`, for a client in the
 * process, and as a Stream, for a server.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { chunks } from "./events.ts"
import type { SimulatedResponse } from "./exchange.ts"

/** What a client of the network meets when the other side breaks the connection. */
export const connectionReset = (): Error =>
  new TypeError("terminated", { cause: Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }) })

/** `wait` lets the pace of the response pass; `onCancel` hears of a reader that leaves before the end. */
export const toReadableStream = (
  { body, chunkSize, ending, pace }: SimulatedResponse,
  signal: AbortSignal,
  wait: (millis: number) => Promise<void>,
  onCancel: () => void
): ReadableStream<Uint8Array> => {
  const waiting = chunks(body.join(""), chunkSize)
  let next = 0
  let over = false
  const cancel = (): void => {
    if (!over) onCancel()
    over = true
  }
  const emit = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
    const chunk = waiting[next++]
    if (chunk !== undefined) return controller.enqueue(chunk)
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
    pull: (controller) => pace === undefined ? emit(controller) : wait(pace).then(() => emit(controller)),
    cancel
  }, { highWaterMark: 0 })
}

// Flushes the headers before a body of which nothing comes.
const nothing = new Uint8Array(0)

/** `closing` ends what would stall for ever. */
export const toStream = (
  { body, chunkSize, ending, pace }: SimulatedResponse,
  closing: Effect.Effect<void>,
  onCancel: () => void
): Stream.Stream<Uint8Array> => {
  // Without a turn of the event loop in between, chunks leave together, and a reset takes the last one with it.
  const between = pace === undefined ? Effect.yieldNow : Effect.sleep(pace)
  const sent = Stream.fromArray([nothing, ...chunks(body.join(""), chunkSize)]).pipe(
    Stream.rechunk(1),
    Stream.tap(() => between)
  )
  const end = {
    End: Stream.empty,
    Reset: Stream.die(connectionReset()),
    Stall: Stream.fromEffectDrain(closing)
  }[ending]
  return Stream.concat(sent, Stream.unwrap(Effect.as(between, end))).pipe(
    Stream.onExit((exit) =>
      Effect.sync(() => {
        if (Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)) onCancel()
      })
    )
  )
}
