import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import {
  Anthropic,
  Completion,
  type CompletionPart,
  CompletionResponse,
  Gemini,
  LLMClient,
  Message,
  OpenAi,
  OpenRouter,
  StructuredOutput,
  TokenUsage,
  Tool
} from "../src/index.ts"
import * as Output from "../src/Output.ts"
import { Simulator, TestLLM } from "../src/testing/index.ts"

const Recipe = Schema.Struct({ name: Schema.String, minutes: Schema.Int, note: Schema.optionalKey(Schema.String) })
const schemas: Record<string, Schema.Codec<unknown>> = {
  struct: Recipe,
  list: Schema.Array(Schema.String),
  union: Schema.Union([Schema.TaggedStruct("A", { x: Schema.String }), Schema.TaggedStruct("B", { y: Schema.Int })])
}

const ask = Completion.make({ prompt: "Tell me" })
const weather = Tool.make("weather", { description: "The weather", parameters: Schema.Struct({ city: Schema.String }) })
const schema = { type: "object", properties: { a: { type: "integer" } }, required: ["a"], additionalProperties: false }
const wanted = Completion.outputSchema(schema)(ask)

const asTool = (script: TestLLM.Script, settings?: TestLLM.Settings) =>
  Layer.provideMerge(StructuredOutput.layer({ as: "tool" }), TestLLM.layer(script, settings))
const asInstructions = (script: TestLLM.Script) =>
  Layer.provideMerge(StructuredOutput.layer({ as: "instructions" }), TestLLM.layer(script))

const sent = Effect.map(TestLLM.requests, (requests) => requests.map(({ completion }) => completion))

const apiKey = Redacted.make("test")
const wires = {
  anthropic: Anthropic.layer({ apiKey, model: "claude-sonnet-4-6" }),
  "anthropic that cannot be forced": Anthropic.layer({ apiKey, model: "claude-opus-5-5" }),
  responses: OpenAi.layer({ apiKey, model: "gpt-5.4-mini" }),
  chat: OpenAi.layer({ apiKey, model: "gpt-5.4-mini", api: "chat" }),
  compatible: OpenAi.layer({ apiKey, model: "llama", baseUrl: "https://llm.example.com/v1" }),
  gemini: Gemini.layer({ apiKey, model: "gemini-3-flash" }),
  openrouter: OpenRouter.layer({ apiKey, model: "openai/gpt-5.4-mini" })
}

/** A model that can be made to do nothing calls the tool that it is asked to call. */
const obliging: Simulator.Options["answer"] = ({ toolChoice, tools }) =>
  tools.length > 0 && (toolChoice === undefined || toolChoice._tag === "Auto")
    ? { toolCalls: [{ name: tools.at(-1)!.name, arguments: { name: "Egg", minutes: 1, note: null } }] }
    : undefined

