import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Completion, Message, Tool } from "../../src/index.ts"
import { at, bodyTo, type Json, type Name, readBy, sendTo } from "../transport/exchange.ts"

const dialects = ["openai", "compatible", "openrouter"] as const satisfies ReadonlyArray<Name>
type Dialect = typeof dialects[number]

const question = Completion.make({ model: "gpt-4.1", prompt: "Hi" })

const weather = Tool.make("weather", {
  description: "The weather of a city.",
  parameters: Schema.Struct({ city: Schema.String })
})

const call = (id: string, city = "Rome") => Message.toolCall({ id, name: "weather", arguments: { city } })
const called = (...ids: ReadonlyArray<string>) => Message.assistant(ids.map((id) => call(id)))
const resultOf = (id: string, content: string | ReadonlyArray<Message.ToolResultContent> = "sunny") =>
  Message.toolResult({ id, name: "weather", content })
const result = (id: string) => Message.user(resultOf(id))

/** The names under which the dialects stand in a history. */
const instances = { openai: "openai", compatible: "llm.example.com", openrouter: "openrouter" } as const

const sentMessages = (name: Dialect, history: ReadonlyArray<Message.Message>, prompt: string | Message.Message) =>
  Effect.map(
    bodyTo(name)(Completion.make({ model: "m", history, prompt })),
    (sent) => sent["messages"] as ReadonlyArray<Json>
  )

const sentContent = (name: Dialect, ...contents: ReadonlyArray<Message.UserContent>) =>
  Effect.map(sentMessages(name, [], Message.user(contents)), (messages) => at(messages, 0, "content"))

