import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Redacted, References, Schema, Stream, Tracer } from "effect"
import * as TestClock from "effect/testing/TestClock"
import {
  Completion,
  Fallback,
  LLMClient,
  LLMError,
  Message,
  OpenAi,
  ResponseCache,
  Retry,
  Telemetry,
  TokenUsage
} from "../src/index.ts"
import * as Conventions from "../src/middleware/conventions.ts"
import { Simulator, TestLLM } from "../src/testing/index.ts"
import { answer, failure, inThread, through } from "./clients.ts"
import { observed, type Point, points, type Seen } from "./telemetry/observed.ts"

const ask = Completion.make({
  prompt: "Why is the sky blue?",
  maxTokens: 100,
  temperature: 0.5,
  topP: 0.9,
  seed: 7,
  stopSequences: ["END"],
  reasoning: { effort: "high" },
  outputSchema: Schema.Struct({ why: Schema.String })
})

const chat = "chat gemini-3-pro"

const secret = "the words of the provider, which repeat the request"

const usage = { inputTokens: 30, outputTokens: 12, cachedInputTokens: 8, cacheWriteTokens: 5, reasoningTokens: 4 }

const said = TestLLM.answer({
  text: "Because of Rayleigh.",
  usage,
  id: "msg_1",
  cost: 0.25,
  warnings: [{ field: "temperature", description: "left out" }]
})

const settings: TestLLM.Settings = { provider: "gemini", model: "gemini-3-pro", baseUrl: "https://example.com/v1" }

/** Runs a program over a script, below `Telemetry.layer`. */
const over = (script: TestLLM.Script, options?: Telemetry.Options) =>
  Effect.provide(LLMClient.compose(Telemetry.layer(options), TestLLM.layer(script, settings)))

const call = LLMClient.completion(ask)
const streamed = Stream.runDrain(LLMClient.stream(ask))

const only = (spans: ReadonlyArray<Seen>): Seen => {
  assert.strictEqual(spans.length, 1)
  return spans[0]!
}

const base = {
  "gen_ai.operation.name": "chat",
  "gen_ai.provider.name": "gcp.gemini",
  "gen_ai.request.model": "gemini-3-pro",
  "server.address": "example.com",
  "server.port": "443"
}
const answered = { ...base, "gen_ai.response.model": "gemini-3-pro" }
const counted = { ...answered, "gen_ai.token.modality": "unknown" }

const sums = (all: ReadonlyArray<Point>): ReadonlyArray<number> => all.map(({ sum }) => sum)

/** A client whose calls begin and never end. */
const endless = Effect.gen(function*() {
  const begun = yield* Deferred.make<void>()
  const wait = Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)
  const client: LLMClient.Service = {
    provider: "test",
    completion: () => wait,
    stream: () =>
      Stream.concat(Stream.make({ _tag: "TextDelta", index: 0, text: "Hi" } as const), Stream.fromEffect(wait))
  }
  return { begun: Deferred.await(begun), client }
})

