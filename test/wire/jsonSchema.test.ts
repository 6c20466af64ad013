import { assert, describe, it } from "@effect/vitest"
import * as OpenAiStructuredOutput from "effect/ai/OpenAiStructuredOutput"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Completion, Tool } from "../../src/index.ts"
import { structured } from "../../src/wire/jsonSchema.ts"
import { runs } from "../effort.ts"
import { answers, exchange, type Json, layers, type Name } from "../transport/exchange.ts"

const nullable = (schema: Json): Json => ({ anyOf: [schema, { type: "null" }] })

/** The strict form of a schema, which it must have. */
const strict = (schema: Json): Json => {
  const sent = structured(schema)
  assert.isTrue(sent.strict)
  return sent.schema
}

describe("structured output in strict mode", () => {
  it("closes every object and requires every property, as null where it may be absent", () => {
    const object = { type: "object", properties: { a: { type: "string" }, b: { type: "number" } }, required: ["a"] }
    const expected = {
      type: "object",
      properties: { a: { type: "string" }, b: nullable({ type: "number" }) },
      required: ["a", "b"],
      additionalProperties: false
    }
    assert.deepStrictEqual(
      strict({
        type: "object",
        properties: {
          one: object,
          list: { type: "array", items: object },
          union: { oneOf: [object, { type: "null" }], anyOf: [{ type: "string" }] },
          all: { allOf: [object] },
          maybe: { type: ["object", "null"], properties: {} }
        },
        required: ["one", "list", "all"]
      }),
      {
        type: "object",
        properties: {
          one: expected,
          list: { type: "array", items: expected },
          union: { anyOf: [{ type: "string" }, expected, { type: "null" }] },
          all: expected,
          maybe: { type: ["object", "null"], properties: {}, required: [], additionalProperties: false }
        },
        required: ["one", "list", "union", "all", "maybe"],
        additionalProperties: false
      }
    )
  })

  for (
    const [what, schema] of [
      ["a type", { type: ["string", "null"] }],
      ["null alone", { type: "null" }],
      ["const", { const: null }],
      ["an enum", { enum: ["a", null] }],
      ["a union", { anyOf: [{ type: "string" }, { anyOf: [{ type: "null" }] }] }]
    ] as const
  ) {
    it(`does not say null a second time where ${what} admits it`, () => {
      assert.deepStrictEqual(strict({ type: "object", properties: { a: schema } })["properties"], { a: schema })
    })
  }

  it("says limits in words that the service does not know, and leaves out what limits nothing", () => {
    assert.deepStrictEqual(
      strict({
        $schema: "https://json-schema.org/draft/2020-12/schema",
        type: "object",
        properties: {
          name: { type: "string", minLength: 1, maxLength: 9, description: "a name", default: "x", examples: ["y"] },
          at: { type: "string", format: "date-time" },
          link: { type: "string", format: "uri" },
          age: { type: "integer", minimum: 0, exclusiveMaximum: 150, multipleOf: 2 },
          code: { type: "string", pattern: "^a" },
          tags: { type: "array", items: { type: "string" }, minItems: 1, uniqueItems: true }
        },
        required: ["name", "at", "link", "age", "code", "tags"]
      })["properties"],
      {
        name: { type: "string", description: "a name\n\n{minLength: 1, maxLength: 9}" },
        at: { type: "string", format: "date-time" },
        link: { type: "string", description: '{format: "uri"}' },
        age: { type: "integer", minimum: 0, exclusiveMaximum: 150, multipleOf: 2 },
        code: { type: "string", pattern: "^a" },
        tags: { type: "array", items: { type: "string" }, minItems: 1, description: "{uniqueItems: true}" }
      }
    )
  })

  it("takes several demands on one value together", () => {
    const text = { type: "string", allOf: [{ pattern: "^a" }, { minLength: 2, description: "first" }] }
    assert.deepStrictEqual(strict({ type: "object", properties: { text }, required: ["text"] })["properties"], {
      text: { type: "string", pattern: "^a", description: "first\n\n{minLength: 2}" }
    })
  })

  it("keeps a property whose name is that of a keyword", () => {
    const properties = { default: { $ref: "#/$defs/A" }, $ref: { type: "string" }, not: { type: "number" } }
    const schema = { type: "object", properties, required: ["default", "$ref", "not"], additionalProperties: false }
    const $defs = { A: { type: "string" } }
    assert.deepStrictEqual(strict({ ...schema, $defs }), { ...schema, $defs })
  })

  it("keeps a reference without what stands beside it, also one to itself, and puts an object at the root", () => {
    const Tree = { type: "object", properties: { next: { $ref: "#/$defs/Tree", description: "D" } } }
    const expected = {
      type: "object",
      properties: { next: nullable({ $ref: "#/$defs/Tree" }) },
      required: ["next"],
      additionalProperties: false
    }
    assert.deepStrictEqual(strict({ $ref: "#/$defs/Tree", $defs: { Tree } }), {
      ...expected,
      $defs: { Tree: expected }
    })
  })

  it("does not send unused definitions", () => {
    const text = { type: "string" }
    const $defs = {
      Used: { type: "object", properties: { a: { $ref: "#/$defs/Inner" } }, required: ["a"] },
      Inner: text,
      "a/b ~c": text,
      Unused: { type: "object", properties: { a: { $ref: "#/$defs/Alone" } } },
      Alone: text
    }
    const sent = strict({
      type: "object",
      properties: { a: { $ref: "#/$defs/Used" }, b: { $ref: "#/$defs/a~1b%20~0c" } },
      $defs
    })
    assert.sameMembers(Object.keys(sent["$defs"] as Json), ["Used", "Inner", "a/b ~c"])
  })

  it("sends the schema of a class once", () => {
    class Recipe
      extends Schema.Class<Recipe>("Recipe")({ name: Schema.String, note: Schema.optionalKey(Schema.String) })
    {}
    const sent = strict(Tool.jsonSchema(Recipe))
    assert.notProperty(sent, "$defs")
    assert.deepStrictEqual(sent["properties"], {
      name: { type: "string" },
      note: nullable({ type: "string" })
    })
  })

  it("is the form that Effect gives a schema for OpenAI, unchanged", () => {
    const item = Schema.Struct({ id: Schema.String, size: Schema.optionalKey(Schema.Int) })
    const { jsonSchema } = OpenAiStructuredOutput.toCodecOpenAI(Schema.Struct({
      items: Schema.Array(item),
      byName: Schema.Record(Schema.String, Schema.Finite),
      pair: Schema.Tuple([Schema.String, Schema.Boolean]),
      kind: Schema.Literals(["a", "b"]),
      either: Schema.Union([Schema.String, Schema.Int]),
      note: Schema.NullOr(Schema.NonEmptyString)
    }))
    assert.deepStrictEqual(structured(jsonSchema), { strict: true, schema: jsonSchema })
  })
})

