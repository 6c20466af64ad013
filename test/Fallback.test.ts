import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { inspect } from "node:util"
import {
  Anthropic,
  Completion,
  type CompletionPart,
  CompletionResponse,
  Fallback,
  Gemini,
  LLMClient,
  LLMError,
  Message,
  OpenAi,
  Retry,
  TokenUsage,
  Tool
} from "../src/index.ts"
import type * as Simulator from "../src/testing/Simulator.ts"
import { hear, passing, type Service, services, simulated } from "./testing/simulated.ts"

const request = Completion.make({ prompt: "Hello" })

/** What answers and errors of a service call it: both protocols of OpenAI are of one provider. */
const nameOf = (service: Service): string => service === "responses" ? "openai" : service

const failure = (tag: LLMError.LLMError["_tag"], reason: string, more: Readonly<Record<string, unknown>> = {}) =>
  LLMError.make(tag, { provider: "test", model: "m", description: "", reason: reason as never, ...more })

const server = failure("Transient", "Server")
const rateLimit = failure("RateLimit", "Requests")
const empty = failure("EmptyResponse", "NoContent")
const invalid = failure("ClientError", "InvalidRequest")

const answer = (provider: string) =>
  CompletionResponse.make({
    choice: [Message.text(`from ${provider}`)],
    finishReason: { _tag: "Stop" },
    usage: TokenUsage.make({ inputTokens: 3, outputTokens: 2 }),
    provider
  })

const delta = (text: string): CompletionPart.CompletionPart => ({ _tag: "TextDelta", index: 0, text })

interface Fake {
  readonly layer: Layer.Layer<LLMClient.LLMClient>
  /** The requests that came to it, in order. */
  readonly asked: Array<Completion.Completion>
  readonly builds: { opened: number; closed: number }
}

/** A client that fails in the given ways, one a call, after the given parts of a stream, and then answers. */
const fake = (
  provider: string,
  failures: ReadonlyArray<LLMError.LLMError> = [],
  parts: ReadonlyArray<CompletionPart.CompletionPart> = []
): Fake => {
  const asked: Array<Completion.Completion> = []
  const builds = { opened: 0, closed: 0 }
  const outcome = (completion: Completion.Completion) =>
    Effect.suspend(() => {
      const error = failures[asked.push(completion) - 1]
      return error === undefined ? Effect.succeed(answer(provider)) : Effect.fail(error)
    })
  const client: LLMClient.Service = {
    provider,
    completion: outcome,
    stream: (completion) =>
      Stream.concat(
        Stream.fromIterable(parts),
        Stream.fromEffect(
          Effect.map(outcome(completion), (response): CompletionPart.CompletionPart => ({ _tag: "Finish", response }))
        )
      )
  }
  const layer = Layer.effect(
    LLMClient.LLMClient,
    Effect.as(
      Effect.acquireRelease(Effect.sync(() => builds.opened++), () => Effect.sync(() => builds.closed++)),
      client
    )
  )
  return { layer, asked, builds }
}

const clientOf = <E>(layer: Layer.Layer<LLMClient.LLMClient, E>): Effect.Effect<LLMClient.Service, E, Scope.Scope> =>
  Effect.map(Layer.build(layer), (context) => Context.get(context, LLMClient.LLMClient))

/** A call's end, streamed or not: the answer, or the error. */
const ways: Record<
  string,
  (
    client: LLMClient.Service,
    completion: Completion.Completion
  ) => Effect.Effect<CompletionResponse.CompletionResponse, LLMError.LLMError>
> = {
  completion: (client, completion) => client.completion(completion),
  stream: (client, completion) =>
    Effect.flatMap(Stream.runCollect(client.stream(completion)), (parts) => {
      const last = parts.at(-1)
      return last?._tag === "Finish" ? Effect.succeed(last.response) : Effect.die("a stream that ended without Finish")
    })
}

const reasonsOf = (attempts: ReadonlyArray<LLMError.LLMError> | undefined): ReadonlyArray<string> =>
  attempts?.map(({ provider, reason }) => `${provider} ${reason}`) ?? []

const by = (provider: string, error: LLMError.LLMError) => failure(error._tag, error.reason, { provider })