describe("request", () => {
  for (
    const [name, url] of [
      ["openai", "https://api.openai.com/v1/chat/completions"],
      ["compatible", "https://llm.example.com/v1/chat/completions"],
      ["openrouter", "https://openrouter.ai/api/v1/chat/completions"]
    ] as const
  ) {
    it.effect(`to ${name} is a model and messages, and nothing that was not asked for`, () =>
      Effect.gen(function*() {
        const sent = yield* sendTo(name)(question)
        assert.strictEqual(sent.method, "POST")
        assert.strictEqual(sent.url.href, url)
        assert.strictEqual(sent.headers["authorization"], "Bearer key")
        assert.strictEqual(sent.headers["content-type"], "application/json")
        assert.deepStrictEqual(sent.body, { model: "gpt-4.1", messages: [{ role: "user", content: "Hi" }] })
      }))
  }

  for (const name of dialects) {
    it.effect(`to ${name} keeps system messages where they are, behind the preamble`, () =>
      Effect.gen(function*() {
        const sent = yield* bodyTo(name)(Completion.make({
          model: "m",
          preamble: "first",
          history: [Message.system("second"), Message.user("a"), Message.system("third"), Message.system("")],
          prompt: "b"
        }))
        assert.deepStrictEqual(sent["messages"], [
          { role: "system", content: "first" },
          { role: "system", content: "second" },
          { role: "user", content: "a" },
          { role: "system", content: "third" },
          { role: "user", content: "b" }
        ])
        const bare = yield* bodyTo(name)(Completion.preamble("")(question))
        assert.deepStrictEqual(bare["messages"], [{ role: "user", content: "Hi" }])
      }))
  }

  describe("content", () => {
    it.effect("of several texts is a list, of one is a text", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* sentContent("openai", Message.text("a"), Message.text(""), Message.text("b")), [
          { type: "text", text: "a" },
          { type: "text", text: "b" }
        ])
        assert.deepStrictEqual(yield* sentContent("openai", Message.text(""), Message.text("b")), "b")
      }))

    for (const name of dialects) {
      it.effect(`of images to ${name}`, () =>
        Effect.gen(function*() {
          assert.deepStrictEqual(
            yield* sentContent(
              name,
              Message.image(Message.url("https://example.com/cat.png")),
              Message.image(Message.base64("AAAA", "image/png"), { detail: "high" })
            ),
            [
              { type: "image_url", image_url: { url: "https://example.com/cat.png" } },
              { type: "image_url", image_url: { url: "data:image/png;base64,AAAA", detail: "high" } }
            ]
          )
        }))

      for (
        const [mediaType, format] of [["audio/wav", "wav"], ["audio/x-wav", "wav"], ["audio/mpeg", "mp3"], [
          "audio/mp3",
          "mp3"
        ]] as const
      ) {
        it.effect(`of ${mediaType} to ${name}`, () =>
          Effect.gen(function*() {
            assert.deepStrictEqual(yield* sentContent(name, Message.audio(Message.base64("AAAA", mediaType))), [
              { type: "input_audio", input_audio: { data: "AAAA", format } }
            ])
          }))
      }

      it.effect(`of documents to ${name}: a text goes as text, decoded`, () =>
        Effect.gen(function*() {
          assert.deepStrictEqual(
            yield* sentContent(
              name,
              Message.document(Message.base64("AAAA", "application/pdf")),
              Message.document(Message.base64("AAAA", "application/pdf"), { title: "report.pdf" }),
              Message.document(Message.base64("R3LDvMOfZQ==", "text/markdown"))
            ),
            [
              { type: "file", file: { filename: "document.pdf", file_data: "data:application/pdf;base64,AAAA" } },
              { type: "file", file: { filename: "report.pdf", file_data: "data:application/pdf;base64,AAAA" } },
              { type: "text", text: "Grüße" }
            ]
          )
        }))
    }

    for (const name of ["compatible", "openrouter"] as const) {
      it.effect(`of video and any audio to ${name}`, () =>
        Effect.gen(function*() {
          assert.deepStrictEqual(
            yield* sentContent(
              name,
              Message.video(Message.url("https://example.com/a.mp4")),
              Message.video(Message.base64("AAAA", "video/mp4")),
              Message.audio(Message.base64("AAAA", "audio/flac")),
              Message.audio(Message.base64("AAAA", "audio/mp4"))
            ),
            [
              { type: "video_url", video_url: { url: "https://example.com/a.mp4" } },
              { type: "video_url", video_url: { url: "data:video/mp4;base64,AAAA" } },
              { type: "input_audio", input_audio: { data: "AAAA", format: "flac" } },
              { type: "input_audio", input_audio: { data: "AAAA", format: "m4a" } }
            ]
          )
        }))
    }

    it.effect("of documents by id to OpenAI, and by URL to OpenRouter", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* sentContent("openai", Message.document(Message.fileId("file-1"))), [
          { type: "file", file: { file_id: "file-1" } }
        ])
        assert.deepStrictEqual(
          yield* sentContent("openrouter", Message.document(Message.url("https://example.com/a.pdf"))),
          [{ type: "file", file: { filename: "document.pdf", file_data: "https://example.com/a.pdf" } }]
        )
      }))
  })

  for (const name of dialects) {
    it.effect(`to ${name} has a tool message for each result, right behind the calls`, () =>
      Effect.gen(function*() {
        const both = Message.user([
          "and what else?",
          resultOf("1"),
          resultOf("2", [Message.text('{"not":"parsed"}'), Message.json({ c: [1] })]),
          resultOf("3", [])
        ])
        assert.deepStrictEqual((yield* sentMessages(name, [Message.user("a"), called("1", "2", "3")], both)).slice(2), [
          { role: "tool", tool_call_id: "1", content: "sunny" },
          { role: "tool", tool_call_id: "2", content: '{"not":"parsed"}\n{"c":[1]}' },
          { role: "tool", tool_call_id: "3", content: "" },
          { role: "user", content: "and what else?" }
        ])
        assert.deepStrictEqual(
          (yield* sentMessages(name, [Message.user("a"), called("1", "2"), result("1")], result("2"))).slice(2),
          [
            { role: "tool", tool_call_id: "1", content: "sunny" },
            { role: "tool", tool_call_id: "2", content: "sunny" }
          ]
        )
      }))

    it.effect(`to ${name} leaves the content of a turn of calls out, and the calls of one without`, () =>
      Effect.gen(function*() {
        const sent = yield* sentMessages(name, [
          Message.user("a"),
          Message.assistant(["", call("1")]),
          result("1"),
          Message.assistant(["so", "then", call("2")])
        ], result("2"))
        const calls = (id: string) => [
          { id, type: "function", function: { name: "weather", arguments: '{"city":"Rome"}' } }
        ]
        assert.deepStrictEqual(sent[1], { role: "assistant", tool_calls: calls("1") })
        assert.deepStrictEqual(sent[3], {
          role: "assistant",
          content: [{ type: "text", text: "so" }, { type: "text", text: "then" }],
          tool_calls: calls("2")
        })
      }))

    it.effect(`to ${name} leaves out empty texts and empty turns`, () =>
      Effect.gen(function*() {
        const history = [Message.user(""), Message.user(["", "a"]), Message.assistant([]), Message.assistant("")]
        assert.deepStrictEqual(yield* sentMessages(name, history, "b"), [
          { role: "user", content: "a" },
          { role: "user", content: "b" }
        ])
      }))

    it.effect(`to ${name} leaves out what only another provider can read`, () =>
      Effect.gen(function*() {
        const turn = Message.assistant([
          { _tag: "Reasoning", content: [{ _tag: "Text", text: "hm", signature: "s" }], field: "reasoning" },
          Message.text("yes", { signature: "s" }),
          { _tag: "ProviderBlock", provider: "anthropic", block: { type: "server_tool_use" } }
        ], { provider: "anthropic" })
        assert.deepStrictEqual((yield* sentMessages(name, [Message.user("a"), turn], "b"))[1], {
          role: "assistant",
          content: "yes"
        })
      }))
  }

  for (const [given, sent] of [['{"a":1}', '{"a":1}'], ["a", "{}"], [null, "{}"], [[1], "{}"]] as const) {
    it.effect(`sends the arguments ${JSON.stringify(given)} as an object`, () =>
      Effect.gen(function*() {
        const turn = Message.assistant(Message.toolCall({ id: "1", name: "weather", arguments: given }))
        const messages = yield* sentMessages("openai", [Message.user("a"), turn], result("1"))
        assert.strictEqual(at(messages, 1, "tool_calls", 0, "function", "arguments"), sent)
      }))
  }

  describe("reasoning", () => {
    const reasoning = (field?: string): Message.Reasoning => ({
      _tag: "Reasoning",
      content: [{ _tag: "Text", text: "hm" }, { _tag: "Summary", text: "so" }],
      ...(field !== undefined && { field })
    })

    for (
      const [field, name] of [
        ["reasoning_content", "reasoning_content"],
        ["reasoning", "reasoning"],
        [undefined, "reasoning_content"],
        ["role", "reasoning_content"]
      ] as const
    ) {
      it.effect(`that came in ${field} goes back to a compatible server in ${name}`, () =>
        Effect.gen(function*() {
          const turn = Message.assistant([reasoning(field), call("1")], { provider: instances.compatible })
          const messages = yield* sentMessages("compatible", [Message.user("a"), turn], result("1"))
          assert.deepStrictEqual(messages[1], {
            role: "assistant",
            [name]: "hm\nso",
            tool_calls: [{ id: "1", type: "function", function: { name: "weather", arguments: '{"city":"Rome"}' } }]
          })
        }))
    }

    for (const name of ["compatible", "openrouter"] as const) {
      it.effect(`alone is not a message for ${name}`, () =>
        Effect.gen(function*() {
          const turn = Message.assistant([reasoning()], { provider: instances[name] })
          assert.lengthOf(yield* sentMessages(name, [Message.user("a"), turn], "b"), 2)
        }))
    }

    it.effect("is not sent to OpenAI itself, which does not support it", () =>
      Effect.gen(function*() {
        const turn = Message.assistant([reasoning("reasoning_content"), "yes"], { provider: "openai" })
        assert.deepStrictEqual((yield* sentMessages("openai", [Message.user("a"), turn], "b"))[1], {
          role: "assistant",
          content: "yes"
        })
      }))

    it.effect("goes back to OpenRouter in its details, with ids, formats, indices and signatures", () =>
      Effect.gen(function*() {
        const turn = Message.assistant([
          {
            _tag: "Reasoning",
            content: [
              { _tag: "Text", text: "hm", signature: "s", format: "anthropic-claude-v1", index: 0 },
              { _tag: "Summary", text: "so", id: "rs_1", index: 3 },
              { _tag: "Encrypted", data: "e", id: "rs_1", format: "openai-responses-v1" }
            ]
          },
          call("1")
        ], { provider: "openrouter" })
        const messages = yield* sentMessages("openrouter", [Message.user("a"), turn], result("1"))
        assert.deepStrictEqual(at(messages, 1, "reasoning_details"), [
          { type: "reasoning.text", text: "hm", signature: "s", id: null, format: "anthropic-claude-v1", index: 0 },
          { type: "reasoning.summary", summary: "so", id: "rs_1", format: null, index: 3 },
          { type: "reasoning.encrypted", data: "e", id: "rs_1", format: "openai-responses-v1", index: 2 }
        ])
        assert.notProperty(messages[1], "reasoning")
        assert.notProperty(messages[1], "content")
      }))
  })

  it.effect("gives back what a server's own answer held besides, and of audio the id", () =>
    Effect.gen(function*() {
      const turn = Message.assistant([
        "yes",
        { _tag: "ProviderBlock", provider: "openai", block: { audio: { id: "audio_1", data: "AAAA" }, extra: [1] } }
      ], { provider: "openai" })
      assert.deepStrictEqual((yield* sentMessages("openai", [Message.user("a"), turn], "b"))[1], {
        role: "assistant",
        content: "yes",
        audio: { id: "audio_1" },
        extra: [1]
      })
    }))

  it.effect("does not send an image that a model made back to OpenRouter", () =>
    Effect.gen(function*() {
      const turn = Message.assistant(["here", Message.image(Message.base64("AAAA", "image/png"))], {
        provider: "openrouter"
      })
      assert.deepStrictEqual((yield* sentMessages("openrouter", [Message.user("a"), turn], "b"))[1], {
        role: "assistant",
        content: "here"
      })
    }))

  describe("cache marks", () => {
    const cache = { ttl: "1h" } as const
    const marked = Completion.make({
      model: "m",
      tools: [{ ...weather, cache }],
      history: [
        Message.system("be brief", { cache }),
        Message.user([Message.text("a", { cache }), Message.image(Message.url("https://example.com/a"), { cache })]),
        Message.assistant([Message.text("b", { cache }), call("1")]),
        Message.user([{ _tag: "ToolResult", id: "1", name: "weather", content: [Message.text("sunny")], cache }])
      ],
      prompt: Message.user(Message.text("c", { cache }))
    })

    it.effect("go to OpenRouter, on parts", () =>
      Effect.gen(function*() {
        const sent = yield* bodyTo("openrouter")(marked)
        const mark = { type: "ephemeral", ttl: "1h" }
        assert.deepStrictEqual(at(sent, "tools", 0, "cache_control"), mark)
        for (const [message, part] of [[0, 0], [1, 0], [1, 1], [2, 0], [3, 0], [4, 0]] as const) {
          assert.deepStrictEqual(at(sent, "messages", message, "content", part, "cache_control"), mark)
        }
      }))

    for (const name of ["openai", "compatible"] as const) {
      it.effect(`do not go to ${name}`, () =>
        Effect.gen(function*() {
          assert.notInclude((yield* sendTo(name)(marked)).text, "cache_control")
        }))
    }
  })

  for (const name of dialects) {
    it.effect(`defines tools for ${name} by the JSON Schema of their arguments`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual((yield* bodyTo(name)(Completion.tools([weather])(question)))["tools"], [
          {
            type: "function",
            function: {
              name: "weather",
              description: "The weather of a city.",
              parameters: {
                type: "object",
                properties: { city: { type: "string" } },
                required: ["city"],
                additionalProperties: false
              }
            }
          }
        ])
      }))

    for (
      const [choice, sent] of [
        [Tool.auto, "auto"],
        [Tool.none, "none"],
        [Tool.required, "required"],
        [Tool.specific("weather"), { type: "function", function: { name: "weather" } }]
      ] as const
    ) {
      it.effect(`sends the tool choice ${choice._tag} to ${name}`, () =>
        Effect.gen(function*() {
          const asked = question.pipe(Completion.tools([weather]), Completion.toolChoice(choice))
          assert.deepStrictEqual((yield* bodyTo(name)(asked))["tool_choice"], sent)
        }))
    }

    it.effect(`does not send ${name} a tool choice without tools`, () =>
      Effect.gen(function*() {
        assert.notProperty(yield* bodyTo(name)(Completion.toolChoice(Tool.none)(question)), "tool_choice")
      }))
  }

  it.effect("lets OpenAI choose among several tools by name", () =>
    Effect.gen(function*() {
      const asked = question.pipe(
        Completion.tools([weather, { ...weather, name: "time" }, { ...weather, name: "news" }]),
        Completion.toolChoice(Tool.specific("weather", "time"))
      )
      assert.deepStrictEqual((yield* bodyTo("openai")(asked))["tool_choice"], {
        type: "allowed_tools",
        allowed_tools: {
          mode: "required",
          tools: [
            { type: "function", function: { name: "weather" } },
            { type: "function", function: { name: "time" } }
          ]
        }
      })
    }))

  describe("maxTokens", () => {
    for (
      const [model, field] of [
        ["gpt-5", "max_completion_tokens"],
        ["gpt-5.2-mini", "max_completion_tokens"],
        ["gpt-5-nano-2025-08-07", "max_completion_tokens"],
        ["gpt-10", "max_completion_tokens"],
        ["o1", "max_completion_tokens"],
        ["o3-mini", "max_completion_tokens"],
        ["o4", "max_completion_tokens"],
        ["o4-mini-2025-04-16", "max_completion_tokens"],
        ["openai/gpt-5", "max_completion_tokens"],
        ["ft:gpt-5-mini:org::id", "max_completion_tokens"],
        ["ft:gpt-4o", "max_tokens"],
        ["ft:gpt-4o-mini:org::id", "max_tokens"],
        ["gpt-4o", "max_tokens"],
        ["gpt-4.1", "max_tokens"],
        ["gpt-35-turbo", "max_tokens"],
        ["gpt-3.5-turbo", "max_tokens"],
        ["gpt-oss-120b", "max_tokens"],
        ["chatgpt-4o-latest", "max_tokens"],
        ["openchat", "max_tokens"],
        ["deepseek-chat", "max_tokens"]
      ] as const
    ) {
      it.effect(`of ${model} is ${field}`, () =>
        Effect.gen(function*() {
          const asked = Completion.make({ model, prompt: "Hi", maxTokens: 7 })
          for (const name of ["openai", "compatible"] as const) {
            assert.deepStrictEqual(yield* bodyTo(name)(asked), {
              model,
              messages: [{ role: "user", content: "Hi" }],
              [field]: 7
            })
          }
          assert.strictEqual((yield* bodyTo("openrouter")(asked))["max_tokens"], 7)
        }))
    }
  })

  for (const name of dialects) {
    it.effect(`sends temperature and stop sequences to ${name}`, () =>
      Effect.gen(function*() {
        const asked = question.pipe(Completion.temperature(0), Completion.stopSequences(["END"]))
        const sent = yield* bodyTo(name)(asked)
        assert.deepStrictEqual([sent["temperature"], sent["stop"]], [0, ["END"]])
        assert.notProperty(yield* bodyTo(name)(Completion.stopSequences([])(question)), "stop")
      }))

    it.effect(`asks ${name} for structured output by a strict schema`, () =>
      Effect.gen(function*() {
        const asked = Completion.outputSchema(
          Schema.Struct({ a: Schema.String, b: Schema.optionalKey(Schema.Finite) }).annotate({ title: "My answer!" })
        )(question)
        assert.deepStrictEqual((yield* bodyTo(name)(asked))["response_format"], {
          type: "json_schema",
          json_schema: {
            name: "My_answer_",
            strict: true,
            schema: {
              type: "object",
              title: "My answer!",
              properties: { a: { type: "string" }, b: { anyOf: [{ type: "number" }, { type: "null" }] } },
              required: ["a", "b"],
              additionalProperties: false
            }
          }
        })
      }))
  }

  it.effect("asks compatible servers for structured output only once tools were called", () =>
    Effect.gen(function*() {
      const asked = question.pipe(
        Completion.tools([weather]),
        Completion.outputSchema({ type: "object", properties: {} })
      )
      assert.notProperty(yield* bodyTo("compatible")(asked), "response_format")
      assert.property(yield* bodyTo("openai")(asked), "response_format")
      const answered = asked.pipe(
        Completion.history([Message.user("a"), called("1")]),
        Completion.prompt(result("1"))
      )
      assert.property(yield* bodyTo("compatible")(answered), "response_format")
    }))
})

