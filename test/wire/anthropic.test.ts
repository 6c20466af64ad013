import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Anthropic, Completion, Message, Tool } from "../../src/index.ts"
import { answers, at, bodyTo, exchange, type Json, readBy, sendTo } from "../transport/exchange.ts"

const body = bodyTo("anthropic")
const question = Completion.make({ model: "claude-sonnet-4-6", prompt: "Hi" })
const read = readBy("anthropic", question)

const weather = Tool.make("weather", {
  description: "The weather of a city.",
  parameters: Schema.Struct({ city: Schema.String })
})

const call = (id: string, city: string) => Message.toolCall({ id, name: "weather", arguments: { city } })
const called = (...ids: ReadonlyArray<string>) => Message.assistant(ids.map((id) => call(id, "Rome")))
const result = (id: string, content = "sunny") => Message.user(Message.toolResult({ id, name: "weather", content }))

/** What is sent for one user message of these contents. */
const sentContent = (...contents: ReadonlyArray<Message.UserContent>) =>
  Effect.map(body(Completion.prompt(Message.user(contents))(question)), (sent) => at(sent, "messages", 0, "content"))

/** What is sent for a conversation. */
const sentMessages = (history: ReadonlyArray<Message.Message>, prompt: string | Message.Message, model?: string) =>
  Effect.map(
    body(Completion.make({ model: model ?? "claude-sonnet-4-6", history, prompt })),
    (sent) => sent["messages"]
  )

