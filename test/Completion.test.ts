import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import { isDeepStrictEqual } from "node:util"
import * as Completion from "../src/Completion.ts"
import * as Message from "../src/Message.ts"
import * as Tool from "../src/Tool.ts"

// The same cases in every run.
Arbitrary.configureGlobal({ check: { seed: "Completion" } })

type Request = Completion.Completion

const encode = Schema.encodeUnknownSync(Completion.Completion)
const decode = Schema.decodeUnknownSync(Completion.Completion)

const throughJson = (completion: Request): Request => decode(JSON.parse(JSON.stringify(encode(completion))))

// JSON has no -0, so arbitrary requests and values are those that came from JSON.
const requests = Arbitrary.map(Arbitrary.schema(Completion.Completion), throughJson)

const valuesOf = <A>(schema: Schema.Codec<A, unknown>): Arbitrary.Arbitrary<A> =>
  Arbitrary.map(
    Arbitrary.schema(schema),
    (value) => Schema.decodeUnknownSync(schema)(JSON.parse(JSON.stringify(Schema.encodeUnknownSync(schema)(value))))
  )

const assertNothingUndefined = (value: unknown): void => {
  assert.isDefined(value)
  if (typeof value === "object" && value !== null) Object.values(value).forEach(assertNothingUndefined)
}

const assertSame = (actual: unknown, expected: unknown) =>
  // Not by chai, which does not compare prototypes.
  assert.isTrue(isDeepStrictEqual(actual, expected), "expected both to be equal, classes included")

describe("make", () => {
  it("needs a prompt, and leaves out what is not given", () => {
    const request = Completion.make({ prompt: "Hello" })
    assert.instanceOf(request, Completion.Completion)
    assert.deepStrictEqual({ ...request }, { history: [], tools: [], prompt: Message.user("Hello") } as never)
  })

  it("takes a message as the prompt as it is", () => {
    const prompt = Message.user(Message.toolResult({ id: "1", name: "f", content: "42" }))
    assert.strictEqual(Completion.make({ prompt }).prompt, prompt)
  })

  it("takes all messages in one list, whose last is the prompt", () => {
    const [hi, hello] = [Message.user("Hi"), Message.assistant("Hello!")]
    assertSame(
      Completion.make({ messages: [hi, hello, "And now?"], maxTokens: 5 }),
      Completion.make({ history: [hi, hello], prompt: "And now?", maxTokens: 5 })
    )
    assertSame(Completion.messages(Completion.make({ messages: [hi] })), [hi])
    // Without any message the prompt is empty, which is refused when the request is run.
    assertSame(Completion.make({ messages: [] }).prompt, Message.user(""))
  })

  it("takes options that are undefined for absent", () => {
    const given = {
      model: undefined,
      history: undefined,
      tools: undefined,
      maxTokens: undefined,
      outputSchema: undefined,
      reasoning: undefined
    }
    assertSame(Completion.make({ prompt: "Hello", ...given }), Completion.make({ prompt: "Hello" }))
  })

  it("takes every field", () => {
    const fields = {
      model: "m",
      preamble: "Be brief.",
      history: [Message.user("Hi"), Message.assistant("Hello!")],
      tools: [Tool.make("f", { description: "", parameters: Schema.Struct({ a: Schema.String }) })],
      toolChoice: Tool.required,
      maxTokens: 10,
      temperature: 0,
      stopSequences: ["END"],
      outputSchema: { type: "object" },
      additionalParams: { seed: 1 },
      providerParams: { openai: { seed: 2 } },
      headers: { "x-a": "b" }
    } as const
    const request = Completion.make({ prompt: "Hello", ...fields })
    assert.deepInclude({ ...request }, fields)
  })

  it("makes the JSON Schema of a Schema that is given as the output", () => {
    const { outputSchema } = Completion.make({ prompt: "Hello", outputSchema: Schema.Struct({ a: Schema.String }) })
    assert.deepStrictEqual(outputSchema, Tool.jsonSchema(Schema.Struct({ a: Schema.String })))
  })

  it("leaves out fields that are undefined, as programs without exact optional types give them", () => {
    const request = Completion.make(
      { prompt: "Hello", model: undefined, history: undefined, tools: undefined, outputSchema: undefined } as never
    )
    assertSame(request, Completion.make({ prompt: "Hello" }))
    assertSame(Completion.model(undefined as never)(Completion.make({ prompt: "Hello", model: "m" })), request)
  })

  it("is pipeable", () => {
    const request = Completion.make({ prompt: "Hello" }).pipe(Completion.model("m"), Completion.maxTokens(5))
    assertSame(request, Completion.make({ prompt: "Hello", model: "m", maxTokens: 5 }))
  })
})

describe("messages", () => {
  it("is the history, oldest first, and then the prompt", () => {
    const history = [Message.system("Be brief."), Message.user("Hi"), Message.assistant("Hello!")]
    const request = Completion.make({ prompt: "And in French?", history, preamble: "You translate." })
    assert.deepStrictEqual(Completion.messages(request), [...history, Message.user("And in French?")])
  })
})

