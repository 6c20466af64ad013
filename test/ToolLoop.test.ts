import { assert, describe, it } from "@effect/vitest"
import * as AiTool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Tracer from "effect/Tracer"
import {
  Anthropic,
  Completion,
  ConversationUsageWindow,
  Gemini,
  LLMClient,
  LLMError,
  Message,
  OpenAi,
  OpenRouter,
  Retry,
  StructuredOutput,
  Tool
} from "../src/index.ts"
import { Simulator, TestLLM } from "../src/testing/index.ts"
import * as ToolLoop from "../src/ToolLoop.ts"

class Broken extends Schema.TaggedError<Broken>("test/Broken")("Broken", { why: Schema.String }) {}

const Weather = AiTool.make("get_weather", {
  description: "The weather of a city",
  parameters: Schema.Struct({ city: Schema.String }),
  success: Schema.Struct({ sky: Schema.String })
})
const Flaky = AiTool.make("flaky", { success: Schema.String, failure: Broken, failureMode: "return" })
const Strict = AiTool.make("strict", { success: Schema.String, failure: Broken })
const Risky = AiTool.make("risky", { success: Schema.String, needsApproval: true })
const Slow = AiTool.make("slow", { success: Schema.String })
const Dying = AiTool.make("dying", { success: Schema.String })

/** Tools that need no approval, so that calls may start early. */
const Tools = Toolkit.make(Weather, Flaky, Strict, Slow, Dying)
const handlers = {
  get_weather: ({ city }: { readonly city: string }) =>
    Effect.as(Effect.sleep(city === "Oslo" ? "40 millis" : "1 millis"), { sky: `sunny in ${city}` }),
  flaky: () => Effect.fail(new Broken({ why: "no luck" })),
  strict: () => Effect.fail(new Broken({ why: "for good" })),
  slow: (_: unknown, { preliminary }: { readonly preliminary: (value: string) => Effect.Effect<void> }) =>
    Effect.andThen(preliminary("half"), Effect.as(Effect.sleep("5 seconds"), "whole")),
  dying: () => Effect.die(new Error("bug"))
}
const Live = Tools.toLayer(handlers)

const Guarded = Toolkit.make(Risky, Flaky)
const GuardedLive = Guarded.toLayer({ risky: () => Effect.succeed("deleted"), flaky: handlers.flaky })

const ask = Completion.make({ prompt: "Weather?" })
const usage = { inputTokens: 10, outputTokens: 5 }

interface Called {
  readonly name: string
  readonly arguments: Schema.Json
  readonly id?: string
}
const calls = (...toolCalls: ReadonlyArray<Called>) => TestLLM.answer({ toolCalls, usage })
const oslo = { name: "get_weather", arguments: { city: "Oslo" } }
const rome = { name: "get_weather", arguments: { city: "Rome" } }
const flaky = { name: "flaky", arguments: {} }
const slow = { name: "slow", arguments: {} }
const risky = { name: "risky", arguments: {} }

/** Lets time pass until the effect is done. */
const passing = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  const fiber = yield* Effect.forkChild(effect)
  for (let step = 0; step < 2000 && fiber.pollUnsafe() === undefined; step++) yield* TestClock.adjust("20 millis")
  return yield* Fiber.join(fiber)
})

const scripted = <A, E, R>(effect: Effect.Effect<A, E, R>, script: TestLLM.Script) =>
  passing(effect).pipe(Effect.provide([Live, GuardedLive, TestLLM.layer(script)]))

const outcomeOf = <A>(parts: ReadonlyArray<ToolLoop.LoopPart<A>>): ToolLoop.Outcome<A> => {
  const last = parts.at(-1)!
  assert.strictEqual(last._tag, "Done")
  return (last as Extract<ToolLoop.LoopPart<A>, { readonly _tag: "Done" }>).outcome
}

const resultsIn = (messages: ReadonlyArray<Message.Message>) =>
  messages.flatMap((message) =>
    message._tag === "User" ? message.content.flatMap((content) => content._tag === "ToolResult" ? [content] : []) : []
  )

const sentMessages = Effect.map(
  TestLLM.requests,
  (requests) => requests.map(({ completion }) => Completion.messages(completion))
)