for (const [way, call] of Object.entries(ways)) {
  describe(`Fallback, ${way}`, () => {
    it.effect("asks the first layer alone as long as it answers", () =>
      Effect.gen(function*() {
        const [first, second] = [fake("first"), fake("second")]
        const client = yield* clientOf(Fallback.layer([first.layer, second.layer]))
        const response = yield* call(client, request)
        assert.strictEqual(client.provider, "fallback")
        assert.strictEqual(response.provider, "first")
        assert.isFalse("attempts" in response)
        assert.strictEqual(first.asked[0], request)
        assert.lengthOf(second.asked, 0)
      }))

    const reasons: Record<LLMError.LLMError["_tag"], ReadonlyArray<string>> = {
      RateLimit: LLMError.RateLimitReason.literals,
      Transient: LLMError.TransientReason.literals,
      EmptyResponse: LLMError.EmptyResponseReason.literals,
      ClientError: LLMError.ClientErrorReason.literals
    }
    const stopping = ["InvalidRequest", "OutputBudget", "Budget"]

    for (const [tag, all] of Object.entries(reasons)) {
      it.effect(`moves on from ${tag} exactly where another provider may help`, () =>
        Effect.forEach(
          all,
          Effect.fnUntraced(function*(reason) {
            const error = failure(tag as LLMError.LLMError["_tag"], reason, { provider: "first" })
            const [first, second] = [fake("first", [error]), fake("second")]
            const result = yield* Effect.result(
              call(yield* clientOf(Fallback.layer([first.layer, second.layer])), request)
            )
            if (stopping.includes(reason)) {
              assert.isTrue(result._tag === "Failure" && result.failure === error, reason)
              assert.lengthOf(second.asked, 0)
            } else {
              assert.isTrue(result._tag === "Success" && result.success.provider === "second", reason)
              assert.deepStrictEqual(reasonsOf(result._tag === "Success" ? result.success.attempts : []), [
                `first ${reason}`
              ])
            }
          })
        ))
    }

    it.effect("decides by `when` where it is given", () =>
      Effect.gen(function*() {
        const when = (error: LLMError.LLMError) => error.reason === "InvalidRequest"
        const decided = (error: LLMError.LLMError) =>
          Effect.flatMap(
            clientOf(Fallback.layer([fake("first", [error]).layer, fake("second").layer], { when })),
            (client) => call(client, request)
          )
        assert.strictEqual((yield* decided(invalid)).provider, "second")
        assert.strictEqual((yield* Effect.flip(decided(server))).reason, "Server")
      }))

    it.effect("goes through all layers in order, and ends as the last one with the failures of the others", () =>
      Effect.gen(function*() {
        const partial = CompletionResponse.make({ ...answer("second"), choice: [] })
        const layers = [
          fake("first", [by("first", server)]),
          fake("second", [failure("EmptyResponse", "NoContent", { provider: "second", partial })]),
          fake("third", [failure("RateLimit", "Requests", { provider: "third", status: 429 })])
        ] as const
        const client = yield* clientOf(Fallback.layer([layers[0].layer, layers[1].layer, layers[2].layer]))
        const error = yield* Effect.flip(call(client, request))
        assert.deepStrictEqual([error.provider, error._tag, error.status], ["third", "RateLimit", 429])
        assert.deepStrictEqual(reasonsOf(error.attempts), ["first Server", "second NoContent"])
        assert.strictEqual(error.attempts?.[1]?.partial?.usage.outputTokens, 2)
        assert.deepStrictEqual(layers.map(({ asked }) => asked.length), [1, 1, 1])
      }))

    it.effect("answers with all failures before the answer, those of members that retry included", () =>
      Effect.gen(function*() {
        const first = fake("first", [by("first", server), by("first", empty), by("first", server), by("first", empty)])
        const second = fake("second", [by("second", invalid)])
        const third = fake("third", [by("third", rateLimit)])
        const client = yield* clientOf(Fallback.layer([
          Retry.layer().pipe(Layer.provide(first.layer)),
          second.layer,
          Retry.layer().pipe(Layer.provide(third.layer))
        ], { when: () => true }))
        const response = yield* passing(call(client, request))
        assert.strictEqual(response.provider, "third")
        assert.deepStrictEqual(reasonsOf(response.attempts), [
          "first Server",
          "first NoContent",
          "first Server",
          "first NoContent",
          "second InvalidRequest",
          "third Requests"
        ])
        assert.isTrue(response.attempts?.every(({ attempts }) => attempts === undefined))
      }))

    it.effect("under retry begins with the first layer again, and keeps every failure once", () =>
      Effect.gen(function*() {
        const first = fake("first", [by("first", server), by("first", empty)])
        const second = fake("second", [by("second", rateLimit)])
        const client = yield* clientOf(
          Retry.layer().pipe(Layer.provide(Fallback.layer([first.layer, second.layer])))
        )
        const response = yield* passing(call(client, request))
        assert.strictEqual(response.provider, "second")
        assert.deepStrictEqual(reasonsOf(response.attempts), ["first Server", "second Requests", "first NoContent"])
      }))

    it.effect("lets a defect through and asks nobody else", () =>
      Effect.gen(function*() {
        const dying = Layer.succeed(LLMClient.LLMClient, {
          provider: "dying",
          completion: () => Effect.die("broken"),
          stream: () => Stream.die("broken")
        })
        const second = fake("second")
        const client = yield* clientOf(Fallback.layer([dying, second.layer]))
        assert.isTrue(Exit.hasDies(yield* Effect.exit(call(client, request))))
        assert.lengthOf(second.asked, 0)
      }))

    it.effect("says in the log that it moves on, from whom to whom and why", () =>
      Effect.gen(function*() {
        const logs: Array<unknown> = []
        const logger = Logger.make(({ fiber, logLevel, message }) => {
          logs.push([logLevel, message, { ...fiber.getRef(References.CurrentLogAnnotations) }])
        })
        const client = yield* clientOf(Fallback.layer([fake("first", [server]).layer, fake("second").layer]))
        yield* Effect.provide(call(client, request), Logger.layer([logger]))
        assert.deepStrictEqual(logs, [[
          "Warn",
          ["falling back to the next provider"],
          { from: "first", to: "second", error: server.message }
        ]])
      }))

    const models: Fallback.Member["models"] = { "gpt-5": "claude-opus-4-8", "gpt-5-nano": undefined }
    const mappings: ReadonlyArray<
      readonly [what: string, models: Fallback.Member["models"], asked: string | undefined, got: string | undefined]
    > = [
      ["as it is named without a mapping", undefined, "gpt-5", "gpt-5"],
      ["as the mapping says", models, "gpt-5", "claude-opus-4-8"],
      ["as it is named where the mapping does not know it", models, "gpt-4.1", "gpt-4.1"],
      ["not at all where the mapping says undefined", models, "gpt-5-nano", undefined],
      ["as the mapping says of any other", { ...models, "*": "claude-haiku-4-5" }, "gpt-4.1", "claude-haiku-4-5"],
      ["as the mapping says by name, before any other", { "*": "x", ...models }, "gpt-5", "claude-opus-4-8"],
      ["not at all by name, before any other", { "*": "x", ...models }, "gpt-5-nano", undefined],
      ["not at all where the mapping says undefined of any other", { "*": undefined }, "gpt-5", undefined],
      ["as it is named, even by a name that all objects have", models, "constructor", "constructor"],
      ["not at all where none is named", { "*": "x" }, undefined, undefined]
    ]
    for (const [what, models, asked, got] of mappings) {
      it.effect(`asks for the model ${asked} ${what}`, () =>
        Effect.gen(function*() {
          const [first, second] = [fake("first", [server]), fake("second")]
          const client = yield* clientOf(
            Fallback.layer([first.layer, { layer: second.layer, ...models !== undefined && { models } }])
          )
          const completion = Completion.make({ prompt: "Hello", ...asked !== undefined && { model: asked } })
          yield* call(client, completion)
          assert.strictEqual(first.asked[0], completion)
          const [received] = second.asked
          assert.instanceOf(received, Completion.Completion)
          assert.strictEqual(received.model, got)
          assert.strictEqual("model" in received, got !== undefined)
          assert.deepStrictEqual({ ...Completion.model("x")(received) }, { ...Completion.model("x")(completion) })
        }))
    }
  })
}

