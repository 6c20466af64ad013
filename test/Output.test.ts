import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as Stream from "effect/Stream"
import {
  Anthropic,
  Completion,
  type CompletionResponse,
  Gemini,
  type LLMClient,
  LLMError,
  OpenAi,
  OpenRouter,
  Retry
} from "../src/index.ts"
import * as Output from "../src/Output.ts"
import * as Growing from "../src/output/growing.ts"
import { Simulator, TestLLM } from "../src/testing/index.ts"

// The same cases in every run.
Arbitrary.configureGlobal({ check: { seed: "Output" } })

const ask = Completion.make({ prompt: "Tell me" })

const Recipe = Schema.Struct({ name: Schema.String, minutes: Schema.Int, note: Schema.optionalKey(Schema.String) })

class Person extends Schema.Class<Person>("app/Person")({ name: Schema.String }) {}

const Shape = Schema.Union([
  Schema.TaggedStruct("Circle", { radius: Schema.Finite }),
  Schema.TaggedStruct("Square", { side: Schema.Finite })
])

const schemas = {
  struct: Recipe,
  rich: Schema.Struct({
    big: Schema.BigInt,
    map: Schema.Record(Schema.String, Schema.Finite),
    pair: Schema.Tuple([Schema.String, Schema.Boolean]),
    option: Schema.Option(Schema.String)
  }),
  class: Person,
  array: Schema.Array(Schema.String),
  string: Schema.String,
  literal: Schema.Literals(["yes", "no"]),
  union: Shape,
  empty: Schema.Struct({})
}

const apiKey = Redacted.make("test")

const wires = {
  anthropic: Anthropic.layer({ apiKey, model: "claude-sonnet-4-6" }),
  responses: OpenAi.layer({ apiKey, model: "gpt-5.4-mini" }),
  chat: OpenAi.layer({ apiKey, model: "gpt-5.4-mini", api: "chat" }),
  compatible: OpenAi.layer({ apiKey, model: "llama", baseUrl: "https://llm.example.com/v1" }),
  gemini: Gemini.layer({ apiKey, model: "gemini-3-flash" }),
  openrouter: OpenRouter.layer({ apiKey, model: "openai/gpt-5.4-mini" })
}

const simulated = (
  provider: Layer.Layer<LLMClient.LLMClient, never, HttpClient.HttpClient>,
  options: Simulator.Options = {}
) => Layer.provide(provider, Simulator.layer(options))

/** What a script answers, to a program that is expected to fail. */
const failure = <A, R>(effect: Effect.Effect<A, LLMError.LLMError, R>, script: TestLLM.Script) =>
  Effect.provide(Effect.flip(effect), TestLLM.layer(script))

const facts = (error: LLMError.LLMError) => [error._tag, error.reason, error.retryable]