describe("Telemetry", () => {
  describe("the span of a call", () => {
    it.effect("records the request, the answer and the usage", () =>
      Effect.gen(function*() {
        const { spans } = yield* observed(over([said])(call))
        const { attributes, name, span } = only(spans)
        assert.strictEqual(name, "chat gemini-3-pro")
        assert.strictEqual(span.kind, "client")
        assert.deepStrictEqual(attributes, {
          "gen_ai.operation.name": "chat",
          "gen_ai.provider.name": "gcp.gemini",
          "gen_ai.request.model": "gemini-3-pro",
          "server.address": "example.com",
          "server.port": 443,
          "gen_ai.output.type": "json",
          "gen_ai.request.max_tokens": 100,
          "gen_ai.request.temperature": 0.5,
          "gen_ai.request.top_p": 0.9,
          "gen_ai.request.seed": 7,
          "gen_ai.request.stop_sequences": ["END"],
          "gen_ai.request.reasoning.level": "high",
          "gen_ai.response.id": "msg_1",
          "gen_ai.response.model": "gemini-3-pro",
          "gen_ai.response.finish_reasons": ["stop"],
          "gen_ai.usage.input_tokens": 30,
          "gen_ai.usage.output_tokens": 12,
          "gen_ai.usage.cache_read.input_tokens": 8,
          "gen_ai.usage.cache_write.input_tokens": 5,
          "gen_ai.usage.reasoning.output_tokens": 4,
          "effect_llm.cost": 0.25,
          "effect_llm.warnings": ["temperature"]
        })
      }))

    it.effect("has, streamed, the time to the first part too", () =>
      Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(observed(over([TestLLM.after("2 seconds", said)])(streamed)))
        yield* TestClock.adjust("2 seconds")
        const { attributes } = only((yield* Fiber.join(fiber)).spans)
        assert.strictEqual(attributes["gen_ai.request.stream"], true)
        assert.strictEqual(attributes["gen_ai.response.time_to_first_chunk"], 2)
        assert.strictEqual(attributes["gen_ai.usage.output_tokens"], 12)
      }))

    it.effect("has no attribute that neither the conventions nor we name", () =>
      Effect.gen(function*() {
        const failing = { _tag: "RateLimit", status: 429, code: "slow_down" } as const
        const { spans } = yield* observed(
          Effect.all([Effect.exit(call), call, streamed]).pipe(
            over([failing, said, said], { content: (message) => message, names: "both" }),
            Effect.provideService(Telemetry.ConversationId, "conversation 1")
          )
        )
        const known: ReadonlyArray<string> = [
          ...Object.values(Conventions.attributes),
          ...Object.values(Conventions.ownAttributes)
        ]
        for (const { attributes } of spans) {
          for (const name of Object.keys(attributes)) assert.include(known, name)
          assert.strictEqual(attributes["gen_ai.conversation.id"], "conversation 1")
        }
      }))

    it.effect("stands within the caller's, and the attempts within it; each attempt has its number", () =>
      Effect.gen(function*() {
        for (const run of [call, streamed]) {
          const { exit, spans } = yield* observed(
            run.pipe(
              Effect.withSpan("application"),
              Effect.provide(LLMClient.compose(
                Telemetry.layer(),
                Retry.layer({ Transient: { base: 0, cap: 0 } }),
                Telemetry.layerAttempts(),
                TestLLM.layer([{ _tag: "Transient" }, said], settings)
              ))
            )
          )
          assert.isTrue(Exit.isSuccess(exit))
          assert.deepStrictEqual(spans.map(({ name }) => name), ["application", chat, chat, chat])
          const [application, operation, ...attempts] = spans.map(({ span }) => span)
          assert.deepStrictEqual(spans.map(({ parent }) => parent), [
            undefined,
            application!.spanId,
            operation!.spanId,
            operation!.spanId
          ])
          assert.strictEqual(attempts.length, 2)
          assert.deepStrictEqual(spans.map(({ attributes }) => attributes["effect_llm.attempt"]), [
            undefined,
            undefined,
            1,
            2
          ])
          assert.deepStrictEqual(spans.map(({ attributes }) => attributes["effect_llm.attempts"]), [
            undefined,
            2,
            undefined,
            undefined
          ])
          assert.deepStrictEqual(spans.map(({ ends }) => ends.map(Exit.isSuccess)), [[true], [true], [false], [true]])
        }
      }))

    it.effect("names the provider that answered, not the fallback", () =>
      Effect.gen(function*() {
        const { metrics, spans } = yield* observed(call.pipe(Effect.provide(LLMClient.compose(
          Telemetry.layer(),
          Fallback.layer([
            TestLLM.layer([{ _tag: "Transient" }], { provider: "anthropic", model: "claude" }),
            TestLLM.layer([said], { provider: "mistral", model: "mistral-large" })
          ])
        ))))
        const { attributes } = only(spans)
        assert.strictEqual(attributes["gen_ai.provider.name"], "mistral_ai")
        assert.strictEqual(attributes["effect_llm.attempts"], 2)
        assert.deepStrictEqual(
          points(metrics, "gen_ai.client.inference.duration").map(({ labels }) => labels["gen_ai.provider.name"]),
          ["mistral_ai"]
        )
      }))

    it.effect("is not annotated when it is not sampled, and carries no content then", () =>
      Effect.gen(function*() {
        let asked = 0
        const content = (message: Message.Message) => {
          asked++
          return message
        }
        const { spans } = yield* observed(over([said], { content })(call), { sampled: false })
        assert.strictEqual(asked, 0)
        assert.isUndefined(only(spans).attributes["gen_ai.usage.input_tokens"])
      }))

    it.effect("has an address where the service has a base URL that has one", () =>
      Effect.gen(function*() {
        const cases: ReadonlyArray<readonly [string | undefined, string | undefined, number | undefined]> = [
          ["http://localhost:11434/v1", "localhost", 11434],
          ["http://example.com", "example.com", 80],
          ["no URL", undefined, undefined],
          [undefined, undefined, undefined]
        ]
        for (const [baseUrl, address, port] of cases) {
          const made = TestLLM.layer(["Hi"], baseUrl === undefined ? {} : { baseUrl })
          const { spans } = yield* observed(Effect.provide(call, LLMClient.compose(Telemetry.layer(), made)))
          const { attributes } = only(spans)
          assert.deepStrictEqual([attributes["server.address"], attributes["server.port"]], [address, port])
        }
      }))
  })

  describe("a failure", () => {
    const failing = {
      _tag: "RateLimit",
      reason: "Tokens",
      status: 429,
      code: "slow_down",
      retryAfter: "12 seconds",
      description: secret
    } as const

    it.effect("leaves its kind, the code and the status, and none of the provider's words", () =>
      Effect.gen(function*() {
        for (const run of [call, streamed]) {
          const { spans } = yield* observed(over([failing])(run))
          const { attributes, ends } = only(spans)
          assert.strictEqual(attributes["error.type"], "RateLimit.Tokens")
          assert.strictEqual(attributes["http.response.status_code"], 429)
          assert.strictEqual(ends.length, 1)
          const [error] = Cause.prettyErrors((ends[0] as Exit.Failure<unknown, unknown>).cause)
          assert.strictEqual(error!.message, "RateLimit: gemini gemini-3-pro 429 slow_down, retry after 12s")
          assert.notInclude(`${error!.stack}${JSON.stringify(ends)}`, secret)
        }
      }))

    it.effect("keeps the provider's words when asked to", () =>
      Effect.gen(function*() {
        const { spans } = yield* observed(over([failing], { words: true })(call))
        assert.include(JSON.stringify(only(spans).ends), secret)
      }))

    it.effect("leaves no words in the events that log lines become either", () =>
      Effect.gen(function*() {
        const run = (words: boolean) =>
          observed(call.pipe(Effect.provide(LLMClient.compose(
            Telemetry.layer({ words }),
            Retry.layer({ RateLimit: { base: 0, cap: 0 } }),
            TestLLM.layer([{ ...failing, retryAfter: 0 }, said])
          ))))
        const { events } = only((yield* run(false)).spans)
        assert.deepStrictEqual(events.map(([name]) => name), ["retrying completion"])
        assert.strictEqual(events[0]![1]["attempt"], 1)
        assert.notInclude(JSON.stringify(events), secret)
        assert.include(JSON.stringify(only((yield* run(true)).spans).events), secret)
      }))

    it.effect("records the partial answer", () =>
      Effect.gen(function*() {
        const broken = TestLLM.parts(["Because", { _tag: "Transient", reason: "Truncated" }], { usage })
        const { spans } = yield* observed(over([broken])(streamed))
        const { attributes } = only(spans)
        assert.strictEqual(attributes["gen_ai.usage.input_tokens"], 30)
        assert.deepStrictEqual(attributes["gen_ai.response.finish_reasons"], ["error"])
      }))

    it.effect("counts the attempts that its list had no room for", () =>
      Effect.gen(function*() {
        const omitted = { count: 5, usage: TokenUsage.make({ inputTokens: 50 }) }
        const error = failure("Transient", "Server", {
          provider: "anthropic",
          model: "claude",
          attempts: [failure("Transient", "Server", { omitted, partial: answer({ inputTokens: 7 }) })],
          partial: answer({ inputTokens: 2 })
        })
        const { metrics, spans } = yield* observed(over([error])(call))
        assert.strictEqual(only(spans).attributes["effect_llm.attempts"], LLMError.total([error]).count)
        assert.strictEqual(LLMError.total([error]).count, 7)
        const spent = points(metrics, "gen_ai.client.inference.usage.input_tokens")
        assert.strictEqual(sums(spent).reduce((a, b) => a + b), LLMError.total([error]).usage.inputTokens)
      }))
  })

  describe("what was said", () => {
    const conversation = Completion.make({
      preamble: "Be brief.",
      history: [
        Message.user(["Look", Message.image(Message.base64("aGVsbG8=", "image/png"))]),
        Message.assistant([Message.toolCall({ id: "1", name: "look", arguments: { at: "sky" } })]),
        Message.user([Message.toolResult({ id: "1", name: "look", content: [Message.json({ colour: "blue" })] })])
      ],
      prompt: "Why?"
    })
    const reply = TestLLM.answer({ reasoning: "Hm.", text: "Rayleigh." })
    const names = ["gen_ai.system_instructions", "gen_ai.input.messages", "gen_ai.output.messages"]
    const contents = (seen: Seen) => names.map((name) => seen.attributes[name])

    it.effect("is not in a span by default", () =>
      Effect.gen(function*() {
        const { metrics, spans } = yield* observed(over([reply])(LLMClient.completion(conversation)))
        const all = JSON.stringify([spans.map(({ attributes, events }) => [attributes, events]), metrics.map(String)])
        for (const word of ["brief", "Look", "sky", "blue", "Why", "Hm", "Rayleigh"]) assert.notInclude(all, word)
      }))

    it.effect("is in the form of the conventions on request, without the bytes of media", () =>
      Effect.gen(function*() {
        const { spans } = yield* observed(
          over([reply], { content: (message) => message })(LLMClient.completion(conversation))
        )
        assert.deepStrictEqual(contents(only(spans)).map((json) => JSON.parse(json as string)), [
          [{ type: "text", content: "Be brief." }],
          [
            {
              role: "user",
              parts: [
                { type: "text", content: "Look" },
                { type: "blob", modality: "image", mime_type: "image/png", content: "", size: 6 }
              ]
            },
            { role: "assistant", parts: [{ type: "tool_call", id: "1", name: "look", arguments: { at: "sky" } }] },
            { role: "tool", parts: [{ type: "tool_call_response", id: "1", response: { colour: "blue" } }] },
            { role: "user", parts: [{ type: "text", content: "Why?" }] }
          ],
          [{
            role: "assistant",
            parts: [{ type: "reasoning", content: "Hm." }, { type: "text", content: "Rayleigh." }]
          }]
        ])
      }))

    it.effect("goes through the caller's function, which may leave messages out", () =>
      Effect.gen(function*() {
        const content = (message: Message.Message) =>
          message._tag === "Assistant" && message.content[0]?._tag !== "ToolCall"
            ? Message.assistant("[answer]")
            : undefined
        const { spans } = yield* observed(over([reply], { content })(LLMClient.completion(conversation)))
        const [instructions, input, output] = contents(only(spans))
        assert.deepStrictEqual([instructions, input], [undefined, undefined])
        assert.deepStrictEqual(JSON.parse(output as string), [
          { role: "assistant", parts: [{ type: "text", content: "[answer]" }] }
        ])
      }))

    it.effect("is left out when the caller's function throws: the call goes on", () =>
      Effect.gen(function*() {
        const content = () => {
          throw new Error("no")
        }
        const { exit, spans } = yield* observed(over([reply], { content })(LLMClient.completion(conversation)))
        assert.isTrue(Exit.isSuccess(exit))
        assert.deepStrictEqual(contents(only(spans)), [undefined, undefined, undefined])
      }))
  })

  describe("metrics", () => {
    it.effect("count each call by the names of the conventions", () =>
      Effect.gen(function*() {
        const { metrics } = yield* observed(over([TestLLM.after(0, said)])(call))
        const count = (name: string) => points(metrics, `gen_ai.client.inference.${name}`)
        assert.deepStrictEqual(count("duration").map(({ count, labels }) => [labels, count]), [[answered, 1]])
        assert.deepStrictEqual(count("usage.input_tokens"), [{ labels: counted, count: 30, sum: 30 }])
        assert.deepStrictEqual(count("usage.output_tokens"), [{ labels: counted, count: 12, sum: 12 }])
        assert.deepStrictEqual(sums(count("usage.cache_read.input_tokens")), [8])
        assert.deepStrictEqual(sums(count("usage.cache_write.input_tokens")), [5])
        assert.deepStrictEqual(sums(count("usage.reasoning.output_tokens")), [4])
        assert.deepStrictEqual(count("operation.input_tokens"), [{ labels: answered, count: 1, sum: 30 }])
        assert.deepStrictEqual(count("operation.output_tokens"), [{ labels: answered, count: 1, sum: 12 }])
        assert.deepStrictEqual(count("time_to_first_chunk"), [])
        assert.isFalse(metrics.some(({ id }) => id === "gen_ai.client.token.usage"))
      }))

    for (const tracer of [true, false]) {
      it.effect(`are the same ${tracer ? "with" : "without"} a tracer, streamed or not`, () =>
        Effect.gen(function*() {
          const parts = TestLLM.parts([
            "Because",
            { _tag: "TextDelta", text: " of" },
            { _tag: "TextDelta", text: " Rayleigh." }
          ], { usage })
          const program = over([said, parts, { _tag: "Transient", reason: "Server" }])(
            Effect.all([call, streamed, Effect.exit(streamed)])
          )
          const { metrics, spans } = yield* observed(program, { tracer })
          assert.strictEqual(spans.length, tracer ? 3 : 0)
          const count = (name: string) => points(metrics, `gen_ai.client.inference.${name}`)
          assert.deepStrictEqual(count("usage.input_tokens"), [{ labels: counted, count: 60, sum: 60 }])
          assert.deepStrictEqual(
            count("duration").map((
              { count, labels }
            ) => [labels["error.type"], labels["gen_ai.response.model"], count]),
            [[undefined, "gemini-3-pro", 2], ["Transient.Server", undefined, 1]]
          )
          assert.deepStrictEqual(count("time_to_first_chunk").map(({ count, labels }) => [labels, count]), [
            [answered, 1]
          ])
          // Three more chunks follow the first: two deltas and the end.
          assert.deepStrictEqual(count("time_per_output_chunk").map(({ count, labels }) => [labels, count]), [
            [answered, 3]
          ])
        }))

      it.effect(`measure time on Effect's clock ${tracer ? "with" : "without"} a tracer`, () =>
        Effect.gen(function*() {
          const wait = (seconds: number) => TestLLM.after(`${seconds} seconds`, said)
          const program = over([wait(3), wait(2)])(Effect.andThen(call, streamed))
          const fiber = yield* Effect.forkChild(observed(program, { tracer }))
          yield* TestClock.adjust("5 seconds")
          const { metrics } = yield* Fiber.join(fiber)
          assert.deepStrictEqual(sums(points(metrics, "gen_ai.client.inference.duration")), [5])
          assert.deepStrictEqual(sums(points(metrics, "gen_ai.client.inference.time_to_first_chunk")), [2])
        }))
    }

    it.effect("have the names before, when asked to, or both", () =>
      Effect.gen(function*() {
        const run = (names: Telemetry.Options["names"]) =>
          Effect.map(
            observed(over([said, said], { names })(Effect.andThen(call, streamed))),
            ({ metrics, spans }) => ({ ids: new Set(metrics.map(({ id }) => id)), metrics, spans })
          )
        const current = yield* run("current")
        const earlier = yield* run("earlier")
        const both = yield* run("both")
        assert.isTrue([...current.ids].every((id) => id.startsWith("gen_ai.client.inference.")))
        assert.deepStrictEqual([...earlier.ids].sort(), [
          "gen_ai.client.operation.duration",
          "gen_ai.client.operation.time_per_output_chunk",
          "gen_ai.client.operation.time_to_first_chunk",
          "gen_ai.client.token.usage"
        ])
        assert.deepStrictEqual(both.ids, new Set([...current.ids, ...earlier.ids]))
        assert.deepStrictEqual(
          points(earlier.metrics, "gen_ai.client.token.usage").map(({ count, labels, sum }) => [
            labels["gen_ai.token.type"],
            count,
            sum
          ]),
          [["input", 2, 60], ["output", 2, 24]]
        )
        const cacheWrites = ({ spans }: { readonly spans: ReadonlyArray<Seen> }) =>
          ["cache_write", "cache_creation"].map((name) => spans[0]!.attributes[`gen_ai.usage.${name}.input_tokens`])
        assert.deepStrictEqual(cacheWrites(current), [5, undefined])
        assert.deepStrictEqual(cacheWrites(earlier), [undefined, 5])
        assert.deepStrictEqual(cacheWrites(both), [5, 5])
      }))

    it.effect("have the boundaries and units of the conventions", () =>
      Effect.gen(function*() {
        const { metrics } = yield* observed(over([said, said], { names: "both" })(Effect.andThen(call, streamed)))
        assert.deepStrictEqual(
          new Set(metrics.map(({ id }) => id)),
          new Set(Conventions.instruments.map(({ name }) => name))
        )
        for (const { attributes, id, state, type } of metrics) {
          const row = Conventions.instruments.find(({ name }) => name === id)!
          assert.strictEqual(attributes!["unit"], row.unit)
          assert.strictEqual(type.toLowerCase(), row.kind)
          if (row.boundaries === undefined) continue
          const { buckets } = state as { readonly buckets: ReadonlyArray<readonly [number, number]> }
          assert.deepStrictEqual(buckets.map(([boundary]) => boundary), [...row.boundaries])
        }
        const duration = Conventions.instruments.find(({ measure }) => measure === "duration")!.boundaries!
        assert.deepStrictEqual([duration[0], duration.at(-1), duration.length], [0.01, 81.92, 14])
        const tokens = Conventions.instruments.find(({ measure }) => measure === "answerInput")!.boundaries!
        assert.deepStrictEqual([tokens[0], tokens.at(-1), tokens.length], [1, 67108864, 14])
      }))

    it.effect("count what failed attempts cost under their own provider", () =>
      Effect.gen(function*() {
        const failed = failure("Transient", "Truncated", {
          provider: "anthropic",
          model: "claude",
          partial: answer({ inputTokens: 9, outputTokens: 3 }, { model: "claude-1" })
        })
        const { metrics } = yield* observed(call.pipe(Effect.provide(LLMClient.compose(
          Telemetry.layer(),
          Retry.layer({ Transient: { base: 0, cap: 0 } }),
          TestLLM.layer([failed, said], settings)
        ))))
        const spent = points(metrics, "gen_ai.client.inference.usage.input_tokens")
        assert.sameDeepMembers(
          spent.map(({ labels, sum }) => [labels["gen_ai.provider.name"], labels["gen_ai.response.model"], sum]),
          [["anthropic", "claude-1", 9], ["gcp.gemini", "gemini-3-pro", 30]]
        )
        assert.deepStrictEqual(sums(points(metrics, "gen_ai.client.inference.operation.input_tokens")), [30])
      }))

    it.effect("count nothing for an answer from a cache, whose span says so", () =>
      Effect.gen(function*() {
        const { metrics, spans } = yield* observed(
          Effect.andThen(call, call).pipe(Effect.provide(LLMClient.compose(
            Telemetry.layer(),
            ResponseCache.layer(),
            TestLLM.layer([said], settings)
          )))
        )
        assert.deepStrictEqual(spans.map(({ attributes }) => attributes["effect_llm.cached"]), [undefined, true])
        assert.deepStrictEqual(points(metrics, "gen_ai.client.inference.duration").map(({ count }) => count), [1])
        assert.deepStrictEqual(sums(points(metrics, "gen_ai.client.inference.usage.input_tokens")), [30])
      }).pipe(inThread))

    it.effect("are not counted when turned off", () =>
      Effect.gen(function*() {
        const { metrics, spans } = yield* observed(
          over([said, said], { metrics: false })(Effect.andThen(call, streamed))
        )
        assert.deepStrictEqual(metrics, [])
        assert.strictEqual(spans.length, 2)
      }))

    it.effect("keep the labels that the caller's context adds, call by call", () =>
      Effect.gen(function*() {
        const { metrics } = yield* observed(
          over([said, said])(Effect.andThen(
            Effect.provideService(
              call,
              (yield* Effect.promise(() => import("effect/Metric"))).CurrentMetricAttributes,
              {
                tenant: "a"
              }
            ),
            call
          ))
        )
        assert.deepStrictEqual(
          points(metrics, "gen_ai.client.inference.duration").map(({ labels }) => labels["tenant"]),
          ["a", undefined]
        )
      }))
  })

  describe("ends once", () => {
    for (const tracer of [true, false]) {
      const when = tracer ? "with" : "without"

      it.effect(`when the caller of a completion is interrupted, ${when} a tracer`, () =>
        Effect.gen(function*() {
          const { begun, client } = yield* endless
          const observing = yield* through(LLMClient.compose(Telemetry.layer(), Telemetry.layerAttempts()), client)
          const { metrics, spans } = yield* observed(
            Effect.gen(function*() {
              const fiber = yield* Effect.forkChild(observing.completion(ask))
              yield* begun
              yield* Fiber.interrupt(fiber)
            }),
            { tracer }
          )
          assert.strictEqual(spans.length, tracer ? 2 : 0)
          for (const { ends } of spans) assert.deepStrictEqual(ends.map(Exit.hasInterrupts), [true])
          assert.deepStrictEqual(
            points(metrics, "gen_ai.client.inference.duration").map((
              { count, labels }
            ) => [labels["error.type"], count]),
            [["interrupted", 1]]
          )
        }))

      it.effect(`when a stream is left or its reader is interrupted, ${when} a tracer`, () =>
        Effect.gen(function*() {
          for (const way of ["leaves", "is interrupted"]) {
            const { begun, client } = yield* endless
            const observing = yield* through(LLMClient.compose(Telemetry.layer(), Telemetry.layerAttempts()), client)
            const { metrics, spans } = yield* observed(
              Effect.gen(function*() {
                if (way === "leaves") return yield* Stream.runDrain(Stream.take(observing.stream(ask), 1))
                const fiber = yield* Effect.forkChild(Stream.runDrain(observing.stream(ask)))
                yield* begun
                yield* Fiber.interrupt(fiber)
              }),
              { tracer }
            )
            assert.strictEqual(spans.length, tracer ? 2 : 0)
            for (const { ends } of spans) assert.deepStrictEqual(ends.map(Exit.hasInterrupts), [true])
            assert.deepStrictEqual(
              points(metrics, "gen_ai.client.inference.duration").map(({ count, labels }) => [
                labels["error.type"],
                count
              ]),
              [["interrupted", 1]]
            )
          }
        }))

      it.effect(`when a reader reads on after the last part, or stops at it, ${when} a tracer`, () =>
        Effect.gen(function*() {
          for (
            const read of [
              streamed,
              Stream.runDrain(Stream.takeUntil(LLMClient.stream(ask), ({ _tag }) => _tag === "Finish"))
            ]
          ) {
            const { metrics, spans } = yield* observed(over([said])(read), { tracer })
            for (const { ends } of spans) assert.deepStrictEqual(ends.map(Exit.isSuccess), [true])
            assert.deepStrictEqual(points(metrics, "gen_ai.client.inference.duration").map(({ count }) => count), [1])
          }
        }))

      it.effect(`when the client dies, fails before it begins, or throws, ${when} a tracer`, () =>
        Effect.gen(function*() {
          const dying: LLMClient.Service = {
            provider: "test",
            completion: () => Effect.die("dead"),
            stream: () => Stream.die("dead")
          }
          const throwing: LLMClient.Service = {
            provider: "test",
            completion: () => {
              throw new Error("thrown")
            },
            stream: () => {
              throw new Error("thrown")
            }
          }
          for (const client of [dying, throwing]) {
            const observing = yield* through(Telemetry.layer(), client)
            for (const run of [observing.completion(ask), Stream.runDrain(observing.stream(ask))]) {
              const { exit, metrics, spans } = yield* observed(run, { tracer })
              assert.isTrue(Exit.hasDies(exit))
              assert.strictEqual(spans.length, tracer ? 1 : 0)
              for (const { ends } of spans) assert.deepStrictEqual(ends.map(Exit.hasDies), [true])
              assert.deepStrictEqual(
                points(metrics, "gen_ai.client.inference.duration").map(({ count, labels }) => [
                  labels["error.type"],
                  count
                ]),
                [["defect", 1]]
              )
            }
          }
        }))
    }
  })

  it.effect("makes no spans without a tracer, or when tracing is off", () =>
    Effect.gen(function*() {
      const parents: Array<unknown> = []
      const client: LLMClient.Service = {
        provider: "test",
        completion: () =>
          Effect.map(Effect.serviceOption(Tracer.ParentSpan), (parent) => {
            parents.push(parent._tag)
            return answer()
          }),
        stream: () => Stream.never
      }
      const observing = yield* through(LLMClient.compose(Telemetry.layer(), Telemetry.layerAttempts()), client)
      yield* observed(observing.completion(ask), { tracer: false })
      const off = yield* observed(Effect.provideService(observing.completion(ask), References.TracerEnabled, false))
      assert.deepStrictEqual(off.spans, [])
      assert.deepStrictEqual(parents, ["None", "None"])
      yield* observed(observing.completion(ask))
      assert.strictEqual(parents[2], "Some")
    }))

  it.effect("lets every other member of the client through", () =>
    Effect.gen(function*() {
      const counting = { ...(yield* endless).client, model: "m", countTokens: () => Effect.succeed(5) }
      const observing = yield* through(Telemetry.layer(), counting)
      assert.strictEqual(observing.model, "m")
      assert.strictEqual(yield* observing.countTokens!(ask), 5)
    }))

  it.effect("refuses unknown and useless options", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [Layer.Layer<LLMClient.LLMClient, never, LLMClient.LLMClient>, string]> = [
        [Telemetry.layer({ names: "newest" as never }), `Telemetry names: give "current", "earlier" or "both"`],
        [Telemetry.layer({ content: true as never }), "Telemetry content: give a function, not true"],
        [Telemetry.layer({ contents: () => undefined } as never), "Telemetry contents: give one of"],
        [Telemetry.layerAttempts({ metrics: true } as never), "Telemetry metrics: give one of"]
      ]
      for (const [layer, message] of cases) {
        const exit = yield* Effect.exit(Effect.scoped(through(layer, (yield* endless).client)))
        assert.include(Cause.pretty((exit as Exit.Failure<unknown, never>).cause), message)
      }
    }))

  it.effect("works over a real wire, whose address it names", () =>
    Effect.gen(function*() {
      const client = OpenAi.layer({
        apiKey: Redacted.make("sk-secret-key"),
        model: "gpt-4.1-mini",
        name: "deepseek",
        baseUrl: "https://api.deepseek.com/v1"
      }).pipe(Layer.provide(Simulator.layer({ answer: () => "Hi." })))
      const { exit, spans } = yield* observed(
        LLMClient.completion(Completion.make({ prompt: "Hello" })).pipe(
          Effect.provide(LLMClient.compose(Telemetry.layer(), client))
        )
      )
      assert.isTrue(Exit.isSuccess(exit))
      const { attributes } = only(spans)
      assert.strictEqual(attributes["gen_ai.provider.name"], "deepseek")
      assert.strictEqual(attributes["server.address"], "api.deepseek.com")
      assert.notInclude(JSON.stringify(spans.map(({ attributes }) => attributes)), "sk-secret-key")
    }))
})