describe("request", () => {
  it.effect("is a model, a limit and messages, and nothing that was not asked for", () =>
    Effect.gen(function*() {
      const sent = yield* sendTo("anthropic")(question)
      assert.strictEqual(sent.method, "POST")
      assert.strictEqual(sent.url.href, "https://api.anthropic.com/v1/messages")
      assert.strictEqual(sent.headers["x-api-key"], "key")
      assert.strictEqual(sent.headers["anthropic-version"], "2023-06-01")
      assert.strictEqual(sent.headers["content-type"], "application/json")
      assert.isUndefined(sent.headers["anthropic-beta"])
      assert.deepStrictEqual(sent.body, {
        model: "claude-sonnet-4-6",
        max_tokens: 128_000,
        messages: [{ role: "user", content: [{ type: "text", text: "Hi" }] }]
      })
    }))

  it.effect("asks for the beta of uploaded files only where one is sent", () =>
    Effect.gen(function*() {
      const document = Message.document(Message.fileId("file_1"))
      const within = Message.user(Message.toolResult({
        id: "t",
        name: "weather",
        content: [Message.image(Message.fileId("file_2"))]
      }))
      for (const prompt of [Message.user(document), within]) {
        const sent = yield* sendTo("anthropic")(
          Completion.make({ model: "claude-sonnet-4-6", history: [Message.user("a"), called("t")], prompt })
        )
        assert.strictEqual(sent.headers["anthropic-beta"], "files-api-2025-04-14")
      }
    }))

  it.effect("puts the preamble and every system message into system, in order", () =>
    Effect.gen(function*() {
      const sent = yield* body(Completion.make({
        model: "claude-sonnet-4-6",
        preamble: "first",
        history: [Message.system("second"), Message.user("a"), Message.system(""), Message.assistant("b")],
        prompt: Message.system("third")
      }))
      assert.deepStrictEqual(sent["system"], [
        { type: "text", text: "first" },
        { type: "text", text: "second" },
        { type: "text", text: "third" }
      ])
      assert.deepStrictEqual(at(sent, "messages", 0, "role"), "user")
      assert.deepStrictEqual(at(sent, "messages", 1, "role"), "assistant")
    }))

  it.effect("leaves an empty preamble out", () =>
    Effect.gen(function*() {
      assert.notProperty(yield* body(Completion.preamble("")(question)), "system")
    }))

  it.effect("keeps a system message in place where the model takes one there", () =>
    Effect.gen(function*() {
      const history = [Message.user("a"), Message.system("be brief"), Message.assistant("b")]
      const inPlace = yield* body(Completion.make({ model: "anthropic/claude-opus-4.8", history, prompt: "c" }))
      assert.deepStrictEqual(at(inPlace, "messages", 1), {
        role: "system",
        content: [{ type: "text", text: "be brief" }]
      })
      assert.notProperty(inPlace, "system")
      // Not before a user message, and not at the beginning.
      const hoisted = yield* body(Completion.make({
        model: "claude-opus-4-8",
        history: [Message.system("x"), Message.user("a"), Message.system("y")],
        prompt: "c"
      }))
      assert.deepStrictEqual(hoisted["system"], [{ type: "text", text: "x" }, { type: "text", text: "y" }])
    }))

  describe("content", () => {
    it.effect("of images", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(
          yield* sentContent(
            Message.image(Message.url("https://example.com/cat.png")),
            Message.image(Message.base64("AAAA", "image/webp"), { detail: "low" }),
            Message.image(Message.fileId("file_1"))
          ),
          [
            { type: "image", source: { type: "url", url: "https://example.com/cat.png" } },
            { type: "image", source: { type: "base64", media_type: "image/webp", data: "AAAA" } },
            { type: "image", source: { type: "file", file_id: "file_1" } }
          ]
        )
      }))

    it.effect("of documents: a text goes as text, decoded", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(
          yield* sentContent(
            Message.document(Message.base64("AAAA", "application/pdf"), { title: "Report", citations: true }),
            Message.document(Message.url("https://example.com/a.pdf")),
            Message.document(Message.fileId("file_1")),
            Message.document(Message.base64("R3LDvMOfZQ==", "text/plain"))
          ),
          [
            {
              type: "document",
              source: { type: "base64", media_type: "application/pdf", data: "AAAA" },
              title: "Report",
              citations: { enabled: true }
            },
            { type: "document", source: { type: "url", url: "https://example.com/a.pdf" } },
            { type: "document", source: { type: "file", file_id: "file_1" } },
            { type: "document", source: { type: "text", media_type: "text/plain", data: "Grüße" } }
          ]
        )
      }))

    it.effect("of tool results: texts, JSON as its text, images, and whether it failed", () =>
      Effect.gen(function*() {
        const sent = yield* sentMessages(
          [Message.user("a"), called("1", "2", "3")],
          Message.user([
            ...result("1").content,
            {
              _tag: "ToolResult",
              id: "2",
              name: "weather",
              content: [
                Message.json({ b: 1, a: [null] }),
                Message.text(""),
                Message.image(Message.base64("AA", "image/png"))
              ],
              isError: true
            },
            { _tag: "ToolResult", id: "3", name: "weather", content: [] }
          ])
        )
        assert.deepStrictEqual(at(sent, 2, "content"), [
          { type: "tool_result", tool_use_id: "1", content: [{ type: "text", text: "sunny" }] },
          {
            type: "tool_result",
            tool_use_id: "2",
            content: [
              { type: "text", text: '{"b":1,"a":[null]}' },
              { type: "image", source: { type: "base64", media_type: "image/png", data: "AA" } }
            ],
            is_error: true
          },
          { type: "tool_result", tool_use_id: "3" }
        ])
      }))
  })

  it.effect("takes documents as the result of a tool", () =>
    Effect.gen(function*() {
      const page = Message.toolResult({
        id: "1",
        name: "weather",
        content: [
          Message.document(Message.base64("AAAA", "application/pdf"), { title: "Page" }),
          Message.document(Message.base64("R3LDvMOfZQ==", "text/plain"))
        ]
      })
      const sent = yield* sentMessages([Message.user("a"), called("1")], Message.user(page))
      assert.deepStrictEqual(at(sent, 2, "content", 0, "content"), [
        {
          type: "document",
          source: { type: "base64", media_type: "application/pdf", data: "AAAA" },
          title: "Page"
        },
        { type: "document", source: { type: "text", media_type: "text/plain", data: "Grüße" } }
      ])
    }))

  it.effect("leaves citations out of what a user says, which the provider refuses there", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* sentContent(Message.text("a", { citations: [{ type: "page_location" }] })), [
        { type: "text", text: "a" }
      ])
    }))

  describe("conversation", () => {
    it.effect("puts the results of one turn into one user message, before everything else in it", () =>
      Effect.gen(function*() {
        const sent = yield* sentMessages(
          [Message.user("a"), called("1", "2"), result("1"), Message.user("by the way"), result("2")],
          "and now?"
        )
        assert.deepStrictEqual(at(sent, 2), {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "1", content: [{ type: "text", text: "sunny" }] },
            { type: "tool_result", tool_use_id: "2", content: [{ type: "text", text: "sunny" }] },
            { type: "text", text: "by the way" },
            { type: "text", text: "and now?" }
          ]
        })
        assert.lengthOf(sent as ReadonlyArray<unknown>, 3)
      }))

    it.effect("leaves out empty texts, empty turns and what is left without content", () =>
      Effect.gen(function*() {
        const sent = yield* sentMessages(
          [
            Message.user(["", "a"]),
            called("1"),
            result("1"),
            Message.assistant([]),
            Message.user(""),
            Message.assistant("")
          ],
          "b"
        )
        assert.deepStrictEqual(sent, [
          { role: "user", content: [{ type: "text", text: "a" }] },
          { role: "assistant", content: [{ type: "tool_use", id: "1", name: "weather", input: { city: "Rome" } }] },
          {
            role: "user",
            content: [
              { type: "tool_result", tool_use_id: "1", content: [{ type: "text", text: "sunny" }] },
              { type: "text", text: "b" }
            ]
          }
        ])
      }))

    it.effect("leaves out texts of white space, which the provider's own models write and it refuses", () =>
      Effect.gen(function*() {
        const sent = yield* body(Completion.make({
          model: "claude-sonnet-4-6",
          preamble: " ",
          history: [Message.system("\n"), Message.user(["a", " "]), Message.assistant(["\n\n", call("1", "Rome")])],
          prompt: result("1", "\n")
        }))
        assert.notProperty(sent, "system")
        assert.deepStrictEqual(sent["messages"], [
          { role: "user", content: [{ type: "text", text: "a" }] },
          { role: "assistant", content: [{ type: "tool_use", id: "1", name: "weather", input: { city: "Rome" } }] },
          { role: "user", content: [{ type: "tool_result", tool_use_id: "1" }] }
        ])
      }))

    it.effect("gives reasoning back as it came: signed, also when it is empty, and redacted", () =>
      Effect.gen(function*() {
        const turn = Message.assistant([
          {
            _tag: "Reasoning",
            content: [
              { _tag: "Text", text: "", signature: "s1" },
              { _tag: "Redacted", data: "r1" },
              { _tag: "Text", text: "hm", signature: "s2" }
            ]
          },
          call("1", "Rome")
        ], { provider: "anthropic" })
        const sent = yield* sentMessages([Message.user("a"), turn], result("1"))
        assert.deepStrictEqual(at(sent, 1, "content"), [
          { type: "thinking", thinking: "", signature: "s1" },
          { type: "redacted_thinking", data: "r1" },
          { type: "thinking", thinking: "hm", signature: "s2" },
          { type: "tool_use", id: "1", name: "weather", input: { city: "Rome" } }
        ])
      }))

    it.effect("leaves out reasoning without a signature, which the provider would refuse", () =>
      Effect.gen(function*() {
        const turn = Message.assistant([{ _tag: "Reasoning", content: [{ _tag: "Text", text: "hm" }] }, "yes"], {
          provider: "anthropic"
        })
        assert.deepStrictEqual(at(yield* sentMessages([Message.user("a"), turn], "b"), 1, "content"), [
          { type: "text", text: "yes" }
        ])
      }))

    it.effect("leaves out what only another provider can read", () =>
      Effect.gen(function*() {
        const turn = Message.assistant([
          {
            _tag: "Reasoning",
            content: [{ _tag: "Text", text: "hm", signature: "s" }, { _tag: "Encrypted", data: "e" }]
          },
          Message.text("yes", { signature: "gemini" }),
          { _tag: "ProviderBlock", provider: "gemini", block: { executableCode: {} } },
          Message.toolCall({ id: "1", name: "weather", arguments: { city: "Rome" }, signature: "gemini" })
        ], { provider: "gemini" })
        assert.deepStrictEqual(at(yield* sentMessages([Message.user("a"), turn], result("1")), 1, "content"), [
          { type: "text", text: "yes" },
          { type: "tool_use", id: "1", name: "weather", input: { city: "Rome" } }
        ])
      }))

    it.effect("gives blocks that are not known here back verbatim, in place", () =>
      Effect.gen(function*() {
        const block = { type: "server_tool_use", id: "srv_1", name: "web_search", input: { query: "x" }, extra: null }
        const turn = Message.assistant([
          "let me see",
          { _tag: "ProviderBlock", provider: "anthropic", block },
          Message.text("so", { citations: [{ type: "char_location", cited_text: "x" }] })
        ], { provider: "anthropic" })
        assert.deepStrictEqual(at(yield* sentMessages([Message.user("a"), turn], "b"), 1, "content"), [
          { type: "text", text: "let me see" },
          block,
          { type: "text", text: "so", citations: [{ type: "char_location", cited_text: "x" }] }
        ])
      }))

    for (
      const [given, sent] of [[{ a: 1 }, { a: 1 }], ['{"a":1}', { a: 1 }], ["a", {}], [null, {}], [[1], {}]] as const
    ) {
      it.effect(`sends the arguments ${JSON.stringify(given)} as an object`, () =>
        Effect.gen(function*() {
          const turn = Message.assistant(Message.toolCall({ id: "1", name: "weather", arguments: given }))
          assert.deepStrictEqual(
            at(yield* sentMessages([Message.user("a"), turn], result("1")), 1, "content", 0, "input"),
            sent
          )
        }))
    }
  })

  it.effect("marks what may be cached", () =>
    Effect.gen(function*() {
      const cache = { ttl: "1h" } as const
      const sent = yield* body(Completion.make({
        model: "claude-sonnet-4-6",
        tools: [{ ...weather, cache }],
        history: [
          Message.system("be brief", { cache: {} }),
          Message.user([
            Message.text("a", { cache }),
            Message.image(Message.url("https://example.com/a"), { cache }),
            Message.document(Message.fileId("f"), { cache })
          ]),
          Message.assistant([Message.text("b", { cache }), { ...call("1", "Rome"), cache }])
        ],
        prompt: Message.user([{ _tag: "ToolResult", id: "1", name: "weather", content: [], cache }])
      }))
      const mark = { type: "ephemeral", ttl: "1h" }
      assert.deepStrictEqual(at(sent, "system", 0, "cache_control"), { type: "ephemeral" })
      assert.deepStrictEqual(at(sent, "tools", 0, "cache_control"), mark)
      for (const path of [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [2, 0]] as const) {
        const [message, content] = path
        assert.deepStrictEqual(at(sent, "messages", message, "content", content, "cache_control"), mark)
      }
    }))

  it.effect("defines tools by the JSON Schema of their arguments", () =>
    Effect.gen(function*() {
      const bare = { name: "bare", description: "Takes anything.", parameters: {} }
      assert.deepStrictEqual((yield* body(Completion.tools([weather, bare])(question)))["tools"], [
        {
          name: "weather",
          description: "The weather of a city.",
          input_schema: {
            type: "object",
            properties: { city: { type: "string" } },
            required: ["city"],
            additionalProperties: false
          }
        },
        { name: "bare", description: "Takes anything.", input_schema: { type: "object" } }
      ])
    }))

  for (
    const [choice, sent] of [
      [Tool.auto, { type: "auto" }],
      [Tool.none, { type: "none" }],
      [Tool.required, { type: "any" }],
      [Tool.specific("weather"), { type: "tool", name: "weather" }]
    ] as const
  ) {
    it.effect(`sends the tool choice ${choice._tag} as ${sent.type}`, () =>
      Effect.gen(function*() {
        const asked = question.pipe(Completion.tools([weather]), Completion.toolChoice(choice))
        assert.deepStrictEqual((yield* body(asked))["tool_choice"], sent)
      }))
  }

  it.effect("does not send a tool choice without tools", () =>
    Effect.gen(function*() {
      assert.notProperty(yield* body(Completion.toolChoice(Tool.none)(question)), "tool_choice")
      const others = question.pipe(
        Completion.toolChoice(Tool.none),
        Completion.additionalParams({ tools: [{ type: "web_search_20250305", name: "web_search" }] })
      )
      assert.deepStrictEqual((yield* body(others))["tool_choice"], { type: "none" })
    }))

  it.effect("sends limits under their names", () =>
    Effect.gen(function*() {
      const sent = yield* body(question.pipe(
        Completion.maxTokens(100),
        Completion.temperature(0),
        Completion.stopSequences(["END"])
      ))
      assert.deepStrictEqual(
        [sent["max_tokens"], sent["temperature"], sent["stop_sequences"]],
        [100, 0, ["END"]]
      )
      assert.notProperty(yield* body(Completion.stopSequences([])(question)), "stop_sequences")
    }))

  it.effect("asks for structured output by a closed schema, without the limits that are refused", () =>
    Effect.gen(function*() {
      const sent = yield* body(
        Completion.outputSchema(Schema.Struct({
          age: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)),
          name: Schema.optionalKey(Schema.String)
        }))(question)
      )
      const schema = at(sent, "output_config", "format", "schema") as Json
      assert.strictEqual(at(sent, "output_config", "format", "type"), "json_schema")
      assert.isFalse(schema["additionalProperties"])
      assert.deepStrictEqual(schema["required"], ["age"])
      assert.strictEqual(at(schema, "properties", "age", "type"), "integer")
      assert.notProperty(at(schema, "properties", "age"), "minimum")
      assert.include(String(at(schema, "properties", "age", "description")), "minimum: 0")
    }))

  describe("max_tokens, if the request does not set it", () => {
    it.effect("goes by the model of the request, not by the layer's default", () =>
      Effect.gen(function*() {
        const layer = Anthropic.layer({ baseUrl: "http://localhost:1", model: "claude-opus-4-6" })
        const ask = (completion: Completion.Completion) =>
          Effect.map(exchange(layer, completion, answers.anthropic), ({ sent }) => at(sent, 0, "body", "max_tokens"))
        assert.strictEqual(yield* ask(Completion.make({ prompt: "Hi" })), 128_000)
        assert.strictEqual(yield* ask(Completion.make({ prompt: "Hi", model: "claude-3-5-haiku-latest" })), 8192)
      }))
  })
})

