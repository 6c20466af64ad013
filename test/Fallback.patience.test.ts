import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Completion from "../src/Completion.ts"
import type { CompletionPart } from "../src/CompletionPart.ts"
import * as Fallback from "../src/Fallback.ts"
import * as LLMClient from "../src/LLMClient.ts"
import type { LLMError } from "../src/LLMError.ts"
import { limited, makeRefusals } from "../src/middleware/patience.ts"
import { type Answer, answer, failure, noting } from "./clients.ts"

const request = Completion.make({ prompt: "Hello" })
const down = failure("Transient", "Server")

/** A member that notes what patience its calls have, and answers as it is told. */
const member = (answerWith: Answer) => {
  const patiences: Array<LLMClient.Patience | undefined> = []
  const { calls, client } = noting(
    (completion, index) =>
      Effect.flatMap(LLMClient.Patience, (patience) => {
        patiences.push(patience)
        return answerWith(completion, index)
      }),
    "member"
  )
  return { calls, patiences, client: { ...client, model: "m" }, layer: Layer.succeed(LLMClient.LLMClient, client) }
}

const failing = (error: LLMError = down) => member(() => Effect.fail(error))
const well = () => member(() => Effect.succeed(answer()))

const over = (
  members: readonly [Fallback.Choice<never, never>, ...ReadonlyArray<Fallback.Choice<never, never>>],
  options?: Fallback.Options
) => Effect.map(Layer.build(Fallback.layer(members, options)), Context.get(LLMClient.LLMClient))

const figures = (patience: LLMClient.Patience | undefined) =>
  patience === undefined ? undefined : [patience.waiting, patience.firstByte]

const endless = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]

describe("the patience of a Fallback's members", () => {
  it.effect("is limited for all but the last, streamed or not, and new for each call", () =>
    Effect.gen(function*() {
      const [first, second, third] = [failing(), failing(), well()]
      const client = yield* over([first.layer, second.layer, third.layer])
      yield* client.completion(request)
      // What one call waits is not missing in the next one.
      first.patiences[0]!.waiting -= 4_000
      assert.deepStrictEqual(figures(first.patiences[0]), [6_000, 12_000])
      yield* client.completion(request)
      assert.deepStrictEqual(figures(first.patiences[1]), [10_000, 12_000])
      assert.deepStrictEqual(figures(second.patiences[0]), [10_000, 12_000])
      assert.deepStrictEqual(figures(third.patiences[0]), endless)
      const streaming = { ...first.client, stream: () => Stream.fromEffectDrain(first.client.completion(request)) }
      const live = yield* over([Layer.succeed(LLMClient.LLMClient, streaming), third.layer])
      yield* Stream.runDrain(live.stream(request))
      assert.deepStrictEqual(figures(first.patiences[2]), [10_000, 12_000])
    }))

  it.effect("until the first byte grows by a second for every 5,000 tokens", () =>
    Effect.gen(function*() {
      const first = failing()
      const client = yield* over([first.layer, well().layer])
      yield* client.completion(Completion.make({ prompt: "x".repeat(350_000) }))
      assert.deepStrictEqual(figures(first.patiences[0]), [10_000, 32_000])
    }))

  it.effect("is what the options say", () =>
    Effect.gen(function*() {
      const first = failing()
      const ask = (options: Fallback.Options) =>
        Effect.flatMap(over([first.layer, well().layer], options), (client) => client.completion(request))
      yield* ask({ patience: { waiting: "3 seconds", firstByte: undefined } })
      yield* ask({ patience: { firstByte: Duration.infinity } })
      yield* ask({ patience: false })
      assert.deepStrictEqual(first.patiences.map(figures), [
        [3_000, 12_000],
        [10_000, Number.POSITIVE_INFINITY],
        endless
      ])
    }))

  it.effect("says after which failures the Fallback moves on", () =>
    Effect.gen(function*() {
      const first = failing()
      yield* (yield* over([first.layer, well().layer], { when: Fallback.notContentFilter })).completion(request)
      const { when } = first.patiences[0]!
      assert.deepStrictEqual(
        ["ContentFilter", "Quota", "InvalidRequest"].map((reason) => when?.(failure("ClientError", reason))),
        [false, true, false]
      )
    }))

  it.effect("is inherited by a Fallback within: never longer, and what is waited there is waited here", () =>
    Effect.gen(function*() {
      const [first, second, third] = [failing(), failing(), well()]
      const inner = Fallback.layer([first.layer, second.layer], {
        patience: { waiting: "1 minute", firstByte: "1 second" }
      })
      yield* (yield* over([inner, third.layer])).completion(request)
      assert.deepStrictEqual([first, second].map(({ patiences }) => figures(patiences[0])), [
        [10_000, 1_000],
        [10_000, 12_000]
      ])
      first.patiences[0]!.waiting -= 4_000
      assert.deepStrictEqual(figures(second.patiences[0]), [6_000, 12_000])
      assert.deepStrictEqual(figures(third.patiences[0]), endless)
      // The last one of all has no end, and within it the others do.
      const [a, b] = [failing(), well()]
      yield* (yield* over([failing().layer, Fallback.layer([a.layer, b.layer])])).completion(request)
      assert.deepStrictEqual([a, b].map(({ patiences }) => figures(patiences[0])), [[10_000, 12_000], endless])
    }))

  it("stays a number whatever has no end", () => {
    const when = () => true
    const inner = limited({ waiting: 8_000, firstByte: 1 }, { waiting: Number.POSITIVE_INFINITY, firstByte: 2, when })
    inner.waiting -= 3_000
    assert.deepStrictEqual(figures(inner), [5_000, 1])
    const both = limited(undefined, { waiting: Number.POSITIVE_INFINITY, firstByte: 2, when })
    both.waiting -= 3_000
    assert.strictEqual(both.waiting, Number.POSITIVE_INFINITY)
  })
})