describe("object", () => {
  for (const [name, wire] of Object.entries(wires)) {
    it.effect(`gives values of every kind of Schema: ${name}`, () =>
      Effect.gen(function*() {
        for (const [kind, schema] of Object.entries(schemas)) {
          const { response, value } = yield* Output.object(ask, schema as Schema.Codec<unknown>, { repairs: 0 })
          assert.isTrue(Schema.is(schema as Schema.Constraint)(value as never), kind)
          assert.isAbove(response.usage.outputTokens, 0)
        }
      }).pipe(Effect.provide(simulated(wire))))
  }

  it.effect("asks for one form, whichever provider answers", () =>
    Effect.gen(function*() {
      yield* Output.object(ask, Recipe)
      yield* Output.object(ask, Schema.Array(Person))
      const [first, second] = yield* TestLLM.requests
      assert.deepStrictEqual(first!.completion.outputSchema, {
        type: "object",
        properties: {
          name: { type: "string" },
          minutes: { type: "integer", minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER },
          note: { anyOf: [{ type: "string" }, { type: "null" }] }
        },
        required: ["name", "minutes", "note"],
        additionalProperties: false
      })
      const list = second!.completion.outputSchema!
      assert.deepStrictEqual(Object.keys(list["properties"] as object), ["value"])
      assert.deepStrictEqual(list["required"], ["value"])
    }).pipe(Effect.provide(TestLLM.layer([
      '{"name":"Egg","minutes":10,"note":null}',
      '{"value":[]}'
    ]))))

  it.effect("names the answer after the Schema, and defines nothing that is not used", () =>
    Effect.gen(function*() {
      const { value } = yield* Output.object(ask, Person)
      assert.deepStrictEqual(value, new Person({ name: "Ada" }))
      const [{ completion: { outputSchema } }] = (yield* TestLLM.requests) as [TestLLM.Request]
      assert.strictEqual(outputSchema!["title"], "app/Person")
      assert.notProperty(outputSchema, "$defs")
    }).pipe(Effect.provide(TestLLM.layer(['{"name":"Ada"}']))))

  it.effect("reads what is optional as absent, whether it is null or left out", () =>
    Effect.gen(function*() {
      const { value: given } = yield* Output.object(ask, Recipe)
      const { value: left } = yield* Output.object(ask, Recipe)
      assert.deepStrictEqual([given, left], [{ name: "Egg", minutes: 10 }, { name: "Egg", minutes: 10 }])
      const Nested = Schema.Struct({
        list: Schema.Array(Schema.Union([
          Schema.TaggedStruct("A", { x: Schema.optionalKey(Schema.String) }),
          Schema.TaggedStruct("B", { y: Schema.NullOr(Schema.String) })
        ]))
      })
      const { value } = yield* Output.object(ask, Nested)
      assert.deepStrictEqual(value, { list: [{ _tag: "A" }, { _tag: "B", y: null }] })
    }).pipe(Effect.provide(TestLLM.layer([
      '{"name":"Egg","minutes":10,"note":null}',
      '{"name":"Egg","minutes":10}',
      '{"list":[{"_tag":"A"},{"_tag":"B"}]}'
    ]))))

  it.effect("finds the JSON in a fence, in words, and without the field around a list", () =>
    Effect.gen(function*() {
      for (let index = 0; index < 3; index++) {
        const { value } = yield* Output.object(ask, Recipe, { repairs: 0 })
        assert.strictEqual(value.name, "Egg")
      }
      const { value } = yield* Output.object(ask, Schema.Array(Schema.Int), { repairs: 0 })
      assert.deepStrictEqual(value, [1, 2])
    }).pipe(Effect.provide(TestLLM.layer([
      '```json\n{"name":"Egg","minutes":1,"note":null}\n```',
      'Sure:\n```\n{"name":"Egg","minutes":1,"note":"{"}\n```\nEnjoy {your} meal.',
      'Sure! {"name":"Egg","minutes":1,"note":null} Enjoy.',
      "[1, 2]"
    ]))))

  it.effect("sends what does not match back, once, and keeps its cost", () =>
    Effect.gen(function*() {
      const { response, value } = yield* Output.object(ask, Recipe)
      assert.deepStrictEqual(value, { name: "Egg", minutes: 10 })
      assert.deepStrictEqual(
        response.attempts?.map((error) => [...facts(error), error.partial?.usage.outputTokens]),
        [["EmptyResponse", "MalformedOutput", false, 7]]
      )
      assert.strictEqual(LLMError.total(response.attempts!).usage.outputTokens, 7)
      const [first, second] = yield* TestLLM.requests
      assert.deepStrictEqual(second!.completion.history.slice(0, 1), Completion.messages(first!.completion))
      assert.deepStrictEqual(second!.completion.history.map(({ _tag }) => _tag), ["User", "Assistant"])
      assert.deepStrictEqual(second!.completion.outputSchema, first!.completion.outputSchema)
      const [told] = second!.completion.prompt.content as ReadonlyArray<{ readonly text: string }>
      assert.match(told!.text, /does not match the schema: [^]*minutes[^]*JSON Schema:\n\{/)
    }).pipe(Effect.provide(TestLLM.layer([
      TestLLM.answer({ text: '{"name":"Egg","minutes":"ten"}', usage: { outputTokens: 7 } }),
      '{"name":"Egg","minutes":10,"note":null}'
    ]))))

  it.effect.each([0, 1, 3])(
    "asks again %i times, and then fails with the answer and all before it",
    (repairs) =>
      Effect.gen(function*() {
        const replies = Array.from(
          { length: repairs + 1 },
          (_, index) => TestLLM.answer({ text: `no ${index}`, usage: { outputTokens: 1 } })
        )
        const error = yield* failure(Output.object(ask, Recipe, { repairs }), replies)
        assert.deepStrictEqual(facts(error), ["EmptyResponse", "MalformedOutput", false])
        assert.strictEqual(error.description, "the answer is not JSON")
        assert.strictEqual(error.partial?.text, `no ${repairs}`)
        assert.deepStrictEqual(LLMError.total(error.attempts ?? []).count, repairs)
      })
  )

  it.effect("is not sent again by a Retry below", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Output.object(ask, Recipe, { repairs: 0 }))
      assert.strictEqual(error.reason, "MalformedOutput")
      assert.lengthOf(yield* TestLLM.requests, 1)
    }).pipe(Effect.provide(Layer.provideMerge(Retry.layer(), TestLLM.layer(["no"])))))

  it.effect("keeps what did not match with a failure of the repair", () =>
    Effect.gen(function*() {
      const error = yield* failure(Output.object(ask, Recipe), ["no", { _tag: "RateLimit" }])
      assert.strictEqual(error._tag, "RateLimit")
      assert.deepStrictEqual(error.attempts?.map(({ reason }) => reason), ["MalformedOutput"])
    }))

  it.effect("says what cut the answer, and does not ask again", () =>
    Effect.gen(function*() {
      const cut = (finishReason: CompletionResponse.FinishReason) =>
        failure(Output.object(ask, Recipe, { repairs: 3 }), [TestLLM.answer({ text: '{"name":"E', finishReason })])
      const budget = yield* cut({ _tag: "MaxTokens" })
      assert.deepStrictEqual([budget._tag, budget.reason, budget.partial?.text], [
        "ClientError",
        "OutputBudget",
        '{"name":"E'
      ])
      const filter = yield* cut({ _tag: "ContentFilter" })
      assert.deepStrictEqual([filter._tag, filter.reason], ["ClientError", "ContentFilter"])
      const calls = yield* failure(Output.object(ask, Recipe, { repairs: 3 }), [TestLLM.toolCall("x", {})])
      assert.deepStrictEqual([calls._tag, calls.reason], ["ClientError", "Unsupported"])
      assert.include(calls.description, "ToolLoop")
    }))

  it.effect("takes a value that was whole before the answer was cut", () =>
    Effect.gen(function*() {
      const { value } = yield* Output.object(ask, Schema.Int)
      assert.strictEqual(value, 3)
    }).pipe(Effect.provide(TestLLM.layer([
      TestLLM.answer({ text: '{"value":3}', finishReason: { _tag: "MaxTokens" } })
    ]))))

  it.effect("refuses an unsupported Schema before anything is sent, with its path", () =>
    Effect.gen(function*() {
      const refused = (schema: Schema.Constraint) =>
        Effect.map(failure(Output.object(ask, schema as Schema.Codec<unknown>), []), (error) => {
          assert.deepStrictEqual([error._tag, error.reason, error.provider], ["ClientError", "Unsupported", "test"])
          return error.description.replace("the schema is not supported: ", "")
        })
      const photo = Schema.instanceOf(Blob)
      assert.match(yield* refused(Schema.Struct({ a: Schema.Struct({ b: Schema.Never }) })), /^a\.b: /)
      assert.match(
        yield* refused(Schema.Struct({ list: Schema.Array(Schema.Struct({ photo })) })),
        /^list\[\]\.photo: /
      )
      assert.match(yield* refused(Schema.Tuple([Schema.String, photo])), /^\[1\]: /)
      assert.match(yield* refused(photo), /^the root: /)
      assert.match(yield* refused(Schema.Union([photo, Schema.Never])), /^the root: /)
      assert.include(yield* refused(Schema.Struct({ [Symbol.for("x")]: Schema.String })), "names must be strings")
      interface Node {
        readonly next: Node | null
        readonly photo: Blob
      }
      const Node: Schema.Codec<Node> = Schema.Struct({
        next: Schema.NullOr(Schema.suspend(() => Node)),
        photo
      })
      assert.match(yield* refused(Node), /^photo: /)
    }))

  it.effect("asks for what some JSON can say", () =>
    Effect.gen(function*() {
      const Odd = Schema.Struct({
        gone: Schema.optionalKey(Schema.Never),
        either: Schema.Union([Schema.Never, Schema.String]),
        nothing: Schema.Undefined,
        any: Schema.Unknown,
        json: Schema.Json
      })
      const { value } = yield* Output.object(ask, Odd)
      assert.deepStrictEqual(value, { either: "x", nothing: undefined, any: [1], json: null })
    }).pipe(Effect.provide(TestLLM.layer([
      '{"gone":null,"either":"x","nothing":null,"any":[1],"json":null}'
    ]))))

  it.effect("says of a recursive Schema where it is, where the provider takes none", () =>
    Effect.gen(function*() {
      class Tree extends Schema.Class<Tree>("Tree")({
        name: Schema.String,
        children: Schema.Array(Schema.suspend((): Schema.Codec<Tree, unknown> => Tree as never))
      }) {}
      const tree = Output.object(ask, Tree as never as Schema.Codec<unknown>)
      const error = yield* Effect.flip(tree).pipe(Effect.provide(simulated(wires.anthropic)))
      assert.strictEqual(error.reason, "Unsupported")
      assert.match(error.description, /recursive/)
      const { value } = yield* Effect.provide(tree, simulated(wires.responses))
      assert.instanceOf(value, Tree)
    }))

  it.effect("reads with the services that a Schema needs", () => {
    class Factor extends Context.Service<Factor, number>()("test/Factor") {}
    const Scaled = Schema.Finite.pipe(Schema.decodeTo(Schema.Finite, {
      decode: SchemaGetter.transformEffect((n: number) => Effect.map(Factor, (factor) => n * factor)),
      encode: SchemaGetter.transformEffect((n: number) => Effect.map(Factor, (factor) => n / factor))
    }))
    return Effect.gen(function*() {
      const { value } = yield* Output.object(ask, Schema.Struct({ n: Scaled }))
      assert.deepStrictEqual(value, { n: 20 })
    }).pipe(Effect.provide(TestLLM.layer(['{"n":2}'])), Effect.provideService(Factor, 10))
  })

  it.effect("keeps a key __proto__", () =>
    Effect.gen(function*() {
      const { value } = yield* Output.object(ask, Schema.Struct({ json: Schema.Json }))
      assert.deepStrictEqual(Object.keys(value.json as object), ["__proto__"])
    }).pipe(Effect.provide(TestLLM.layer(['{"json":{"__proto__":{"admin":true}}}']))))

  it.effect("bounds what it says of an answer that is wrong everywhere", () =>
    Effect.gen(function*() {
      const text = JSON.stringify({ value: Array.from({ length: 5000 }, () => "x".repeat(50)) })
      const error = yield* failure(Output.object(ask, Schema.Array(Schema.Int), { repairs: 0 }), [text])
      assert.isAtMost(error.description.length, 2001)
    }))

  it.effect("refuses options that are mistakes in the program", () =>
    Effect.gen(function*() {
      for (const options of [{ repairs: -1 }, { repairs: 0.5 }, { retries: 1 } as object]) {
        const exit = yield* Effect.exit(Output.object(ask, Recipe, options)).pipe(Effect.provide(TestLLM.layer([])))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      }
    }))
})