describe("structured output outside of strict mode, for what it cannot say", () => {
  for (
    const [what, schema] of [
      ["a map", { type: "object", additionalProperties: { type: "number" } }],
      ["further properties", { type: "object", properties: { a: { type: "string" } }, additionalProperties: true }],
      ["any object", { type: "object" }],
      ["properties by pattern", { type: "object", properties: {}, patternProperties: { "^a": { type: "string" } } }],
      ["anything", {}],
      ["anything that has a description", { description: "D" }],
      ["true", true],
      ["an array of anything", { type: "array" }],
      ["a tuple", { type: "array", prefixItems: [{ type: "string" }], items: false }],
      ["not", { not: { type: "string" } }],
      ["demands that differ", { allOf: [{ type: "string" }, { type: "number" }] }]
    ] as const
  ) {
    it(`sends ${what} as it is`, () => {
      const root = { type: "object", properties: { a: schema }, required: ["a"] }
      assert.deepStrictEqual(structured(root), { strict: false, schema: root })
      const behind = { type: "object", properties: { a: { $ref: "#/$defs/A" } }, $defs: { A: schema } }
      assert.deepStrictEqual(structured(behind), { strict: false, schema: behind })
    })
  }

  it("does not refuse a Record", () => {
    const schema = Tool.jsonSchema(Schema.Struct({ counts: Schema.Record(Schema.String, Schema.Finite) }))
    assert.deepStrictEqual(structured(schema), { strict: false, schema })
  })
})

