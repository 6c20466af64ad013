import { assert, describe, it } from "@effect/vitest"
import * as Instance from "../../../src/testing/simulator/instance.ts"
import * as Pattern from "../../../src/testing/simulator/pattern.ts"

const tree = {
  $defs: {
    tree: {
      type: "object",
      properties: { value: { type: "string" }, children: { type: "array", items: { $ref: "#/$defs/tree" } } },
      required: ["value", "children"]
    },
    chain: {
      anyOf: [{ type: "null" }, { type: "object", properties: { next: { $ref: "#/$defs/chain" } }, required: ["next"] }]
    },
    endless: { type: "object", properties: { self: { $ref: "#/$defs/endless" } }, required: ["self"] }
  }
}

const cases: ReadonlyArray<readonly [name: string, schema: unknown, value: unknown]> = [
  ["only what is required", {
    type: "object",
    properties: { a: { type: "string" }, b: { type: "null" } },
    required: ["a"]
  }, { a: "a" }],
  ["a const", { const: 7 }, 7],
  ["the first of an enum", { enum: ["x", "y"] }, "x"],
  ["the first type that is not null", { type: ["null", "boolean"] }, false],
  ["a least integer", { type: "integer", exclusiveMinimum: 3 }, 4],
  ["a greatest number", { type: "number", maximum: -2.5 }, -2.5],
  ["a multiple", { type: "integer", minimum: 11, multipleOf: 5 }, 15],
  ["a date", { type: "string", format: "date" }, "2026-01-01"],
  ["a format within bounds", { type: "string", format: "email", minLength: 3 }, "someone@example.com"],
  ["a first example", { type: "string", examples: ["Oslo", "Rome"], default: "Bern", minLength: 3 }, "Oslo"],
  ["a default", { type: "integer", default: 7, minimum: 3 }, 7],
  ["a false default", { type: "boolean", default: true }, true],
  ["an example of Google's", { type: "STRING", example: "Oslo" }, "Oslo"],
  ["no example of another kind", { type: "string", examples: [7], default: null }, "text"],
  ["an example of a reference", {
    $defs: { city: { type: "string" } },
    $ref: "#/$defs/city",
    examples: ["Oslo"]
  }, "Oslo"],
  ["examples of what is within", {
    type: "object",
    properties: { city: { type: "string", examples: ["Oslo"] }, at: { type: "array", examples: [[1, 2]] } },
    required: ["city", "at"]
  }, { city: "Oslo", at: [1, 2] }],
  ["the literal that must be, whatever the default", { enum: ["x", "y"], default: "z" }, "x"],
  ["a long text", { type: "string", minLength: 6 }, "textxx"],
  ["a short text", { type: "string", maxLength: 2 }, "te"],
  ["a text that matches", { type: "string", pattern: "^[A-Z]{2}-\\d+$" }, "AA-0"],
  ["an empty array", { type: "array", items: { type: "string" } }, []],
  ["as many items as it must have", { type: "array", minItems: 2, items: { type: "integer" } }, [0, 0]],
  ["items that differ", { type: "array", minItems: 2, uniqueItems: true, items: { type: "integer" } }, [0, 1]],
  ["a tuple", { type: "array", prefixItems: [{ type: "integer" }, { type: "boolean" }] }, [0, false]],
  ["a reference", { ...tree, $ref: "#/$defs/tree" }, { value: "value", children: [] }],
  ["the first member that is not null", { anyOf: [{ type: "null" }, { type: "integer" }] }, 0],
  ["all of several", {
    allOf: [
      { type: "object", properties: { a: { type: "integer" } }, required: ["a"] },
      { properties: { b: { type: "boolean" } }, required: ["b"] }
    ]
  }, { a: 0, b: false }],
  ["Google's dialect", {
    type: "OBJECT",
    properties: { a: { type: "ARRAY", items: { type: "STRING" } } },
    required: ["a"]
  }, { a: [] }]
]

describe("instance", () => {
  it.each(cases)("%s", (_, schema, value) => {
    assert.deepStrictEqual(Instance.make(schema), value)
  })

  it("ends a recursion that may end", () => {
    assert.include(JSON.stringify(Instance.make({ ...tree, $ref: "#/$defs/chain" })), '{"next":null}')
  })

  const manifold = {
    type: "object",
    properties: Object.fromEntries("abcdefghij".split("").map((key) => [key, { $ref: "#" }])),
    required: "abcdefghij".split("")
  }
  const many = (items: unknown) => ({ type: "array", minItems: 1e12, items })
  const immense: ReadonlyArray<readonly [name: string, schema: unknown]> = [
    ["a text", { type: "string", minLength: 1e12 }],
    ["texts", { ...many({ type: "string", minLength: 1e12 }) }],
    ["an array", many({ type: "integer" })],
    ["an array without an end", { type: "array", minItems: Infinity, items: {} }],
    ["arrays of arrays", many(many(many({ type: "boolean" })))],
    ["an array of long texts", many({ const: "x".repeat(10_000) })],
    ["an array of long samples", many({ type: "string", pattern: "^a{1000}$" })],
    ["a tree", manifold],
    ["repetitions of repetitions", { type: "string", pattern: "^(?:(?:(?:a{999}){999}){999}){999}$" }],
    ["nested groups", { type: "string", pattern: `^${"(?:".repeat(20_000)}a${")".repeat(20_000)}$` }]
  ]
  it.each(immense)("cuts what is demanded beyond all measure: %s", (_, schema) => {
    assert.isBelow(JSON.stringify(Instance.make(schema)).length, 1_000_000)
  })

  it("keeps a length that can be", () => {
    assert.strictEqual(String(Instance.make({ type: "string", minLength: 20_000 })).length, 20_000)
    const array = Instance.make({ type: "array", minItems: 5000, items: { type: "integer" } })
    assert.strictEqual(Array.isArray(array) && array.length, 5000)
  })

  it.each(["constructor", "valueOf", "toString", "__proto__"])("knows no format and no type %s", (name) => {
    assert.strictEqual(Instance.make({ type: "string", format: name }), "text")
    assert.deepStrictEqual(Instance.make({ type: name }), {})
  })

  it("takes a reference that is not encoded as it should be for one to nothing", () => {
    const schema = { type: "object", properties: { a: { $ref: "#/%E0%A4%A" } }, required: ["a"] }
    assert.deepStrictEqual(Instance.make(schema), { a: "a" })
  })

  it("ends a recursion that may not", () => {
    assert.isBelow(JSON.stringify(Instance.make({ ...tree, $ref: "#/$defs/endless" })).length, 200)
  })
})

describe("pattern", () => {
  it.each([
    "^\\d{3}-\\d{4}$",
    "^(?:red|green)$",
    "^[^a-z]+$",
    "^#[0-9a-fA-F]{6}$",
    "^https?://[\\w.-]+(/.*)?$",
    "[\\]x]y",
    "^\\+?[1-9]\\d{1,14}$",
    "^[a-z0-9]+(?:-[a-z0-9]+)*$",
    "^(\\w+)@(?<host>[a-z]+\\.com)$"
  ])("matches %s", (pattern) => {
    assert.match(Pattern.sample(pattern) ?? "no sample", new RegExp(pattern, "u"))
  })

  it("has no sample for unsupported syntax", () => {
    assert.isUndefined(Pattern.sample("^(?=a)b$"))
    assert.isUndefined(Pattern.sample("(a)\\1"))
  })
})