describe("run", () => {
  const three = [
    calls(oslo, rome, flaky),
    calls({ name: "nope", arguments: {} }, { name: "get_weather", arguments: { town: "x" } }, slow),
    TestLLM.answer({ text: "Sunny everywhere.", usage })
  ]

  it.effect("calls tools until the model answers, and sends back what it did wrong", () =>
    Effect.gen(function*() {
      const outcome = yield* ToolLoop.run(ask, Tools)
      assert.deepStrictEqual(
        [
          outcome.stopped,
          outcome.stopped === "Answer" && outcome.value,
          outcome.turns.length,
          outcome.usage.totalTokens
        ],
        ["Answer", "Sunny everywhere.", 3, 45]
      )
      const results = resultsIn(outcome.messages)
      assert.deepStrictEqual(results.map(({ isError = false, name }) => [name, isError]), [
        ["get_weather", false],
        ["get_weather", false],
        ["flaky", true],
        ["nope", true],
        ["get_weather", true],
        ["slow", false]
      ])
      assert.deepStrictEqual(results[0]!.content, [Message.json({ sky: "sunny in Oslo" })])
      assert.include(JSON.stringify(results[2]!.content), "no luck")
      assert.include(JSON.stringify(results[3]!.content), "The tools are: get_weather, flaky, strict, slow, dying")
      assert.include(JSON.stringify(results[4]!.content), "city")
      assert.deepStrictEqual(outcome.turns.map(({ results }) => results.length), [3, 3, 0])
    }).pipe((test) => scripted(test, three)))

  it.effect("only adds to the conversation", () =>
    Effect.gen(function*() {
      const outcome = yield* ToolLoop.run(ask, Tools)
      const sent = yield* sentMessages
      for (const [index, messages] of [...sent, outcome.messages].entries()) {
        if (index > 0) assert.deepStrictEqual(messages.slice(0, sent[index - 1]!.length), sent[index - 1])
      }
      assert.deepStrictEqual(outcome.messages.map(({ _tag }) => _tag), [
        "User",
        "Assistant",
        "User",
        "Assistant",
        "User",
        "Assistant"
      ])
    }).pipe((test) => scripted(test, three)))

  it.effect("offers the definitions of the tools, the caller's own in their place", () =>
    Effect.gen(function*() {
      const own = { ...ToolLoop.definition(Weather), cache: {} }
      yield* ToolLoop.run(Completion.tools([own])(ask), Tools)
      const [request] = yield* TestLLM.requests
      const { tools } = request!.completion
      assert.deepStrictEqual(tools.map(({ name }) => name), ["get_weather", "flaky", "strict", "slow", "dying"])
      assert.deepStrictEqual(tools[0], own)
      assert.deepStrictEqual(tools[1], {
        name: "flaky",
        description: "",
        parameters: { type: "object", additionalProperties: false }
      })
    }).pipe((test) => scripted(test, ["Hi"])))

  it.effect.each([["unbounded", 3], [2, 2], [1, 1]] as const)(
    "runs calls at once: %s",
    ([concurrency, expected]) =>
      Effect.gen(function*() {
        let running = 0
        let most = 0
        const Kit = Toolkit.make(Slow)
        const live = Kit.toLayer({
          slow: () =>
            Effect.gen(function*() {
              most = Math.max(most, ++running)
              yield* Effect.sleep("1 second")
              running--
              return ""
            })
        })
        yield* passing(ToolLoop.run(ask, Kit, { concurrency })).pipe(
          Effect.provide([live, TestLLM.layer([calls(slow, slow, slow), "done"])])
        )
        assert.strictEqual(most, expected)
      })
  )

  it.effect("counts what failed attempts cost, and records it", () =>
    Effect.gen(function*() {
      const window = yield* ConversationUsageWindow.make()
      const cut = LLMError.make("Transient", {
        provider: "test",
        model: "",
        reason: "Server",
        description: "",
        partial: yield* TestLLM.make([TestLLM.answer({ text: "x", usage: { outputTokens: 100 } })]).pipe(
          Effect.flatMap(({ client }) => client.completion(ask))
        )
      })
      const { usage: total } = yield* ToolLoop.run(ask, Tools, { window }).pipe(
        Effect.provide(
          Layer.provide(Retry.layer(), TestLLM.layer([calls(rome), cut, TestLLM.answer({ text: "a", usage })]))
        )
      )
      assert.strictEqual(total.outputTokens, 110)
      assert.strictEqual((yield* window.usage).outputTokens, 110)
      assert.strictEqual(yield* window.context, 15)
    }).pipe(Effect.scoped, (test) => passing(Effect.provide(test, Live))))

  it.effect("lets the model call nothing in the last turn, so that there is an answer", () =>
    Effect.gen(function*() {
      const outcome = yield* ToolLoop.run(ask, Tools, { maxTurns: 2 })
      assert.deepStrictEqual([outcome.stopped, outcome.response.text], ["Answer", "enough"])
      const choices = (yield* TestLLM.requests).map(({ completion }) => completion.toolChoice?._tag)
      assert.deepStrictEqual(choices, [undefined, "None"])
    }).pipe((test) => scripted(test, [calls(rome), "enough"])))

  it.effect("stops where the model calls tools in the last turn all the same, and runs none", () =>
    Effect.gen(function*() {
      const outcome = yield* ToolLoop.run(ask, Tools, { maxTurns: 2 })
      assert.deepStrictEqual(
        [outcome.stopped, outcome.response.toolCalls.length, outcome.messages.length, outcome.turns.length],
        ["MaxTurns", 1, 3, 2]
      )
    }).pipe((test) => scripted(test, [calls(rome), calls(rome)])))

  it.effect("forces a call that is forced once", () =>
    Effect.gen(function*() {
      yield* ToolLoop.run(Completion.toolChoice(Tool.required)(ask), Tools)
      const choices = (yield* TestLLM.requests).map(({ completion }) => completion.toolChoice?._tag)
      assert.deepStrictEqual(choices, ["Required", "Auto", "Auto"])
    }).pipe((test) => scripted(test, [calls(rome), calls(rome), "done"])))

  it.effect("stops after turns that only fail, but not where one call succeeds", () =>
    Effect.gen(function*() {
      const outcome = yield* ToolLoop.run(ask, Tools, { maxFailedTurns: 2 })
      assert.deepStrictEqual([outcome.stopped, outcome.turns.length], ["Failures", 4])
      assert.strictEqual(outcome.messages.at(-1)?._tag, "User")
    }).pipe((test) => scripted(test, [calls(flaky), calls(flaky, rome), calls(flaky), calls(flaky, flaky)])))

  it.effect("stops before calls where the caller says so", () =>
    Effect.gen(function*() {
      const outcome = yield* ToolLoop.run(ask, Tools, { stopWhen: ({ index }) => index === 1 })
      assert.deepStrictEqual([outcome.stopped, outcome.messages.length, outcome.turns.at(-1)?.results], [
        "Condition",
        3,
        []
      ])
    }).pipe((test) => scripted(test, [calls(rome), calls(rome)])))

  it.effect("stops before calls of tools that the caller runs", () =>
    Effect.gen(function*() {
      const own = Tool.make("own", { description: "", parameters: {} })
      const outcome = yield* ToolLoop.run(Completion.tools([own])(ask), Tools)
      assert.deepStrictEqual([outcome.stopped, outcome.response.toolCalls.length], ["Unhandled", 2])
    }).pipe((test) => scripted(test, [calls(rome, { name: "own", arguments: {} })])))

  it.effect("runs the calls of a cut answer that are whole, and stops", () =>
    Effect.gen(function*() {
      const outcome = yield* ToolLoop.run(ask, Tools)
      assert.deepStrictEqual([outcome.stopped, resultsIn(outcome.messages).length], ["MaxTokens", 1])
      const text = yield* ToolLoop.run(ask, Tools)
      assert.deepStrictEqual([text.stopped, text.messages.at(-1)?._tag], ["MaxTokens", "Assistant"])
    }).pipe((test) =>
      scripted(test, [
        TestLLM.answer({ toolCalls: [rome], finishReason: { _tag: "MaxTokens" } }),
        TestLLM.answer({ text: "Once upon", finishReason: { _tag: "MaxTokens" } })
      ])
    ))

  it.effect("makes the conversation shorter between turns, when it is time", () =>
    Effect.gen(function*() {
      const window = yield* ConversationUsageWindow.make({ contextThreshold: 15 })
      let asked = 0
      const { messages } = yield* ToolLoop.run(ask, Tools, {
        window,
        compact: (messages) =>
          Effect.sync(() => {
            asked++
            return [Message.user("summary"), ...messages.slice(-2)]
          })
      })
      assert.strictEqual(asked, 1)
      assert.deepStrictEqual(messages.map(({ _tag }) => _tag), ["User", "Assistant", "User", "Assistant"])
      assert.deepStrictEqual(messages[0], Message.user("summary"))
    }).pipe((test) => scripted(test, [calls(rome), "done"])))

  it.effect("tells of each turn when it is over", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      yield* ToolLoop.run(ask, Tools, {
        onTurn: ({ index, results }, { messages, turns, usage }) =>
          Effect.sync(() => seen.push([index, results.length, messages.length, turns.length, usage.outputTokens]))
      })
      assert.deepStrictEqual(seen, [[0, 2, 3, 1, 5], [1, 0, 4, 2, 10]])
    }).pipe((test) => scripted(test, [calls(rome, flaky), TestLLM.answer({ text: "done", usage })])))

  it.effect("refuses tools that are the provider's own before anything is sent", () =>
    Effect.gen(function*() {
      const Search = AiTool.providerDefined({
        id: "anthropic.web_search",
        customName: "Search",
        providerName: "web_search"
      })
      const error = yield* Effect.flip(
        ToolLoop.run(ask, { tools: { Search: Search({} as never) }, handle: () => Effect.never } as never)
      )
      assert.deepStrictEqual([error._tag, (error as LLMError.LLMError).reason], ["ClientError", "Unsupported"])
    }).pipe((test) => scripted(test, [])))

  it.effect("reads arguments and writes results in their JSON form", () =>
    Effect.gen(function*() {
      const When = AiTool.make("when", {
        parameters: Schema.Struct({ at: Schema.Date }),
        success: Schema.Struct({ next: Schema.Date, big: Schema.BigInt })
      })
      const Kit = Toolkit.make(When)
      const { messages } = yield* ToolLoop.run(ask, Kit).pipe(
        Effect.provide([
          Kit.toLayer({ when: ({ at }) => Effect.succeed({ next: new Date(at.getTime() + 1000), big: 1n }) }),
          TestLLM.layer([calls({ name: "when", arguments: { at: "2020-01-01T00:00:00.000Z" } }), "done"])
        ])
      )
      assert.deepStrictEqual(resultsIn(messages)[0]?.content, [
        Message.json({ next: "2020-01-01T00:00:01.000Z", big: "1" })
      ])
    }))

  it.effect("gives the model what a tool makes of its result for it", () =>
    Effect.gen(function*() {
      const Shot = AiTool.make("shot", {
        success: Schema.Struct({ bytes: Schema.String }),
        toModelOutput: ({ bytes }: { readonly bytes: string }) => [
          { type: "text", text: "Here:" },
          { type: "file", mediaType: "image/png", data: bytes }
        ]
      } as never)
      const Kit = Toolkit.make(Shot)
      const { messages } = yield* (ToolLoop.run(ask, Kit) as Effect.Effect<ToolLoop.Outcome, unknown, never>).pipe(
        Effect.provide([
          Kit.toLayer({ shot: () => Effect.succeed({ bytes: "AAAA" }) } as never),
          TestLLM.layer([calls({ name: "shot", arguments: {} }), "done"])
        ])
      )
      assert.deepStrictEqual(resultsIn(messages)[0]?.content.map(({ _tag }) => _tag), ["Text", "Image"])
    }))

  it.effect("keeps what is said to a tool out of spans", () =>
    Effect.gen(function*() {
      const spans: Array<Tracer.Span> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          spans.push(span)
          return span
        }
      })
      yield* ToolLoop.run(ask, Tools).pipe(Effect.withTracer(tracer))
      const [first, second] = spans.filter(({ name }) => name.startsWith("execute_tool"))
      assert.deepStrictEqual(Object.fromEntries(first!.attributes), {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "get_weather",
        "gen_ai.tool.call.id": "1"
      })
      assert.strictEqual(second!.attributes.get("error.type"), "tool_error")
      assert.notInclude(JSON.stringify(spans.map(({ attributes }) => [...attributes])), "Rome")
    }).pipe((test) => scripted(test, [calls({ ...rome, id: "1" }, flaky), "done"])))

  it.effect("refuses options that are mistakes in the program", () =>
    Effect.gen(function*() {
      const wrong = [{ maxTurns: 0 }, { concurrency: 0 }, { maxFailedTurns: -1 }, { repairs: 0.5 }, { turns: 1 }]
      for (const options of wrong) {
        const exit = yield* Effect.exit(ToolLoop.run(ask, Tools, options as ToolLoop.Options))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause), JSON.stringify(options))
      }
    }).pipe((test) => scripted(test, [])))
})