describe("a member whose circuit is known to be open", () => {
  const open = failure("Transient", "Overloaded", {
    code: "circuit_open",
    retryable: false,
    retryAfter: Duration.seconds(8)
  })

  it.effect("leaves the members before it without a limit, until it may be tried again", () =>
    Effect.gen(function*() {
      const first = failing()
      const second = member((_, index) => index === 0 ? Effect.fail(open) : Effect.succeed(answer()))
      const client = yield* over([first.layer, second.layer])
      assert.strictEqual((yield* Effect.flip(client.completion(request))).code, "circuit_open")
      yield* TestClock.adjust("7 seconds")
      yield* client.completion(request)
      // It was asked all the same, in its turn, and answered.
      yield* client.completion(request)
      assert.deepStrictEqual(first.patiences.map(figures), [[10_000, 12_000], endless, [10_000, 12_000]])
    }))

  it.effect("is known only for the requested model, and only for the reported time", () =>
    Effect.gen(function*() {
      const first = failing()
      const client = yield* over([first.layer, failing(open).layer])
      const ask = (model: string) => Effect.flip(client.completion(Completion.model(model)(request)))
      yield* ask("a")
      yield* ask("b")
      yield* ask("a")
      yield* TestClock.adjust("8 seconds")
      yield* ask("a")
      assert.deepStrictEqual(first.patiences.map(figures).map((patience) => patience?.[0]), [
        10_000,
        10_000,
        Number.POSITIVE_INFINITY,
        10_000
      ])
    }))

  it.effect("does not count where another one is ready, nor after the clock was set back", () =>
    Effect.gen(function*() {
      const first = failing()
      const three = yield* over([first.layer, failing(open).layer, well().layer])
      yield* three.completion(request)
      yield* three.completion(request)
      const two = yield* over([first.layer, failing(open).layer])
      yield* TestClock.setTime(3_600_000)
      yield* Effect.flip(two.completion(request))
      yield* TestClock.setTime(0)
      yield* Effect.flip(two.completion(request))
      assert.deepStrictEqual(first.patiences.map((patience) => patience?.waiting), [10_000, 10_000, 10_000, 10_000])
    }))
})

it("what is known of open circuits is bounded, whatever models users name", () => {
  const refusals = makeRefusals()
  const open = failure("Transient", "Overloaded", { code: "circuit_open", retryAfter: Duration.minutes(1) })
  for (let index = 0; index < 1_500; index++) refusals.note(`m-${index}`, open, 0)
  const known = Array.from({ length: 1_500 }, (_, index) => refusals.isOpen(`m-${index}`, 1))
  assert.strictEqual(known.filter((isOpen) => isOpen).length, 1_000)
  assert.deepStrictEqual([known.at(0), known.at(-1)], [false, true])
})

