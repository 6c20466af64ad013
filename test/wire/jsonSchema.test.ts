import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import { Completion } from "../../src/index.ts"
import { closed, strict } from "../../src/wire/jsonSchema.ts"
import { answers, exchange, type Json, layers, type Name } from "../transport/exchange.ts"

describe("strict, for OpenAI", () => {
  it("closes every object and requires every property", () => {
    const object = { type: "object", properties: { a: { type: "string" }, b: { type: "number" } }, required: ["a"] }
    const expected = { ...object, required: ["a", "b"], additionalProperties: false }
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
        $defs: { D: object },
        definitions: { D: object }
      }),
      {
        type: "object",
        properties: {
          one: expected,
          list: { type: "array", items: expected },
          union: { anyOf: [{ type: "string" }, expected, { type: "null" }] },
          all: { allOf: [expected] },
          maybe: { type: ["object", "null"], properties: {}, required: [], additionalProperties: false }
        },
        required: ["one", "list", "union", "all", "maybe"],
        additionalProperties: false,
        $defs: { D: expected },
        definitions: { D: expected }
      }
    )
  })

  it("gives an object without properties none", () => {
    assert.deepStrictEqual(strict({ type: "object" }), {
      type: "object",
      properties: {},
      required: [],
      additionalProperties: false
    })
  })

  it("leaves a reference alone, without what stands beside it, also where it refers to itself", () => {
    const Tree = { type: "object", properties: { next: { $ref: "#/$defs/Tree", description: "D" } } }
    assert.deepStrictEqual(strict({ $ref: "#/$defs/Tree", $defs: { Tree } }), {
      $ref: "#/$defs/Tree",
      $defs: {
        Tree: {
          type: "object",
          properties: { next: { $ref: "#/$defs/Tree" } },
          required: ["next"],
          additionalProperties: false
        }
      }
    })
  })

  it("keeps limits, and what additional properties are said to be", () => {
    const schema = { type: "object", properties: { a: { type: "integer", minimum: 0 } }, additionalProperties: true }
    assert.deepStrictEqual(strict(schema), { ...schema, required: ["a"] })
  })

  it("leaves schemas that are true or false as they are", () => {
    assert.deepStrictEqual(strict({ type: "object", properties: { a: true } })["properties"], { a: true })
  })
})

describe("closed, for Anthropic", () => {
  it("closes every object, and requires no more than was required", () => {
    const inner = { type: "object", properties: { b: { type: "string" } } }
    assert.deepStrictEqual(closed({ type: "object", properties: { a: inner, c: { type: "array", items: inner } } }), {
      type: "object",
      properties: {
        a: { ...inner, additionalProperties: false },
        c: { type: "array", items: { ...inner, additionalProperties: false } }
      },
      additionalProperties: false
    })
  })

  it("says in words what the provider cannot enforce", () => {
    assert.deepStrictEqual(
      closed({
        type: "object",
        properties: {
          age: { type: "integer", minimum: 0, exclusiveMaximum: 150, description: "in years" },
          name: { type: "string", minLength: 1, format: "email" },
          list: { type: "array", minItems: 2, maxItems: 3, items: { type: "string" } },
          some: { type: "array", minItems: 1 }
        }
      })["properties"],
      {
        age: { type: "integer", description: "in years\n\n{minimum: 0, exclusiveMaximum: 150}" },
        name: { type: "string", format: "email", description: "{minLength: 1}" },
        list: { type: "array", items: { type: "string" }, description: "{minItems: 2, maxItems: 3}" },
        some: { type: "array", minItems: 1 }
      }
    )
  })

  it("keeps what stands beside a reference, and takes a property named like a keyword for no keyword", () => {
    const schema = {
      type: "object",
      properties: { minimum: { $ref: "#/$defs/A", description: "D" } },
      additionalProperties: false,
      $defs: { A: { type: "string" } }
    }
    assert.deepStrictEqual(closed(schema), schema)
  })
})

describe("a schema nested 20,000 deep", () => {
  const deep = (schema: Json): Json =>
    Array.from({ length: 20_000 }).reduce<Json>((inner) => ({ type: "object", properties: { a: inner } }), schema)
  const parameters = deep({ type: "string" }) as Schema.JsonObject

  const outcome = (name: Name, completion: Completion.Completion) =>
    Effect.map(exchange(layers[name], completion, answers[name]), ({ result, sent }) => {
      if (Result.isSuccess(result)) return "sent"
      assert.lengthOf(sent, 0)
      assert.strictEqual(result.failure._tag, "ClientError")
      return result.failure.reason
    })

  it.effect("as the arguments of a tool is no defect of any provider", () =>
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