describe("failures", () => {
  it.effect("fails with what a tool fails with, and tells how far the loop had come", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(ToolLoop.run(ask, Tools))
      assert.isTrue(Exit.isFailure(exit))
      const { cause } = exit as Exit.Failure<unknown, unknown>
      assert.strictEqual((Cause.squash(cause) as Broken).why, "for good")
      const progress = ToolLoop.progress(cause)!
      assert.deepStrictEqual(
        [progress.turns.length, progress.messages.map(({ _tag }) => _tag), progress.usage.outputTokens],
        [2, ["User", "Assistant", "User"], 10]
      )
    }).pipe((test) => scripted(test, [calls(rome), calls({ name: "strict", arguments: {} })])))

  it.effect("sends every failure back on request", () =>
    Effect.gen(function*() {
      const { messages, stopped } = yield* ToolLoop.run(ask, Tools, { failures: "return" })
      assert.strictEqual(stopped, "Answer")
      assert.include(JSON.stringify(resultsIn(messages)), "for good")
    }).pipe((test) => scripted(test, [calls({ name: "strict", arguments: {} }), "done"])))

  it.effect("dies with what a tool dies with", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(ToolLoop.run(ask, Tools, { failures: "return" }))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.strictEqual(Exit.isFailure(exit) && ToolLoop.progress(exit.cause)?.turns.length, 1)
    }).pipe((test) => scripted(test, [calls({ name: "dying", arguments: {} })])))

  it.effect("fails with a failure of the provider, and tells how far the loop had come", () =>
    Effect.gen(function*() {
      for (const loop of [ToolLoop.run(ask, Tools), Stream.runDrain(ToolLoop.stream(ask, Tools))]) {
        const exit = yield* Effect.exit(loop)
        assert.isTrue(Exit.isFailure(exit))
        const { cause } = exit as Exit.Failure<unknown, unknown>
        assert.strictEqual((Cause.squash(cause) as LLMError.LLMError)._tag, "RateLimit")
        assert.deepStrictEqual(ToolLoop.progress(cause)?.messages.map(({ _tag }) => _tag), [
          "User",
          "Assistant",
          "User"
        ])
      }
    }).pipe((test) => scripted(test, [calls(rome), { _tag: "RateLimit" }, calls(rome), { _tag: "RateLimit" }])))

  /** A tool that never ends, with what became of it. */
  const endless = Effect.gen(function*() {
    const started = yield* Deferred.make<void>()
    let interrupted = 0
    const Endless = AiTool.make("endless", { success: Schema.String })
    const Kit = Toolkit.make(Endless, Strict)
    const live = Kit.toLayer({
      endless: () =>
        Effect.andThen(Deferred.succeed(started, undefined), Effect.never).pipe(
          Effect.onInterrupt(() => Effect.sync(() => interrupted++))
        ),
      strict: () => Effect.andThen(Deferred.await(started), Effect.fail(new Broken({ why: "for good" })))
    })
    return { Kit, live, started: Deferred.await(started), interrupted: () => interrupted }
  })
  const two = calls({ name: "endless", arguments: {} }, { name: "strict", arguments: {} })

  it.effect("ends the other calls with the one that fails", () =>
    Effect.gen(function*() {
      const { Kit, interrupted, live } = yield* endless
      for (const loop of [ToolLoop.run(ask, Kit), Stream.runDrain(ToolLoop.stream(ask, Kit))]) {
        const error = yield* Effect.flip(loop).pipe(Effect.provide([live, TestLLM.layer([two])]))
        assert.strictEqual((error as Broken).why, "for good")
      }
      assert.strictEqual(interrupted(), 2)
    }))

  it.effect("ends the calls, and the request, when it is interrupted or left", () =>
    Effect.gen(function*() {
      const { Kit, interrupted, live, started } = yield* endless
      const script = [calls({ name: "endless", arguments: {} })]
      const fiber = yield* Effect.forkChild(
        ToolLoop.run(ask, Kit).pipe(Effect.provide([live, TestLLM.layer(script)]))
      )
      yield* started
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(interrupted(), 1)
      const other = yield* endless
      const parts = yield* ToolLoop.stream(ask, other.Kit).pipe(
        Stream.tap(({ _tag }) => _tag === "Finish" ? other.started : Effect.void),
        Stream.takeUntil(({ _tag }) => _tag === "Finish"),
        Stream.runCollect,
        Effect.provide([other.live, TestLLM.layer(script)])
      )
      assert.strictEqual(parts.at(-1)?._tag, "Finish")
      assert.strictEqual(other.interrupted(), 1)
    }))

  it.effect("ends the stream of an answer whose call fails while it is written", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Stream.runDrain(ToolLoop.stream(ask, Tools)))
      assert.isTrue(Exit.isFailure(exit) && (Cause.squash(exit.cause) as Broken).why === "for good")
      assert.strictEqual((yield* TestLLM.requests)[0]?.outcome, "Interrupted")
    }).pipe((test) =>
      scripted(test, [TestLLM.parts([
        { _tag: "ToolCallStart", name: "strict" },
        { _tag: "ToolCallDelta", arguments: "{}" },
        Duration.hours(1)
      ])])
    ))
})

