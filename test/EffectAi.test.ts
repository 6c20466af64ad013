import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, Ref, Schema, Stream } from "effect"
import type * as AiError from "effect/ai/AiError"
import * as Chat from "effect/ai/Chat"
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as Response from "effect/ai/Response"
import * as AiTool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import { spawnSync } from "node:child_process"
import * as EffectAi from "../src/EffectAi.ts"
import * as Barrel from "../src/index.ts"
import { Completion, LLMClient, Message, TokenUsage } from "../src/index.ts"
import { TestLLM } from "../src/testing/index.ts"
import { type Service, services, simulated } from "./testing/simulated.ts"

const GetWeather = AiTool.make("get_weather", {
  description: "The weather of a city",
  parameters: Schema.Struct({ city: Schema.String }),
  success: Schema.Struct({ sky: Schema.String }),
  failure: Schema.String,
  failureMode: "return"
})
const GetTime = AiTool.make("get_time", {
  description: "The time in a zone",
  parameters: Schema.Struct({ zone: Schema.String }),
  success: Schema.String
})
const Tools = Toolkit.make(GetWeather, GetTime)
const ToolsLive = Tools.toLayer({
  get_weather: ({ city }) => Effect.succeed({ sky: `grey in ${city}` }),
  get_time: ({ zone }) => Effect.succeed(`noon in ${zone}`)
})

const Person = Schema.Struct({ name: Schema.String, age: Schema.Int, nick: Schema.optionalKey(Schema.String) })

/** The model over a simulated provider. */
const over = (provider: Service) =>
  Layer.unwrap(
    Effect.map(simulated(provider), ({ client }) =>
      EffectAi.layerLanguageModel.pipe(Layer.provide(Layer.succeed(LLMClient.LLMClient, client))))
  )

/** The model over a script, which can be asked for its requests. */
const scripted = (script: TestLLM.Script) =>
  Effect.provide(Layer.provideMerge(EffectAi.layerLanguageModel, TestLLM.layer(script)))

const deltas = (parts: ReadonlyArray<Response.AnyPart>): string =>
  parts.flatMap((part) => part.type === "text-delta" ? [part.delta] : []).join("")

const types = (parts: ReadonlyArray<Response.AnyPart>): ReadonlyArray<string> => [
  ...new Set(parts.map(({ type }) => type))
]