const collected = <A, E, R>(stream: Stream.Stream<A, E, R>, script: TestLLM.Script) =>
  Effect.gen(function*() {
    const parts: Array<A> = []
    const exit = yield* Effect.exit(Stream.runForEach(stream, (part) => Effect.sync(() => parts.push(part))))
    return { parts, error: Exit.isFailure(exit) ? Cause.squash(exit.cause) as LLMError.LLMError : undefined }
  }).pipe(Effect.provide(TestLLM.layer(script)))

const pieces = (text: string, size: number): Array<string> => {
  const out: Array<string> = []
  for (let at = 0; at < text.length; at += size) out.push(text.slice(at, at + size))
  return out
}

describe("stream", () => {
  for (const [name, wire] of Object.entries(wires)) {
    it.effect(`shows the value while it is written, and gives it at the end: ${name}`, () =>
      Effect.gen(function*() {
        for (const [kind, schema] of Object.entries(schemas)) {
          const parts = Array.from(yield* Stream.runCollect(Output.stream(ask, schema as Schema.Codec<unknown>)))
          const last = parts.at(-1)!
          assert.isTrue(last._tag === "Finish" && Schema.is(schema as Schema.Constraint)(last.value as never), kind)
          assert.isTrue(parts.slice(0, -1).every(({ _tag }) => _tag === "Partial"), kind)
        }
        const [first] = yield* Stream.runCollect(Output.stream(ask, Recipe))
        assert.strictEqual(first?._tag, "Partial")
      }).pipe(Effect.provide(simulated(wire))))
  }

  it.effect("lets texts grow, and shows numbers, literals and keys when they are whole", () =>
    Effect.gen(function*() {
      const text = '{"name":"Egg","minutes":10,"note":"soft \\u00e9"}'
      const { parts } = yield* collected(Output.stream(ask, Recipe), [TestLLM.parts(pieces(text, 7))])
      assert.deepStrictEqual(parts.map((part) => part._tag === "Partial" ? part.json : part._tag), [
        {},
        { name: "Egg" },
        { name: "Egg" },
        { name: "Egg", minutes: 10 },
        { name: "Egg", minutes: 10, note: "" },
        { name: "Egg", minutes: 10, note: "soft " },
        { name: "Egg", minutes: 10, note: "soft é" },
        "Finish"
      ])
      const last = parts.at(-1)!
      assert.deepStrictEqual(last._tag === "Finish" && last.value, { name: "Egg", minutes: 10, note: "soft é" })
    }))

  it.effect("shows a list and a text without the field around them", () =>
    Effect.gen(function*() {
      const list = yield* collected(Output.stream(ask, Schema.Array(Schema.String)), [
        TestLLM.parts(['{"value":', '["a",', '"b', 'c"]}'])
      ])
      assert.deepStrictEqual(list.parts.flatMap((part) => part._tag === "Partial" ? [part.json] : []), [
        ["a"],
        ["a", "b"],
        ["a", "bc"]
      ])
      const text = yield* collected(Output.stream(ask, Schema.String), [TestLLM.parts(['{"value":"a', 'b"}'])])
      assert.deepStrictEqual(text.parts.flatMap((part) => part._tag === "Partial" ? [part.json] : []), ["a", "ab"])
    }))

  it.effect("gives reasoning as it comes", () =>
    Effect.gen(function*() {
      const { parts } = yield* collected(Output.stream(ask, Schema.Int), [
        TestLLM.answer({ reasoning: "Hm", text: '{"value":1}' })
      ])
      assert.deepStrictEqual(parts[0], { _tag: "ReasoningDelta", index: 0, text: "Hm" })
    }))

  it.effect("shows what stands in a fence or behind words, and no commentary", () =>
    Effect.gen(function*() {
      const shown = (steps: ReadonlyArray<TestLLM.Step>) =>
        Effect.map(
          collected(Output.stream(ask, Schema.Struct({ a: Schema.Int })), [TestLLM.parts(steps)]),
          ({ parts }) => parts.flatMap((part) => part._tag === "Partial" ? [part.json] : ["Finish"]).at(-1)
        )
      assert.strictEqual(yield* shown(["Sure:\n``", '`json\n{"a"', ":1}", "\n```\nBye {"]), "Finish")
      const { parts } = yield* collected(Output.stream(ask, Schema.Struct({ a: Schema.Int })), [
        TestLLM.parts([
          { _tag: "TextDelta", index: 0, text: '{"x":1}', phase: "commentary" },
          { _tag: "TextDelta", index: 1, text: '{"a":1}', phase: "final_answer" }
        ])
      ])
      assert.deepStrictEqual(parts.map((part) => part._tag === "Partial" ? part.json : part._tag), [{ a: 1 }, "Finish"])
    }))

  it.effect("fails as an object does, after all that was shown", () =>
    Effect.gen(function*() {
      const wrong = yield* collected(Output.stream(ask, Recipe), [TestLLM.parts(['{"name":"E', 'gg"}'])])
      assert.deepStrictEqual(wrong.parts.map(({ _tag }) => _tag), ["Partial", "Partial"])
      assert.deepStrictEqual(facts(wrong.error!), ["EmptyResponse", "MalformedOutput", false])
      assert.strictEqual(wrong.error?.partial?.text, '{"name":"Egg"}')
      const cut = yield* collected(Output.stream(ask, Recipe), [
        TestLLM.parts(['{"name":"E'], { finishReason: { _tag: "MaxTokens" } })
      ])
      assert.strictEqual(cut.error?.reason, "OutputBudget")
      const prose = yield* collected(Output.stream(ask, Recipe), ["I would rather not."])
      assert.deepStrictEqual([prose.parts.length, prose.error?.reason], [0, "MalformedOutput"])
      const broken = yield* collected(Output.stream(ask, Recipe), [TestLLM.parts(['{"name":"E', {
        _tag: "Transient",
        reason: "Truncated"
      }])])
      assert.deepStrictEqual([broken.parts.length, broken.error?.reason], [1, "Truncated"])
    }))

  it.effect("closes the request when its reader goes", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.make({ answer: () => `{"value":"${"x".repeat(5000)}"}` })
      const http = Layer.succeed(HttpClient.HttpClient, simulator.client)
      const parts = yield* Output.stream(ask, Schema.String).pipe(
        Stream.take(1),
        Stream.runCollect,
        Effect.provide(Layer.provide(wires.anthropic, http))
      )
      assert.lengthOf(parts, 1)
      assert.strictEqual(yield* simulator.cancelled, 1)
    }))
})