describe("answer", () => {
  const answer = (message: Json, fields: Json = {}, body: Json = {}): Json => ({
    id: "chatcmpl-1",
    model: "gpt-4.1-2025-04-14",
    choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason: "stop", ...fields }],
    usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
    ...body
  })

  const read = readBy("openai", question)
  const readRouter = readBy("openrouter", question)

  const toolCall = (id: string | null, args: unknown, name: unknown = "weather"): Json => ({
    id,
    type: "function",
    function: { name, arguments: args }
  })

  it.effect("of text: id, model, usage and finish reason", () =>
    Effect.gen(function*() {
      const response = yield* read(answer({ content: "Hello", refusal: null, tool_calls: null }))
      assert.deepStrictEqual(response.choice, [{ _tag: "Text", text: "Hello" }])
      assert.deepStrictEqual(response.finishReason, { _tag: "Stop" })
      assert.strictEqual(response.id, "chatcmpl-1")
      assert.strictEqual(response.model, "gpt-4.1-2025-04-14")
      assert.strictEqual(response.provider, "openai")
    }))

  it.effect("of parts", () =>
    Effect.gen(function*() {
      const content = [
        { type: "thinking", thinking: [{ type: "text", text: "hm" }] },
        { type: "text", text: "a" },
        { type: "refusal", refusal: "no" },
        { type: "unknown" }
      ]
      assert.deepStrictEqual((yield* read(answer({ content }))).choice, [
        { _tag: "Reasoning", content: [{ _tag: "Text", text: "hm" }] },
        { _tag: "Text", text: "a" },
        { _tag: "Text", text: "no" }
      ])
    }))

  for (
    const [what, fields, reason] of [
      ["stop", { finish_reason: "stop" }, "Stop"],
      ["content_filter", { finish_reason: "content_filter" }, "ContentFilter"]
    ] as const
  ) {
    it.effect(`that refuses with ${what} has the refusal as its text`, () =>
      Effect.gen(function*() {
        for (const content of [null, "", undefined]) {
          const response = yield* read(answer({ content, refusal: "I'm sorry" }, fields))
          assert.strictEqual(response.text, "I'm sorry")
          assert.strictEqual(response.finishReason._tag, reason)
        }
        assert.strictEqual((yield* read(answer({ content: "yes", refusal: "I'm sorry" }, fields))).text, "yes")
      }))
  }

  it.effect("of text and then calls", () =>
    Effect.gen(function*() {
      const response = yield* read(answer(
        { content: "let me see", tool_calls: [toolCall("1", '{"city":"Rome"}'), toolCall("2", { city: "Oslo" })] },
        { finish_reason: "tool_calls" }
      ))
      assert.deepStrictEqual(response.choice, [{ _tag: "Text", text: "let me see" }, call("1"), call("2", "Oslo")])
      assert.deepStrictEqual(response.finishReason, { _tag: "ToolUse" })
    }))

  for (const args of ["", "  ", null, undefined, "{}", {}]) {
    it.effect(`reads the arguments ${JSON.stringify(args)} as none`, () =>
      Effect.gen(function*() {
        const response = yield* read(answer({ content: null, tool_calls: [toolCall("1", args)] }))
        assert.deepStrictEqual(response.toolCalls[0]?.arguments, {})
        assert.deepStrictEqual(response.finishReason, { _tag: "ToolUse" })
      }))
  }

  it.effect("names calls that come without an id, and drops those without a name", () =>
    Effect.gen(function*() {
      const tool_calls = [toolCall("", "{}"), toolCall(null, "{}"), toolCall("3", "{}", ""), toolCall("4", "{}", null)]
      const { toolCalls } = yield* read(answer({ tool_calls }))
      assert.lengthOf(toolCalls, 2)
      assert.isTrue(toolCalls.every(({ id }) => Message.isMintedId(id)))
      assert.notStrictEqual(toolCalls[0]?.id, toolCalls[1]?.id)
    }))

  it.effect("with the older function_call is a call", () =>
    Effect.gen(function*() {
      const { toolCalls } = yield* read(answer({ function_call: { name: "weather", arguments: '{"city":"Rome"}' } }))
      assert.deepStrictEqual(toolCalls.map(({ arguments: args, name }) => [name, args]), [["weather", {
        city: "Rome"
      }]])
    }))

  it.effect("with arguments that are not JSON is a malformed call, with its usage", () =>
    Effect.gen(function*() {
      const tool_calls = [toolCall("1", '{"city":'), toolCall("2", "{}")]
      const error = yield* Effect.flip(read(answer({ tool_calls }, { finish_reason: "tool_calls" })))
      assert.deepStrictEqual([error._tag, error.reason], ["EmptyResponse", "MalformedToolCall"])
      assert.include(error.description, "weather")
      assert.strictEqual(error.partial?.usage.totalTokens, 15)
    }))

  for (
    const [what, fields] of [
      ["length", { finish_reason: "length" }],
      ["tool_calls, natively length", { finish_reason: "tool_calls", native_finish_reason: "length" }],
      ["tool_calls, natively max_output_tokens", {
        finish_reason: "tool_calls",
        native_finish_reason: "max_output_tokens"
      }],
      ["tool_calls, natively MAX_TOKENS", { finish_reason: "tool_calls", native_finish_reason: "MAX_TOKENS" }]
    ] as const
  ) {
    it.effect(`cut with ${what} keeps its text and whole calls, and drops the half one`, () =>
      Effect.gen(function*() {
        const tool_calls = [toolCall("1", '{"city":"Rome"}'), toolCall("2", '{"summary":"The cache'), toolCall("3", "")]
        const response = yield* readRouter(answer({ content: "so", tool_calls }, fields))
        assert.deepStrictEqual(response.choice, [{ _tag: "Text", text: "so" }, call("1")])
        assert.deepStrictEqual(response.finishReason, { _tag: "MaxTokens" })
        assert.strictEqual(response.usage.totalTokens, 15)
      }))
  }

  for (
    const [finish, native, reason] of [
      ["tool_calls", "completed", { _tag: "ToolUse" }],
      ["stop", "STOP", { _tag: "Stop" }],
      [null, "end_turn", { _tag: "Stop" }],
      ["", "SAFETY", { _tag: "ContentFilter" }],
      ["length", "length", { _tag: "MaxTokens" }],
      ["model_length", null, { _tag: "MaxTokens" }],
      ["function_call", null, { _tag: "ToolUse" }],
      ["eos", null, { _tag: "Stop" }],
      ["insufficient_system_resource", null, { _tag: "Other", reason: "insufficient_system_resource" }],
      [null, null, { _tag: "None" }]
    ] as const
  ) {
    it.effect(`reads the finish reason ${finish}, natively ${native}, as ${reason._tag}`, () =>
      Effect.gen(function*() {
        const fields = { finish_reason: finish, native_finish_reason: native }
        assert.deepStrictEqual((yield* readRouter(answer({ content: "x" }, fields))).finishReason, reason)
      }))
  }

  for (const field of ["reasoning_content", "reasoning"] as const) {
    it.effect(`keeps the reasoning of ${field}, and the turn is the same when it goes back`, () =>
      Effect.gen(function*() {
        const message = {
          role: "assistant",
          content: "yes",
          [field]: "hm",
          tool_calls: [toolCall("1", '{"city":"Rome"}')]
        }
        const response = yield* readBy("compatible", question)(answer(message))
        assert.deepStrictEqual(response.choice[0], {
          _tag: "Reasoning",
          field,
          content: [{ _tag: "Text", text: "hm" }]
        })
        assert.strictEqual(response.reasoning, "hm")
        const sent = yield* sentMessages("compatible", [Message.user("a"), response.message], result("1"))
        assert.deepStrictEqual(sent[1], message)
      }))
  }

  it.effect("reads reasoning that stands in two fields once", () =>
    Effect.gen(function*() {
      const response = yield* read(answer({ content: "yes", reasoning_content: "hm", reasoning: "hm" }))
      assert.strictEqual(response.reasoning, "hm")
    }))

  it.effect("keeps the details of OpenRouter's reasoning, and the turn is the same when it goes back", () =>
    Effect.gen(function*() {
      const reasoning_details = [
        { type: "reasoning.text", text: "hm", signature: "s", id: null, format: "anthropic-claude-v1", index: 0 },
        { type: "reasoning.text", text: "", signature: "s2", id: null, format: null, index: 1 },
        { type: "reasoning.summary", summary: "so", id: "rs_1", format: "openai-responses-v1", index: 0 },
        { type: "reasoning.encrypted", data: "e", id: "rs_1", format: "openai-responses-v1", index: 0 }
      ]
      const tool_calls = [toolCall("1", '{"city":"Rome"}')]
      const response = yield* readRouter(answer({
        content: "",
        reasoning: "hm",
        reasoning_details: [...reasoning_details, { type: "reasoning.text", text: null }, { type: "unknown" }],
        tool_calls
      }))
      assert.strictEqual(response.reasoning, "hm\nso")
      const sent = yield* sentMessages("openrouter", [Message.user("a"), response.message], result("1"))
      assert.deepStrictEqual(sent[1], { role: "assistant", reasoning_details, tool_calls })
    }))

  it.effect("keeps images and audio that the model made", () =>
    Effect.gen(function*() {
      const response = yield* readRouter(answer({
        content: "",
        images: [
          { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } },
          { type: "image_url", image_url: { url: "https://example.com/a.png" } },
          { type: "image_url" }
        ],
        audio: { id: "audio_1", transcript: "hi" }
      }))
      assert.deepStrictEqual(response.choice, [
        { _tag: "Image", source: { _tag: "Base64", data: "AAAA", mediaType: "image/png" } },
        { _tag: "Image", source: { _tag: "Url", url: "https://example.com/a.png" } },
        { _tag: "ProviderBlock", provider: "openrouter", block: { audio: { id: "audio_1", transcript: "hi" } } }
      ])
    }))

  it.effect("of several candidates is the first", () =>
    Effect.gen(function*() {
      const choices = [
        { index: 1, message: { content: "second" }, finish_reason: "stop" },
        { index: 0, message: { content: "first" }, finish_reason: "stop" }
      ]
      assert.strictEqual((yield* read({ choices })).text, "first")
    }))

  it.effect("needs no more than its message", () =>
    Effect.gen(function*() {
      const response = yield* read({ choices: [{ message: { role: "model", content: "x" } }], id: "", object: null })
      assert.strictEqual(response.text, "x")
      assert.isUndefined(response.id)
      assert.strictEqual(response.usage.totalTokens, 0)
    }))

  for (
    const [what, usage, expected] of [
      [
        "cached and reasoning tokens inside of the two sums",
        {
          prompt_tokens: 100,
          completion_tokens: 50,
          total_tokens: 150,
          prompt_tokens_details: { cached_tokens: 80, cache_write_tokens: 10 },
          completion_tokens_details: { reasoning_tokens: 30 }
        },
        [100, 50, 80, 10, 30]
      ],
      ["the output as the difference", { prompt_tokens: 10, total_tokens: 15 }, [10, 5, 0, 0, 0]],
      ["no output below zero", { prompt_tokens: 10, total_tokens: 5 }, [10, 0, 0, 0, 0]],
      ["DeepSeek's cache", { prompt_tokens: 10, completion_tokens: 1, prompt_cache_hit_tokens: 4 }, [10, 1, 4, 0, 0]],
      ["null as none", { prompt_tokens: null, completion_tokens: null, prompt_tokens_details: null }, [0, 0, 0, 0, 0]]
    ] as const
  ) {
    it.effect(`counts ${what}`, () =>
      Effect.gen(function*() {
        const response = yield* read(answer({ content: "x" }, {}, { usage }))
        const { cacheWriteTokens, cachedInputTokens, inputTokens, outputTokens, reasoningTokens } = response.usage
        assert.deepStrictEqual(
          [inputTokens, outputTokens, cachedInputTokens, cacheWriteTokens, reasoningTokens],
          [...expected]
        )
      }))
  }

  it.effect("of OpenRouter says what it cost", () =>
    Effect.gen(function*() {
      const usage = { prompt_tokens: 1, completion_tokens: 1, cost: 0.00014, is_byok: false }
      assert.strictEqual((yield* readRouter(answer({ content: "x" }, {}, { usage }))).cost, 0.00014)
    }))

  it.effect("may be empty right after a tool result", () =>
    Effect.gen(function*() {
      const asked = Completion.make({ model: "m", history: [Message.user("a"), called("1")], prompt: result("1") })
      const response = yield* readBy("openai", asked)(answer({ content: "" }))
      assert.deepStrictEqual(response.choice, [])
    }))

  for (
    const [what, body, tag, reason] of [
      ["no choice", { choices: [] }, "EmptyResponse", "NoContent"],
      ["no content", answer({ content: null }), "EmptyResponse", "NoContent"],
      ["only reasoning", answer({ content: "", reasoning: "hm" }), "EmptyResponse", "NoContent"],
      [
        "only reasoning, cut",
        answer({ content: "", refusal: null }, { finish_reason: "length" }),
        "ClientError",
        "OutputBudget"
      ],
      [
        "a filter without content",
        answer({ content: null }, { finish_reason: "content_filter" }),
        "ClientError",
        "ContentFilter"
      ],
      ["no choices at all", { id: "1" }, "Transient", "Malformed"],
      [
        "an error in a choice",
        answer({ content: "" }, { finish_reason: "error", error: { code: 502, message: "x" } }),
        "Transient",
        "Server"
      ]
    ] as const
  ) {
    it.effect(`of ${what} is ${tag} · ${reason}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(readRouter(body))
        assert.deepStrictEqual([error._tag, error.reason], [tag, reason])
      }))
  }
})
