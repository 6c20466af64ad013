import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Duration, Effect, type Exit, Layer, Schema, Stream } from "effect"
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as AiModel from "effect/ai/Model"
import type * as Response from "effect/ai/Response"
import * as EffectAi from "../src/EffectAi.ts"
import {
  Completion,
  type CompletionPart,
  type CompletionResponse,
  Fallback,
  LLMClient,
  type LLMError,
  Message,
  Retry,
  Tool
} from "../src/index.ts"
import { TestLLM } from "../src/testing/index.ts"
import { services, simulated } from "./testing/simulated.ts"

const weather = Tool.make("get_weather", { description: "Weather", parameters: Schema.Struct({ city: Schema.String }) })
const time = Tool.make("get_time", { description: "Time", parameters: Schema.Struct({ zone: Schema.String }) })
const Person = Schema.Struct({ name: Schema.String, age: Schema.Int, tags: Schema.Array(Schema.String) })

const ask = Completion.make({ prompt: "x" })

const usage = {
  inputTokens: { total: 10, uncached: 6, cacheRead: 3, cacheWrite: 1 },
  outputTokens: { total: 5, text: 3, reasoning: 2 }
}
const finish = { type: "finish", reason: "stop", usage } as const

/** A scripted `LanguageModel`, which notes what it was asked. */
const model = (script: {
  readonly whole?: ReadonlyArray<ReadonlyArray<Response.PartEncoded> | AiError.AiError>
  readonly streams?: ReadonlyArray<ReadonlyArray<Response.StreamPartEncoded | AiError.AiError>>
}) => {
  const asked: Array<LanguageModel.ProviderOptions> = []
  let calls = 0
  let streams = 0
  const layer = Layer.effect(
    LanguageModel.LanguageModel,
    LanguageModel.make({
      generateText: (options) =>
        Effect.suspend(() => {
          asked.push(options)
          const answer = script.whole![calls++]!
          return AiError.isAiError(answer) ? Effect.fail(answer) : Effect.succeed([...answer])
        }),
      streamText: (options) =>
        Stream.suspend(() => {
          asked.push(options)
          return Stream.fromIterable(script.streams![streams++]!).pipe(
            Stream.mapEffect((part) => AiError.isAiError(part) ? Effect.fail(part) : Effect.succeed(part))
          )
        })
    })
  )
  return { asked, layer }
}

const client = (
  script: Parameters<typeof model>[0],
  options: EffectAi.ClientOptions = { provider: "acme" }
) => Effect.provide(EffectAi.layerClient(options).pipe(Layer.provide(model(script).layer)))

const aiError = (reason: AiError.AiErrorReason) => AiError.make({ module: "Acme", method: "m", reason })

/** What passes through effect/ai; ids that were made up differ from call to call. */
const core = (value: unknown): unknown => {
  const names = new Map<string, string>()
  const name = (id: string) => names.get(id) ?? (names.set(id, `id ${names.size}`), names.get(id)!)
  return JSON.parse(
    JSON.stringify(value).replaceAll(/minted_\w+/g, name),
    (key, value) => ["id", "requestId", "rateLimits", "metadata", "model", "cost"].includes(key) ? undefined : value
  )
}

const contents = (parts: ReadonlyArray<CompletionPart.CompletionPart>): ReadonlyArray<Message.AssistantContent> =>
  parts.flatMap((part) => part._tag === "ContentEnd" ? [part] : []).sort((a, b) => a.index - b.index)
    .map(({ content }) => content)

const response = (parts: ReadonlyArray<CompletionPart.CompletionPart>): CompletionResponse.CompletionResponse => {
  const last = parts.at(-1)
  assert(last?._tag === "Finish")
  return last.response
}

