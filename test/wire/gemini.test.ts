import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Completion, Message, Tool } from "../../src/index.ts"
import { answers, at, bodyTo, exchange, type Json, layers, readBy, refusal, sendTo } from "../transport/exchange.ts"

const body = bodyTo("gemini")
const question = Completion.make({ model: "gemini-3-flash", prompt: "Hi" })
const read = readBy("gemini", question)

const weather = Tool.make("weather", {
  description: "The weather of a city.",
  parameters: Schema.Struct({ city: Schema.String })
})

const call = (id: string, city = "Rome") => Message.toolCall({ id, name: "weather", arguments: { city } })
const called = (...ids: ReadonlyArray<string>) => Message.assistant(ids.map((id) => call(id)), { provider: "gemini" })
const given = (id: string, content: string | ReadonlyArray<Message.ToolResultContent> = "sunny") =>
  Message.toolResult({ id, name: "weather", content })
const result = (id: string) => Message.user(given(id))

const sentContents = (history: ReadonlyArray<Message.Message>, prompt: string | Message.Message) =>
  Effect.map(
    body(Completion.make({ model: "gemini-3-flash", history, prompt })),
    (sent) => sent["contents"] as ReadonlyArray<Json>
  )

const sentParts = (...contents: ReadonlyArray<Message.UserContent>) =>
  Effect.map(sentContents([], Message.user(contents)), (sent) => at(sent, 0, "parts"))