describe("approval", () => {
  it.effect("asks one question at a time, and tells the model what was not allowed", () =>
    Effect.gen(function*() {
      let open = 0
      let most = 0
      const asked: Array<string> = []
      const { messages } = yield* ToolLoop.run(ask, Guarded, {
        approve: ({ id }) =>
          Effect.gen(function*() {
            asked.push(id)
            most = Math.max(most, ++open)
            yield* Effect.sleep("1 second")
            open--
            return id === "1"
          })
      })
      assert.deepStrictEqual([asked, most], [["1", "2"], 1])
      assert.deepStrictEqual(resultsIn(messages).map(({ content, isError = false }) => [isError, content[0]]), [
        [false, Message.text("deleted")],
        [true, Message.text("The user did not allow this call.")],
        [true, resultsIn(messages)[2]?.content[0]]
      ])
    }).pipe((test) => scripted(test, [calls({ ...risky, id: "1" }, { ...risky, id: "2" }, flaky), "done"])))

  for (const streamed of [false, true]) {
    it.effect(`stops before any call where nobody is there to ask, and goes on later: ${streamed}`, () =>
      Effect.gen(function*() {
        const run = (completion: Completion.Completion, options: ToolLoop.Options = {}) =>
          streamed
            ? Effect.map(Stream.runCollect(ToolLoop.stream(completion, Guarded, options)), outcomeOf)
            : ToolLoop.run(completion, Guarded, options)
        const stopped = yield* run(ask)
        assert.deepStrictEqual([stopped.stopped, stopped.messages.length, stopped.turns[0]?.results], [
          "Approval",
          1,
          []
        ])
        const resumed = Completion.make({ messages: [...stopped.messages, stopped.response.message] })
        const outcome = yield* run(resumed, { approve: () => Effect.succeed(true) })
        assert.deepStrictEqual([outcome.stopped, outcome.response.text], ["Answer", "gone"])
        assert.deepStrictEqual(outcome.messages.map(({ _tag }) => _tag), ["User", "Assistant", "User", "Assistant"])
        assert.deepStrictEqual(outcome.messages[1], stopped.response.message)
        assert.lengthOf(yield* TestLLM.requests, 2)
      }).pipe((test) => scripted(test, [calls(flaky, risky), "gone"])))
  }

  it.effect("asks a tool whether this call needs approval, with the arguments that it reads", () =>
    Effect.gen(function*() {
      const Remove = AiTool.make("remove", {
        parameters: Schema.Struct({ at: Schema.Date }),
        success: Schema.String,
        needsApproval: ({ at }: { readonly at: Date }) => at.getUTCFullYear() > 2000
      })
      const Kit = Toolkit.make(Remove)
      const remove = (year: number) => calls({ name: "remove", arguments: { at: `${year}-01-01T00:00:00.000Z` } })
      const live = Kit.toLayer({ remove: () => Effect.succeed("") })
      const old = yield* ToolLoop.run(ask, Kit).pipe(Effect.provide([live, TestLLM.layer([remove(1999), "done"])]))
      const young = yield* ToolLoop.run(ask, Kit).pipe(Effect.provide([live, TestLLM.layer([remove(2020)])]))
      assert.deepStrictEqual([old.stopped, young.stopped], ["Answer", "Approval"])
    }))
})

