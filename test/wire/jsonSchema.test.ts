import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Completion, Tool } from "../../src/index.ts"
import { closed, gemini, strict } from "../../src/wire/jsonSchema.ts"
import { answers, exchange, type Json, layers, type Name } from "../transport/exchange.ts"

/** What becomes of the schema of a property. */
const property = (schema: unknown, root: Json = {}): unknown =>
  gemini({ type: "object", properties: { x: schema }, ...root }).properties?.["x"]

/** Every schema in a converted schema. */
const nodes = (schema: unknown): ReadonlyArray<Json> => {
  const node = schema as Json
  const inner = [
    ...Object.values((node["properties"] ?? {}) as Json),
    ...(node["anyOf"] ?? []) as ReadonlyArray<unknown>,
    ...(node["items"] === undefined ? [] : [node["items"]])
  ]
  return [node, ...inner.flatMap(nodes)]
}

describe("for Gemini", () => {
  it("keeps types, descriptions, limits, enums and what is required", () => {
    assert.deepStrictEqual(
      gemini({
        $schema: "https://json-schema.org/draft/2020-12/schema",
        type: "object",
        title: "T",
        description: "D",
        properties: {
          s: { type: "string", minLength: 1, maxLength: 2, pattern: "a+", enum: ["a", "b"], default: "a" },
          n: { type: "number", minimum: 1, maximum: 2, exclusiveMinimum: 0, multipleOf: 2 },
          i: { type: "integer", format: "int32" },
          b: { type: "boolean" },
          a: { type: "array", minItems: 1, maxItems: 2, uniqueItems: true, items: { type: "string" } }
        },
        required: ["s"],
        additionalProperties: false
      }),
      {
        title: "T",
        description: "D",
        type: "OBJECT",
        properties: {
          s: { default: "a", type: "STRING", minLength: 1, maxLength: 2, pattern: "a+", enum: ["a", "b"] },
          n: { type: "NUMBER", minimum: 1, maximum: 2 },
          i: { type: "INTEGER", format: "int32" },
          b: { type: "BOOLEAN" },
          a: { type: "ARRAY", minItems: 1, maxItems: 2, items: { type: "STRING" } }
        },
        required: ["s"]
      }
    )
  })

  it("takes the schemas of Effect", () => {
    const Category: Schema.Codec<{ readonly children: ReadonlyArray<unknown> }> = Schema.Struct({
      children: Schema.Array(Schema.suspend(() => Category))
    }).annotate({ identifier: "Category" })
    const parameters = Tool.jsonSchema(Schema.Struct({
      age: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 150 })),
      name: Schema.NullOr(Schema.NonEmptyString),
      kind: Schema.optionalKey(Schema.Literals(["a", "b"])),
      size: Schema.Literals([1, 2]),
      pair: Schema.Tuple([Schema.String, Schema.Boolean]),
      category: Category
    }))
    const converted = gemini(parameters)
    assert.deepStrictEqual(converted.properties?.["age"], { type: "INTEGER", minimum: 0, maximum: 150 })
    assert.deepStrictEqual(converted.properties?.["name"], { type: "STRING", minLength: 1, nullable: true })
    assert.deepStrictEqual(converted.properties?.["kind"], { type: "STRING", enum: ["a", "b"] })
    assert.strictEqual(converted.properties?.["size"]?.type, "NUMBER")
    assert.deepStrictEqual(converted.properties?.["pair"]?.items, {
      anyOf: [{ type: "STRING" }, { type: "BOOLEAN" }]
    })
    assert.deepStrictEqual(converted.properties?.["category"], {
      type: "OBJECT",
      properties: { children: { type: "ARRAY", items: { type: "OBJECT" } } },
      required: ["children"]
    })
    assert.deepStrictEqual(converted.required, ["age", "name", "size", "pair", "category"])
  })

  for (
    const [what, schema, expected] of [
      ["a type array with null", { type: ["string", "null"] }, { nullable: true, type: "STRING" }],
      ["null before the type", { type: ["null", "integer"] }, { nullable: true, type: "INTEGER" }],
      ["anyOf with null", { anyOf: [{ type: "string" }, { type: "null" }] }, { type: "STRING", nullable: true }],
      ["oneOf with null", { oneOf: [{ type: "null" }, { type: "string" }] }, { type: "STRING", nullable: true }],
      ["anyOf with const null", { anyOf: [{ type: "string" }, { const: null }] }, { type: "STRING", nullable: true }],
      ["nullable", { type: "string", nullable: true }, { nullable: true, type: "STRING" }],
      ["an enum with null", { enum: ["a", null] }, { nullable: true, type: "STRING", enum: ["a"] }],
      ["nothing but null", { type: "null" }, { type: "NULL" }],
      ["const null", { const: null }, { type: "NULL" }],
      ["a union of nulls", { anyOf: [{ type: "null" }] }, { type: "NULL" }],
      [
        "a union with null and others",
        { anyOf: [{ type: "string" }, { type: "null" }, { type: "integer" }], description: "D" },
        { description: "D", nullable: true, anyOf: [{ type: "STRING" }, { type: "INTEGER" }] }
      ],
      ["several types", { type: ["string", "integer"] }, { anyOf: [{ type: "STRING" }, { type: "INTEGER" }] }],
      [
        "several types with what belongs to each",
        { type: ["array", "string", "null"], items: { type: "string" }, minLength: 1, title: "T" },
        {
          title: "T",
          nullable: true,
          anyOf: [{ type: "ARRAY", items: { type: "STRING" } }, { type: "STRING", minLength: 1 }]
        }
      ],
      ["equal members", { anyOf: [{ type: "string" }, { type: "string", pattern: undefined }] }, { type: "STRING" }],
      ["const", { const: "a" }, { type: "STRING", enum: ["a"] }],
      ["a number as const", { const: 5 }, { type: "INTEGER" }],
      ["numbers without a type", { enum: [1.5, 2] }, { type: "NUMBER" }],
      ["whole numbers without a type", { enum: [1, 2] }, { type: "INTEGER" }],
      ["booleans without a type", { enum: [true] }, { type: "BOOLEAN" }],
      ["an empty text in an enum", { enum: ["", "a"] }, { type: "STRING", enum: ["a"] }],
      ["an empty enum", { type: "string", enum: [] }, { type: "STRING" }],
      ["a format that is known", { type: "string", format: "date-time" }, { type: "STRING", format: "date-time" }],
      ["a format that is not", { type: "string", format: "email" }, { type: "STRING" }],
      ["a format of another type", { type: "string", format: "int32" }, { type: "STRING" }],
      ["an array without items", { type: "array" }, { type: "ARRAY", items: { type: "STRING" } }],
      ["items of any kind", { type: "array", items: true }, { type: "ARRAY", items: { type: "STRING" } }],
      ["items alone", { items: { type: "integer" } }, { type: "ARRAY", items: { type: "INTEGER" } }],
      [
        "a tuple",
        { type: "array", prefixItems: [{ type: "integer" }, { type: "string" }], items: false },
        { type: "ARRAY", items: { anyOf: [{ type: "INTEGER" }, { type: "STRING" }] } }
      ],
      [
        "a tuple of one kind",
        { type: "array", prefixItems: [{ type: "integer" }, { type: "integer" }] },
        { type: "ARRAY", items: { type: "INTEGER" } }
      ],
      [
        "properties alone",
        { properties: { a: { type: "string" } } },
        { type: "OBJECT", properties: { a: { type: "STRING" } } }
      ],
      ["a map", { type: "object", additionalProperties: { type: "string" } }, { type: "OBJECT" }],
      ["no schema at all", {}, { type: "STRING" }],
      ["true", true, { type: "STRING" }],
      ["a type that does not exist", { type: "date" }, { type: "STRING" }],
      ["a type in capitals", { type: "STRING" }, { type: "STRING" }]
    ] as const
  ) {
    it(`takes ${what}`, () => {
      assert.deepStrictEqual(property(schema), expected)
    })
  }

  it("requires only what is there", () => {
    assert.deepStrictEqual(
      gemini({
        type: "object",
        properties: { a: { type: "string" }, b: true, c: false },
        required: ["a", "b", "c", "d", 1, "toString"]
      }),
      { type: "OBJECT", properties: { a: { type: "STRING" }, b: { type: "STRING" } }, required: ["a", "b"] }
    )
    assert.deepStrictEqual(property({ type: "string", required: ["a"] }), { type: "STRING" })
    assert.deepStrictEqual(property({ type: "object", required: ["a"] }), { type: "OBJECT" })
  })

  it("keeps a property whose name is that of a keyword, or of Object's", () => {
    const properties = JSON.parse(
      `{"required":{"type":"string"},"$ref":{"type":"string"},"__proto__":{"type":"string"},"constructor":{}}`
    ) as Json
    assert.deepStrictEqual(Object.keys(gemini({ type: "object", properties }).properties ?? {}), [
      "required",
      "$ref",
      "__proto__",
      "constructor"
    ])
  })

  describe("resolves references", () => {
    const $defs = {
      Text: { type: "string", description: "a text" },
      Alias: { $ref: "#/$defs/Text" },
      Object: { type: "object", properties: { a: { type: "string" } }, required: ["a"] }
    }

    for (
      const [what, schema, expected] of [
        ["alone", { $ref: "#/$defs/Text" }, { type: "STRING", description: "a text" }],
        ["through another", { $ref: "#/$defs/Alias" }, { type: "STRING", description: "a text" }],
        [
          "with what stands beside them, which counts more",
          { $ref: "#/$defs/Text", description: "mine", minLength: 1 },
          { type: "STRING", description: "mine", minLength: 1 }
        ],
        [
          "with further properties",
          { $ref: "#/$defs/Object", properties: { b: { type: "integer" } }, required: ["b"] },
          { type: "OBJECT", properties: { a: { type: "STRING" }, b: { type: "INTEGER" } }, required: ["a", "b"] }
        ],
        [
          "in unions",
          { anyOf: [{ $ref: "#/$defs/Text" }, { type: "null" }] },
          { type: "STRING", description: "a text", nullable: true }
        ],
        ["that lead nowhere to a plain object", { $ref: "#/$defs/Nobody" }, { type: "OBJECT" }],
        ["to elsewhere to a plain object", { $ref: "https://example.com/schema" }, { type: "OBJECT" }],
        ["that are no URL", { $ref: "#/$defs/%E0%A4%A" }, { type: "OBJECT" }],
        ["to what every object has", { $ref: "#/$defs/toString" }, { type: "OBJECT" }],
        ["to another property", { $ref: "#/properties/y" }, { type: "INTEGER" }]
      ] as const
    ) {
      it(what, () => {
        assert.deepStrictEqual(property(schema, { properties: { x: schema, y: { type: "integer" } }, $defs }), expected)
      })
    }

    it("under the older name, and by escaped names", () => {
      const root = { definitions: { "a/b ~c": { type: "integer" } } }
      assert.deepStrictEqual(property({ $ref: "#/definitions/a~1b%20~0c" }, root), { type: "INTEGER" })
    })

    it("at the root", () => {
      assert.deepStrictEqual(gemini({ $ref: "#/$defs/Object", $defs }), {
        type: "OBJECT",
        properties: { a: { type: "STRING" } },
        required: ["a"]
      })
    })

    it("and cuts recursion at a plain object that keeps its description", () => {
      const Tree = {
        type: "object",
        properties: {
          value: { type: "string" },
          left: { $ref: "#/$defs/Tree", description: "the left one" },
          others: { type: "array", items: { $ref: "#/$defs/Tree" } }
        },
        required: ["value", "left"]
      }
      assert.deepStrictEqual(property({ $ref: "#/$defs/Tree" }, { $defs: { Tree } }), {
        type: "OBJECT",
        properties: {
          value: { type: "STRING" },
          left: { description: "the left one", type: "OBJECT" },
          others: { type: "ARRAY", items: { type: "OBJECT" } }
        },
        required: ["value", "left"]
      })
    })

    it("and cuts recursion through others, through the root and through allOf", () => {
      const mutual = {
        A: { type: "object", properties: { b: { $ref: "#/$defs/B" } } },
        B: { type: "object", properties: { a: { $ref: "#/$defs/A" } } }
      }
      assert.deepStrictEqual(property({ $ref: "#/$defs/A" }, { $defs: mutual }), {
        type: "OBJECT",
        properties: { b: { type: "OBJECT", properties: { a: { type: "OBJECT" } } } }
      })
      assert.deepStrictEqual(property({ $ref: "#" }), { type: "OBJECT" })
      assert.deepStrictEqual(property({ $ref: "#/$defs/A" }, { $defs: { A: { $ref: "#/$defs/A" } } }), {
        type: "OBJECT"
      })
      const itself = { A: { allOf: [{ $ref: "#/$defs/A" }, { properties: { a: { type: "string" } } }] } }
      assert.deepStrictEqual(property({ $ref: "#/$defs/A" }, { $defs: itself }), {
        type: "OBJECT",
        properties: { a: { type: "STRING" } }
      })
    })

    const doubling = (node: (next: string) => Json): Json =>
      Object.fromEntries(
        Array.from({ length: 60 }, (_, index) => [`D${index}`, node(`#/$defs/D${index + 1}`)])
      )

    for (
      const [what, node] of [
        ["properties", ($ref: string) => ({ type: "object", properties: { a: { $ref }, b: { $ref } } })],
        ["unions", ($ref: string) => ({ anyOf: [{ $ref, title: "a" }, { $ref, title: "b" }] })],
        ["allOf", ($ref: string) => ({ allOf: [{ $ref }, { $ref }] })],
        ["properties beside unions", ($ref: string) => ({
          type: "object",
          properties: { a: { $ref } },
          anyOf: [{ required: ["a"] }, { minProperties: 1 }]
        })]
      ] as const
    ) {
      it(`and stays bounded where ${what} double at every level`, () => {
        const converted = gemini({ $ref: "#/$defs/D0", $defs: doubling(node) })
        const all = nodes(converted)
        assert.isAtMost(all.length, 10_000)
        assert.isTrue(all.every((node) => node["type"] !== undefined || node["anyOf"] !== undefined))
      })
    }
  })

  describe("takes what all of several schemas say", () => {
    it("together", () => {
      assert.deepStrictEqual(
        property({
          allOf: [
            { type: "object", properties: { a: { type: "string" } }, required: ["a"] },
            { properties: { b: { type: "integer" } }, required: ["b"] }
          ],
          properties: { c: { type: "boolean" } },
          description: "D"
        }),
        {
          description: "D",
          type: "OBJECT",
          properties: { a: { type: "STRING" }, b: { type: "INTEGER" }, c: { type: "BOOLEAN" } },
          required: ["a", "b"]
        }
      )
    })

    it("a reference with a description, as older tools write it", () => {
      const $defs = { Kind: { anyOf: [{ type: "string" }, { type: "integer" }] } }
      assert.deepStrictEqual(property({ allOf: [{ $ref: "#/$defs/Kind" }], description: "D" }, { $defs }), {
        description: "D",
        anyOf: [{ type: "STRING" }, { type: "INTEGER" }]
      })
    })

    it("limits apart from the type", () => {
      assert.deepStrictEqual(property({ type: "string", allOf: [{ minLength: 1 }, { maxLength: 2 }] }), {
        type: "STRING",
        minLength: 1,
        maxLength: 2
      })
    })
  })

  it("gives what stands beside a union to each of its members", () => {
    const a = { type: "STRING" }
    assert.deepStrictEqual(
      property({
        type: "object",
        description: "D",
        properties: { a: { type: "string" }, b: { type: "string" } },
        anyOf: [{ required: ["a"] }, { required: ["b"], title: "second" }]
      }),
      {
        description: "D",
        anyOf: [
          { type: "OBJECT", properties: { a, b: a }, required: ["a"] },
          { title: "second", type: "OBJECT", properties: { a, b: a }, required: ["b"] }
        ]
      }
    )
    assert.deepStrictEqual(property({ type: "string", anyOf: [{ minLength: 3 }, { const: "-" }] }), {
      anyOf: [{ type: "STRING", minLength: 3 }, { type: "STRING", enum: ["-"] }]
    })
  })

  it("does not write to what it is given, and gives the same again", () => {
    const schema = {
      type: "object",
      properties: { a: { type: ["string", "null"], enum: ["x", null] } },
      required: ["a"]
    }
    const before = JSON.stringify(schema)
    assert.strictEqual(JSON.stringify(gemini(schema)), JSON.stringify(gemini(schema)))
    assert.strictEqual(JSON.stringify(schema), before)
  })
})

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

  it.effect("as the arguments of a tool is refused by Gemini, and no defect of any provider", () =>
    Effect.gen(function*() {
      const asked = Completion.make({
        model: "m",
        prompt: "Hi",
        tools: [{ name: "a", description: "b", parameters }]
      })
      assert.strictEqual(yield* outcome("gemini", asked), "InvalidRequest")
      for (const name of ["anthropic", "openai", "openrouter"] as const) yield* outcome(name, asked)
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