describe("Fallback, a stream", () => {
  const parts: Record<string, CompletionPart.CompletionPart> = {
    text: delta("Hel"),
    reasoning: { _tag: "ReasoningDelta", index: 0, text: "hm" },
    "a tool call": { _tag: "ToolCallStart", index: 0, id: "1", name: "get" }
  }
  for (const [what, part] of Object.entries(parts)) {
    it.effect(`that began with ${what} ends with its failure`, () =>
      Effect.gen(function*() {
        const [first, second] = [fake("first", [server, server], [part]), fake("second")]
        const client = yield* clientOf(Fallback.layer([first.layer, second.layer]))
        const heard = yield* hear(client, request)
        assert.deepStrictEqual(heard.parts, [part])
        assert.strictEqual(heard.error, server)
        assert.lengthOf(second.asked, 0)
      }))
  }

  it.effect("that fails after its first part has the failures of the layers before", () =>
    Effect.gen(function*() {
      const first = fake("first", [by("first", server)])
      const second = fake("second", [by("second", rateLimit)], [delta("Hel")])
      const third = fake("third")
      const client = yield* clientOf(Fallback.layer([first.layer, second.layer, third.layer]))
      const heard = yield* hear(client, request)
      assert.deepStrictEqual(heard.parts, [delta("Hel")])
      assert.strictEqual(heard.error?.provider, "second")
      assert.deepStrictEqual(reasonsOf(heard.error?.attempts), ["first Server"])
      assert.lengthOf(third.asked, 0)
    }))

  it.effect("is one that can be run again", () =>
    Effect.gen(function*() {
      const [first, second] = [fake("first", [server, server]), fake("second")]
      const stream = (yield* clientOf(Fallback.layer([first.layer, second.layer]))).stream(request)
      for (let run = 0; run < 2; run++) {
        const [last] = yield* Stream.runCollect(stream)
        assert.deepStrictEqual(
          reasonsOf(last?._tag === "Finish" ? last.response.attempts : []),
          ["test Server"]
        )
      }
    }))

  it.effect("closes the failed request before the next one begins", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const logged = (name: string, body: Stream.Stream<CompletionPart.CompletionPart, LLMError.LLMError>) =>
        Layer.succeed(LLMClient.LLMClient, {
          provider: name,
          completion: () => Effect.never,
          stream: () =>
            Stream.unwrap(Effect.as(
              Effect.acquireRelease(
                Effect.sync(() => log.push(`${name} opened`)),
                () => Effect.sync(() => log.push(`${name} closed`))
              ),
              body
            ))
        })
      const client = yield* clientOf(
        Fallback.layer([logged("first", Stream.fail(server)), logged("second", Stream.make(delta("a")))])
      )
      yield* hear(client, request)
      assert.deepStrictEqual(log, ["first opened", "first closed", "second opened", "second closed"])
    }))
})