const isPrefix = (shown: unknown, later: unknown): boolean => {
  if (typeof shown === "string") return typeof later === "string" && later.startsWith(shown)
  if (Array.isArray(shown)) return Array.isArray(later) && shown.every((item, index) => isPrefix(item, later[index]))
  if (typeof shown !== "object" || shown === null) return Object.is(shown, later)
  return typeof later === "object" && later !== null
    && Object.entries(shown).every(([key, item]) =>
      Object.hasOwn(later, key) && isPrefix(item, (later as Record<string, unknown>)[key])
    )
}

/** What JSON.parse makes of the beginning of a text, once it is closed where it was cut; undefined where it cannot be. */
const oracle = (text: string): unknown => {
  let open = ""
  let inString = false
  let escaped = false
  for (const char of text) {
    if (inString) {
      if (escaped) escaped = false
      else if (char === "\\") escaped = true
      else if (char === '"') inString = false
    } else if (char === '"') inString = true
    else if (char === "{" || char === "[") open = (char === "{" ? "}" : "]") + open
    else if (char === "}" || char === "]") open = open.slice(1)
  }
  return Result.getOrUndefined(
    Result.try(() => JSON.parse(`${text}${inString && !escaped ? '"' : ""}${open}`) as unknown)
  )
}

const Json = Schema.Json