describe("tool", () => {
  for (const [name, wire] of Object.entries(wires)) {
    it.effect(`gives values, whole and streamed: ${name}`, () =>
      Effect.gen(function*() {
        const forced = !name.includes("cannot")
        const simulator = yield* Simulator.make({ ...!forced && { answer: obliging } })
        const layer = LLMClient.compose(
          StructuredOutput.layer({ as: "tool" }),
          Layer.provide(wire, Layer.succeed(HttpClient.HttpClient, simulator.client))
        )
        yield* Effect.provide(
          Effect.gen(function*() {
            for (const [kind, schema] of forced ? Object.entries(schemas) : [["struct", Recipe] as const]) {
              const { response, value } = yield* Output.object(ask, schema, { repairs: 0 })
              assert.isTrue(Schema.is(schema)(value), kind)
              assert.strictEqual(response.finishReason._tag, "Stop")
              assert.deepStrictEqual(response.toolCalls, [])
              const parts = yield* Stream.runCollect(Output.stream(ask, schema))
              const last = parts.at(-1)!
              assert.isTrue(last._tag === "Finish" && Schema.is(schema)(last.value), kind)
            }
          }),
          layer
        )
        for (const { body } of yield* simulator.requests) {
          assert.notMatch(String(body), /json_schema|responseJsonSchema|output_config/)
        }
      }))
  }

  it.effect("asks for the call of a tool that is made for it, and for nothing else", () =>
    Effect.gen(function*() {
      const response = yield* LLMClient.completion(wanted)
      assert.strictEqual(response.text, '{"a":1}')
      const [completion] = yield* sent
      assert.isUndefined(completion!.outputSchema)
      assert.deepStrictEqual(completion!.toolChoice, { _tag: "Specific", names: ["answer"], otherwise: "auto" })
      assert.deepStrictEqual(completion!.tools.map(({ name, parameters }) => [name, parameters]), [["answer", schema]])
    }).pipe(Effect.provide(asTool([TestLLM.toolCall("answer", { a: 1 })]))))

  it.effect("leaves completions without a schema alone", () =>
    Effect.gen(function*() {
      yield* LLMClient.completion(ask)
      yield* Stream.runDrain(LLMClient.stream(ask))
      for (const completion of yield* sent) {
        assert.deepStrictEqual({ ...completion }, { ...ask })
      }
    }).pipe(Effect.provide(asTool(["a", "b"]))))

  it.effect("never forces a model that cannot be forced", () =>
    Effect.gen(function*() {
      for (const [provider, model] of [["openrouter", "anthropic/claude-opus-5.5"], ["anthropic", "claude-opus-5-5"]]) {
        for (const completion of [wanted, Completion.tools([weather])(wanted)]) {
          const asked = yield* Effect.provide(
            Effect.andThen(LLMClient.completion(completion), sent),
            asTool([TestLLM.toolCall("answer", { a: 1 })], { provider: provider!, model: model! })
          )
          assert.deepStrictEqual(asked[0]!.toolChoice, { _tag: "Auto" })
          assert.include(asked[0]!.preamble, "tool answer")
        }
      }
      // Whether it thinks is known here only as far as the request says so.
      const thinking = Completion.reasoning({ effort: "high" })(wanted)
      for (const [completion, choice] of [[wanted, "Specific"], [thinking, "Auto"]] as const) {
        const asked = yield* Effect.provide(
          Effect.andThen(LLMClient.completion(completion), sent),
          asTool([TestLLM.toolCall("answer", { a: 1 })], { provider: "anthropic", model: "claude-sonnet-4-5" })
        )
        assert.strictEqual(asked[0]!.toolChoice?._tag, choice)
      }
    }))

  it.effect("lets the model call the caller's tools first, and none where the caller says so", () =>
    Effect.gen(function*() {
      const withTools = Completion.tools([weather])(wanted)
      const first = yield* LLMClient.completion(withTools)
      assert.deepStrictEqual(first.toolCalls.map(({ name }) => name), ["weather"])
      assert.strictEqual(first.finishReason._tag, "ToolUse")
      yield* LLMClient.completion(Completion.toolChoice(Tool.none)(withTools))
      yield* LLMClient.completion(Completion.toolChoice(Tool.specific("weather"))(withTools))
      const choices = (yield* sent).map(({ toolChoice }) => toolChoice)
      assert.deepStrictEqual(choices, [
        { _tag: "Required", otherwise: "auto" },
        { _tag: "Specific", names: ["answer"], otherwise: "auto" },
        { _tag: "Specific", names: ["weather"] }
      ])
      assert.deepStrictEqual((yield* sent)[0]!.tools.map(({ name }) => name), ["weather", "answer"])
    }).pipe(Effect.provide(asTool([
      TestLLM.toolCall("weather", { city: "Oslo" }),
      TestLLM.toolCall("answer", { a: 1 }),
      TestLLM.toolCall("weather", { city: "Oslo" })
    ]))))

  it.effect("takes another name where the caller has a tool of that name", () =>
    Effect.gen(function*() {
      const answer = Tool.make("answer", { description: "", parameters: {} })
      const response = yield* LLMClient.completion(Completion.tools([answer])(wanted))
      assert.deepStrictEqual(response.toolCalls.map(({ name }) => name), ["answer"])
      assert.strictEqual(response.text, '{"a":2}')
    }).pipe(Effect.provide(asTool([
      TestLLM.answer({ toolCalls: [{ name: "answer", arguments: {} }, { name: "answer_", arguments: { a: 2 } }] })
    ]))))

  const mixed = TestLLM.answer({
    choice: [
      Message.text("Let me see."),
      Message.toolCall({ id: "1", name: "weather", arguments: { city: "Oslo" } }),
      Message.toolCall({ id: "2", name: "answer", arguments: { a: 1 } }),
      Message.toolCall({ id: "3", name: "answer", arguments: { a: 2 } })
    ],
    finishReason: { _tag: "ToolUse" }
  })

  it.effect("takes the first answer, keeps the other calls, and what is said beside them apart", () =>
    Effect.gen(function*() {
      const response = yield* LLMClient.completion(Completion.tools([weather])(wanted))
      assert.strictEqual(response.text, '{"a":1}')
      assert.deepStrictEqual(response.toolCalls.map(({ id }) => id), ["1"])
      assert.strictEqual(response.finishReason._tag, "ToolUse")
      assert.deepStrictEqual(response.choice[0], Message.text("Let me see.", { phase: "commentary" }))
    }).pipe(Effect.provide(asTool([mixed]))))

  /** What a stream promises: its contents are the choice, and its texts the text. */
  const held = (parts: ReadonlyArray<CompletionPart.CompletionPart>): CompletionResponse.CompletionResponse => {
    const last = parts.at(-1)!
    assert.strictEqual(last._tag, "Finish")
    const { response } = last as CompletionPart.Finish
    const contents = parts.flatMap((part) => part._tag === "ContentEnd" ? [part] : []).sort((a, b) => a.index - b.index)
    assert.deepStrictEqual(contents.map(({ content }) => content), response.choice)
    const texts = parts.flatMap((part) => part._tag === "TextDelta" ? [part] : [])
    const final = texts.some(({ phase }) => phase === "final_answer")
    assert.strictEqual(
      texts.map(({ phase, text }) => final && phase === "commentary" ? "" : text).join(""),
      response.text
    )
    return response
  }

  it.effect("streams the answer as a text, with the other calls where they were", () =>
    Effect.gen(function*() {
      const parts = yield* Stream.runCollect(LLMClient.stream(Completion.tools([weather])(wanted)))
      const response = held(parts)
      assert.strictEqual(response.text, '{"a":1}')
      assert.deepStrictEqual(response.toolCalls.map(({ id }) => id), ["1"])
      assert.deepStrictEqual(
        parts.flatMap((part) => part._tag === "ToolCallStart" ? [[part.index, part.name]] : []),
        [[1, "weather"]]
      )
      assert.isTrue(parts.every((part) => !("index" in part) || part.index < 3))
    }).pipe(Effect.provide(asTool([mixed]))))

  it.effect("streams the answer as the model writes it, in its own notation", () =>
    Effect.gen(function*() {
      const parts = yield* Stream.runCollect(LLMClient.stream(wanted))
      assert.strictEqual(held(parts).text, '{ "a" : 1.0 }')
    }).pipe(Effect.provide(asTool([
      TestLLM.parts([
        { _tag: "ToolCallStart", id: "1", name: "answer" },
        { _tag: "ToolCallDelta", arguments: '{ "a" :' },
        { _tag: "ToolCallDelta", arguments: " 1.0 }" }
      ])
    ]))))

  it.effect("streams an answer that comes at once, without pieces", () =>
    Effect.gen(function*() {
      const { client } = yield* TestLLM.make([])
      const call = Message.toolCall({ id: "1", name: "answer", arguments: { a: 2 } })
      const response = CompletionResponse.make({
        choice: [call],
        finishReason: { _tag: "ToolUse" },
        usage: TokenUsage.zero,
        provider: "test"
      })
      const made = StructuredOutput.make({
        ...client,
        stream: () => Stream.make({ _tag: "ContentEnd", index: 0, content: call }, { _tag: "Finish", response })
      }, { as: "tool" })
      assert.strictEqual(held(yield* Stream.runCollect(made.stream!(wanted))).text, '{"a":2}')
    }))

  it.effect("takes the text of a model that answers without the call", () =>
    Effect.gen(function*() {
      const { value } = yield* Output.object(ask, Schema.Struct({ a: Schema.Int }))
      assert.deepStrictEqual(value, { a: 3 })
      const parts = yield* Stream.runCollect(LLMClient.stream(wanted))
      assert.strictEqual(held(parts).text, '{"a": 4}')
    }).pipe(Effect.provide(asTool(['{"a": 3}', '{"a": 4}']))))

  it.effect("repairs an answer without a call to its name in the history", () =>
    Effect.gen(function*() {
      const { value } = yield* Output.object(ask, Schema.Struct({ a: Schema.Int }))
      assert.deepStrictEqual(value, { a: 1 })
      const [, second] = yield* sent
      assert.deepStrictEqual(
        second!.history.map(({ content }) => typeof content === "string" ? content : content.map(({ _tag }) => _tag)),
        [["Text"], ["Text"]]
      )
    }).pipe(Effect.provide(asTool([TestLLM.toolCall("answer", { a: "x" }), TestLLM.toolCall("answer", { a: 1 })]))))
})