describe("Fallback.layer", () => {
  it.effect("builds every layer once, for two consumers too, and closes it with its scope", () =>
    Effect.gen(function*() {
      const [first, second] = [fake("first"), fake("second")]
      const composed = Fallback.layer([first.layer, { layer: second.layer }])
      class A extends Context.Service<A, LLMClient.Service>()("A") {}
      class B extends Context.Service<B, LLMClient.Service>()("B") {}
      const consumers = Layer.mergeAll(Layer.effect(A, LLMClient.LLMClient), Layer.effect(B, LLMClient.LLMClient))
      yield* Effect.gen(function*() {
        yield* (yield* A).completion(request)
        yield* (yield* B).completion(request)
        assert.deepStrictEqual([first.builds, second.builds], [{ opened: 1, closed: 0 }, { opened: 1, closed: 0 }])
      }).pipe(Effect.provide(Layer.provide(consumers, composed)))
      assert.deepStrictEqual([first.builds, second.builds], [{ opened: 1, closed: 1 }, { opened: 1, closed: 1 }])
    }))

  it.effect("shares a layer that stands in it twice, or elsewhere in the program", () =>
    Effect.gen(function*() {
      const only = fake("only", [server])
      yield* Layer.build(Layer.mergeAll(
        only.layer,
        Fallback.layer([{ layer: only.layer, models: { "*": "big" } }, { layer: only.layer, models: { "*": "small" } }])
      ))
      assert.strictEqual(only.builds.opened, 1)
    }))

  it.effect("builds a layer that stands in it twice once, and once where a Fallback in it has it first", () =>
    Effect.gen(function*() {
      const only = fake("only")
      const twice = Fallback.layer([only.layer, { layer: only.layer, models: { "*": "small" } }])
      yield* Layer.build(Fallback.layer([Fallback.layer([only.layer, fake("other").layer]), twice, only.layer]))
      assert.strictEqual(only.builds.opened, 1)
    }))

  it.effect("is built again with its members if it is fresh", () =>
    Effect.gen(function*() {
      const only = fake("only")
      const fresh = Layer.fresh(Fallback.layer([only.layer, only.layer]))
      yield* Layer.build(Layer.mergeAll(fresh, fresh))
      assert.strictEqual(only.builds.opened, 2)
    }))

  it.effect("fails as the member that cannot be built, and closes those before it", () =>
    Effect.gen(function*() {
      const [first, third] = [fake("first"), fake("third")]
      const broken: Layer.Layer<LLMClient.LLMClient, "no key"> = Layer.effect(
        LLMClient.LLMClient,
        Effect.fail("no key")
      )
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(Fallback.layer([first.layer, broken, third.layer]))))
      assert.deepStrictEqual(exit, Exit.fail("no key" as const))
      assert.deepStrictEqual(first.builds, { opened: 1, closed: 1 })
      assert.strictEqual(third.builds.opened, 0)
    }))

  it.effect("refuses an empty list when it is built, as a defect that names it", () =>
    Effect.gen(function*() {
      const none = [] as unknown as [Layer.Layer<LLMClient.LLMClient>]
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(Fallback.layer(none))))
      assert.isTrue(Exit.hasDies(exit))
      assert.include(inspect(exit, { depth: 5 }), "Fallback members: give at least one layer")
    }))

  const one = Layer.succeed(LLMClient.LLMClient, { provider: "one" } as LLMClient.Service)
  const refused: ReadonlyArray<readonly [string, unknown, object?]> = [
    ["Fallback members[1]: give a layer", [one, undefined]],
    ["Fallback members[0]: give a layer", [{ models: {} }]],
    ["Fallback members[0] model: give one of layer, models", [{ layer: one, model: {} }]],
    [`Fallback members[0].models["a"]: give the name of a model`, [{ layer: one, models: { a: "" } }]],
    [`Fallback members[0].models["claude-*"]: give a whole name`, [{ layer: one, models: { "claude-*": "b" } }]],
    ["Fallback when: give a function", [one], { when: "always" }],
    ["Fallback wen: give one of when", [one], { wen: () => true }]
  ]
  it.effect.each(refused)("refuses when it is built: %s", ([why, members, options]) =>
    Effect.gen(function*() {
      const layer = Fallback.layer(members as [Layer.Layer<LLMClient.LLMClient>], options)
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(layer)))
      assert.isTrue(Exit.hasDies(exit))
      assert.include(inspect(exit, { depth: 5 }), why)
    }))

  it.effect("over real layers of providers reads their errors and asks each for its own model", () =>
    Effect.gen(function*() {
      const { client, simulator } = yield* simulated("anthropic")
      const http = Layer.succeed(HttpClient.HttpClient, simulator.client)
      const apiKey = Redacted.make("sk-test")
      const composed = Fallback.layer([
        Anthropic.layer({ apiKey, model: "claude-does-not-exist" }),
        { layer: OpenAi.layer({ apiKey, model: "gpt-4.1" }), models: { "*": "gpt-nonexistent" } },
        { layer: Gemini.layer({ apiKey, model: "gemini-3-flash" }), models: { "*": undefined } }
      ])
      assert.strictEqual(client.provider, "anthropic")
      const response = yield* (yield* clientOf(Layer.provide(composed, http))).completion(
        Completion.make({ prompt: "Hello", model: "claude-nonexistent" })
      )
      assert.deepStrictEqual([response.provider, response.model], ["gemini", "gemini-3-flash"])
      assert.deepStrictEqual(reasonsOf(response.attempts), ["anthropic NotFound", "openai NotFound"])
      assert.deepStrictEqual(response.attempts?.map(({ model }) => model), ["claude-nonexistent", "gpt-nonexistent"])
    }))
})