describe("a value that grows", () => {
  it.effect.prop(
    "is at every prefix what JSON.parse makes of it, and takes nothing back",
    {
      json: Schema.Struct({ a: Json, '\\"é😀': Json, ["__proto__"]: Json }),
      size: Schema.Literals([1, 2, 3, 5, 8])
    },
    ({ json, size }) =>
      Effect.sync(() => {
        const text = JSON.stringify(json)
        const growing = Growing.make(false)
        let before: unknown = {}
        let fed = ""
        for (const piece of pieces(text, size)) {
          fed += piece
          growing.feed(piece)
          const value = growing.take()
          if (value === undefined) continue
          assert.isTrue(isPrefix(before, value), `${JSON.stringify(before)} then ${JSON.stringify(value)}`)
          assert.isTrue(isPrefix(value, JSON.parse(text)), JSON.stringify(value))
          const parsed = oracle(fed)
          // What is cut in the middle of a number or a literal is whole for JSON.parse already.
          if (parsed !== undefined && fed.endsWith('"')) assert.deepStrictEqual(value, parsed)
          before = value
        }
        growing.feed(" ".repeat(text.length))
        assert.deepStrictEqual(growing.take(), JSON.parse(text))
      }),
    { arbitrary: { runs: 100 } }
  )

  it("shows the same wherever the text is cut, escapes and surrogates included", () => {
    const text = '{"a":"\\ud83d\\ude00 \\n\\u00e9 😀 \\\\","b":["\\""]}'
    for (let first = 1; first < text.length; first++) {
      for (let second = first; second < text.length; second++) {
        const growing = Growing.make(false)
        let before: unknown = {}
        for (const piece of [text.slice(0, first), text.slice(first, second), text.slice(second), " "]) {
          growing.feed(piece)
          const value = growing.take()
          if (value === undefined) continue
          assert.isTrue(isPrefix(before, value) && isPrefix(value, JSON.parse(text)))
          before = value
        }
        assert.deepStrictEqual(before, JSON.parse(text))
      }
    }
  })

  it("keeps a key __proto__ as a key", () => {
    const growing = Growing.make(false)
    growing.feed('{"__proto__":{"admin":"ye')
    const value = growing.take() as object
    assert.deepStrictEqual(Object.keys(value), ["__proto__"])
    assert.strictEqual(Object.getPrototypeOf(value), Object.prototype)
    assert.notProperty(value, "admin")
  })

  it("gives a value of its own each time", () => {
    const growing = Growing.make(false)
    growing.feed('{"a":["x"')
    const first = growing.take()
    growing.feed(',"y"]}')
    growing.take()
    assert.deepStrictEqual(first, { a: ["x"] })
  })

  it("copies no more than is in proportion to the text", () => {
    const growing = Growing.make(true)
    const text = JSON.stringify({ value: Array.from({ length: 20_000 }, (_, index) => `item ${index}`) })
    let copied = 0
    for (const piece of pieces(text, 4)) {
      growing.feed(piece)
      const value = growing.take() as ReadonlyArray<unknown> | undefined
      copied += value?.length ?? 0
    }
    assert.isAtMost(copied, 20_000 * 70)
    assert.isAtLeast(copied, 20_000 * 10)
  })

  it("stops where the text is not JSON", () => {
    const growing = Growing.make(false)
    growing.feed('{"a":1,')
    assert.deepStrictEqual(growing.take(), { a: 1 })
    growing.feed(" oops and more")
    assert.deepStrictEqual(growing.take(), { a: 1 })
    growing.feed('{"b":2}')
    assert.deepStrictEqual(growing.take(), { a: 1 })
  })
})