describe("request", () => {
  it.effect("is contents, and nothing that was not asked for", () =>
    Effect.gen(function*() {
      const sent = yield* sendTo("gemini")(question)
      assert.strictEqual(sent.method, "POST")
      assert.strictEqual(
        sent.url.href,
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-3-flash:generateContent"
      )
      assert.strictEqual(sent.headers["x-goog-api-key"], "key")
      assert.deepStrictEqual(sent.body, { contents: [{ role: "user", parts: [{ text: "Hi" }] }] })
    }))

  for (
    const [model, path] of [
      ["models/gemini-3-flash", "/v1beta/models/gemini-3-flash:generateContent"],
      ["tunedModels/mine", "/v1beta/tunedModels/mine:generateContent"],
      ["a b?key=1", "/v1beta/models/a%20b%3Fkey%3D1:generateContent"]
    ] as const
  ) {
    it.effect(`has the model ${model} in its path`, () =>
      Effect.gen(function*() {
        const sent = yield* sendTo("gemini")(Completion.model(model)(question))
        assert.strictEqual(sent.url.pathname, path)
        assert.strictEqual(sent.url.search, "")
      }))
  }

  it.effect("puts the preamble and every system message into the system instruction", () =>
    Effect.gen(function*() {
      const sent = yield* body(Completion.make({
        model: "gemini-3-flash",
        preamble: "first",
        history: [Message.system("second"), Message.user("a"), Message.system(""), Message.system("third")],
        prompt: "b"
      }))
      assert.deepStrictEqual(sent["systemInstruction"], {
        parts: [{ text: "first" }, { text: "second" }, { text: "third" }]
      })
      assert.deepStrictEqual(sent["contents"], [{ role: "user", parts: [{ text: "a" }, { text: "b" }] }])
      assert.notProperty(yield* body(Completion.preamble("")(question)), "systemInstruction")
    }))

  it.effect("takes media by URL and as data; a text goes as text, decoded", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* sentParts(
          Message.image(Message.base64("AAAA", "image/png")),
          Message.image(Message.url("gs://cat.png", "image/png")),
          Message.audio(Message.base64("AAAA", "audio/wav")),
          Message.audio(Message.url("https://example.com/a.mp3", "audio/mp3")),
          Message.video(Message.base64("AAAA", "video/mp4")),
          Message.video(Message.url("https://www.youtube.com/watch?v=1")),
          Message.document(Message.base64("AAAA", "application/pdf")),
          Message.document(Message.url("https://example.com/a.pdf", "application/pdf")),
          Message.document(Message.base64("R3LDvMOfZQ==", "text/html"))
        ),
        [
          { inlineData: { mimeType: "image/png", data: "AAAA" } },
          { fileData: { mimeType: "image/png", fileUri: "gs://cat.png" } },
          { inlineData: { mimeType: "audio/wav", data: "AAAA" } },
          { fileData: { mimeType: "audio/mp3", fileUri: "https://example.com/a.mp3" } },
          { inlineData: { mimeType: "video/mp4", data: "AAAA" } },
          { fileData: { fileUri: "https://www.youtube.com/watch?v=1" } },
          { inlineData: { mimeType: "application/pdf", data: "AAAA" } },
          { fileData: { mimeType: "application/pdf", fileUri: "https://example.com/a.pdf" } },
          { text: "Grüße" }
        ]
      )
    }))

  it.effect("needs the media type of a URL, and says so", () =>
    Effect.gen(function*() {
      const error = yield* refusal("gemini")(
        Completion.prompt(Message.user(Message.image(Message.url("https://example.com/a"))))(question)
      )
      assert.strictEqual(error.reason, "InvalidRequest")
      assert.include(error.description, "Message.url(url, mediaType)")
    }))

  describe("conversation", () => {
    it.effect("puts the results of one turn into one content, before everything else in it", () =>
      Effect.gen(function*() {
        const sent = yield* sentContents(
          [Message.user("a"), called("1", "2"), result("1"), Message.user("by the way")],
          Message.user([given("2"), "and now?"])
        )
        assert.deepStrictEqual(sent[2], {
          role: "user",
          parts: [
            { functionResponse: { id: "1", name: "weather", response: { result: "sunny" } } },
            { functionResponse: { id: "2", name: "weather", response: { result: "sunny" } } },
            { text: "by the way" },
            { text: "and now?" }
          ]
        })
        assert.lengthOf(sent, 3)
      }))

    it.effect("sends results as JSON or as text, never a text as JSON, and images beside them", () =>
      Effect.gen(function*() {
        const failed = { _tag: "ToolResult", name: "weather", isError: true } as const
        const sent = yield* sentContents(
          [Message.user("a"), called("1", "2", "3", "4", "5", "6")],
          Message.user([
            given("1", '{"a":1}'),
            given("2", [Message.json({ a: 1 })]),
            given("3", [
              Message.text("x"),
              Message.json([1]),
              Message.image(Message.base64("AAAA", "image/png"))
            ]),
            given("4", []),
            { ...failed, id: "5", content: [Message.text("no such city")] },
            { ...failed, id: "6", content: [] }
          ])
        )
        assert.deepStrictEqual(
          (at(sent, 2, "parts") as ReadonlyArray<Json>).map((part) => ({ ...at(part, "functionResponse") as Json })),
          [
            { id: "1", name: "weather", response: { result: '{"a":1}' } },
            { id: "2", name: "weather", response: { result: { a: 1 } } },
            {
              id: "3",
              name: "weather",
              response: { result: ["x", [1]] },
              parts: [{ inlineData: { mimeType: "image/png", data: "AAAA" } }]
            },
            { id: "4", name: "weather", response: {} },
            { id: "5", name: "weather", response: { error: "no such city" } },
            { id: "6", name: "weather", response: { error: "the tool failed" } }
          ]
        )
      }))

    it.effect("never sends an id that is ours or another provider's", () =>
      Effect.gen(function*() {
        const minted = Message.mintId("x", 0)
        const sent = yield* sentContents([
          Message.user("a"),
          Message.assistant([call(minted), call("theirs")], { provider: "gemini" }),
          Message.user([given(minted), given("theirs")]),
          Message.assistant([call("toolu_1")], { provider: "anthropic" })
        ], result("toolu_1"))
        const ids = sent.flatMap(({ parts }) => parts as ReadonlyArray<Json>).map((part) =>
          at(part, "functionCall", "id") ?? at(part, "functionResponse", "id")
        )
        assert.deepStrictEqual(ids, [undefined, undefined, "theirs", undefined, "theirs", undefined, undefined])
      }))

    it.effect("puts a signature back beside the part that it came with", () =>
      Effect.gen(function*() {
        const turn = Message.assistant([
          { _tag: "Reasoning", content: [{ _tag: "Text", text: "hm", signature: "s1" }, { _tag: "Text", text: "so" }] },
          Message.text("yes", { signature: "s2" }),
          Message.text("", { signature: "s3" }),
          { ...call("1"), signature: "s4" },
          call("2"),
          Message.image(Message.base64("AAAA", "image/png"), { signature: "s5" })
        ], { provider: "gemini" })
        assert.deepStrictEqual((yield* sentContents([Message.user("a"), turn], "b"))[1], {
          role: "model",
          parts: [
            { text: "hm", thought: true, thoughtSignature: "s1" },
            { text: "so", thought: true },
            { text: "yes", thoughtSignature: "s2" },
            { text: "", thoughtSignature: "s3" },
            { functionCall: { id: "1", name: "weather", args: { city: "Rome" } }, thoughtSignature: "s4" },
            { functionCall: { id: "2", name: "weather", args: { city: "Rome" } } },
            { inlineData: { mimeType: "image/png", data: "AAAA" }, thoughtSignature: "s5" }
          ]
        })
      }))

    it.effect("leaves out what only another provider can read", () =>
      Effect.gen(function*() {
        const turn = Message.assistant([
          { _tag: "Reasoning", content: [{ _tag: "Text", text: "hm", signature: "s" }] },
          Message.text("yes", { signature: "s" }),
          Message.text("", { signature: "s" }),
          { ...call("1"), signature: "s" },
          { _tag: "ProviderBlock", provider: "anthropic", block: { type: "server_tool_use" } }
        ], { provider: "anthropic" })
        const contents = (model: string) =>
          Effect.map(
            body(Completion.make({ model, history: [Message.user("a"), turn], prompt: result("1") })),
            (sent) => at(sent, "contents", 1)
          )
        const functionCall = { name: "weather", args: { city: "Rome" } }
        for (const model of ["gemini-2.5-flash", "gemini-1.5-pro-latest", "gemma-3-27b-it"]) {
          assert.deepStrictEqual(yield* contents(model), {
            role: "model",
            parts: [{ text: "yes" }, { functionCall }]
          }, model)
        }
        for (const model of ["gemini-3-flash", "gemini-4-argon", "models/gemini-10-pro", "gemini-flash-latest"]) {
          assert.deepStrictEqual(yield* contents(model), {
            role: "model",
            parts: [{ text: "yes" }, { functionCall, thoughtSignature: "skip_thought_signature_validator" }]
          }, model)
        }
      }))

    it.effect("signs the first call of every step without a signature, for Gemini 3", () =>
      Effect.gen(function*() {
        const older = Message.assistant([call("1"), call("2")], { provider: "gemini" })
        const signed = Message.assistant([{ ...call("3"), signature: "s" }, call("4")], { provider: "gemini" })
        const byHand = Message.assistant([call("5")])
        const results = (...ids: ReadonlyArray<string>) => Message.user(ids.map((id) => given(id)))
        const contents = yield* sentContents([
          Message.user("a"),
          older,
          results("1", "2"),
          signed,
          results("3", "4"),
          byHand
        ], results("5"))
        const signatures = contents.filter(({ role }) => role === "model").map(({ parts }) =>
          (parts as ReadonlyArray<Json>).map(({ thoughtSignature }) => thoughtSignature)
        )
        const skip = "skip_thought_signature_validator"
        assert.deepStrictEqual(signatures, [[skip, undefined], ["s", undefined], [skip]])
      }))

    it.effect("gives parts that are not known here back verbatim, in place", () =>
      Effect.gen(function*() {
        const code = { executableCode: { language: "PYTHON", code: "1" }, thoughtSignature: "s" }
        const turn = Message.assistant(
          ["a", { _tag: "ProviderBlock", provider: "gemini", block: code }, "b"],
          { provider: "gemini" }
        )
        assert.deepStrictEqual(at(yield* sentContents([Message.user("a"), turn], "b"), 1, "parts"), [
          { text: "a" },
          code,
          { text: "b" }
        ])
      }))

    it.effect("leaves out empty texts and empty turns", () =>
      Effect.gen(function*() {
        const history = [Message.user(["", "a"]), Message.assistant([]), Message.assistant(""), Message.user("")]
        assert.deepStrictEqual(yield* sentContents(history, "b"), [
          { role: "user", parts: [{ text: "a" }, { text: "b" }] }
        ])
      }))

    it.effect("makes one content of what one role says in a row", () =>
      Effect.gen(function*() {
        const history = [Message.user("a"), Message.assistant("b"), Message.user(""), Message.assistant("c")]
        assert.deepStrictEqual(yield* sentContents(history, "d"), [
          { role: "user", parts: [{ text: "a" }] },
          { role: "model", parts: [{ text: "b" }, { text: "c" }] },
          { role: "user", parts: [{ text: "d" }] }
        ])
      }))

    for (const [given, sent] of [['{"a":1}', { a: 1 }], ["a", {}], [null, {}], [[1], {}]] as const) {
      it.effect(`sends the arguments ${JSON.stringify(given)} as an object`, () =>
        Effect.gen(function*() {
          const turn = Message.assistant(Message.toolCall({ id: "1", name: "weather", arguments: given }))
          const contents = yield* sentContents([Message.user("a"), turn], result("1"))
          assert.deepStrictEqual(at(contents, 1, "parts", 0, "functionCall", "args"), sent)
        }))
    }
  })

  it.effect("defines tools with their JSON Schema as it is, and leaves out that of no arguments", () =>
    Effect.gen(function*() {
      const bare = Tool.make("now", { description: "The time.", parameters: Schema.Struct({}) })
      const empty = { name: "empty", description: "", parameters: { type: "object", properties: {}, required: [] } }
      const any = {
        name: "any",
        description: "",
        parameters: { type: "object", additionalProperties: { type: "string" } }
      }
      const tree = {
        name: "tree",
        description: "",
        parameters: {
          $ref: "#/$defs/Tree",
          $defs: { Tree: { type: "object", properties: { of: { $ref: "#/$defs/Tree" } } } }
        }
      }
      const sent = yield* body(Completion.tools([weather, bare, empty, any, tree])(question))
      assert.deepStrictEqual(sent["tools"], [
        {
          functionDeclarations: [
            { name: "weather", description: "The weather of a city.", parametersJsonSchema: weather.parameters },
            { name: "now", description: "The time." },
            { name: "empty", description: "" },
            { name: "any", description: "", parametersJsonSchema: any.parameters },
            { name: "tree", description: "", parametersJsonSchema: tree.parameters }
          ]
        }
      ])
    }))

  for (
    const [choice, sent] of [
      [Tool.auto, { mode: "AUTO" }],
      [Tool.none, { mode: "NONE" }],
      [Tool.required, { mode: "ANY" }],
      [Tool.specific("weather"), { mode: "ANY", allowedFunctionNames: ["weather"] }],
      [Tool.specific("weather", "time"), { mode: "ANY", allowedFunctionNames: ["weather", "time"] }]
    ] as const
  ) {
    it.effect(`sends the tool choice ${JSON.stringify(choice)} as ${sent.mode}`, () =>
      Effect.gen(function*() {
        const asked = question.pipe(
          Completion.tools([weather, { ...weather, name: "time" }]),
          Completion.toolChoice(choice)
        )
        assert.deepStrictEqual((yield* body(asked))["toolConfig"], { functionCallingConfig: sent })
      }))
  }

  it.effect("does not send a tool choice without tools", () =>
    Effect.gen(function*() {
      assert.notProperty(yield* body(Completion.toolChoice(Tool.none)(question)), "toolConfig")
    }))

  it.effect("sends limits and the schema of the answer in the generation config, as they are", () =>
    Effect.gen(function*() {
      const schema = { type: "object", properties: { a: { $ref: "#/$defs/A" } }, $defs: { A: { type: "string" } } }
      const asked = question.pipe(
        Completion.maxTokens(100),
        Completion.temperature(0),
        Completion.stopSequences(["END"]),
        Completion.outputSchema(schema)
      )
      assert.deepStrictEqual((yield* body(asked))["generationConfig"], {
        maxOutputTokens: 100,
        temperature: 0,
        stopSequences: ["END"],
        responseMimeType: "application/json",
        responseJsonSchema: schema
      })
      assert.notProperty(yield* body(Completion.stopSequences([])(question)), "generationConfig")
    }))

  it.effect("sends the other settings", () =>
    Effect.gen(function*() {
      const asked = question.pipe(Completion.topP(0.5), Completion.seed(7), Completion.parallelToolCalls(true))
      assert.deepStrictEqual((yield* body(asked))["generationConfig"], { topP: 0.5, seed: 7 })
    }))

  it.effect("says that it cannot be held to one call", () =>
    Effect.gen(function*() {
      const warnings = (completion: Completion.Completion) =>
        Effect.map(exchange(layers.gemini, completion, answers.gemini), ({ result }) =>
          Result.getOrThrow(result).warnings?.map(({ field }) => field))
      const single = Completion.parallelToolCalls(false)
      assert.deepStrictEqual(yield* warnings(single(Completion.tools([weather])(question))), ["parallelToolCalls"])
      assert.isUndefined(yield* warnings(single(question)))
    }))

  it.effect("takes documents in results: texts as texts, others beside them", () =>
    Effect.gen(function*() {
      const sent = yield* sentContents(
        [Message.user("a"), called("1")],
        Message.user(given("1", [
          Message.document(Message.base64("R3LDvMOfZQ==", "text/markdown")),
          Message.document(Message.base64("AAAA", "application/pdf"), { title: "T" })
        ]))
      )
      assert.deepStrictEqual(at(sent, 2, "parts", 0, "functionResponse"), {
        id: "1",
        name: "weather",
        response: { result: "Grüße" },
        parts: [{ inlineData: { mimeType: "application/pdf", data: "AAAA" } }]
      })
      const error = yield* refusal("gemini")(Completion.make({
        model: "gemini-3-flash",
        messages: [
          "a",
          called("1"),
          Message.user(given("1", [Message.document(Message.base64("A", "application/zip"))]))
        ]
      }))
      assert.strictEqual(error.reason, "Unsupported")
    }))

  it.effect("keeps the parts of the generation config that are not known here", () =>
    Effect.gen(function*() {
      const asked = question.pipe(
        Completion.maxTokens(100),
        Completion.additionalParams({ generationConfig: { seed: 1, thinkingConfig: { thinkingBudget: 0 } } })
      )
      assert.deepStrictEqual((yield* body(asked))["generationConfig"], {
        maxOutputTokens: 100,
        seed: 1,
        thinkingConfig: { thinkingBudget: 0 }
      })
    }))

  it.effect("does not send cache marks, which the provider does not support", () =>
    Effect.gen(function*() {
      const asked = question.pipe(
        Completion.tools([{ ...weather, cache: {} }]),
        Completion.prompt(Message.user(Message.text("a", { cache: { ttl: "1h" } })))
      )
      const { text } = yield* sendTo("gemini")(asked)
      assert.notInclude(text, "cache")
      assert.notInclude(text, "ttl")
    }))
})

