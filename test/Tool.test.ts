import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import * as Tool from "../src/Tool.ts"

// The same cases in every run.
Arbitrary.configureGlobal({ check: { seed: "Tool" } })

const parametersOf = (parameters: Schema.Constraint | Schema.JsonObject) =>
  Tool.make("tool", { description: "A tool.", parameters }).parameters

const city = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false
}

class Place extends Schema.Class<Place>("Place")({ city: Schema.String }) {}

class Tree extends Schema.Class<Tree>("app/Tree")({
  value: Schema.String,
  children: Schema.Array(Schema.suspend((): Schema.Codec<Tree, unknown> => Tree))
}) {}

/** What a local reference stands for, its name read as RFC 6901 (JSON Pointer) and RFC 3986 (percent encoding) say. */
const dereference = (root: Schema.JsonObject, ref: unknown): unknown => {
  assert.match(String(ref), /^#\/\$defs\//)
  const name = decodeURIComponent(String(ref).slice("#/$defs/".length)).replaceAll("~1", "/").replaceAll("~0", "~")
  return (root["$defs"] as Schema.JsonObject)[name]
}

describe("make", () => {
  it("derives the JSON Schema of the arguments", () => {
    assert.deepStrictEqual(
      Tool.make("weather", {
        description: "The weather.",
        parameters: Schema.Struct({
          city: Schema.String.annotate({ description: "In English" }),
          days: Schema.optionalKey(Schema.Int)
        }),
        cache: { ttl: "5m" }
      }),
      {
        name: "weather",
        description: "The weather.",
        parameters: {
          type: "object",
          properties: {
            city: { type: "string", description: "In English" },
            days: { type: "integer", minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER }
          },
          required: ["city"],
          additionalProperties: false
        },
        cache: { ttl: "5m" }
      }
    )
  })

  it("describes the JSON form, which the model writes, not the decoded one", () => {
    const { properties } = parametersOf(Schema.Struct({ at: Schema.DateTimeUtcFromString, n: Schema.FiniteFromString }))
    assert.deepInclude(properties, { at: { type: "string" }, n: { type: "string" } })
  })

  it("takes a JSON Schema as it is", () => {
    assert.strictEqual(parametersOf(city), city)
    const odd = { type: "object", "x-own": [1], $ref: "#/elsewhere" }
    assert.strictEqual(parametersOf(odd), odd)
  })

  it("has an object at the root where the Schema is a class", () => {
    assert.deepInclude(parametersOf(Place), city)
  })

  it("has an object at the root where the Schema has an identifier, and keeps its other annotations", () => {
    const identified = Schema.Struct({ city: Schema.String }).annotate({ identifier: "Place", description: "Where" })
    assert.deepInclude(parametersOf(identified), { ...city, description: "Where" })
  })

  it.each(["Tree", "app/Tree", "a~b", "a b%c", "größe", "~1", "a/b/c"])(
    "has an object at the root for the name %s",
    (identifier) => {
      assert.deepInclude(parametersOf(Schema.Struct({ city: Schema.String }).annotate({ identifier })), city)
    }
  )

  it("has an object at the root of a recursive class, and keeps the definition that it refers to", () => {
    const parameters = parametersOf(Tree)
    assert.strictEqual(parameters["type"], "object")
    assert.deepStrictEqual(parameters["required"], ["value", "children"])
    const { children } = parameters["properties"] as { readonly children: { readonly items: Schema.JsonObject } }
    const { $defs: _, ...root } = parameters
    assert.deepStrictEqual(dereference(parameters, children.items["$ref"]), root)
  })

  it("has an object at the root where one name stands for another", () => {
    const alias = Schema.suspend(() => Place).annotate({ identifier: "Alias" })
    assert.deepInclude(parametersOf(alias), city)
  })

  it("keeps the definitions that properties refer to", () => {
    const parameters = parametersOf(Schema.Struct({ from: Place, to: Place }))
    const { from, to } = parameters["properties"] as Record<"from" | "to", Schema.JsonObject>
    assert.deepStrictEqual(from, to)
    assert.deepStrictEqual(dereference(parameters, from["$ref"]), city)
  })

  it("has an object without properties where there are no arguments", () => {
    const none = { type: "object", properties: {}, additionalProperties: false }
    class Nothing extends Schema.Class<Nothing>("app/Nothing")({}) {}
    assert.deepStrictEqual(parametersOf(Schema.Struct({})), none)
    assert.deepInclude(parametersOf(Nothing), none)
    assert.deepStrictEqual(parametersOf(Schema.Struct({}).annotate({ description: "Nothing" })), {
      ...none,
      description: "Nothing"
    })
  })

  it("gives what survives JSON", () => {
    const tool = Tool.make("tree", { description: "", parameters: Tree })
    const text = JSON.stringify(Schema.encodeUnknownSync(Tool.ToolDefinition)(tool))
    assert.deepStrictEqual(Schema.decodeUnknownSync(Tool.ToolDefinition)(JSON.parse(text)), tool)
  })
})

describe("ToolChoice", () => {
  it("is auto, none, required or specific", () => {
    assert.deepStrictEqual([Tool.auto, Tool.none, Tool.required, Tool.specific("a", "b")], [
      { _tag: "Auto" },
      { _tag: "None" },
      { _tag: "Required" },
      { _tag: "Specific", names: ["a", "b"] }
    ])
  })

  it.prop("survives JSON", { choice: Tool.ToolChoice }, ({ choice }) => {
    const text = JSON.stringify(Schema.encodeUnknownSync(Tool.ToolChoice)(choice))
    assert.deepStrictEqual(Schema.decodeUnknownSync(Tool.ToolChoice)(JSON.parse(text)), choice)
  })
})