describe("elements", () => {
  const Row = Schema.Struct({ n: Schema.Int, at: Schema.Date, note: Schema.optionalKey(Schema.String) })

  it.effect("gives each element as soon as it is whole", () =>
    Effect.gen(function*() {
      const text = '{"value":[{"n":1,"at":"2020-01-01T00:00:00Z","note":null},{"n":2,"at":"2021-01-01T00:00:00Z"}]}'
      const { parts } = yield* collected(Output.elements(ask, Row), [TestLLM.parts(pieces(text, 9))])
      assert.deepStrictEqual(parts.map((part) => part._tag === "Element" ? [part.index, part.value] : part._tag), [
        [0, { n: 1, at: new Date("2020-01-01T00:00:00Z") }],
        [1, { n: 2, at: new Date("2021-01-01T00:00:00Z") }],
        "Finish"
      ])
    }))

  for (const [name, wire] of Object.entries(wires)) {
    it.effect(`asks for a list: ${name}`, () =>
      Effect.gen(function*() {
        const parts = Array.from(yield* Stream.runCollect(Output.elements(ask, Row)))
        assert.deepStrictEqual(parts.at(-1)?._tag, "Finish")
        assert.isTrue(parts.slice(0, -1).every((part) => part._tag === "Element" && part.value.at instanceof Date))
      }).pipe(Effect.provide(simulated(wire))))
  }

  it.effect("gives what is there before the rest comes, and closes the request when its reader goes", () =>
    Effect.gen(function*() {
      const first = yield* Output.elements(ask, Schema.Int).pipe(
        Stream.take(2),
        Stream.runCollect
      )
      assert.deepStrictEqual(first.map((part) => part._tag === "Element" ? part.value : part), [1, 2])
      const [request] = yield* TestLLM.requests
      assert.strictEqual(request?.outcome, "Interrupted")
    }).pipe(Effect.provide(TestLLM.layer([TestLLM.parts(['{"value":[1,2,', "3,", "4]}"])]))))

  it.effect("ends with the element that does not match, with what came before it in hand", () =>
    Effect.gen(function*() {
      const { error, parts } = yield* collected(Output.elements(ask, Schema.Int), [
        TestLLM.parts(['{"value":[1,"x",', "3]}"])
      ])
      assert.deepStrictEqual(parts.map((part) => part._tag === "Element" ? part.value : part), [1])
      assert.deepStrictEqual(facts(error!), ["EmptyResponse", "MalformedOutput", false])
      assert.match(error!.description, /^element 1 does not match the schema: /)
      assert.strictEqual(error!.partial?.text, '{"value":[1,"x",')
    }))

  it.effect("takes an empty list, a list alone, and one in a fence", () =>
    Effect.gen(function*() {
      for (
        const [text, values] of [
          ['{"value":[]}', []],
          ["[1,2]", [1, 2]],
          ['```json\n{"value":[1]}\n```', [1]]
        ] as const
      ) {
        const { error, parts } = yield* collected(Output.elements(ask, Schema.Int), [text])
        assert.isUndefined(error)
        assert.deepStrictEqual(parts.flatMap((part) => part._tag === "Element" ? [part.value] : []), [...values])
        assert.strictEqual(parts.at(-1)?._tag, "Finish")
      }
    }))

  it.effect("fails without a list, or if it was cut", () =>
    Effect.gen(function*() {
      for (const text of ["no", '{"value":{"0":1}}', '{"other":[1]}', '{"value":[1']) {
        const { error } = yield* collected(Output.elements(ask, Schema.Int), [text])
        assert.strictEqual(error?.reason, "MalformedOutput", text)
      }
      const { error, parts } = yield* collected(Output.elements(ask, Schema.Int), [
        TestLLM.answer({ text: '{"value":[1,2', finishReason: { _tag: "MaxTokens" }, usage: { outputTokens: 9 } })
      ])
      assert.deepStrictEqual(parts.map((part) => part._tag === "Element" ? part.value : part), [1])
      assert.deepStrictEqual([error?.reason, error?.partial?.usage.outputTokens], ["OutputBudget", 9])
    }))
})