it.effect("the schema of a class is sent once to every provider", () =>
  Effect.gen(function*() {
    class Recipe extends Schema.Class<Recipe>("Recipe")({ instructions: Schema.String }) {}
    const asked = Completion.make({ model: "m", prompt: "Hi", outputSchema: Recipe })
    for (const name of ["anthropic", "gemini", "openai", "compatible", "openrouter"] as const) {
      const { sent } = yield* exchange(layers[name], asked, answers[name])
      // Once as a property, and once among those that are required.
      assert.lengthOf(sent[0]?.text.match(/"instructions"/g) ?? [], 2, name)
    }
  }))

describe("an answer that is not an object", () => {
  const roots = [{ type: "array", items: { type: "string" } }, { type: "string" }, { anyOf: [{ type: "object" }] }]
  for (const outputSchema of roots) {
    it.effect(`of ${JSON.stringify(outputSchema)} is refused by those who refuse it, and left to others`, () =>
      Effect.gen(function*() {
        const asked = Completion.make({ model: "m", prompt: "Hi", outputSchema })
        for (const name of ["openai", "openrouter"] as const) {
          const { result, sent } = yield* exchange(layers[name], asked, answers[name])
          assert.lengthOf(sent, 0)
          const failure = Result.isFailure(result) ? result.failure : undefined
          assert.deepInclude(failure, { _tag: "ClientError", reason: "Unsupported" })
          assert.include(failure?.description, "outputSchema")
        }
        const { sent } = yield* exchange(layers.compatible, asked, answers.compatible)
        assert.lengthOf(sent, 1)
      }))
  }
})

describe("a schema that is nested deep", () => {
  const deep = (schema: Json): Json =>
    Array.from({ length: runs(10_000, 20_000) }).reduce<Json>(
      (inner) => ({ type: "object", properties: { a: inner } }),
      schema
    )
  const parameters = deep({ type: "string" }) as Schema.JsonObject

  const outcome = (name: Name, completion: Completion.Completion) =>
    Effect.map(exchange(layers[name], completion, answers[name]), ({ result, sent }) => {
      if (Result.isSuccess(result)) return "sent"
      assert.lengthOf(sent, 0)
      assert.strictEqual(result.failure._tag, "ClientError")
      return result.failure.reason
    })

  it.effect("as the arguments of a tool is not a defect of any provider", () =>
    Effect.gen(function*() {
      const asked = Completion.make({
        model: "m",
        prompt: "Hi",
        tools: [{ name: "a", description: "b", parameters }]
      })
      for (const name of ["anthropic", "openai", "openrouter", "gemini"] as const) yield* outcome(name, asked)
    }))

  it.effect("as the schema of the answer is refused by those that rewrite it, and no defect of any provider", () =>
    Effect.gen(function*() {
      const asked = Completion.make({ model: "m", prompt: "Hi", outputSchema: parameters })
      for (const name of ["anthropic", "openai", "openrouter"] as const) {
        assert.strictEqual(yield* outcome(name, asked), "InvalidRequest")
      }
      yield* outcome("gemini", asked)
    }))

  it.effect("in a parameter of the caller's own is no defect", () =>
    Effect.gen(function*() {
      const asked = Completion.make({ model: "m", prompt: "Hi", additionalParams: { metadata: parameters } })
      for (const name of ["anthropic", "openai", "openrouter", "gemini"] as const) yield* outcome(name, asked)
    }))
})