describe("stream", () => {
  it.effect("shows the parts of all turns, progress, results and the outcome", () =>
    Effect.gen(function*() {
      const parts = yield* Stream.runCollect(ToolLoop.stream(ask, Tools))
      const order = parts.map(({ _tag }) => _tag)
      assert.deepStrictEqual(order.filter((tag, index) => tag !== order[index - 1]), [
        "Start",
        "ToolCallStart",
        "ToolCallDelta",
        "ContentEnd",
        "Finish",
        "ToolProgress",
        "ToolResult",
        "Turn",
        "Start",
        "TextDelta",
        "ContentEnd",
        "Finish",
        "Turn",
        "Done"
      ])
      const progress = parts.find(({ _tag }) => _tag === "ToolProgress")
      assert.deepStrictEqual(progress?._tag === "ToolProgress" && progress.content, [Message.text("half")])
    }).pipe((test) => scripted(test, [calls(slow), "done"])))

  const scripts = {
    three: [calls(oslo, rome), calls(flaky, { name: "nope", arguments: {} }), "Sunny."],
    cut: [TestLLM.answer({ toolCalls: [rome, oslo], usage, finishReason: { _tag: "MaxTokens" } })],
    failing: [calls(flaky), calls(flaky), calls(flaky)],
    sameIds: [calls({ ...rome, id: "1" }, { ...oslo, id: "1" }), "done"]
  } satisfies Record<string, ReadonlyArray<TestLLM.Reply>>
  for (const [name, script] of Object.entries(scripts)) {
    it.effect(`ends as run does: ${name}`, () =>
      Effect.gen(function*() {
        const whole = yield* scripted(ToolLoop.run(ask, Tools), script)
        const parts = yield* scripted(Stream.runCollect(ToolLoop.stream(ask, Tools)), script)
        assert.deepStrictEqual(outcomeOf(parts), whole)
      }))
  }

  it.effect("starts a call as soon as it is whole, while the model still writes", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(ToolLoop.stream(ask, Tools), (part) => Effect.sync(() => seen.push(part._tag)))
      )
      for (let step = 0; step < 5; step++) yield* TestClock.adjust("20 millis")
      assert.include(seen, "ToolResult")
      assert.notInclude(seen, "Finish")
      assert.isBelow(seen.indexOf("ContentEnd"), seen.indexOf("ToolResult"))
      while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust("30 minutes")
      yield* Fiber.join(fiber)
      assert.strictEqual(seen.filter((tag) => tag === "ToolResult").length, 1)
    }).pipe(
      Effect.provide([
        Live,
        TestLLM.layer([
          TestLLM.parts([
            { _tag: "ToolCallStart", name: "get_weather" },
            { _tag: "ToolCallDelta", arguments: '{"city":"Rome"}' },
            {
              _tag: "ContentEnd",
              content: Message.toolCall({ id: "", name: "get_weather", arguments: { city: "Rome" } })
            },
            Duration.hours(1),
            "And I say more."
          ]),
          "done"
        ])
      ])
    ))

  it.effect("starts no call early where something may keep it from running", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const parts = yield* ToolLoop.stream(ask, Tools, { stopWhen: () => true }).pipe(
        Stream.tap((part) => Effect.sync(() => seen.push(part._tag))),
        Stream.runCollect
      )
      assert.strictEqual(outcomeOf(parts).stopped, "Condition")
      assert.notInclude(seen, "ToolResult")
    }).pipe((test) => scripted(test, [calls(rome)])))

  it.effect("writes no faster than it is read", () =>
    Effect.gen(function*() {
      let pulled = 0
      const { client } = yield* TestLLM.make([])
      const endless = Stream.range(0, 1000).pipe(
        Stream.rechunk(1),
        Stream.tap(() => Effect.sync(() => pulled++)),
        Stream.map((index) => ({ _tag: "TextDelta", index: 0, text: String(index) }) as const)
      )
      yield* ToolLoop.stream(ask, Tools).pipe(
        Stream.take(5),
        Stream.runDrain,
        Effect.provideService(LLMClient.LLMClient, { ...client, stream: () => endless })
      )
      assert.isAtMost(pulled, 40)
    }).pipe(Effect.provide(Live)))
})