describe("Fallback.countTokens", () => {
  const counter = (provider: string, count?: LLMClient.Service["countTokens"]) =>
    Layer.succeed(LLMClient.LLMClient, {
      provider,
      completion: () => Effect.never,
      stream: () => Stream.never,
      ...count !== undefined && { countTokens: count }
    })

  it.effect("asks the first member that can count, in its own words, and the next one where it may help", () =>
    Effect.gen(function*() {
      const lengths = counter("b", ({ model = "" }) => Effect.succeed(model.length))
      const over = (...members: readonly [Fallback.Choice<never, never>, ...Array<Fallback.Choice<never, never>>]) =>
        Effect.map(clientOf(Fallback.layer(members)), ({ countTokens }) => countTokens)
      const ask = Completion.make({ model: "abc", prompt: "Hello" })
      const translated = { layer: lengths, models: { "*": "abcdef" } }
      assert.strictEqual(yield* (yield* over(counter("a"), translated))!(ask), 6)
      assert.strictEqual(yield* (yield* over(counter("a", () => Effect.fail(server)), translated))!(ask), 6)
      const stopped = yield* over(counter("a", () => Effect.fail(invalid)), translated)
      assert.strictEqual(yield* Effect.flip(stopped!(ask)), invalid)
      assert.isUndefined(yield* over(counter("a"), counter("b")))
    }))
})