describe("the deadline of a Fallback", () => {
  const seen = Effect.fnUntraced(function*<A>(self: Effect.Effect<A, LLMError>) {
    const start = yield* Clock.currentTimeMillis
    const fiber = yield* Effect.forkChild(Effect.all([Effect.result(self), Clock.currentTimeMillis]))
    yield* TestClock.adjust("1 hour")
    const [result, end] = yield* Fiber.join(fiber)
    return { error: Result.isFailure(result) ? result.failure : undefined, millis: end - start }
  })

  it.effect("bounds all members together, and names who was asked when it passed", () =>
    Effect.gen(function*() {
      const first = member(() => Effect.delay(Effect.fail(down), "20 seconds"))
      const second = member(() => Effect.never)
      const client = yield* over([first.layer, { layer: second.layer, models: { "*": "other" } }], {
        deadline: "30 seconds"
      })
      const { error, millis } = yield* seen(client.completion(Completion.model("m")(request)))
      assert.strictEqual(millis, 30_000)
      assert.deepStrictEqual([error?.reason, error?.model, error?.description], [
        "Timeout",
        "other",
        "Fallback deadline of 30s passed"
      ])
      assert.deepStrictEqual(error?.attempts, [down])
    }))

  it.effect("tells those below when the call must be over, the earliest one of all around", () =>
    Effect.gen(function*() {
      const deadlines: Array<number | undefined> = []
      const noted = member(() =>
        Effect.flatMap(LLMClient.Deadline, (deadline) => {
          deadlines.push(deadline?.at)
          return Effect.succeed(answer())
        })
      )
      const now = yield* Clock.currentTimeMillis
      const inner = (deadline: Duration.Input) => Fallback.layer([noted.layer], { deadline })
      for (
        const layer of [
          inner("1 minute"),
          Fallback.layer([inner("1 minute")], { deadline: "5 seconds" }),
          Fallback.layer([inner("1 minute")], { deadline: "2 minutes" }),
          Fallback.layer([noted.layer])
        ]
      ) {
        yield* (yield* over([layer])).completion(request)
      }
      assert.deepStrictEqual(deadlines.map((at) => at === undefined ? at : at - now), [
        60_000,
        5_000,
        60_000,
        undefined
      ])
    }))

  it.effect("ends a stream before its first part, and none that has begun", () =>
    Effect.gen(function*() {
      const streaming = (stream: Stream.Stream<CompletionPart, LLMError>) =>
        Layer.succeed(LLMClient.LLMClient, { ...well().client, stream: () => stream })
      const finish = Stream.fromEffect(
        Effect.delay(Effect.succeed<CompletionPart>({ _tag: "Finish", response: answer() }), "2 minutes")
      )
      const ask = (stream: Stream.Stream<CompletionPart, LLMError>) =>
        Effect.flatMap(
          over([streaming(stream)], { deadline: "1 minute" }),
          (client) => seen(Stream.runDrain(client.stream(request)))
        )
      const silent = yield* ask(finish)
      assert.deepStrictEqual([silent.error?.reason, silent.millis], ["Timeout", 60_000])
      const begun = yield* ask(Stream.concat(well().client.stream(request).pipe(Stream.take(1)), finish))
      assert.deepStrictEqual([begun.error, begun.millis], [undefined, 120_000])
    }))
})

describe("Fallback's options", () => {
  const refused: ReadonlyArray<readonly [string, object]> = [
    ["Fallback patience options: give an object of waiting, firstByte, not true", { patience: true }],
    ["Fallback patience wait: give one of waiting, firstByte", { patience: { wait: 1 } }],
    ["Fallback patience.waiting: give a duration that is not negative, not -1", { patience: { waiting: -1 } }],
    ["Fallback patience.firstByte: give a duration above 0, not 0", { patience: { firstByte: 0 } }],
    [`Fallback deadline: give a duration above 0, not "soon"`, { deadline: "soon" }]
  ]
  it.effect.each(refused)("are refused when the layer is built: %s", ([message, options]) =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(over([well().layer], options))
      assert.include(String(exit), message)
    }))
})
