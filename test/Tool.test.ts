import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import * as Message from "../src/Message.ts"
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

  it("is an object without properties if there are no arguments", () => {
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

describe("run", () => {
  const add = Tool.make("add", {
    description: "Adds",
    parameters: Schema.Struct({ a: Schema.Finite, b: Schema.Finite })
  })
  const when = Tool.make("when", { description: "When", parameters: Schema.Struct({ at: Schema.Date }) })
  const raw = Tool.make("raw", { description: "Raw", parameters: { type: "object" } })
  const call = (name: string, args: Schema.Json, id = name) => Message.toolCall({ id, name, arguments: args })
  const adding = Tool.handler(add, ({ a, b }) => Effect.succeed({ sum: a + b }))

  it.effect("gives one user message of the results, in the order of the calls", () =>
    Effect.gen(function*() {
      const wait = Tool.handler(raw, (args) => Effect.as(Effect.sleep(`${Number(args)} millis`), args))
      const fiber = yield* Effect.forkChild(Tool.run([wait], [call("raw", 40, "a"), call("raw", 1, "b")]))
      yield* TestClock.adjust("40 millis")
      assert.deepStrictEqual(yield* Fiber.join(fiber), {
        _tag: "User",
        content: [
          Message.toolResult({ id: "a", name: "raw", content: Message.json(40) }),
          Message.toolResult({ id: "b", name: "raw", content: Message.json(1) })
        ]
      })
    }))

  it.effect("runs as many at once as it may", () =>
    Effect.gen(function*() {
      let running = 0
      let most = 0
      const slow = Tool.handler(raw, () =>
        Effect.gen(function*() {
          most = Math.max(most, ++running)
          yield* Effect.sleep("1 second")
          running--
          return ""
        }))
      const calls = ["a", "b", "c", "d", "e"].map((id) => call("raw", {}, id))
      for (const [concurrency, expected] of [[undefined, 5], [2, 2], [1, 1]] as const) {
        most = 0
        const fiber = yield* Effect.forkChild(Tool.run([slow], calls, { concurrency }))
        yield* TestClock.adjust("5 seconds")
        yield* Fiber.join(fiber)
        assert.strictEqual(most, expected)
      }
    }))

  it.effect("reads the arguments in their JSON form, and passes those of a JSON Schema as they are", () =>
    Effect.gen(function*() {
      const years = Tool.handler(when, ({ at }) => Effect.succeed(at.getUTCFullYear()))
      const echo = Tool.handler(raw, (args) => Effect.succeed(args))
      const { content } = yield* Tool.run([years, echo], [
        call("when", { at: "2020-01-01T00:00:00.000Z" }),
        call("raw", { x: [1] })
      ])
      assert.deepStrictEqual(content.map((one) => one._tag === "ToolResult" ? one.content : one), [
        [Message.json(2020)],
        [Message.json({ x: [1] })]
      ])
    }))

  it.effect("takes texts, contents of messages and JSON as what a tool gives", () =>
    Effect.gen(function*() {
      const image = Message.image(Message.url("https://example.com/a.png"))
      const outputs: ReadonlyArray<readonly [Tool.Returned, ReadonlyArray<Message.ToolResultContent>]> = [
        ["text", [Message.text("text")]],
        [image, [image]],
        [[Message.text("a"), image], [Message.text("a"), image]],
        [[], [Message.json([])]],
        [null, [Message.json(null)]],
        [{ _tag: "Text" }, [Message.json({ _tag: "Text" })]],
        [[1, "a"], [Message.json([1, "a"])]]
      ]
      for (const [output, content] of outputs) {
        const message = yield* Tool.run([Tool.handler(raw, () => Effect.succeed(output))], [call("raw", {})])
        assert.deepStrictEqual(message, Message.user(Message.toolResult({ id: "raw", name: "raw", content })))
      }
    }))

  it.effect("sends back what the model did wrong", () =>
    Effect.gen(function*() {
      const { content } = yield* Tool.run([adding], [call("add", { a: "x" }), call("sub", {})])
      const texts = content.map((one) => one._tag === "ToolResult" ? [one.isError, one.content[0]] : one)
      assert.deepStrictEqual(texts.map((text) => Array.isArray(text) && text[0]), [true, true])
      assert.match(JSON.stringify(texts[0]), /The arguments do not match: .*a.*b/)
      assert.deepStrictEqual(texts[1], [true, Message.text("There is no tool sub. The tools are: add")])
    }))

  it.effect("fails with what a tool fails with, or sends it back", () =>
    Effect.gen(function*() {
      class Broken extends Schema.TaggedError<Broken>("test/Broken")("Broken", { why: Schema.String }) {}
      const failing = Tool.handler(add, () => Effect.fail(new Broken({ why: "no luck" })))
      const plain = Tool.handler(raw, () => Effect.fail("x".repeat(5000)))
      const error = yield* Effect.flip(Tool.run([failing], [call("add", { a: 1, b: 2 })]))
      assert.strictEqual(error.why, "no luck")
      const { content } = yield* Tool.run([failing, plain], [call("add", { a: 1, b: 2 }), call("raw", {})], {
        failures: "return"
      })
      const texts = content.map((one) => one._tag === "ToolResult" && one.isError === true ? one.content[0] : one)
      assert.include(JSON.stringify(texts[0]), "no luck")
      assert.strictEqual(texts[1]?._tag === "Text" && texts[1].text.length, 2001)
    }))

  it.effect("dies with what a tool dies with, and where there are no calls", () =>
    Effect.gen(function*() {
      const dying = Tool.handler(raw, () => Effect.die(new Error("bug")))
      const died = yield* Effect.exit(Tool.run([dying], [call("raw", {})], { failures: "return" }))
      const none = yield* Effect.exit(Tool.run([dying], []))
      for (const exit of [died, none]) assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    }))

  it("leaves a definition plain data", () => {
    assert.deepStrictEqual(Reflect.ownKeys(add), ["name", "description", "parameters"])
  })
})