describe("Fallback from one provider's real layer to another's", () => {
  const long = Completion.make({ prompt: "Why is the sky blue in the morning, and red in the evening?" })
  const pairs = services.map((from, index) => [from, services[(index + 1) % services.length]!] as const)

  /** A provider that fails once in this way, before another that does not. */
  const failing = Effect.fnUntraced(
    function*(from: Service, to: Service, how: Simulator.Failure) {
      const timeouts = { firstPart: "10 seconds", progress: "10 seconds", total: "20 seconds" } as const
      const first = yield* simulated(from, { failures: [how], timeouts })
      const second = yield* simulated(to)
      const client = yield* clientOf(Fallback.layer([
        Layer.succeed(LLMClient.LLMClient, first.client),
        Layer.succeed(LLMClient.LLMClient, second.client)
      ]))
      return { client, first, second }
    }
  )

  const early: ReadonlyArray<Simulator.Failure> = [
    { _tag: "RateLimit", retryAfter: "1 hour" },
    { _tag: "ServerError", status: 500 },
    { _tag: "ServerError", status: 529 },
    { _tag: "Empty" },
    { _tag: "StreamError", afterEvents: 0 },
    { _tag: "Cut", afterEvents: 0 },
    { _tag: "Reset", afterEvents: 0 },
    { _tag: "Stall", afterEvents: 0 }
  ]
  for (const [way, call] of Object.entries(ways)) {
    it.effect.each(pairs)(
      `answers as the second does alone, whatever keeps the first from it, ${way}: %s, %s`,
      ([from, to]) =>
        Effect.forEach(
          early,
          Effect.fnUntraced(function*(how) {
            const { client, second } = yield* failing(from, to, how)
            // Limits are told by the clock.
            const { attempts, rateLimits: _, ...response } = yield* passing(call(client, long))
            const { rateLimits: __, ...alone } = yield* call(second.client, long)
            assert.deepStrictEqual(response, alone, how._tag)
            assert.deepStrictEqual(attempts?.map(({ provider }) => provider), [nameOf(from)], how._tag)
          })
        )
    )
  }

  const late: ReadonlyArray<Simulator.Failure["_tag"] & ("StreamError" | "Cut" | "Reset" | "Stall")> = [
    "StreamError",
    "Cut",
    "Reset",
    "Stall"
  ]
  it.effect.each(pairs)(
    "ends a stream that had begun, and asks the second for nothing: %s, %s",
    ([from, to]) =>
      Effect.forEach(
        late,
        Effect.fnUntraced(function*(_tag) {
          const { client, second } = yield* failing(from, to, { _tag, afterEvents: 7 })
          const heard = yield* passing(hear(client, long))
          assert.isNotEmpty(heard.parts, _tag)
          assert.strictEqual(heard.error?.provider, nameOf(from))
          assert.strictEqual(
            heard.error?.partial?.text,
            heard.parts.map((part) => part._tag === "TextDelta" ? part.text : "").join("")
          )
          assert.lengthOf(yield* second.simulator.requests, 0)
        })
      )
  )
})