describe("answer", () => {
  const answer = (parts: ReadonlyArray<Json>, fields: Json = {}, body: Json = {}): Json => ({
    candidates: [{ content: { role: "model", parts }, finishReason: "STOP", index: 0, ...fields }],
    usageMetadata: { promptTokenCount: 10, candidatesTokenCount: 5, totalTokenCount: 15 },
    modelVersion: "gemini-3-flash-001",
    responseId: "r1",
    ...body
  })

  it.effect("of text: id, model, usage and finish reason", () =>
    Effect.gen(function*() {
      const response = yield* read(answer([{ text: "Hello" }]))
      assert.deepStrictEqual(response.choice, [{ _tag: "Text", text: "Hello" }])
      assert.deepStrictEqual(response.finishReason, { _tag: "Stop" })
      assert.strictEqual(response.id, "r1")
      assert.strictEqual(response.model, "gemini-3-flash-001")
      assert.strictEqual(response.provider, "gemini")
    }))

  it.effect("counts thoughts as output, and what tools gave to read as input", () =>
    Effect.gen(function*() {
      const usageMetadata = {
        promptTokenCount: 100,
        cachedContentTokenCount: 80,
        candidatesTokenCount: 10,
        thoughtsTokenCount: 30,
        toolUsePromptTokenCount: 20,
        totalTokenCount: 160
      }
      assert.deepStrictEqual({ ...(yield* read(answer([{ text: "x" }], {}, { usageMetadata }))).usage }, {
        inputTokens: 120,
        outputTokens: 40,
        totalTokens: 160,
        cachedInputTokens: 80,
        cacheWriteTokens: 0,
        longCacheWriteTokens: 0,
        reasoningTokens: 30
      })
    }))

  it.effect("is the same turn when it goes back, signatures and all", () =>
    Effect.gen(function*() {
      const parts = [
        { text: "hm", thought: true },
        { text: "", thought: true, thoughtSignature: "s0" },
        { text: "yes", thoughtSignature: "s1" },
        { functionCall: { id: "call_1", name: "weather", args: { city: "Rome" } }, thoughtSignature: "s2" },
        { functionCall: { name: "weather", args: { city: "Oslo" } } },
        { executableCode: { language: "PYTHON", code: "1" }, thoughtSignature: "s3" },
        { codeExecutionResult: { outcome: "OUTCOME_FAILED", output: "x" } },
        { inlineData: { mimeType: "image/png", data: "AAAA" }, thoughtSignature: "s4" },
        { text: "", thoughtSignature: "s5" }
      ]
      const response = yield* read(answer(parts))
      assert.strictEqual(response.text, "yes")
      assert.strictEqual(response.reasoning, "hm")
      assert.lengthOf(response.toolCalls, 2)
      assert.isTrue(Message.isMintedId(response.toolCalls[1]!.id))
      assert.deepStrictEqual(response.finishReason, { _tag: "ToolUse" })
      assert.deepStrictEqual(at(yield* sentContents([Message.user("a"), response.message], "b"), 1), {
        role: "model",
        parts
      })
    }))

  it.effect("mints ids that tell calls of one answer and of several apart", () =>
    Effect.gen(function*() {
      const parts = [{ functionCall: { name: "weather" } }, { functionCall: { name: "weather", id: "", args: null } }]
      const [first, second] = [yield* read(answer(parts)), yield* read(answer(parts))]
      const ids = [...first.toolCalls, ...second.toolCalls].map(({ id }) => id)
      assert.lengthOf(new Set(ids), 4)
      assert.deepStrictEqual(first.toolCalls.map((call) => call.arguments), [{}, {}])
    }))

  it.effect("drops a call without a name, and parts that hold nothing", () =>
    Effect.gen(function*() {
      const parts = [{ functionCall: { args: {} } }, {}, { text: "" }, { text: "x", videoMetadata: {} }]
      assert.deepStrictEqual((yield* read(answer(parts))).choice, [{ _tag: "Text", text: "x" }])
    }))

  it.effect("with an image is one", () =>
    Effect.gen(function*() {
      const response = yield* read(answer([{ inlineData: { mimeType: "image/png", data: "AAAA" } }]))
      assert.deepStrictEqual(response.choice, [
        { _tag: "Image", source: { _tag: "Base64", data: "AAAA", mediaType: "image/png" } }
      ])
    }))

  it.effect("of several candidates is the first", () =>
    Effect.gen(function*() {
      const candidates = ["first", "second"].map((text) => ({ content: { parts: [{ text }] }, finishReason: "STOP" }))
      assert.strictEqual((yield* read({ candidates })).text, "first")
    }))

  for (
    const [wire, reason] of [
      ["STOP", { _tag: "Stop" }],
      ["MAX_TOKENS", { _tag: "MaxTokens" }],
      ["SAFETY", { _tag: "ContentFilter" }],
      ["RECITATION", { _tag: "ContentFilter" }],
      ["BLOCKLIST", { _tag: "ContentFilter" }],
      ["PROHIBITED_CONTENT", { _tag: "ContentFilter" }],
      ["SPII", { _tag: "ContentFilter" }],
      ["IMAGE_SAFETY", { _tag: "ContentFilter" }],
      ["ESCALATION", { _tag: "ContentFilter" }],
      ["PUP_LIMITED_DISABLED", { _tag: "ContentFilter" }],
      ["MODEL_ARMOR", { _tag: "ContentFilter" }],
      ["IMAGE_OTHER", { _tag: "Other", reason: "IMAGE_OTHER" }],
      ["CONTINUATION", { _tag: "MaxTokens" }],
      ["FINISH_REASON_UNSPECIFIED", { _tag: "None" }],
      ["LANGUAGE", { _tag: "Other", reason: "LANGUAGE" }],
      ["FROM_THE_FUTURE", { _tag: "Other", reason: "FROM_THE_FUTURE" }],
      [undefined, { _tag: "None" }]
    ] as const
  ) {
    it.effect(`reads the finish reason ${wire} as ${reason._tag}`, () =>
      Effect.gen(function*() {
        const response = yield* read(answer([{ text: "x" }], { finishReason: wire, finishMessage: "so" }))
        assert.deepStrictEqual(response.finishReason, reason)
      }))
  }

  for (
    const [what, args, expected] of [
      ["an object", { a: 1 }, { a: 1 }],
      ["the text of one", '{"a":1}', { a: 1 }],
      ["nothing", undefined, {}],
      ["null", null, {}],
      ["a list", [1], undefined],
      ["a text that is none", "{", undefined],
      ["a number", 1, undefined]
    ] as const
  ) {
    it.effect(`with a call whose arguments are ${what} is ${expected === undefined ? "malformed" : "one"}`, () =>
      Effect.gen(function*() {
        const result = yield* Effect.result(read(answer([{ functionCall: { name: "weather", args } }])))
        if (Result.isSuccess(result)) assert.deepStrictEqual(result.success.toolCalls[0]?.arguments, expected)
        else assert.deepStrictEqual([result.failure.reason, expected], ["MalformedToolCall", undefined])
      }))
  }

  it.effect("keeps fields without a counterpart in the vocabulary", () =>
    Effect.gen(function*() {
      const response = yield* read(answer(
        [{ text: "x" }],
        { groundingMetadata: { webSearchQueries: ["q"] }, avgLogprobs: -0.5, safetyRatings: [{ category: "C" }] },
        {
          candidates: [
            {
              content: { parts: [{ text: "x" }] },
              finishReason: "STOP",
              avgLogprobs: -0.5,
              logprobsResult: { a: [1] }
            },
            { content: { parts: [{ text: "y" }] }, finishReason: "STOP" }
          ],
          usageMetadata: { promptTokenCount: 1, serviceTier: "standard" },
          modelStatus: { modelStage: "LEGACY" },
          promptFeedback: { safetyRatings: [] }
        }
      ))
      assert.deepStrictEqual(response.metadata, {
        gemini: {
          avgLogprobs: -0.5,
          logprobsResult: { a: [1] },
          candidates: [{ index: 1, finishReason: "STOP", content: { parts: [{ text: "y" }] } }],
          usageMetadata: { serviceTier: "standard" },
          modelStatus: { modelStage: "LEGACY" },
          promptFeedback: { safetyRatings: [] }
        }
      })
      assert.isUndefined((yield* read(answer([{ text: "x" }]))).metadata)
    }))

  it.effect("may be empty right after a tool result", () =>
    Effect.gen(function*() {
      const asked = Completion.make({ model: "m", history: [Message.user("a"), called("1")], prompt: result("1") })
      for (const content of [{ role: "model" }, undefined]) {
        assert.deepStrictEqual((yield* readBy("gemini", asked)(answer([], { content }))).choice, [])
      }
    }))

  for (
    const [what, body, tag, reason, words] of [
      ["no candidate", { usageMetadata: {} }, "EmptyResponse", "NoContent", ""],
      ["a candidate without content", { candidates: [{ finishReason: "STOP" }] }, "EmptyResponse", "NoContent", ""],
      [
        "only thoughts, cut",
        answer([{ text: "hm", thought: true }], { finishReason: "MAX_TOKENS" }),
        "ClientError",
        "OutputBudget",
        ""
      ],
      [
        "a blocked prompt",
        { promptFeedback: { blockReason: "PROHIBITED_CONTENT" } },
        "ClientError",
        "ContentFilter",
        "PROHIBITED_CONTENT"
      ],
      [
        "a filtered answer",
        {
          candidates: [{
            finishReason: "SAFETY",
            safetyRatings: [{ category: "HARM_CATEGORY_HARASSMENT", blocked: true }, { category: "OTHER" }]
          }]
        },
        "ClientError",
        "ContentFilter",
        "HARM_CATEGORY_HARASSMENT"
      ],
      ...["ESCALATION", "PUP_LIMITED_DISABLED", "MODEL_ARMOR"].map((finishReason) =>
        [
          `an answer that ${finishReason} took`,
          answer([], { finishReason }),
          "ClientError",
          "ContentFilter",
          finishReason
        ] as const
      ),
      [
        "a malformed call",
        answer([], { finishReason: "MALFORMED_FUNCTION_CALL", finishMessage: "Malformed function call: print(" }),
        "EmptyResponse",
        "MalformedToolCall",
        "print("
      ],
      [
        "a call that was not asked for",
        answer([{ text: "x" }], { finishReason: "UNEXPECTED_TOOL_CALL" }),
        "EmptyResponse",
        "MalformedToolCall",
        ""
      ],
      ["nothing that every answer has", { foo: 1 }, "Transient", "Malformed", ""],
      [
        "a setting that the model does not take",
        {
          error: {
            code: 400,
            status: "INVALID_ARGUMENT",
            message: "Thinking level MINIMAL is not supported for this model."
          }
        },
        "ClientError",
        "Unsupported",
        "MINIMAL"
      ],
      ["an error", { error: { code: 503, status: "UNAVAILABLE", message: "busy" } }, "Transient", "Overloaded", "busy"]
    ] as const
  ) {
    it.effect(`of ${what} is ${tag} · ${reason}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(read(body))
        assert.deepStrictEqual([error._tag, error.reason], [tag, reason])
        assert.include(error.description, words)
      }))
  }
})
