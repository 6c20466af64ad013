import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { type Timeouts, watch } from "../../src/transport/timeouts.ts"

const limits: Timeouts = {
  firstPart: Duration.seconds(10),
  idle: Duration.seconds(3),
  total: Duration.seconds(60)
}

/** What is watched: parts after waits in seconds; "hang" never comes; "last" is the last part. */
const watched = (steps: ReadonlyArray<number | "hang" | "last" | "part">, timeouts = limits) => {
  const seen = { interrupted: 0, expired: [] as Array<string> }
  const source = Stream.fromIterable(steps).pipe(
    Stream.mapEffect((step) =>
      step === "hang"
        ? Effect.onInterrupt(Effect.never, () => Effect.sync(() => seen.interrupted++))
        : typeof step === "number"
        ? Effect.as(Effect.sleep(Duration.seconds(step)), "wait")
        : Effect.succeed(step)
    ),
    Stream.filter((step) => step !== "wait"),
    Stream.rechunk(1)
  )
  const stream: Stream.Stream<string, string> = Stream.fromChannel(
    Channel.fromTransform((_, scope) =>
      Effect.flatMap(
        Channel.toPullScoped(Stream.toChannel(source), scope),
        (pull) =>
          watch(pull, scope, timeouts, (parts) => parts.includes("last"), (clock, after) => {
            seen.expired.push(clock)
            return Effect.fail(`${clock} ${Duration.format(after)}`)
          })
      )
    )
  )
  return { seen, stream }
}

const outcome = <A>(exit: Exit.Exit<A, string>) =>
  Exit.isSuccess(exit) ? exit.value : Option.getOrElse(Cause.findErrorOption(exit.cause), () => "interrupted")

const after = (seconds: number, stream: Stream.Stream<string, string>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(Stream.runCollect(stream), { startImmediately: true })
    yield* TestClock.adjust(Duration.seconds(seconds))
    const exit = fiber.pollUnsafe()
    yield* Fiber.interrupt(fiber)
    return exit === undefined ? "running" : outcome(exit)
  })

describe("watch", () => {
  it.effect("lets a stream pass that is in time", () =>
    Effect.gen(function*() {
      const { seen, stream } = watched([9, "part", 2, "part", 2, "last"])
      assert.deepStrictEqual(yield* after(13, stream), ["part", "part", "last"])
      assert.deepStrictEqual(seen, { interrupted: 0, expired: [] })
    }))

  it.effect("ends a stream that does not begin, at the millisecond, and interrupts what it waits for", () =>
    Effect.gen(function*() {
      const early = watched(["hang"])
      assert.strictEqual(yield* after(9.999, early.stream), "running")
      const late = watched(["hang"])
      assert.strictEqual(yield* after(10, late.stream), "firstPart 10s")
      assert.deepStrictEqual(late.seen, { interrupted: 1, expired: ["firstPart"] })
    }))

  it.effect("measures idleness from the last part", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* after(11.9, watched([9, "part", "hang"]).stream), "running")
      assert.strictEqual(yield* after(12, watched([9, "part", "hang"]).stream), "idle 3s")
    }))

  it.effect("does not count the consumer's time as idle", () =>
    Effect.gen(function*() {
      const { seen, stream } = watched(["part", 2, "part", 2, "last"])
      const slow = Stream.mapEffect(stream, (part) => Effect.as(Effect.sleep("10 seconds"), part))
      assert.deepStrictEqual(yield* after(40, slow), ["part", "part", "last"])
      assert.deepStrictEqual(seen.expired, [])
    }))

  it.effect("counts the consumer's time into the total", () =>
    Effect.gen(function*() {
      const { stream } = watched(Array(10).fill("part"))
      const slow = Stream.mapEffect(stream, (part) => Effect.as(Effect.sleep("25 seconds"), part))
      assert.strictEqual(yield* after(74, slow), "running")
      assert.strictEqual(yield* after(75, slow), "total 1m")
    }))

  it.effect("ends by the total, whatever still comes", () =>
    Effect.gen(function*() {
      const steps = Array.from({ length: 40 }, () => [2, "part"] as const).flat()
      assert.strictEqual(yield* after(59.9, watched(steps).stream), "running")
      assert.strictEqual(yield* after(60, watched(steps).stream), "total 1m")
    }))

  it.effect("waits for nothing after the last part", () =>
    Effect.gen(function*() {
      const { seen, stream } = watched(["last", 100])
      assert.deepStrictEqual(yield* after(101, stream), ["last"])
      assert.deepStrictEqual(seen.expired, [])
    }))

  it.effect("interrupts what it waits for when the consumer goes", () =>
    Effect.gen(function*() {
      const { seen, stream } = watched(["part", "hang"])
      assert.strictEqual(yield* after(1, stream), "running")
      assert.deepStrictEqual(seen, { interrupted: 1, expired: [] })
    }))

  it.effect("leaves no fiber behind", () =>
    Effect.gen(function*() {
      const { seen, stream } = watched(["part", "hang"])
      yield* Stream.runDrain(Stream.take(stream, 1))
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(seen.expired, [])
    }))
})
