import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { type Marks, resolve, type Timeouts, watch } from "../../src/transport/timeouts.ts"

const limits: Timeouts = {
  firstByte: Infinity,
  bytes: 2000,
  firstPart: 10_000,
  progress: 3000,
  total: 60_000
}

// Clocks that do not matter where only parts are watched.
const parts: Timeouts = { ...limits, bytes: Infinity, progress: 3000, firstPart: 10_000 }

/** What is watched: parts after waits in seconds; "hang" never comes; "last" is the last part. */
const watched = (
  steps: ReadonlyArray<number | "hang" | "last" | "part" | "headers" | "ping" | "progress">,
  timeouts = parts
) => {
  const seen = { interrupted: 0, expired: [] as Array<string> }
  const marks: Marks = { bytes: undefined, progress: undefined }
  const source = Stream.fromIterable(steps).pipe(
    Stream.mapEffect((step) =>
      step === "hang"
        ? Effect.onInterrupt(Effect.never, () => Effect.sync(() => seen.interrupted++))
        : typeof step === "number"
        ? Effect.as(Effect.sleep(Duration.seconds(step)), "wait")
        : Effect.map(Clock.currentTimeMillis, (now) => {
          if (step !== "last") marks.bytes = now
          if (step !== "headers" && step !== "ping") marks.progress = now
          return step === "part" || step === "last" ? step : "wait"
        })
    ),
    Stream.filter((step) => step !== "wait"),
    Stream.rechunk(1)
  )
  const stream: Stream.Stream<string, string> = Stream.fromChannel(
    Channel.fromTransform((_, scope) =>
      Effect.flatMap(
        Channel.toPullScoped(Stream.toChannel(source), scope),
        (pull) =>
          watch(pull, scope, timeouts, marks, (parts) => parts.includes("last"), (clock, after) => {
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
      const { seen, stream } = watched([2, "part", 2, "part", 2, "last"])
      assert.deepStrictEqual(yield* after(6, stream), ["part", "part", "last"])
      assert.deepStrictEqual(seen, { interrupted: 0, expired: [] })
    }))

  it.effect("ends a stream that does not begin, at the millisecond, and interrupts what it waits for", () =>
    Effect.gen(function*() {
      const slow = { ...parts, progress: 20_000 }
      const early = watched(["hang"], slow)
      assert.strictEqual(yield* after(9.999, early.stream), "running")
      const late = watched(["hang"], slow)
      assert.strictEqual(yield* after(10, late.stream), "firstPart 10s")
      assert.deepStrictEqual(late.seen, { interrupted: 1, expired: ["firstPart"] })
    }))

  it.effect("measures progress from the last event that changed the answer", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* after(4.9, watched([2, "part", "hang"]).stream), "running")
      assert.strictEqual(yield* after(5, watched([2, "part", "hang"]).stream), "progress 3s")
      assert.strictEqual(yield* after(6.9, watched([2, "part", 2, "progress", "hang"]).stream), "running")
      assert.strictEqual(yield* after(7, watched([2, "part", 2, "progress", "hang"]).stream), "progress 3s")
    }))

  it.effect("takes a ping for a sign of life, but for no progress", () =>
    Effect.gen(function*() {
      const pings = ["headers", ...Array.from({ length: 20 }, () => [1, "ping"] as const).flat()] as const
      assert.strictEqual(yield* after(2.9, watched(pings, limits).stream), "running")
      assert.strictEqual(yield* after(3, watched(pings, limits).stream), "progress 3s")
    }))

  it.effect("ends a socket that is dead, counted from the headers", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* after(2.5, watched([1, "headers", "hang"], limits).stream), "running")
      // From the headers on two seconds without a byte are too many; until then only progress counts.
      assert.strictEqual(yield* after(2.9, watched([0.8, "headers", "hang"], limits).stream), "bytes 2s")
      assert.strictEqual(yield* after(3, watched(["hang"], limits).stream), "progress 3s")
    }))

  it.effect("wants the first byte of the answer in the time that a Fallback gives, and then no more", () =>
    Effect.gen(function*() {
      const patient = { ...parts, firstByte: 1000 }
      assert.strictEqual(yield* after(1, watched(["headers", "hang"], patient).stream), "firstByte 1s")
      assert.deepStrictEqual(yield* after(5, watched([0.9, "progress", 2, "part", 2, "last"], patient).stream), [
        "part",
        "last"
      ])
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

describe("the clocks of an attempt", () => {
  const known = { pings: false, long: false, firstByte: Infinity, streamed: true }
  const minutes = (count: number): number => count * 60_000

  it("are five minutes without progress, ten where the model thinks for long", () => {
    assert.strictEqual(resolve({}, known).progress, minutes(5))
    assert.strictEqual(resolve({}, { ...known, long: true }).progress, minutes(10))
    assert.strictEqual(resolve({}, { ...known, long: true }).firstPart, minutes(10))
  })

  it("hear the provider's pings every minute, and take silence for legal elsewhere", () => {
    assert.strictEqual(resolve({}, { ...known, pings: true }).bytes, minutes(1))
    assert.strictEqual(resolve({}, known).bytes, minutes(5))
  })

  it("end a stream after an hour, and an exchange without one after ten minutes", () => {
    assert.strictEqual(resolve({}, known).total, minutes(60))
    assert.strictEqual(resolve({}, { ...known, streamed: false }).total, minutes(10))
  })

  it("are those that are given, the first part as progress unless it is given itself", () =>
    assert.deepStrictEqual(resolve({ progress: 7, total: 9 }, known), {
      firstByte: Infinity,
      bytes: 7,
      progress: 7,
      firstPart: 7,
      total: 9
    }))
})