describe("a value at the end", () => {
  const Report = Schema.Struct({ city: Schema.String, note: Schema.optionalKey(Schema.String) })

  it.effect("is decoded, and requested again if it does not match", () =>
    Effect.gen(function*() {
      const outcome = yield* ToolLoop.run(ask, Tools, { schema: Report })
      assert.strictEqual(outcome.stopped, "Answer")
      if (outcome.stopped === "Answer") assert.deepStrictEqual(outcome.value, { city: "Rome" })
      assert.deepStrictEqual(outcome.turns.length, 3)
      const sent = yield* sentMessages
      assert.deepStrictEqual(sent[2]!.slice(0, 3), sent[1])
      assert.include(JSON.stringify(sent[2]!.at(-1)), "does not match the schema")
    }).pipe((test) => scripted(test, [calls(rome), '{"city":1}', '{"city":"Rome","note":null}'])))

  it.effect("fails where it never matches, and tells how far the loop had come", () =>
    Effect.gen(function*() {
      for (
        const loop of [
          ToolLoop.run(ask, Tools, { schema: Report, repairs: 0 }),
          ToolLoop.run(ask, Tools, { schema: Report, maxTurns: 1 })
        ]
      ) {
        const exit = yield* Effect.exit(loop)
        const { cause } = exit as Exit.Failure<unknown, unknown>
        assert.strictEqual((Cause.squash(cause) as LLMError.LLMError).reason, "MalformedOutput")
        assert.strictEqual(ToolLoop.progress(cause)?.turns.length, 1)
      }
    }).pipe((test) => scripted(test, ["no", "no"])))

  it.effect("refuses an unsupported Schema before anything is sent", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ToolLoop.run(ask, Tools, { schema: Schema.Struct({ a: Schema.Never }) }))
      assert.strictEqual((error as LLMError.LLMError).reason, "Unsupported")
    }).pipe((test) => scripted(test, [])))
})