describe("instructions", () => {
  it.effect("puts the schema into the system text, behind the caller's", () =>
    Effect.gen(function*() {
      const { value } = yield* Output.object(Completion.preamble("Be kind.")(ask), Recipe)
      assert.deepStrictEqual(value, { name: "Egg", minutes: 1 })
      yield* Output.object(ask, Recipe)
      const [first, second] = yield* sent
      assert.isUndefined(first!.outputSchema)
      assert.match(first!.preamble!, /^Be kind\.\n\nGive the final answer as one JSON value[^]*"minutes"/)
      assert.match(second!.preamble!, /^Give the final answer/)
      assert.deepStrictEqual(first!.tools, [])
    }).pipe(Effect.provide(asInstructions([
      '{"name":"Egg","minutes":1}',
      '```json\n{"name":"Egg","minutes":1,"note":null}\n```'
    ]))))

  for (const [name, wire] of Object.entries(wires)) {
    it.effect(`gives values, whole and streamed: ${name}`, () =>
      Effect.gen(function*() {
        const { value } = yield* Output.object(ask, Recipe, { repairs: 0 })
        assert.deepStrictEqual(value, { name: "Egg", minutes: 1 })
        const parts = yield* Stream.runCollect(Output.stream(ask, Recipe))
        assert.isAbove(parts.length, 1)
      }).pipe(Effect.provide(LLMClient.compose(
        StructuredOutput.layer({ as: "instructions" }),
        Layer.provide(
          wire,
          Simulator.layer({
            answer: (completion) =>
              JSON.stringify(completion).includes("minutes") ? 'Here:\n{"name":"Egg","minutes":1}' : "?"
          })
        )
      ))))
  }
})

describe("layer", () => {
  it.effect("counts the tokens of what is sent", () =>
    Effect.gen(function*() {
      const { client } = yield* TestLLM.make([])
      const counted: Array<Completion.Completion> = []
      const made = StructuredOutput.make({
        ...client,
        countTokens: (completion) => Effect.sync(() => counted.push(completion))
      }, { as: "tool" })
      yield* made.countTokens!(wanted)
      yield* made.countTokens!(ask)
      assert.deepStrictEqual(counted.map(({ tools }) => tools.length), [1, 0])
      assert.notProperty(StructuredOutput.make(client, { as: "tool" }), "countTokens")
    }))

  it.effect("refuses options that are mistakes in the program", () =>
    Effect.gen(function*() {
      for (const options of [{ as: "magic" }, {}, { as: "tool", extra: 1 }]) {
        const layer = StructuredOutput.layer(options as StructuredOutput.Options)
        const exit = yield* Effect.exit(
          Effect.provide(LLMClient.completion(ask), Layer.provide(layer, TestLLM.layer([])))
        )
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      }
    }))
})