describe("a LanguageModel of effect/ai as a client", () => {
  for (const service of services) {
    it.effect(`answers over ${service} and back as that does itself, whole and streamed`, () =>
      Effect.gen(function*() {
        const { client: direct } = yield* simulated(service, { whole: "stream" })
        const limits = ({ maxTokens }: Completion.Completion) =>
          Context.make(EffectAi.CurrentCompletion, (completion: Completion.Completion) =>
            maxTokens === undefined ? completion : Completion.maxTokens(maxTokens)(completion))
        const bridged = EffectAi.makeClient(yield* EffectAi.makeLanguageModel(direct), {
          provider: direct.provider,
          configure: limits
        })
        const requests: Readonly<Record<string, Completion.Completion>> = {
          text: Completion.make({ prompt: "Hello" }),
          tools: Completion.make({ prompt: "get_weather and get_time", tools: [weather, time] }),
          required: Completion.make({ prompt: "x", tools: [weather, time], toolChoice: Tool.specific("get_time") }),
          limited: Completion.make({ prompt: "Say it all. ".repeat(40), maxTokens: 16 }),
          results: Completion.make({
            history: [
              Message.user("get_weather"),
              Message.assistant([Message.toolCall({ id: "toolu_1", name: "get_weather", arguments: { city: "a" } })])
            ],
            prompt: Message.user(
              Message.toolResult({ id: "toolu_1", name: "get_weather", content: [Message.json({ sky: "blue" })] })
            ),
            tools: [weather]
          })
        }
        for (const [name, request] of Object.entries(requests)) {
          const expected = yield* direct.completion(request)
          assert.deepStrictEqual(core(yield* bridged.completion(request)), core(expected), name)
          const parts = yield* Stream.runCollect(bridged.stream(request))
          const own = yield* Stream.runCollect(direct.stream(request))
          // Only the end says who answered.
          assert.deepStrictEqual(core(parts), core(own), name)
          assert.deepStrictEqual(contents(parts), response(parts).choice)
        }
        const object = Completion.make({ prompt: "Who?", outputSchema: Person })
        assert.isTrue(Schema.is(Person)(JSON.parse((yield* bridged.completion(object)).text)))
        const streamed = yield* Stream.runCollect(bridged.stream(object))
        assert.deepStrictEqual(
          streamed.map(({ _tag }) =>
            _tag
          ),
          ["Start", "TextDelta", "ContentEnd", "Finish"]
        )
      }))
  }

  it.effect("has the parts of a stream in blocks of its own, each ending with its content", () =>
    Effect.gen(function*() {
      const call = { id: "c1", name: "get_weather" } as const
      const parts = yield* Stream.runCollect(LLMClient.stream(Completion.make({ prompt: "x", tools: [weather] }))).pipe(
        client({
          streams: [[
            { type: "response-metadata", id: "r1", modelId: "m1" },
            { type: "reasoning-start", id: "0" },
            { type: "reasoning-delta", id: "0", delta: "Hm" },
            { type: "text-start", id: "0" },
            { type: "text-delta", id: "0", delta: "He" },
            { type: "text-delta", id: "0", delta: "" },
            { type: "reasoning-end", id: "0" },
            { type: "tool-params-start", ...call },
            { type: "tool-params-delta", id: "c1", delta: `{"city":"Oslo"}` },
            { type: "tool-params-end", id: "c1" },
            { type: "tool-call", ...call, params: { city: "Oslo" } },
            { type: "tool-call", id: "c2", name: "get_weather", params: { city: "Rome" } },
            { type: "text-delta", id: "0", delta: "llo" },
            { type: "text-end", id: "0" },
            { type: "file", mediaType: "image/png", data: "AAAA" },
            { ...finish, reason: "tool-calls" }
          ]]
        })
      )
      const reasoning: Message.Reasoning = { _tag: "Reasoning", content: [{ _tag: "Text", text: "Hm" }] }
      const oslo = Message.toolCall({ id: "c1", name: "get_weather", arguments: { city: "Oslo" } })
      const rome = Message.toolCall({ id: "c2", name: "get_weather", arguments: { city: "Rome" } })
      const image = Message.image(Message.base64("AAAA", "image/png"))
      assert.deepStrictEqual(parts.slice(0, -1), [
        { _tag: "Start", provider: "acme", model: "m1", id: "r1" },
        { _tag: "ReasoningDelta", index: 0, text: "Hm" },
        { _tag: "TextDelta", index: 1, text: "He" },
        { _tag: "ContentEnd", index: 0, content: reasoning },
        { _tag: "ToolCallStart", index: 2, id: "c1", name: "get_weather" },
        { _tag: "ToolCallDelta", index: 2, arguments: `{"city":"Oslo"}` },
        { _tag: "ContentEnd", index: 2, content: oslo },
        { _tag: "ToolCallStart", index: 3, id: "c2", name: "get_weather" },
        { _tag: "ToolCallDelta", index: 3, arguments: `{"city":"Rome"}` },
        { _tag: "ContentEnd", index: 3, content: rome },
        { _tag: "TextDelta", index: 1, text: "llo" },
        { _tag: "ContentEnd", index: 1, content: Message.text("Hello") },
        { _tag: "ContentEnd", index: 4, content: image }
      ])
      const answer = response(parts)
      assert.deepStrictEqual(answer.choice, [reasoning, Message.text("Hello"), oslo, rome, image])
      assert.deepStrictEqual([answer.id, answer.model, answer.finishReason._tag], ["r1", "m1", "ToolUse"])
      assert.deepInclude(answer.usage, {
        inputTokens: 10,
        outputTokens: 5,
        cachedInputTokens: 3,
        cacheWriteTokens: 1,
        reasoningTokens: 2
      })
    }))

  for (const streamed of [false, true]) {
    it.effect(`sends a turn back as its provider wrote it, ${streamed ? "streamed" : "whole"}`, () =>
      Effect.gen(function*() {
        const rest = [
          { type: "tool-call", id: "c0", name: "web", params: { q: 1 }, providerExecuted: true },
          { type: "tool-call", id: "c1", name: "get_weather", params: { city: "Oslo" }, metadata: { acme: { x: 1 } } },
          { ...finish, reason: "tool-calls" }
        ] as const
        const text = { acme: { itemId: "i1" } }
        const { asked, layer } = model({
          whole: [
            [
              { type: "reasoning", text: "hm", metadata: { acme: { sig: "S" } } },
              { type: "text", text: "Hello", metadata: text },
              ...rest
            ],
            [{ type: "text", text: "ok" }, finish]
          ],
          streams: [[
            { type: "reasoning-start", id: "r" },
            { type: "reasoning-delta", id: "r", delta: "hm" },
            { type: "reasoning-end", id: "r", metadata: { acme: { sig: "S" } } },
            { type: "text-start", id: "t", metadata: text },
            { type: "text-delta", id: "t", delta: "Hello" },
            { type: "text-end", id: "t" },
            ...rest
          ], [{ type: "text-start", id: "t" }, { type: "text-delta", id: "t", delta: "ok" }, finish]]
        })
        const call = (completion: Completion.Completion) =>
          streamed
            ? Effect.map(Stream.runCollect(LLMClient.stream(completion)), (parts) => {
              assert.deepStrictEqual(contents(parts), response(parts).choice)
              return response(parts)
            })
            : LLMClient.completion(completion)
        yield* Effect.gen(function*() {
          const first = yield* call(Completion.make({ prompt: "Hi", tools: [weather] }))
          assert.deepStrictEqual(first.toolCalls.map(({ id }) => id), ["c1"])
          const history = yield* Schema.decodeUnknownEffect(Schema.Array(Message.Message))(
            JSON.parse(JSON.stringify([Message.user("Hi"), first.message]))
          )
          yield* call(Completion.make({
            history,
            prompt: Message.user(Message.toolResult({ id: "c1", name: "get_weather", content: "grey" })),
            tools: [weather]
          }))
        }).pipe(Effect.provide(EffectAi.layerClient().pipe(Layer.provide(layer))))
        const turn = asked[1]!.prompt.content[1]!
        assert(turn.role === "assistant")
        assert.deepStrictEqual(turn.content.map(({ options, type }) => [type, options]), [
          ["reasoning", { acme: { sig: "S" } }],
          ["text", { acme: { itemId: "i1" } }],
          ["tool-call", {}],
          ["tool-call", { acme: { x: 1 } }]
        ])
      }))
  }

  describe("fails", () => {
    const down = aiError(
      new AiError.InternalProviderError({ description: "boom", http: { response: { status: 529, headers: {} } } })
    )
    const start = [{ type: "text-start", id: "0" }, { type: "text-delta", id: "0", delta: "Hel" }] as const
    const streamed = (parts: ReadonlyArray<Response.StreamPartEncoded | AiError.AiError>) =>
      Effect.gen(function*() {
        const seen: Array<string> = []
        const error = yield* LLMClient.stream(ask).pipe(
          Stream.runForEach(({ _tag }) => Effect.sync(() => void seen.push(_tag))),
          Effect.flip,
          client({ streams: [parts] })
        )
        return { error: error as LLMError.LLMError, seen }
      })

    it.effect("in the middle of a stream, with the partial answer", () =>
      Effect.gen(function*() {
        const { error, seen } = yield* streamed([...start, down])
        assert.deepStrictEqual([error._tag, error.reason, error.status], ["Transient", "Overloaded", 529])
        assert.strictEqual(error.partial?.text, "Hel")
        assert.deepStrictEqual(seen, ["Start", "TextDelta"])
        assert.strictEqual(error.provider, "acme")
      }))

    it.effect("with an error that comes as a part, or without an end", () =>
      Effect.gen(function*() {
        const part = yield* streamed([...start, {
          type: "error",
          error: { type: "overloaded_error", message: "busy" }
        }])
        assert.deepStrictEqual([part.error._tag, part.error.reason], ["Transient", "Overloaded"])
        assert.strictEqual(part.error.partial?.text, "Hel")
        const cut = yield* streamed(start)
        assert.deepStrictEqual([cut.error._tag, cut.error.reason], ["Transient", "Truncated"])
        assert.strictEqual(cut.error.partial?.text, "Hel")
      }))

    it.effect("when the answer is a failure, whole and streamed", () =>
      Effect.gen(function*() {
        const { error, seen } = yield* streamed([finish])
        assert.deepStrictEqual([error._tag, error.reason], ["EmptyResponse", "NoContent"])
        assert.strictEqual(error.partial?.usage.outputTokens, 5)
        assert.deepStrictEqual(seen, [])
        const whole = yield* LLMClient.completion(ask).pipe(Effect.flip, client({ whole: [[finish]] }))
        assert.deepStrictEqual([whole._tag, whole.reason], ["EmptyResponse", "NoContent"])
      }))

    it.effect("when a LanguageModel has no option for a field", () =>
      Effect.gen(function*() {
        const request = Completion.make({
          prompt: "x",
          maxTokens: 5,
          topP: 1,
          reasoning: { effort: "low" },
          model: "b"
        })
        for (const run of [LLMClient.completion(request), Stream.runDrain(LLMClient.stream(request))]) {
          const error =
            (yield* run.pipe(Effect.flip, client({}, { provider: "acme", model: "a" }))) as LLMError.LLMError
          assert.deepStrictEqual([error._tag, error.reason], ["ClientError", "Unsupported"])
          assert.include(error.description, "model, maxTokens, topP, reasoning")
        }
        const same = yield* LLMClient.completion(Completion.model("a")(ask)).pipe(
          client({ whole: [[{ type: "text", text: "ok" }, finish]] }, { provider: "acme", model: "a" })
        )
        assert.strictEqual(same.text, "ok")
      }))
  })

  it.effect("has the names of Model.make, unless others are given", () =>
    Effect.gen(function*() {
      const made = AiModel.make("acme", "a-1", model({ whole: [[{ type: "text", text: "ok" }, finish]] }).layer)
      const read = Effect.map(LLMClient.LLMClient, ({ model, provider }) => [provider, model])
      const named = read.pipe(Effect.provide(EffectAi.layerClient().pipe(Layer.provide(made))))
      assert.deepStrictEqual(yield* named, ["acme", "a-1"])
      const given = EffectAi.layerClient({ provider: "mine", model: "m" }).pipe(Layer.provide(made))
      assert.deepStrictEqual(yield* read.pipe(Effect.provide(given)), ["mine", "m"])
      assert.deepStrictEqual(yield* read.pipe(client({}, {})), ["effect-ai", undefined])
    }))

  it.effect("is retried and stands in a Fallback like every other client", () =>
    Effect.gen(function*() {
      const limited = aiError(new AiError.RateLimitError({ retryAfter: Duration.zero }))
      const acme = LLMClient.compose(
        Retry.layer({ RateLimit: { base: 0, cap: 0 } }),
        EffectAi.layerClient({ provider: "acme" }).pipe(
          Layer.provide(model({ whole: [limited, [{ type: "text", text: "at last" }, finish]] }).layer)
        )
      )
      const layer = Fallback.layer([
        TestLLM.layer([{ _tag: "ClientError", reason: "Quota" }], { provider: "first" }),
        acme
      ])
      const { attempts, provider, text } = yield* LLMClient.completion(ask).pipe(Effect.provide(layer))
      assert.deepStrictEqual([text, provider], ["at last", "acme"])
      assert.deepStrictEqual(attempts?.map(({ _tag, provider }) => [provider, _tag]), [
        ["first", "ClientError"],
        ["acme", "RateLimit"]
      ])
    }))

  it.effect("sends the preamble as the first message, and a Schema unchanged", () =>
    Effect.gen(function*() {
      const { asked, layer } = model({ whole: [[{ type: "text", text: `{"name":"A","age":1,"tags":[]}` }, finish]] })
      const request = Completion.make({ preamble: "Be brief.", prompt: "Who?", outputSchema: Person })
      const { text } = yield* LLMClient.completion(request).pipe(
        Effect.provide(EffectAi.layerClient().pipe(Layer.provide(layer)))
      )
      assert.deepStrictEqual(JSON.parse(text), { name: "A", age: 1, tags: [] })
      const [{ prompt, responseFormat }] = asked as [LanguageModel.ProviderOptions]
      assert.strictEqual(responseFormat.type, "json")
      assert.deepStrictEqual(prompt.content.slice(0, 1).map(({ content, role }) => [role, content]), [
        ["system", "Be brief."]
      ])
    }))

  it.effect("refuses options that do not exist", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(LLMClient.completion(ask).pipe(client({}, { providr: "x" } as never)))
      assert.include(Cause.pretty((exit as Exit.Failure<unknown, never>).cause), "EffectAi.layerClient providr")
    }))
})