const apiKey = Redacted.make("test")
const wires = {
  anthropic: Anthropic.layer({ apiKey, model: "claude-sonnet-4-6" }),
  responses: OpenAi.layer({ apiKey, model: "gpt-5.4-mini" }),
  chat: OpenAi.layer({ apiKey, model: "gpt-4.1-mini", api: "chat" }),
  compatible: OpenAi.layer({ apiKey, model: "llama", baseUrl: "https://llm.example.com/v1" }),
  gemini: Gemini.layer({ apiKey, model: "gemini-3-flash" }),
  openrouter: OpenRouter.layer({ apiKey, model: "openai/gpt-4.1-mini" })
}

describe("over every wire", () => {
  const answers: Simulator.Options["answer"] = (completion) => {
    const results = resultsIn(Completion.messages(completion)).length
    return results === 0
      ? { toolCalls: [{ name: "get_weather", arguments: { city: "Rome" } }, { name: "flaky", arguments: {} }] }
      : results === 2
      ? { text: "One more.", toolCalls: [{ name: "risky", arguments: {} }] }
      : undefined
  }
  const All = Toolkit.make(Weather, Flaky, Risky)
  const live = All.toLayer({
    get_weather: ({ city }) => Effect.succeed({ sky: `sunny in ${city}` }),
    flaky: handlers.flaky,
    risky: () => Effect.succeed("deleted")
  })
  const stops: ReadonlyArray<readonly [string, ToolLoop.Options]> = [
    ["Answer", { approve: () => Effect.succeed(true) }],
    ["Answer", { approve: () => Effect.succeed(false) }],
    ["Approval", {}],
    ["Condition", { stopWhen: ({ index }) => index === 1 }],
    ["Condition", { stopWhen: () => true }],
    ["MaxTurns", { maxTurns: 1 }],
    ["Failures", { approve: () => Effect.succeed(false), maxFailedTurns: 1 }]
  ]

  for (const [name, wire] of Object.entries(wires)) {
    it.effect(`the conversation can be sent on after each stop: ${name}`, () =>
      Effect.gen(function*() {
        for (const [expected, options] of stops) {
          // The model calls tools even where it may not.
          const layer = Layer.provide(wire, Simulator.layer({ answer: answers }))
          yield* Effect.gen(function*() {
            const whole = yield* ToolLoop.run(ask, All, options)
            const parts = yield* Stream.runCollect(ToolLoop.stream(ask, All, options))
            for (const outcome of [whole, outcomeOf(parts)]) {
              assert.strictEqual(outcome.stopped, expected)
              const next = yield* LLMClient.completion(Completion.make({
                history: outcome.messages,
                prompt: "And now?",
                tools: [ToolLoop.definition(Weather), ToolLoop.definition(Flaky), ToolLoop.definition(Risky)],
                toolChoice: Tool.none
              }))
              assert.isDefined(next)
            }
          }).pipe(Effect.provide([layer, live]))
        }
      }))

    it.effect(`gives a value at the end, where the server knows schemas and where it does not: ${name}`, () =>
      Effect.gen(function*() {
        const Report = Schema.Struct({ city: Schema.String })
        for (const as of ["native", "tool"] as const) {
          const simulator = yield* Simulator.make({
            answer: (completion) =>
              resultsIn(Completion.messages(completion)).length === 0
                ? { toolCalls: [{ name: "get_weather", arguments: { city: "Rome" } }] }
                : undefined
          })
          const provider = Layer.provide(wire, Layer.succeed(HttpClient.HttpClient, simulator.client))
          const layer = as === "native" ? provider : Layer.provide(StructuredOutput.layer({ as }), provider)
          yield* Effect.gen(function*() {
            for (const maxTurns of [2, 5]) {
              const outcome = yield* ToolLoop.run(ask, Toolkit.make(Weather), { schema: Report, repairs: 0, maxTurns })
              const parts = yield* Stream.runCollect(
                ToolLoop.stream(ask, Toolkit.make(Weather), { schema: Report, repairs: 0, maxTurns })
              )
              for (const { stopped, ...rest } of [outcome, outcomeOf(parts)]) {
                assert.strictEqual(stopped, "Answer", `${as} ${maxTurns}`)
                assert.isTrue(Schema.is(Report)((rest as { readonly value: unknown }).value))
              }
            }
          }).pipe(Effect.provide([layer, live]))
        }
      }))
  }
})