describe("every setter", () => {
  /** The law of a setter: the last write wins, everything else stays, and the original is left alone. */
  const law = <A>(
    field: keyof typeof Completion.Completion.fields,
    setter: (value: A) => (self: Request) => Request,
    values: Arbitrary.Arbitrary<A>,
    written: (value: A) => unknown = (value) => value
  ) =>
    it.prop(`${field}: the last write wins and leaves all else alone`, {
      original: requests,
      first: values,
      last: values
    }, ({ first, last, original }) => {
      const before = JSON.stringify(original)
      const after = original.pipe(setter(first), setter(last))
      assert.instanceOf(after, Completion.Completion)
      assertSame({ ...after }, { ...original, [field]: written(last) })
      assert.strictEqual(JSON.stringify(original), before)
      assertSame(throughJson(after), after)
    }, { arbitrary: { runs: 15 } })

  const strings = Arbitrary.schema(Schema.String)
  law("model", Completion.model, strings)
  law("prompt", Completion.prompt, strings, (text) => Message.user(String(text)))
  law("prompt", Completion.prompt, valuesOf(Message.Message))
  law("preamble", Completion.preamble, strings)
  law("history", Completion.history, valuesOf(Schema.Array(Message.Message)))
  law("tools", Completion.tools, valuesOf(Schema.Array(Tool.ToolDefinition)))
  law("toolChoice", Completion.toolChoice, valuesOf(Tool.ToolChoice))
  law("maxTokens", Completion.maxTokens, valuesOf(Schema.Finite))
  law("temperature", Completion.temperature, valuesOf(Schema.Finite))
  law("stopSequences", Completion.stopSequences, Arbitrary.schema(Schema.Array(Schema.String)))
  law("outputSchema", Completion.outputSchema, valuesOf(Schema.JsonObject))
  law("additionalParams", Completion.additionalParams, valuesOf(Schema.JsonObject))
  law("providerParams", Completion.providerParams, valuesOf(Schema.Record(Schema.String, Schema.JsonObject)))
  law("headers", Completion.headers, valuesOf(Schema.Record(Schema.String, Schema.String)))

  it("makes the JSON Schema of a Schema that is given as the output", () => {
    const schema = Schema.Struct({ a: Schema.String })
    const request = Completion.outputSchema(schema)(Completion.make({ prompt: "Hello" }))
    assert.deepStrictEqual(request.outputSchema, Tool.jsonSchema(schema))
  })
})

describe("building never throws", () => {
  const cyclic: Record<string, unknown> = { a: { b: [] } }
  cyclic["self"] = cyclic
  const junk: ReadonlyArray<readonly [name: string, value: unknown]> = [
    ["undefined", undefined],
    ["null", null],
    ["not a number", NaN],
    ["infinity", -Infinity],
    ["a bigint", 1n],
    ["a symbol", Symbol("junk")],
    ["a function", () => 1],
    ["a text", "junk"],
    ["an array with holes", [, 1]], // oxlint-disable-line no-sparse-arrays
    ["a cyclic object", cyclic],
    ["an object without a prototype", Object.create(null)],
    ["a frozen object", Object.freeze({ _tag: "User" })],
    ["a map", new Map([[1, 2]])],
    ["a Schema", Schema.Symbol],
    ["an error", new Error("junk")]
  ]
  // One for every field, which the compiler checks.
  const setters = {
    model: Completion.model,
    prompt: Completion.prompt,
    preamble: Completion.preamble,
    history: Completion.history,
    tools: Completion.tools,
    toolChoice: Completion.toolChoice,
    maxTokens: Completion.maxTokens,
    temperature: Completion.temperature,
    topP: Completion.topP,
    seed: Completion.seed,
    parallelToolCalls: Completion.parallelToolCalls,
    reasoning: Completion.reasoning,
    stopSequences: Completion.stopSequences,
    outputSchema: Completion.outputSchema,
    additionalParams: Completion.additionalParams,
    providerParams: Completion.providerParams,
    headers: Completion.headers
  } satisfies Record<keyof typeof Completion.Completion.fields, (value: never) => (self: Request) => Request>

  it.each(junk)("nor does it look at %s", (_, value) => {
    for (const [field, setter] of Object.entries(setters)) {
      const made = Completion.make({ prompt: "Hello", [field]: value } as never)
      assert.instanceOf(made, Completion.Completion)
      assert.instanceOf(setter(value as never)(made), Completion.Completion)
    }
  })

  it("and keeps what it is given, cycles included", () => {
    const request = Completion.additionalParams(cyclic as never)(Completion.make({ prompt: "Hello" }))
    assert.strictEqual(request.additionalParams as unknown, cyclic)
    assert.isArray(Completion.messages(request))
  })
})

describe("JSON", () => {
  it.prop("survives it, whatever the request", { request: requests }, ({ request }) => {
    const decoded = throughJson(request)
    assertSame(decoded, request)
    assert.instanceOf(decoded, Completion.Completion)
    assertNothingUndefined({ ...decoded })
    assert.deepStrictEqual(decoded.pipe(Completion.messages), [...request.history, request.prompt])
  }, { arbitrary: { runs: 60 } })

  it("survives it, as built by hand", () => {
    const request = Completion.make({
      prompt: Message.user(["Hello", Message.image(Message.fileId("file_1"))]),
      outputSchema: Schema.Struct({ a: Schema.optionalKey(Schema.String) }),
      tools: [Tool.make("f", { description: "", parameters: Schema.Struct({}) })]
    }).pipe(Completion.additionalParams({ deep: { list: [1, null, "x"] } }))
    assertSame(throughJson(request), request)
  })

  it("the same request has the same text", () => {
    const make = () =>
      Completion.make({ prompt: "Hello", model: "m" }).pipe(Completion.maxTokens(5), Completion.preamble("p"))
    assert.strictEqual(JSON.stringify(encode(make())), JSON.stringify(encode(make())))
  })

  it("it does not depend on the order in which fields were set", () => {
    const one = Completion.make({ prompt: "Hello" }).pipe(Completion.model("m"), Completion.maxTokens(5))
    const other = Completion.make({ prompt: "Hello" }).pipe(Completion.maxTokens(5), Completion.model("m"))
    assert.strictEqual(JSON.stringify(encode(one)), JSON.stringify(encode(other)))
  })
})