describe("answer", () => {
  const answer = (content: ReadonlyArray<unknown>, fields: Json = {}): Json => ({
    id: "msg_1",
    type: "message",
    role: "assistant",
    model: "claude-sonnet-4-6-20260217",
    content,
    stop_reason: "end_turn",
    stop_sequence: null,
    usage: { input_tokens: 3, output_tokens: 4 },
    ...fields
  })

  it.effect("of text: id, model, usage and finish reason", () =>
    Effect.gen(function*() {
      const response = yield* read(answer([{ type: "text", text: "Hello", citations: null }]))
      assert.deepStrictEqual(response.choice, [{ _tag: "Text", text: "Hello" }])
      assert.deepStrictEqual(response.finishReason, { _tag: "Stop" })
      assert.strictEqual(response.id, "msg_1")
      assert.strictEqual(response.model, "claude-sonnet-4-6-20260217")
      assert.strictEqual(response.provider, "anthropic")
      assert.strictEqual(response.usage.totalTokens, 7)
    }))

  it.effect("counts what was read from the cache and written to it as input", () =>
    Effect.gen(function*() {
      const response = yield* read(answer([{ type: "text", text: "Hello" }], {
        usage: {
          input_tokens: 3,
          cache_read_input_tokens: 4512,
          cache_creation_input_tokens: 100,
          output_tokens: 50,
          output_tokens_details: { thinking_tokens: 20 }
        }
      }))
      assert.deepStrictEqual({ ...response.usage }, {
        inputTokens: 4615,
        outputTokens: 50,
        totalTokens: 4665,
        cachedInputTokens: 4512,
        cacheWriteTokens: 100,
        longCacheWriteTokens: 0,
        reasoningTokens: 20
      })
    }))

  it.effect("counts null and missing usage as none", () =>
    Effect.gen(function*() {
      const nulls = { input_tokens: null, cache_read_input_tokens: null, output_tokens: null }
      for (const usage of [nulls, null, undefined]) {
        const response = yield* read(answer([{ type: "text", text: "Hello" }], { usage }))
        assert.strictEqual(response.usage.totalTokens, 0)
      }
    }))

  it.effect("keeps signatures, redacted reasoning and citations, in order", () =>
    Effect.gen(function*() {
      const response = yield* read(answer([
        { type: "thinking", thinking: "", signature: "s1" },
        { type: "redacted_thinking", data: "r1" },
        { type: "text", text: "Hello", citations: [{ type: "char_location" }] },
        { type: "tool_use", id: "toolu_1", name: "weather", input: { city: "Rome" }, caller: { type: "direct" } }
      ], { stop_reason: "tool_use" }))
      assert.deepStrictEqual(response.choice, [
        { _tag: "Reasoning", content: [{ _tag: "Text", text: "", signature: "s1" }] },
        { _tag: "Reasoning", content: [{ _tag: "Redacted", data: "r1" }] },
        { _tag: "Text", text: "Hello", citations: [{ type: "char_location" }] },
        { _tag: "ToolCall", id: "toolu_1", name: "weather", arguments: { city: "Rome" } }
      ])
      assert.deepStrictEqual(response.finishReason, { _tag: "ToolUse" })
    }))

  it.effect("keeps blocks it does not know, and gives them back as they came", () =>
    Effect.gen(function*() {
      const blocks = [
        { type: "server_tool_use", id: "srvtoolu_1", name: "web_search", input: { query: "x" } },
        { type: "web_search_tool_result", tool_use_id: "srvtoolu_1", content: [{ url: "https://example.com" }] },
        { type: "from_the_future", a: [1, null] }
      ]
      const response = yield* read(answer([...blocks, { type: "text", text: "Found" }]))
      assert.deepStrictEqual(response.toolCalls, [])
      assert.strictEqual(response.text, "Found")
      const sent = yield* sentMessages([Message.user("a"), response.message], "b")
      assert.deepStrictEqual(at(sent, 1, "content"), [...blocks, { type: "text", text: "Found" }])
    }))

  it.effect("is the same turn when it goes back", () =>
    Effect.gen(function*() {
      const content = [
        { type: "thinking", thinking: "hm", signature: "s1" },
        { type: "redacted_thinking", data: "r1" },
        { type: "text", text: "Hello" },
        { type: "tool_use", id: "toolu_1", name: "weather", input: { city: "Rome" } }
      ]
      const response = yield* read(answer(content, { stop_reason: "tool_use" }))
      const sent = yield* sentMessages([Message.user("a"), response.message], result("toolu_1"))
      assert.deepStrictEqual(at(sent, 1, "content"), content)
    }))

  for (const input of [{}, null, undefined, ""]) {
    it.effect(`reads the arguments of a call with input ${JSON.stringify(input)} as none`, () =>
      Effect.gen(function*() {
        const response = yield* read(answer([{ type: "tool_use", id: "1", name: "now", input }]))
        assert.deepStrictEqual(response.toolCalls, [{ _tag: "ToolCall", id: "1", name: "now", arguments: {} }])
      }))
  }

  it.effect("names calls that come without an id, and drops those without a name", () =>
    Effect.gen(function*() {
      const response = yield* read(answer([
        { type: "tool_use", id: "", name: "now", input: {} },
        { type: "tool_use", name: "now", input: {} },
        { type: "tool_use", id: "3", input: {} }
      ]))
      assert.lengthOf(response.toolCalls, 2)
      assert.isTrue(response.toolCalls.every(({ id }) => Message.isMintedId(id)))
      assert.notStrictEqual(response.toolCalls[0]?.id, response.toolCalls[1]?.id)
    }))

  for (
    const [wire, reason] of [
      ["end_turn", { _tag: "Stop" }],
      ["stop_sequence", { _tag: "Stop" }],
      ["max_tokens", { _tag: "MaxTokens" }],
      ["model_context_window_exceeded", { _tag: "MaxTokens" }],
      ["tool_use", { _tag: "ToolUse" }],
      ["refusal", { _tag: "ContentFilter" }],
      ["pause_turn", { _tag: "Other", reason: "pause_turn" }],
      ["constructor", { _tag: "Other", reason: "constructor" }],
      [null, { _tag: "None" }]
    ] as const
  ) {
    it.effect(`reads the stop reason ${wire} as ${reason._tag}`, () =>
      Effect.gen(function*() {
        const response = yield* read(answer([{ type: "text", text: "x" }], { stop_reason: wire }))
        assert.deepStrictEqual(response.finishReason, reason)
      }))
  }

  it.effect("says which stop sequence ended it, also when it is empty", () =>
    Effect.gen(function*() {
      const response = yield* read(answer([], { stop_reason: "stop_sequence", stop_sequence: "—。" }))
      assert.deepStrictEqual(response.choice, [])
      assert.strictEqual(response.stopSequence, "—。")
    }))

  it.effect("may be empty right after a tool result, and then does not go back", () =>
    Effect.gen(function*() {
      const history = [Message.user("a"), called("1")]
      const asked = Completion.make({ model: "claude-sonnet-4-6", history, prompt: result("1") })
      const response = yield* readBy("anthropic", asked)(answer([]))
      assert.deepStrictEqual(response.choice, [])
      assert.deepStrictEqual(response.finishReason, { _tag: "Stop" })
      const sent = yield* sentMessages([...history, result("1"), response.message], "go on")
      assert.lengthOf(sent as ReadonlyArray<unknown>, 3)
    }))

  it.effect("that is cut does not return a call that may be cut, too", () =>
    Effect.gen(function*() {
      const whole = { type: "tool_use", id: "1", name: "weather", input: { city: "Rome" } }
      const half = { type: "tool_use", id: "2", name: "weather", input: {} }
      for (const stop_reason of ["max_tokens", "model_context_window_exceeded"]) {
        const response = yield* read(answer([whole, half], { stop_reason }))
        assert.deepStrictEqual(response.toolCalls.map(({ id }) => id), ["1"])
        assert.deepStrictEqual(response.finishReason, { _tag: "MaxTokens" })
      }
    }))

  for (
    const [what, content, fields, tag, reason] of [
      ["nothing at the end of a turn", [], {}, "EmptyResponse", "NoContent"],
      [
        "only reasoning, cut",
        [{ type: "thinking", thinking: "x", signature: "s" }],
        { stop_reason: "max_tokens" },
        "ClientError",
        "OutputBudget"
      ],
      ["a refusal without content", [], { stop_reason: "refusal" }, "ClientError", "ContentFilter"],
      ["a full context window", [], { stop_reason: "model_context_window_exceeded" }, "ClientError", "ContextWindow"]
    ] as const
  ) {
    it.effect(`of ${what} is ${tag} · ${reason}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(read(answer(content, fields)))
        assert.strictEqual(error._tag, tag)
        assert.strictEqual(error.reason, reason)
        assert.strictEqual(error.partial?.usage.totalTokens, 7)
      }))
  }

  it.effect("that was paused goes back as it is, and nothing of it is lost", () =>
    Effect.gen(function*() {
      const content = [
        { type: "text", text: "Let me look." },
        { type: "server_tool_use", id: "srvtoolu_1", name: "web_search", input: { query: "x" } }
      ]
      const response = yield* read(answer(content, { stop_reason: "pause_turn" }))
      assert.deepStrictEqual(response.finishReason, { _tag: "Other", reason: "pause_turn" })
      for (const model of ["claude-sonnet-4-6", "claude-opus-5-5"]) {
        const sent = yield* sentMessages([Message.user("a")], response.message, model)
        assert.deepStrictEqual(at(sent, 1), { role: "assistant", content })
      }
    }))

  it.effect("without content is not an answer", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(read({ id: "1" }))
      assert.deepStrictEqual([error._tag, error.reason], ["Transient", "Malformed"])
    }))
})