describe("Fallback, interrupted in the second member", () => {
  const pair = Effect.fnUntraced(function*(afterEvents: number) {
    const first = yield* simulated("openai", { failures: [{ _tag: "ServerError", status: 503 }] })
    const second = yield* simulated("anthropic", { failures: [{ _tag: "Stall", afterEvents }] })
    const client = yield* clientOf(Fallback.layer([
      Layer.succeed(LLMClient.LLMClient, first.client),
      Layer.succeed(LLMClient.LLMClient, second.client)
    ]))
    return { client, second: second.simulator }
  })

  for (const [way, call] of Object.entries(ways)) {
    it.effect(`stops its request, ${way}`, () =>
      Effect.gen(function*() {
        const { client, second } = yield* pair(0)
        const fiber = yield* Effect.forkChild(call(client, request))
        while ((yield* second.requests).length === 0) yield* Effect.yieldNow
        for (let turn = 0; turn < 50; turn++) yield* Effect.yieldNow
        assert.strictEqual(yield* second.cancelled, 0)
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(yield* second.cancelled, 1)
      }))
  }

  it.effect("stops its request when the reader of a stream has enough", () =>
    Effect.gen(function*() {
      const { client, second } = yield* pair(4)
      const parts = yield* Stream.runCollect(Stream.take(client.stream(request), 1))
      assert.lengthOf(parts, 1)
      assert.strictEqual(yield* second.cancelled, 1)
    }))
})