describe("a client as the LanguageModel of effect/ai", () => {
  for (const provider of services) {
    describe(`over ${provider}`, () => {
      it.effect("answers with text, whole and streamed, with its usage", () =>
        Effect.gen(function*() {
          const whole = yield* LanguageModel.generateText({ prompt: "Hello" })
          assert.strictEqual(whole.text, 'Simulated answer to: "Hello"')
          assert.strictEqual(whole.finishReason, "stop")
          assert.isAbove(whole.usage.inputTokens.total!, 0)
          assert.isAbove(whole.usage.outputTokens.total!, 0)
          const parts = yield* Stream.runCollect(LanguageModel.streamText({ prompt: "Hello" }))
          assert.strictEqual(deltas(parts), whole.text)
          assert.strictEqual(parts.at(-1)?.type, "finish")
        }).pipe(Effect.provide(over(provider))))

      it.effect("answers with objects", () =>
        Effect.gen(function*() {
          const { value } = yield* LanguageModel.generateObject({ prompt: "Who?", schema: Person })
          assert.isTrue(Schema.is(Person)(value))
        }).pipe(Effect.provide(over(provider))))

      it.effect("calls tools, in a chat of several turns that is stored and goes on", () =>
        Effect.gen(function*() {
          const chat = yield* Chat.fromPrompt([{ role: "system", content: "Be brief." }])
          const one = yield* chat.generateText({ prompt: "use get_weather and get_time", toolkit: Tools })
          assert.deepStrictEqual(one.toolCalls.map(({ name }) => name), ["get_weather", "get_time"])
          assert.deepStrictEqual(one.toolResults.map(({ isFailure, name }) => [name, isFailure]), [
            ["get_weather", false],
            ["get_time", false]
          ])
          assert.strictEqual(one.finishReason, "tool-calls")
          const two = yield* chat.generateText({ prompt: [], toolkit: Tools })
          assert.match(two.text, /^Simulated answer from the tool results/)
          const three = yield* Stream.runCollect(chat.streamText({ prompt: "get_time again?", toolkit: Tools }))
          assert.includeMembers([...types(three)], ["tool-params-start", "tool-call", "tool-result", "finish"])
          const four = yield* Stream.runCollect(chat.streamText({ prompt: [], toolkit: Tools }))
          assert.match(deltas(four), /^Simulated answer from the tool results/)
          const history = yield* Ref.get(chat.history)
          assert.deepStrictEqual(history.content.map(({ role }) => role), [
            "system",
            "user",
            "assistant",
            "tool",
            "assistant",
            "user",
            "assistant",
            "tool",
            "assistant"
          ])
          const restored = yield* Chat.fromJson(yield* chat.exportJson)
          const five = yield* restored.generateText({ prompt: "Hello again", toolkit: Tools })
          assert.strictEqual(five.text, 'Simulated answer to: "Hello again"')
        }).pipe(Effect.provide(Layer.merge(ToolsLive, over(provider)))))

      it.effect("takes what effect/ai has no option for from the setters of Completion", () =>
        Effect.gen(function*() {
          const limited = EffectAi.withCompletion(Completion.maxTokens(16))
          const long = "Say it all. ".repeat(40)
          const whole = yield* limited(LanguageModel.generateText({ prompt: long }))
          assert.strictEqual(whole.finishReason, "length")
          const parts = yield* limited(Stream.runCollect(LanguageModel.streamText({ prompt: long })))
          assert.deepStrictEqual(parts.flatMap((part) => part.type === "finish" ? [part.reason] : []), ["length"])
        }).pipe(Effect.provide(over(provider))))
    })
  }

  describe("keeps, through Chat, its export and the next request", () => {
    const call = (id: string, more: Partial<Message.ToolCall> = {}) =>
      Message.toolCall({ id, name: "get_weather", arguments: { city: "Oslo" }, ...more })
    const reasoning = (...content: Message.Reasoning["content"]): Message.Reasoning => ({ _tag: "Reasoning", content })
    const turns: Readonly<Record<string, ReadonlyArray<Message.AssistantContent>>> = {
      "signed thinking": [
        reasoning({ _tag: "Text", text: "I think", signature: "sig1" }),
        reasoning({ _tag: "Redacted", data: "xxxx" }),
        Message.text("Hello"),
        call("c1")
      ],
      "thinking of several parts": [
        reasoning({ _tag: "Text", text: "one", signature: "a" }, { _tag: "Text", text: "two", signature: "b" }),
        Message.text("Hello")
      ],
      "signed calls": [Message.text("Hm", { signature: "s0" }), call("c1", { signature: "g1" }), call("c2")],
      citations: [Message.text("A", { citations: [{ cited: 1 }] }), Message.text("B")],
      "phases of texts": [Message.text("So", { phase: "commentary" }), Message.text("Yes", { phase: "final_answer" })],
      "blocks of the provider": [
        { _tag: "ProviderBlock", provider: "test", block: { type: "server_tool_use", id: "x" } },
        Message.text("Found"),
        { _tag: "ProviderBlock", provider: "test", block: { type: "end" } }
      ],
      "only calls": [call("c1", { signature: "only" })],
      "texts around thinking": [
        Message.text("A"),
        reasoning({ _tag: "Text", text: "r", signature: "x" }),
        Message.text("B")
      ],
      images: [Message.text("Look"), Message.image(Message.base64("iVBORw0KGgo=", "image/png"), { signature: "im" })],
      "encrypted reasoning": [
        reasoning({ _tag: "Summary", text: "sum" }, { _tag: "Encrypted", data: "enc", id: "rs_1" }),
        Message.text("X")
      ],
      "plain text": [Message.text("Only text")]
    }
    for (const [name, choice] of Object.entries(turns)) {
      for (const streamed of [false, true]) {
        it.effect(`${name}, ${streamed ? "streamed" : "whole"}`, () =>
          Effect.gen(function*() {
            const chat = yield* Chat.empty
            const asking = { prompt: "Hi", toolkit: Tools, disableToolCallResolution: true } as const
            if (streamed) yield* Stream.runDrain(chat.streamText(asking))
            else yield* chat.generateText(asking)
            const restored = yield* Chat.fromJson(yield* chat.exportJson)
            const calls = choice.flatMap((content) => content._tag === "ToolCall" ? [content] : [])
            const results = calls.map(({ id, name }) =>
              ({ type: "tool-result", id, name, isFailure: false, result: { sky: "grey" } }) as const
            )
            yield* restored.generateText({
              prompt: results.length === 0 ? "go on" : [{ role: "tool", content: results }],
              toolkit: Tools
            })
            const [, second] = yield* TestLLM.requests
            assert.deepStrictEqual(second!.completion.history, [
              Message.user("Hi"),
              Message.assistant(choice, { id: "msg_1", provider: "test" })
            ])
            if (calls.length === 0) return
            assert.deepStrictEqual(
              second!.completion.prompt,
              Message.user(
                calls.map(({ id, name }) => Message.toolResult({ id, name, content: [Message.json({ sky: "grey" })] }))
              )
            )
          }).pipe(Effect.provide(ToolsLive), scripted([TestLLM.answer({ id: "msg_1", choice }), "done"])))
      }
    }

    /** The history that a chat keeps of a streamed answer. */
    const kept = (reply: TestLLM.Reply) =>
      Effect.gen(function*() {
        const chat = yield* Chat.empty
        yield* Stream.runDrain(chat.streamText({ prompt: "Hi", toolkit: Tools, disableToolCallResolution: true }))
        return EffectAi.fromPrompt(
          yield* Chat.fromJson(yield* chat.exportJson).pipe(
            Effect.flatMap(({ history }) => Ref.get(history))
          )
        ).slice(1)
      }).pipe(
        Effect.provide(Layer.merge(ToolsLive, Layer.provide(EffectAi.layerLanguageModel, TestLLM.layer([reply]))))
      )

    it.effect("contents that end in another order than they began", () =>
      Effect.gen(function*() {
        const parts = TestLLM.parts([
          { _tag: "ToolCallStart", index: 0, id: "c1", name: "get_weather" },
          { _tag: "TextDelta", index: 1, text: "Let me" },
          { _tag: "TextDelta", index: 1, text: " see" },
          { _tag: "ContentEnd", index: 1, content: Message.text("Let me see") },
          { _tag: "ToolCallDelta", index: 0, arguments: `{"city":"Oslo"}` },
          { _tag: "ContentEnd", index: 0, content: call("c1") }
        ])
        assert.deepStrictEqual(yield* kept(parts), [
          Message.assistant([call("c1"), Message.text("Let me see")], { provider: "test" })
        ])
      }))

    it.effect("an id that the provider says late", () =>
      Effect.gen(function*() {
        const parts = TestLLM.parts([{ _tag: "Start", provider: "test" }, "Hello"], { id: "msg_1" })
        assert.deepStrictEqual(yield* kept(parts), [Message.assistant("Hello", { id: "msg_1", provider: "test" })])
      }))
  })

  it.effect("runs a tool as soon as its call is whole, while the answer goes on", () =>
    Effect.gen(function*() {
      const ran = yield* Deferred.make<void>()
      const call = Message.toolCall({ id: "c1", name: "get_time", arguments: { zone: "CET" } })
      const client: LLMClient.Service = {
        provider: "test",
        completion: () => Effect.die("not asked for"),
        // Goes on only when the tool has run.
        stream: () =>
          Stream.concat(
            Stream.fromIterable([
              { _tag: "Start", provider: "test" } as const,
              { _tag: "ToolCallStart", index: 0, id: "c1", name: "get_time" } as const,
              { _tag: "ToolCallDelta", index: 0, arguments: `{"zone":"CET"}` } as const,
              { _tag: "ContentEnd", index: 0, content: call } as const,
              { _tag: "TextDelta", index: 1, text: "Wait" } as const
            ]).pipe(Stream.rechunk(1)),
            Stream.fromEffect(Effect.as(
              Deferred.await(ran),
              {
                _tag: "Finish",
                response: {
                  choice: [call, Message.text("Wait")],
                  finishReason: { _tag: "ToolUse" },
                  usage: TokenUsage.zero,
                  provider: "test",
                  message: Message.assistant([call, "Wait"], { provider: "test" })
                }
              } as never
            ))
          )
      }
      const model = yield* EffectAi.makeLanguageModel(client)
      const parts = yield* Stream.runCollect(model.streamText({ prompt: "x", toolkit: Tools })).pipe(
        Effect.provide(Tools.toLayer({
          get_weather: () => Effect.die("not called"),
          get_time: ({ zone }) => Effect.as(Deferred.succeed(ran, undefined), zone)
        }))
      )
      assert.deepStrictEqual(parts.flatMap((part) => part.type === "tool-result" ? [part.result] : []), ["CET"])
    }))

  it.effect("says what is known of an answer besides", () =>
    Effect.gen(function*() {
      const answer = TestLLM.answer({
        text: "Hi",
        id: "msg_1",
        cost: 0.5,
        requestId: "req_1",
        finishReason: { _tag: "Other", reason: "pause_turn" },
        usage: { inputTokens: 10, outputTokens: 5, cachedInputTokens: 3, cacheWriteTokens: 1, reasoningTokens: 2 },
        warnings: [{ field: "temperature", description: "left out" }]
      })
      const { content } = yield* scripted([answer])(LanguageModel.generateText({ prompt: "x" }))
      const finish = content.find((part) => part.type === "finish")!
      assert.strictEqual(finish.reason, "pause")
      assert.deepInclude(finish.usage.inputTokens, { total: 10, uncached: 6, cacheRead: 3, cacheWrite: 1 })
      assert.deepInclude(finish.usage.outputTokens, { total: 5, text: 3, reasoning: 2 })
      assert.deepStrictEqual(finish.metadata["effect-llm"], {
        provider: "test",
        finishReason: "pause_turn",
        requestId: "req_1",
        cost: 0.5,
        warnings: [{ field: "temperature", description: "left out" }]
      })
    }))

  it.effect("asks for what effect/ai asks for", () =>
    Effect.gen(function*() {
      const ask = (options: Pick<LanguageModel.GenerateTextOptions<typeof Tools.tools>, "toolChoice">) =>
        LanguageModel.generateText({ prompt: "x", toolkit: Tools, disableToolCallResolution: true, ...options })
      yield* ask({})
      yield* ask({ toolChoice: "none" })
      yield* ask({ toolChoice: "required" })
      yield* ask({ toolChoice: { tool: "get_time" } })
      yield* ask({ toolChoice: { mode: "required", oneOf: ["get_time"] } })
      yield* LanguageModel.generateObject({ prompt: "x", schema: Person, objectName: "person" })
      const asked = (yield* TestLLM.requests).map(({ completion }) => completion)
      assert.deepStrictEqual(asked.map(({ toolChoice }) => toolChoice), [
        undefined,
        { _tag: "None" },
        { _tag: "Required" },
        { _tag: "Specific", names: ["get_time"] },
        { _tag: "Required" },
        undefined
      ])
      assert.deepStrictEqual(asked.map(({ tools }) => tools.map(({ name }) => name)), [
        ...Array.from({ length: 4 }, () => ["get_weather", "get_time"]),
        ["get_time"],
        []
      ])
      const schema = asked[5]!.outputSchema!
      assert.strictEqual(schema["title"], "person")
      // A field that may be absent is one that may be null on the wire.
      assert.deepStrictEqual(schema["required"], ["name", "age", "nick"])
    }).pipe(
      scripted([...Array.from({ length: 5 }, () => "ok"), `{"name":"A","age":1,"nick":null}`]),
      Effect.provide(ToolsLive)
    ))

  describe("fails", () => {
    const failure = <A, R>(program: Effect.Effect<A, unknown, R>, script: TestLLM.Script) =>
      scripted(script)(Effect.flip(program)) as Effect.Effect<AiError.AiError>

    it.effect("as effect/ai does, whole and streamed", () =>
      Effect.gen(function*() {
        for (
          const run of [
            LanguageModel.generateText({ prompt: "x" }),
            Stream.runDrain(LanguageModel.streamText({ prompt: "x" }))
          ]
        ) {
          const limited = yield* failure(run, [{ _tag: "RateLimit", retryAfter: "7 seconds" }])
          assert.strictEqual(limited.reason._tag, "RateLimitError")
          assert.strictEqual(limited.module, "effect-llm")
          assert.isTrue(limited.isRetryable)
        }
      }))

    it.effect("when a tool is called that was not given, unless the caller wants to see it", () =>
      Effect.gen(function*() {
        const options = { prompt: "x", toolkit: Tools, disableToolCallResolution: true } as const
        const call = TestLLM.toolCall("nope", { a: 1 })
        const provided = Effect.provide(ToolsLive)
        const whole = yield* failure(provided(LanguageModel.generateText(options)), [call])
        assert.strictEqual(whole.reason._tag, "ToolNotFoundError")
        const streamed = yield* failure(provided(Stream.runDrain(LanguageModel.streamText(options))), [call])
        assert.strictEqual(streamed.reason._tag, "ToolNotFoundError")
        const deferred = yield* LanguageModel.generateText({ ...options, toolCallValidation: "deferred" }).pipe(
          provided,
          scripted([call])
        )
        assert.deepStrictEqual(deferred.toolCalls.map(({ name, params }) => [name, params]), [["nope", { a: 1 }]])
      }))

    it.effect("before anything is sent for tools that a provider defines, and unsupported schemas", () =>
      Effect.gen(function*() {
        const search = AiTool.providerDefined({
          id: "anthropic.web_search_20250305",
          customName: "Search",
          providerName: "web_search",
          args: Schema.Struct({ max: Schema.Finite })
        })({ max: 3 })
        const defined = yield* failure(
          LanguageModel.generateText({ prompt: "x", toolkit: Toolkit.make(search), disableToolCallResolution: true }),
          []
        )
        assert.strictEqual(defined.reason._tag, "ToolConfigurationError")
        const union = yield* failure(
          LanguageModel.generateObject({
            prompt: "x",
            schema: Schema.Union([Schema.Struct({ a: Schema.String }), Schema.Struct({ b: Schema.String })])
          }),
          []
        )
        assert.strictEqual(union.reason._tag, "UnsupportedSchemaError")
      }))
  })

  it.effect("applies the innermost of several setters first", () =>
    Effect.gen(function*() {
      yield* LanguageModel.generateText({ prompt: "x" }).pipe(
        EffectAi.withCompletion(Completion.maxTokens(5)),
        EffectAi.withCompletion((completion) => Completion.maxTokens(completion.maxTokens! * 2)(completion)),
        EffectAi.withCompletion(Completion.model("other"))
      )
      const [{ completion }] = (yield* TestLLM.requests) as [TestLLM.Request]
      assert.deepStrictEqual([completion.maxTokens, completion.model], [10, "other"])
    }).pipe(scripted(["ok"])))

  it("is loaded only by who asks for it", () => {
    assert.notProperty(Barrel, "EffectAi")
    const loaded = spawnSync(process.execPath, [
      "--input-type=module",
      "--eval",
      `import { registerHooks } from "node:module"
       registerHooks({ load: (url, context, next) => {
         if (url.includes("/effect/dist/ai/")) console.log(url)
         return next(url, context)
       } })
       await import(${JSON.stringify(new URL("../src/index.ts", import.meta.url).href)})
       console.log("done")`
    ], { encoding: "utf8" })
    assert.strictEqual(loaded.stdout, "done\n", loaded.stderr)
  })

  it.effect("is a model for each of two clients in one graph", () =>
    Effect.gen(function*() {
      class A extends Context.Service<A, LanguageModel.LanguageModel>()("test/A") {}
      class B extends Context.Service<B, LanguageModel.LanguageModel>()("test/B") {}
      const over = (text: string) => EffectAi.layerLanguageModel.pipe(Layer.provide(TestLLM.layer(() => text)))
      const both = Layer.merge(
        Layer.effect(A, LanguageModel.LanguageModel).pipe(Layer.provide(over("first"))),
        Layer.effect(B, LanguageModel.LanguageModel).pipe(Layer.provide(over("second")))
      )
      const texts = yield* Effect.gen(function*() {
        const a = yield* (yield* A).generateText({ prompt: "x" })
        const b = yield* (yield* B).generateText({ prompt: "x" })
        return [a.text, b.text]
      }).pipe(Effect.provide(both))
      assert.deepStrictEqual(texts, ["first", "second"])
    }))
})