describe("a conversation that changes its provider", () => {
  const weather = Tool.make("get_weather", {
    description: "The weather of a city",
    parameters: Schema.Struct({ city: Schema.String })
  })
  const time = Tool.make("get_time", {
    description: "The time of a city",
    parameters: Schema.Struct({ city: Schema.String })
  })

  const models: Record<Service, string> = {
    anthropic: "claude-opus-4-8",
    openai: "gpt-5",
    responses: "gpt-6-luna",
    openrouter: "anthropic/claude-sonnet-4.6",
    gemini: "gemini-3-pro-preview"
  }

  const pairs = services.flatMap((from) => services.filter((to) => to !== from).map((to) => [from, to] as const))

  const down: ReadonlyArray<Simulator.Failure> = Array.from({ length: 9 }, () => ({ _tag: "ServerError", status: 503 }))

  const over = (first: LLMClient.Service, second: LLMClient.Service) =>
    clientOf(Fallback.layer([
      Layer.succeed(LLMClient.LLMClient, first),
      Layer.succeed(LLMClient.LLMClient, second)
    ]))

  const tools = [weather, time]

  const resultsOf = ({ toolCalls }: CompletionResponse.CompletionResponse) =>
    Message.user(
      toolCalls.flatMap(({ id, name }) =>
        Message.user(Message.toolResult({ id, name, content: `${name} says 7` })).content
      )
    )

  for (const [way, call] of Object.entries(ways)) {
    it.effect.each(pairs)(
      `goes on in the middle of a tool turn, and back, ${way}: %s, then %s`,
      ([from, to]) =>
        Effect.gen(function*() {
          const first = yield* simulated(from, { model: models[from] })
          const second = yield* simulated(to, { model: models[to] })
          const firstDown = yield* simulated(from, { model: models[from], failures: down })
          const secondDown = yield* simulated(to, { model: models[to], failures: down })
          const there = yield* over(firstDown.client, second.client)
          const back = yield* over(secondDown.client, first.client)

          const history: Array<Message.Message> = []
          const send = Effect.fnUntraced(function*(client: LLMClient.Service, prompt: Message.Message) {
            const response = yield* call(client, Completion.make({ history: [...history], prompt, tools }))
            history.push(prompt, response.message)
            return response
          })
          // Each provider begins a turn, calls both tools, and the other one gets their results.
          for (const [here, other, name] of [[first.client, there, to], [second.client, back, from]] as const) {
            const asked = yield* send(here, Message.user("Use get_weather and get_time"))
            assert.deepStrictEqual(asked.toolCalls.map(({ name }) => name), ["get_weather", "get_time"])
            const told = yield* send(other, resultsOf(asked))
            assert.strictEqual(told.provider, nameOf(name))
            assert.deepStrictEqual(reasonsOf(told.attempts).length, 1)
            assert.match(told.text, /get_weather says 7.*get_time says 7/s)
          }
          // What one wrote in the turns of the other is still taken by both.
          for (const [client, name] of [[there, to], [back, from]] as const) {
            assert.strictEqual((yield* send(client, Message.user("Go on"))).provider, nameOf(name))
          }
        })
    )
  }

  const foreign: Record<Service, ReadonlyArray<Message.AssistantContent>> = {
    anthropic: [
      { _tag: "Reasoning", content: [{ _tag: "Text", text: "FOREIGN thought", signature: "FOREIGN" }] },
      { _tag: "Reasoning", content: [{ _tag: "Redacted", data: "FOREIGN" }] },
      { _tag: "ProviderBlock", provider: "anthropic", block: { type: "server_tool_use", id: "FOREIGN" } },
      Message.text("So", { citations: [{ type: "char_location", cited_text: "FOREIGN" }] }),
      Message.toolCall({ id: "toolu_01", name: "get_weather", arguments: { city: "Rome" } })
    ],
    openai: [
      { _tag: "Reasoning", content: [{ _tag: "Text", text: "FOREIGN thought" }], field: "reasoning_content" },
      { _tag: "ProviderBlock", provider: "openai", block: { audio: { id: "FOREIGN" } } },
      Message.text("So", { citations: [{ type: "char_location", cited_text: "FOREIGN" }] }),
      Message.toolCall({ id: "functions.get_weather:0", name: "get_weather", arguments: '{"city":"Rome"}' })
    ],
    responses: [
      {
        _tag: "Reasoning",
        content: [{ _tag: "Summary", text: "FOREIGN thought" }, { _tag: "Encrypted", data: "FOREIGN", id: "FOREIGN" }]
      },
      { _tag: "ProviderBlock", provider: "openai", block: { type: "web_search_call", id: "FOREIGN" } },
      Message.text("So", { citations: [{ type: "url_citation", url: "https://FOREIGN" }] }),
      Message.toolCall({ id: "call_01", name: "get_weather", arguments: { city: "Rome" } })
    ],
    openrouter: [
      {
        _tag: "Reasoning",
        content: [
          { _tag: "Summary", text: "FOREIGN thought", format: "FOREIGN" },
          { _tag: "Encrypted", data: "FOREIGN", id: "FOREIGN" }
        ]
      },
      Message.toolCall({ id: `tool_0_${"get_weather".repeat(4)}`, name: "get_weather", arguments: { city: "Rome" } })
    ],
    gemini: [
      { _tag: "Reasoning", content: [{ _tag: "Text", text: "FOREIGN thought", signature: "FOREIGN" }] },
      Message.text("", { signature: "FOREIGN" }),
      Message.text("So", { signature: "FOREIGN" }),
      { _tag: "ProviderBlock", provider: "gemini", block: { executableCode: { code: "FOREIGN" } } },
      Message.toolCall({ id: "minted_a_0", name: "get_weather", arguments: { city: "Rome" }, signature: "FOREIGN" })
    ]
  }

  // What another protocol of the same provider wrote is its own.
  it.effect.each(pairs.filter(([from, to]) => nameOf(from) !== nameOf(to)))(
    "sends nothing that only the other can read: %s, then %s",
    ([from, to]) =>
      Effect.gen(function*() {
        const { client, simulator } = yield* simulated(to, { model: models[to] })
        const turn = Message.assistant(foreign[from], { id: "FOREIGN", provider: nameOf(from) })
        const call = turn.content.find((content) => content._tag === "ToolCall")!
        const response = yield* client.completion(Completion.make({
          history: [Message.user("The weather?"), turn],
          prompt: Message.user(Message.toolResult({ ...call, content: "warm" })),
          tools
        }))
        assert.include(response.text, "warm")
        const [sent] = yield* simulator.requests
        assert.notInclude(JSON.stringify(sent?.body), "FOREIGN")
      })
  )
})
