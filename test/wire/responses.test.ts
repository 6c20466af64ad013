import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import * as Completion from "../../src/Completion.ts"
import * as Message from "../../src/Message.ts"
import * as Tool from "../../src/Tool.ts"
import { type Options, responses } from "../../src/wire/responses/wire.ts"
import type { Json } from "../conformance/corpus.ts"
import { streamedText, whole } from "./responsesRun.ts"

const openai = responses({ name: "openai", native: true })
const other = responses({ name: "lmstudio", vendor: "openai", native: false })

type Settings = Partial<Parameters<typeof Completion.make>[0]>

const completionOf = (settings: Settings = {}): Completion.Completion =>
  Completion.make({ model: "gpt-6-sol", prompt: "Hi", ...settings } as Parameters<typeof Completion.make>[0])

const requestOf = (settings: Settings, options: Partial<Options> = {}, streamed = false) => {
  const completion = completionOf(settings)
  return responses({ name: "openai", native: true, ...options }).request(completion, completion.model ?? "", streamed)
}

const bodyOf = (settings: Settings, options?: Partial<Options>, streamed?: boolean): Json => {
  const request = requestOf(settings, options, streamed)
  assert(!("_tag" in request), "it was refused")
  return request.body
}

const warningsOf = (settings: Settings, options?: Partial<Options>): ReadonlyArray<string> => {
  const request = requestOf(settings, options)
  assert(!("_tag" in request), "it was refused")
  return (request.warnings ?? []).map(({ field }) => field)
}

const inputOf = (settings: Settings, options?: Partial<Options>): ReadonlyArray<unknown> => {
  const input = bodyOf(settings, options)["input"]
  assert(Array.isArray(input))
  return input
}

const weather = Tool.make("weather", {
  description: "The weather of a city.",
  parameters: Schema.Struct({ city: Schema.String })
})

const user = (content: unknown) => ({ type: "message", role: "user", content })
const said = (text: string, more: object = {}) => ({
  type: "message",
  role: "assistant",
  content: [{ type: "output_text", text }],
  ...more
})

describe("request", () => {
  it("is a model and its input, stateless, and nothing that was not asked for", () => {
    const request = requestOf({})
    assert.deepStrictEqual(request, {
      path: "/responses",
      body: {
        model: "gpt-6-sol",
        input: [user("Hi")],
        store: false,
        include: ["reasoning.encrypted_content"]
      }
    })
  })

  it("asks other servers for no more than all of them know", () => {
    const marked = Message.user([Message.text("Hi", { cache: {} })])
    assert.deepStrictEqual(bodyOf({ prompt: marked }, { name: "lmstudio", native: false }, true), {
      model: "gpt-6-sol",
      input: [user("Hi")],
      stream: true
    })
  })

  it("asks a server that is said to be stateless for encrypted reasoning", () => {
    const body = bodyOf({}, { name: "xai", native: false, stateless: true })
    assert.strictEqual(body["store"], false)
    assert.deepStrictEqual(body["include"], ["reasoning.encrypted_content"])
  })

  it("does not ask for encrypted reasoning if the model is known not to reason", () => {
    const include = (model: string) => bodyOf({ model })["include"]
    for (const model of ["gpt-4.1", "gpt-4o-mini", "gpt-5-chat-latest"]) assert.isUndefined(include(model), model)
    for (const model of ["gpt-5", "o3", "gpt-6.1-sol", "my-deployment"]) assert.isDefined(include(model), model)
    assert.strictEqual(bodyOf({ model: "gpt-4.1" })["store"], false)
  })

  it("streams without obfuscation where the server knows it", () => {
    assert.deepStrictEqual(bodyOf({}, {}, true)["stream_options"], { include_obfuscation: false })
    assert.isUndefined(bodyOf({}, { native: false }, true)["stream_options"])
  })

  it("has the preamble as instructions, and system messages where they stand", () => {
    const settings = { preamble: "first", history: [Message.user("a"), Message.system("second"), Message.system("")] }
    const body = bodyOf(settings)
    assert.strictEqual(body["instructions"], "first")
    assert.deepStrictEqual(body["input"], [
      user("a"),
      { type: "message", role: "developer", content: "second" },
      user("Hi")
    ])
    assert.deepStrictEqual(inputOf(settings, { native: false })[1], {
      type: "message",
      role: "system",
      content: "second"
    })
  })

  it("has the settings under their names", () => {
    const body = bodyOf({
      model: "gpt-4.1",
      maxTokens: 100,
      temperature: 0.5,
      topP: 0.9,
      tools: [weather],
      toolChoice: Tool.required,
      parallelToolCalls: false
    })
    assert.deepStrictEqual(body["tools"], [{
      type: "function",
      name: "weather",
      description: "The weather of a city.",
      parameters: weather.parameters,
      strict: false
    }])
    assert.strictEqual(body["tool_choice"], "required")
    assert.strictEqual(body["parallel_tool_calls"], false)
    assert.strictEqual(body["max_output_tokens"], 100)
    assert.strictEqual(body["temperature"], 0.5)
    assert.strictEqual(body["top_p"], 0.9)
    assert.isUndefined(bodyOf({ parallelToolCalls: false })["parallel_tool_calls"])
  })

  it("chooses among tools by name", () => {
    const choice = (toolChoice: Tool.ToolChoice) => bodyOf({ tools: [weather], toolChoice })["tool_choice"]
    assert.strictEqual(choice(Tool.auto), "auto")
    assert.strictEqual(choice(Tool.none), "none")
    assert.deepStrictEqual(choice(Tool.specific("weather")), { type: "function", name: "weather" })
    assert.deepStrictEqual(choice(Tool.specific("weather", "time")), {
      type: "allowed_tools",
      mode: "required",
      tools: [{ type: "function", name: "weather" }, { type: "function", name: "time" }]
    })
  })

  it("asks for structured output, and refuses a root that is not an object", () => {
    const outputSchema = Schema.Struct({ city: Schema.String })
    assert.deepStrictEqual(bodyOf({ outputSchema })["text"], {
      format: {
        type: "json_schema",
        name: "response",
        schema: {
          type: "object",
          properties: { city: { type: "string" } },
          required: ["city"],
          additionalProperties: false
        },
        strict: true
      }
    })
    assert.include(requestOf({ outputSchema: { type: "array", items: { type: "string" } } }), {
      _tag: "Refused",
      reason: "Unsupported"
    })
  })

  it("refuses stop sequences, which Chat Completions have", () => {
    const request = requestOf({ stopSequences: ["END"] })
    assert("_tag" in request)
    assert.strictEqual(request.reason, "Unsupported")
    assert.match(request.description, /^stopSequences: .*api: "chat"/)
  })

  it("leaves the seed out with a warning", () => {
    assert.isUndefined(bodyOf({ seed: 1 })["seed"])
    assert.deepStrictEqual(warningsOf({ seed: 1 }), ["seed"])
  })

  it("raises a limit that OpenAI would refuse", () => {
    assert.strictEqual(bodyOf({ maxTokens: 5 })["max_output_tokens"], 16)
    assert.deepStrictEqual(warningsOf({ maxTokens: 5 }), ["maxTokens"])
    assert.strictEqual(bodyOf({ maxTokens: 5 }, { native: false })["max_output_tokens"], 5)
  })
})

describe("the rules of a model", () => {
  const reasoningOf = (model: string, reasoning: Completion.Reasoning) => bodyOf({ model, reasoning })["reasoning"]

  it("take an effort as it is where the model has it, and a summary", () => {
    assert.deepStrictEqual(reasoningOf("gpt-6-sol", { effort: "max", summary: true }), {
      effort: "max",
      summary: "auto"
    })
    assert.deepStrictEqual(warningsOf({ reasoning: { effort: "max" } }), [])
    assert.isUndefined(reasoningOf("gpt-6-sol", { summary: false }))
  })

  it("send the nearest effort with a warning", () => {
    assert.deepStrictEqual(reasoningOf("gpt-6-astra", { effort: "none" }), { effort: "low" })
    assert.deepStrictEqual(reasoningOf("gpt-6-sol", { effort: "minimal" }), { effort: "low" })
    assert.deepStrictEqual(warningsOf({ model: "gpt-6-astra", reasoning: { effort: "none" } }), ["reasoning.effort"])
  })

  it("send a budget as the effort that comes nearest, with a warning", () => {
    assert.deepStrictEqual(reasoningOf("gpt-6-sol", { budgetTokens: 10_000 }), { effort: "medium" })
    assert.deepStrictEqual(reasoningOf("gpt-6-sol", { budgetTokens: 10, effort: "high" }), { effort: "high" })
    assert.deepStrictEqual(warningsOf({ reasoning: { budgetTokens: 10_000 } }), ["reasoning.budgetTokens"])
  })

  it("does not send reasoning to a model that does not reason", () => {
    assert.isUndefined(reasoningOf("gpt-4.1", { effort: "high", summary: true }))
    assert.deepStrictEqual(warningsOf({ model: "gpt-4.1", reasoning: { effort: "high" } }), ["reasoning"])
    assert.deepStrictEqual(warningsOf({ model: "gpt-4.1", reasoning: { effort: "none" } }), [])
  })

  it("leave sampling out while the model reasons", () => {
    const sampling = { temperature: 0.2, topP: 0.5 }
    for (const model of ["gpt-6-sol", "gpt-6-astra", "gpt-5"]) {
      const body = bodyOf({ model, ...sampling })
      assert.isUndefined(body["temperature"], model)
      assert.isUndefined(body["top_p"], model)
      assert.deepStrictEqual(warningsOf({ model, ...sampling }), ["temperature", "topP"], model)
    }
    assert.strictEqual(bodyOf({ ...sampling, reasoning: { effort: "none" } })["temperature"], 0.2)
    assert.deepStrictEqual(warningsOf({ temperature: 1 }), [])
  })

  it("take what the caller knows of a model, and send what nobody knows as it is", () => {
    const models = { "my-model": { like: "gpt-6-astra" } }
    assert.deepStrictEqual(warningsOf({ model: "my-model", temperature: 0 }, { models }), ["temperature"])
    const body = bodyOf({ model: "qwen", temperature: 0, reasoning: { effort: "xhigh" } })
    assert.strictEqual(body["temperature"], 0)
    assert.deepStrictEqual(body["reasoning"], { effort: "xhigh" })
  })
})

describe("a user's contents", () => {
  const parts = (...contents: ReadonlyArray<Message.UserContent>) => {
    const [message] = inputOf({ prompt: Message.user(contents) }) as ReadonlyArray<Json>
    return message?.["content"]
  }

  it("of texts are a list, of one are a text", () => {
    assert.deepStrictEqual(parts(Message.text("a"), Message.text(""), Message.text("b")), [
      { type: "input_text", text: "a" },
      { type: "input_text", text: "b" }
    ])
  })

  it("are images, files and audio by any of their sources", () => {
    const image = Message.image(Message.base64("aW1n", "image/png"), { detail: "low" })
    assert.deepStrictEqual(
      parts(
        image,
        Message.image(Message.url("https://example.com/a.png")),
        Message.image(Message.fileId("file-1")),
        Message.document(Message.base64("cGRm", "application/pdf"), { title: "a.pdf" }),
        Message.document(Message.url("https://example.com/a.pdf")),
        Message.document(Message.fileId("file-2")),
        Message.document(Message.base64("aGk=", "text/plain")),
        Message.audio(Message.base64("d2F2", "audio/x-wav"))
      ),
      [
        { type: "input_image", detail: "low", image_url: "data:image/png;base64,aW1n" },
        { type: "input_image", detail: "auto", image_url: "https://example.com/a.png" },
        { type: "input_image", detail: "auto", file_id: "file-1" },
        { type: "input_file", filename: "a.pdf", file_data: "data:application/pdf;base64,cGRm" },
        { type: "input_file", file_url: "https://example.com/a.pdf" },
        { type: "input_file", file_id: "file-2" },
        { type: "input_text", text: "hi" },
        { type: "input_audio", input_audio: { data: "d2F2", format: "wav" } }
      ]
    )
  })

  it("mark the ends of what is worth keeping, on models that take marks", () => {
    const history = [Message.system("rules", { cache: { ttl: "1h" } })]
    const prompt = Message.user([Message.text("long", { cache: {} }), Message.text("short")])
    const body = bodyOf({ history, prompt, tools: [weather] })
    assert.deepStrictEqual(body["input"], [
      {
        type: "message",
        role: "developer",
        content: [{ type: "input_text", text: "rules", prompt_cache_breakpoint: { mode: "explicit", ttl: "12h" } }]
      },
      user([
        { type: "input_text", text: "long", prompt_cache_breakpoint: { mode: "explicit" } },
        { type: "input_text", text: "short" }
      ])
    ])
    assert.match(String(body["prompt_cache_key"]), /^effect-llm-/)
    // The same beginning is sent to the same place.
    assert.strictEqual(bodyOf({ prompt, tools: [weather] })["prompt_cache_key"], body["prompt_cache_key"])
    assert.notStrictEqual(bodyOf({ prompt })["prompt_cache_key"], body["prompt_cache_key"])
    const older = bodyOf({ model: "gpt-5.5", prompt })
    assert.deepStrictEqual(older["input"], [user([{ type: "input_text", text: "long" }, {
      type: "input_text",
      text: "short"
    }])])
    assert.isDefined(older["prompt_cache_key"])
    assert.isUndefined(bodyOf({})["prompt_cache_key"])
  })

  it("with results have them first, as texts or as lists of contents", () => {
    const call = (id: string) => Message.toolCall({ id, name: "weather", arguments: { city: "Rome" } })
    const image = Message.image(Message.url("https://example.com/a.png"))
    const items = inputOf({
      history: [Message.assistant([call("call_1"), call("call_2")])],
      prompt: Message.user([
        "And now?",
        Message.toolResult({ id: "call_1", name: "weather", content: ["sunny", Message.json({ degrees: 20 })] }),
        Message.toolResult({ id: "call_2", name: "weather", content: ["a map", image] })
      ])
    })
    assert.deepStrictEqual(items.slice(2), [
      { type: "function_call_output", call_id: "call_1", output: 'sunny\n{"degrees":20}' },
      {
        type: "function_call_output",
        call_id: "call_2",
        output: [
          { type: "input_text", text: "a map" },
          { type: "input_image", detail: "auto", image_url: "https://example.com/a.png" }
        ]
      },
      user("And now?")
    ])
  })
})

describe("history", () => {
  const thought = (fields: object): Message.Reasoning => ({
    _tag: "Reasoning",
    content: [
      { _tag: "Summary", text: "hm", id: "rs_1" },
      { _tag: "Encrypted", data: "secret", id: "rs_1" }
    ],
    ...fields
  })
  const call = (id: string, more: object = {}) => Message.toolCall({ id, name: "weather", arguments: {}, ...more })
  const history = (provider: string, ...content: ReadonlyArray<Message.AssistantContent>) => [
    Message.assistant(content, { provider, id: "resp_1" })
  ]

  it("of the instance goes back in its order, without ids", () => {
    const items = inputOf({
      history: history(
        "openai",
        thought({}),
        Message.text("On it.", { phase: "commentary" }),
        call("call_1", { signature: '{"namespace":"maps"}' }),
        Message.text("No.", { signature: '{"type":"refusal"}' }),
        Message.text("See.", { phase: "final_answer", citations: [{ type: "url_citation", url: "https://a" }] })
      )
    })
    assert.deepStrictEqual(items.slice(0, -1), [
      { type: "reasoning", summary: [{ type: "summary_text", text: "hm" }], encrypted_content: "secret" },
      said("On it.", { phase: "commentary" }),
      { type: "function_call", call_id: "call_1", name: "weather", arguments: "{}", namespace: "maps" },
      { type: "message", role: "assistant", content: [{ type: "refusal", refusal: "No." }] },
      {
        type: "message",
        role: "assistant",
        content: [{
          type: "output_text",
          text: "See.",
          annotations: [{ type: "url_citation", url: "https://a" }]
        }],
        phase: "final_answer"
      }
    ])
  })

  it("of another provider is texts and calls, with ids that are taken", () => {
    const items = inputOf({
      history: [
        ...history(
          "anthropic",
          thought({}),
          Message.text("On it.", { citations: [{ type: "page" }] }),
          call("toolu/1", { signature: '{"namespace":"x"}' }),
          { _tag: "ProviderBlock", provider: "anthropic", block: { type: "server_tool_use" } }
        ),
        Message.user(Message.toolResult({ id: "toolu/1", name: "weather", content: "sunny" }))
      ]
    }) as ReadonlyArray<Json>
    assert.strictEqual(items.length, 4)
    assert.deepStrictEqual(items[0], said("On it."))
    const id = items[1]?.["call_id"]
    assert.match(String(id), /^[a-zA-Z0-9]{9}$/)
    assert.deepStrictEqual(items[1], { type: "function_call", call_id: id, name: "weather", arguments: "{}" })
    assert.deepStrictEqual(items[2], { type: "function_call_output", call_id: id, output: "sunny" })
  })

  it("of Chat Completions of the same name brings neither its reasoning nor its blocks", () => {
    const items = inputOf({
      history: history(
        "openai",
        { _tag: "Reasoning", content: [{ _tag: "Text", text: "hm" }], field: "reasoning_content" },
        { _tag: "ProviderBlock", provider: "openai", block: { audio: { id: "audio_1" } } },
        Message.text("Hello")
      )
    })
    assert.deepStrictEqual(items, [said("Hello"), user("Hi")])
    assert.strictEqual(
      inputOf({
        history: history("lmstudio", {
          _tag: "Reasoning",
          content: [{ _tag: "Text", text: "hm" }],
          field: "reasoning_content"
        })
      }, { name: "lmstudio", native: false }).length,
      1
    )
  })

  it("of reasoning that is not encrypted stays away from OpenAI, and goes back elsewhere as it came", () => {
    const open: Message.Reasoning = { _tag: "Reasoning", content: [{ _tag: "Text", text: "hm", id: "rs_1" }] }
    assert.strictEqual(inputOf({ history: history("openai", open) }).length, 1)
    assert.deepStrictEqual(
      inputOf({ history: history("lmstudio", open) }, { name: "lmstudio", native: false })[0],
      { type: "reasoning", id: "rs_1", summary: [], content: [{ type: "reasoning_text", text: "hm" }] }
    )
  })

  it("keeps phases from models and servers that do not know them", () => {
    const text = Message.text("Hello", { phase: "final_answer" })
    assert.deepStrictEqual(inputOf({ model: "gpt-4.1", history: history("openai", text) })[0], said("Hello"))
    const compatible = { name: "copilot", native: false }
    assert.deepStrictEqual(inputOf({ history: history("openai", text) }, compatible)[0], said("Hello"))
    assert.deepStrictEqual(
      inputOf({ history: history("copilot", text) }, compatible)[0],
      said("Hello", { phase: "final_answer" })
    )
  })

  it("has blocks verbatim, those of the client without their id, and answers calls of custom tools in their form", () => {
    const search = { type: "web_search_call", id: "ws_1", status: "completed", action: { type: "search", query: "a" } }
    const patch = { type: "custom_tool_call", id: "ctc_1", call_id: "call_1", name: "patch", input: "+a" }
    const block = (block: Message.ProviderBlock["block"]): Message.ProviderBlock => ({
      _tag: "ProviderBlock",
      provider: "openai",
      block
    })
    const items = inputOf({
      history: history("openai", block(search), block(patch)),
      prompt: Message.user(Message.toolResult({ id: "call_1", name: "patch", content: "done" }))
    })
    assert.deepStrictEqual(items, [
      search,
      { type: "custom_tool_call", call_id: "call_1", name: "patch", input: "+a" },
      { type: "custom_tool_call_output", call_id: "call_1", output: "done" }
    ])
  })

  it("sends an image back as what it was, and that of another provider as the user's", () => {
    const body = {
      output: [{
        type: "image_generation_call",
        id: "ig_1",
        status: "completed",
        result: "aW1n",
        output_format: "webp"
      }]
    }
    const [image] = openai.response(body, () => "")?.choice ?? []
    assert.deepInclude(image, { _tag: "Image", source: Message.base64("aW1n", "image/webp") })
    assert.deepStrictEqual(inputOf({ history: history("openai", image!) })[0], body.output[0])
    assert.deepStrictEqual(
      inputOf({ history: history("gemini", Message.image(Message.base64("aW1n", "image/png"))) })[0],
      user([{ type: "input_image", detail: "auto", image_url: "data:image/png;base64,aW1n" }])
    )
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Answers
// ---------------------------------------------------------------------------------------------------------------------

const message = (...content: ReadonlyArray<Json>) => ({ type: "message", role: "assistant", id: "msg_1", content })
const text = (text: string, more: Json = {}) => ({ type: "output_text", text, annotations: [], ...more })
const callItem = (args: unknown, more: Json = {}) => ({
  type: "function_call",
  id: "fc_1",
  call_id: "call_1",
  name: "weather",
  arguments: args,
  ...more
})

const answered = (fields: Json) =>
  whole(
    openai,
    completionOf(),
    JSON.stringify({ id: "resp_1", model: "gpt-6-sol", status: "completed", output: [], ...fields })
  )

describe("response", () => {
  it("has all items in their order", () => {
    const search = { type: "web_search_call", id: "ws_1", status: "completed" }
    const { response } = answered({
      output: [
        { type: "reasoning", id: "rs_1", summary: [{ type: "summary_text", text: "hm" }], encrypted_content: "secret" },
        { ...message(text("On it.")), phase: "commentary" },
        search,
        {
          ...message(text("Sunny.", { annotations: [{ type: "url_citation", url: "https://a" }] })),
          phase: "final_answer"
        }
      ]
    })
    assert.deepStrictEqual(response?.choice, [
      {
        _tag: "Reasoning",
        content: [{ _tag: "Summary", text: "hm", id: "rs_1" }, { _tag: "Encrypted", data: "secret", id: "rs_1" }]
      },
      { _tag: "Text", text: "On it.", phase: "commentary" },
      { _tag: "ProviderBlock", provider: "openai", block: search },
      { _tag: "Text", text: "Sunny.", citations: [{ type: "url_citation", url: "https://a" }], phase: "final_answer" }
    ])
    assert.strictEqual(response?.text, "Sunny.")
    assert.strictEqual(response?.finishReason._tag, "Stop")
  })

  it("ends as its status, its reason and its items say", () => {
    const ends = (fields: Json) => answered(fields).response?.finishReason
    assert.deepStrictEqual(ends({ output: [message(text("a"))] }), { _tag: "Stop" })
    assert.deepStrictEqual(ends({ output: [callItem("{}")] }), { _tag: "ToolUse" })
    assert.deepStrictEqual(
      ends({ output: [{ type: "custom_tool_call", call_id: "c", name: "p", input: "" }] }),
      { _tag: "ToolUse" }
    )
    const shell = { type: "shell_call", call_id: "c", action: {} }
    assert.deepStrictEqual(ends({ output: [shell] }), { _tag: "ToolUse" })
    assert.deepStrictEqual(ends({ output: [shell, { type: "shell_call_output", call_id: "c", output: [] }] }), {
      _tag: "Stop"
    })
    assert.deepStrictEqual(ends({ output: [message({ type: "refusal", refusal: "No." })] }), { _tag: "ContentFilter" })
    const cut = (reason: string) =>
      ends({
        status: "incomplete",
        incomplete_details: { reason },
        output: [message(text("a"))]
      })
    assert.deepStrictEqual(cut("max_output_tokens"), { _tag: "MaxTokens" })
    assert.deepStrictEqual(cut("content_filter"), { _tag: "ContentFilter" })
    assert.deepStrictEqual(cut("steered"), { _tag: "Other", reason: "steered" })
    assert.deepStrictEqual(ends({ status: "cancelled", output: [message(text("a"))] }), {
      _tag: "Other",
      reason: "cancelled"
    })
  })

  it("without content ends as the failure that it is", () => {
    const cut = (reason: string) => answered({ status: "incomplete", incomplete_details: { reason } }).error
    assert.deepInclude(cut("content_filter"), { _tag: "ClientError", reason: "ContentFilter" })
    assert.deepInclude(cut("max_output_tokens"), { _tag: "ClientError", reason: "OutputBudget" })
    assert.deepInclude(answered({}).error, { _tag: "EmptyResponse", reason: "NoContent" })
    assert.deepInclude(answered({ output: undefined }).error, { _tag: "Transient", reason: "Malformed" })
  })

  it("counts what it used", () => {
    const { response } = answered({
      output: [message(text("a"))],
      usage: {
        input_tokens: 100,
        input_tokens_details: {
          cached_tokens: 20,
          cache_write_tokens: 30,
          cache_write_tokens_details: { ttl_30m_tokens: 20, ttl_12h_tokens: 10 }
        },
        output_tokens: 50,
        output_tokens_details: { reasoning_tokens: 40 },
        total_tokens: 150,
        cost_in_usd_ticks: 10_618_500
      }
    })
    assert.deepStrictEqual(response?.usage, {
      inputTokens: 100,
      outputTokens: 50,
      totalTokens: 150,
      cachedInputTokens: 20,
      cacheWriteTokens: 30,
      longCacheWriteTokens: 10,
      reasoningTokens: 40
    })
    assert.strictEqual(response?.cost, 0.00106185)
    assert.strictEqual(answered({ output: [message(text("a"))], usage: null }).response?.usage.totalTokens, 0)
  })

  it("keeps everything without a counterpart in the vocabulary", () => {
    const { response } = answered({
      output: [message(text("a", { logprobs: [{ token: "a", logprob: -1 }] }))],
      service_tier: "priority",
      moderation: null,
      tools: [{}],
      input_transformations: [{ id: "rs_1", type: "reasoning", action: "removed", reason: "prefix_mismatch" }],
      usage: { input_tokens: 1, output_tokens: 1, num_sources_used: 2 }
    })
    assert.deepStrictEqual(response?.metadata, {
      openai: {
        service_tier: "priority",
        input_transformations: [{ id: "rs_1", type: "reasoning", action: "removed", reason: "prefix_mismatch" }],
        logprobs: [{ token: "a", logprob: -1 }],
        usage: { num_sources_used: 2 }
      }
    })
    assert.deepStrictEqual(response?.warnings, [{
      field: "history",
      description: "reasoning rs_1 was removed: prefix_mismatch"
    }])
  })

  it("does not have a call with arguments that the model did not write", () => {
    assert.deepInclude(answered({ output: [callItem('{"city":')] }).error, {
      _tag: "EmptyResponse",
      reason: "MalformedToolCall"
    })
    const cut = answered({
      status: "incomplete",
      incomplete_details: { reason: "max_output_tokens" },
      output: [message(text("a")), callItem('{"city":', { status: "incomplete" })]
    })
    assert.deepStrictEqual(cut.response?.choice, [{ _tag: "Text", text: "a" }])
    assert.deepStrictEqual(answered({ output: [callItem("")] }).response?.toolCalls[0]?.arguments, {})
    assert.deepStrictEqual(answered({ output: [callItem({ city: "Rome" })] }).response?.toolCalls[0]?.arguments, {
      city: "Rome"
    })
    assert.strictEqual(
      answered({ output: [callItem("{}", { call_id: "", id: "" })] }).response?.toolCalls[0]?.id,
      "minted_0"
    )
  })
})

describe("failure", () => {
  const failed = (body: unknown, status?: number): object => ({
    ...whole(openai, completionOf(), JSON.stringify(body), status).error
  })
  const inStream = (...events: ReadonlyArray<Json>) =>
    streamedText(openai, completionOf(), events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(""))

  it("is told by OpenAI's codes, in a body that says that it failed too", () => {
    const error = (code: string | null, message = "m", type = "invalid_request_error") => ({
      error: { message, type, param: null, code }
    })
    const cases: ReadonlyArray<readonly [unknown, number, string, string]> = [
      [error("rate_limit_exceeded", "m", "requests"), 429, "RateLimit", "Requests"],
      [error("rate_limit_exceeded", "m", "tokens"), 429, "RateLimit", "Tokens"],
      [error("insufficient_quota", "m", "insufficient_quota"), 429, "ClientError", "Quota"],
      [error("context_length_exceeded"), 400, "ClientError", "ContextWindow"],
      [error("unsupported_value"), 400, "ClientError", "Unsupported"],
      [error("unknown_parameter"), 400, "ClientError", "Unsupported"],
      [
        error(null, "Unsupported parameter: 'top_p' is not supported with this model."),
        400,
        "ClientError",
        "Unsupported"
      ],
      [error(null, "the request exceeds the available context size"), 400, "ClientError", "ContextWindow"],
      [error(null, "No tool output found for function call call_1."), 400, "ClientError", "InvalidRequest"],
      [error("invalid_prompt", "flagged as violating our usage policy"), 400, "ClientError", "ContentFilter"],
      [error("invalid_prompt", "it is too odd"), 400, "ClientError", "InvalidRequest"],
      [error("server_error", "m", "server_error"), 503, "Transient", "Overloaded"],
      [
        { status: "failed", output: [], error: { code: "bio_policy", message: "m" } },
        200,
        "ClientError",
        "ContentFilter"
      ],
      [{ status: "failed", output: [], error: null }, 200, "Transient", "Server"],
      [{ code: "x", error: "Model not found" }, 404, "ClientError", "NotFound"]
    ]
    for (const [body, status, tag, reason] of cases) {
      assert.deepInclude(failed(body, status), { _tag: tag, reason }, JSON.stringify(body))
    }
  })

  it("in a stream is an event, flat or nested, or the response that failed", () => {
    const created = { type: "response.created", response: { id: "resp_1", model: "m", error: null } }
    const delta = { type: "response.output_text.delta", output_index: 0, content_index: 0, delta: "Hel" }
    const codes: ReadonlyArray<readonly [string, string, string]> = [
      ["insufficient_quota", "ClientError", "Quota"],
      ["cyber_policy", "ClientError", "ContentFilter"],
      ["misalignment_policy_violation", "ClientError", "ContentFilter"],
      ["image_content_policy_violation", "ClientError", "ContentFilter"],
      ["data_residency_mismatch", "ClientError", "Permission"],
      ["rate_limit_exceeded", "RateLimit", "Unknown"],
      ["server_error", "Transient", "Server"],
      ["vector_store_timeout", "Transient", "Server"],
      ["invalid_image_url", "ClientError", "InvalidRequest"],
      ["image_file_too_large", "ClientError", "TooLarge"]
    ]
    for (const [code, _tag, reason] of codes) {
      const about = { code, message: "why", param: null }
      const forms: ReadonlyArray<ReadonlyArray<Json>> = [
        [{ type: "error", ...about }],
        [{ type: "error", error: { type: "x", ...about } }, { type: "response.failed", response: { error: about } }],
        [{ type: "response.failed", response: { status: "failed", error: about, output: [] } }]
      ]
      for (const form of forms) {
        const { error, parts } = inStream(created, delta, ...form)
        assert.deepInclude({ ...error }, { _tag, reason, code, description: "why" } as object)
        assert.strictEqual(error?.partial?.text, "Hel")
        assert.deepStrictEqual(parts.map((part) => part._tag), ["Start", "TextDelta"])
      }
    }
    assert.deepInclude(inStream(created, { type: "response.failed", response: { error: null } }).error, {
      _tag: "Transient",
      reason: "Server"
    })
  })

  it("reports the remainder of a limit, and how long to wait", () => {
    const headers = { "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1s" }
    assert.deepInclude(openai.failures.rateLimits(headers, 0)?.requests, { remaining: 0 })
    assert.deepStrictEqual(openai.failures.retryAfter?.(headers, {}, 0), Duration.seconds(1))
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Streams
// ---------------------------------------------------------------------------------------------------------------------

const created = { type: "response.created", response: { id: "resp_1", model: "gpt-6-sol", status: "in_progress" } }
const completed = (fields: Json = {}) => ({ type: "response.completed", response: { status: "completed", ...fields } })
const added = (item: Json, index: unknown = 0) => ({ type: "response.output_item.added", output_index: index, item })
const done = (item: Json, index: unknown = 0) => ({ type: "response.output_item.done", output_index: index, item })
const delta = (delta: string, more: Json = { output_index: 0, content_index: 0 }) => ({
  type: "response.output_text.delta",
  delta,
  ...more
})
const argument = (delta: string, index: unknown = 0) => ({
  type: "response.function_call_arguments.delta",
  output_index: index,
  delta
})

const run = (...events: ReadonlyArray<Json>) =>
  streamedText(openai, completionOf(), events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(""))

describe("stream", () => {
  it("begins with who answers, and ends contents as their items are done", () => {
    const item = message(text("Hello"))
    const { parts, response } = run(
      created,
      added({ ...message(), phase: "final_answer" }),
      delta("Hel"),
      delta("lo"),
      done({ ...item, phase: "final_answer" }),
      added(callItem(""), 1),
      argument('{"city":', 1),
      argument('"Rome"}', 1),
      done(callItem('{"city":"Rome"}'), 1),
      completed({ usage: { input_tokens: 1, output_tokens: 2 } })
    )
    const content: Message.Text = { _tag: "Text", text: "Hello", phase: "final_answer" }
    const call: Message.ToolCall = { _tag: "ToolCall", id: "call_1", name: "weather", arguments: { city: "Rome" } }
    assert.deepStrictEqual(parts.slice(0, -1), [
      { _tag: "Start", provider: "openai", model: "gpt-6-sol", id: "resp_1" },
      { _tag: "TextDelta", index: 0, text: "Hel", phase: "final_answer" },
      { _tag: "TextDelta", index: 0, text: "lo", phase: "final_answer" },
      { _tag: "ContentEnd", index: 0, content },
      { _tag: "ToolCallStart", index: 1, id: "call_1", name: "weather" },
      { _tag: "ToolCallDelta", index: 1, arguments: '{"city":' },
      { _tag: "ToolCallDelta", index: 1, arguments: '"Rome"}' },
      { _tag: "ContentEnd", index: 1, content: call }
    ])
    assert.deepStrictEqual(response?.choice, [content, call])
    assert.strictEqual(response?.finishReason._tag, "ToolUse")
    assert.strictEqual(response?.usage.totalTokens, 3)
  })

  it("is Truncated without one of the four last events, also when it says that nothing comes any more", () => {
    const events = [created, delta("Hello")].map((event) => `data: ${JSON.stringify(event)}\n\n`).join("")
    for (const body of [events, `${events}data: [DONE]\n\n`]) {
      const { error } = streamedText(openai, completionOf(), body)
      assert.deepInclude(error, { _tag: "Transient", reason: "Truncated" })
      assert.strictEqual(error?.partial?.text, "Hello")
      assert.strictEqual(error?.partial?.finishReason._tag, "None")
    }
  })

  it("ignores keep-alive events, and everything after the end", () => {
    const { parts, response } = run(
      created,
      { type: "keepalive" },
      delta("Hello"),
      { type: "response.web_search_call.searching", output_index: 4 },
      { type: "something.new", output_index: 4 },
      completed(),
      { type: "error", code: "server_error", message: "late" }
    )
    assert.deepStrictEqual(parts.map(({ _tag }) => _tag), ["Start", "TextDelta", "ContentEnd", "Finish"])
    assert.strictEqual(response?.text, "Hello")
  })

  it("identifies items by index, whatever their ids are", () => {
    const { response } = run(
      created,
      added({ ...message(), id: "a" }),
      delta("x", { output_index: 0, content_index: 0, item_id: "b" }),
      added({ ...callItem(""), id: "c" }, 1),
      delta("y", { output_index: 0, content_index: 0, item_id: "d" }),
      argument("{}", "1"),
      done({ ...callItem("{}"), id: "e" }, 1),
      done({ ...message(text("xy")), id: "f" }),
      completed()
    )
    assert.deepStrictEqual(response?.choice.map(({ _tag }) => _tag), ["Text", "ToolCall"])
    assert.strictEqual(response?.text, "xy")
  })

  it("takes arguments that come at once", () => {
    const { parts } = run(
      created,
      added(callItem("")),
      { type: "response.function_call_arguments.done", output_index: 0, arguments: '{"city":"Rome"}' },
      done(callItem('{"city":"Rome"}')),
      completed()
    )
    assert.deepStrictEqual(parts.flatMap((part) => part._tag === "ToolCallDelta" ? part.arguments : []), [
      '{"city":"Rome"}'
    ])
  })

  it("takes items that only the last event names, and those that nothing ends", () => {
    const { parts, response } = run(
      created,
      added(message()),
      delta("Hel"),
      completed({ output: [message(text("Hello")), callItem("{}")] })
    )
    assert.strictEqual(response?.text, "Hello")
    assert.strictEqual(response?.toolCalls.length, 1)
    assert.deepStrictEqual(parts.map(({ _tag }) => _tag), [
      "Start",
      "TextDelta",
      "TextDelta",
      "ContentEnd",
      "ToolCallStart",
      "ToolCallDelta",
      "ContentEnd",
      "Finish"
    ])
    const bare = run(delta("Hello", {}), argument("{}"), added(callItem(""), 3), argument("{}", 3), completed())
    assert.strictEqual(bare.response?.text, "Hello")
    assert.deepStrictEqual(bare.response?.toolCalls.map(({ id }) => id), ["call_1"])
  })

  it("takes a repeated start as a new item", () => {
    const { response } = run(
      created,
      added(callItem("", { call_id: "call_1" })),
      argument("{}"),
      done(callItem("{}", { call_id: "call_1" })),
      added(callItem("", { call_id: "call_2" })),
      argument("{}"),
      done(callItem("{}", { call_id: "call_2" })),
      completed()
    )
    assert.deepStrictEqual(response?.toolCalls.map(({ id }) => id), ["call_1", "call_2"])
  })

  it("does not return a call whose arguments came in two versions", () => {
    const { error } = run(created, added(callItem("")), argument('{"a":1}'), done(callItem('{"a":2}')), completed())
    assert.deepInclude(error, { _tag: "EmptyResponse", reason: "MalformedToolCall" })
    const same = run(created, added(callItem("")), argument('{"a": 1}'), done(callItem('{"a":1}')), completed())
    assert.deepStrictEqual(same.response?.toolCalls[0]?.arguments, { a: 1 })
  })

  it("leaves out a call in which the answer was cut", () => {
    const { error, parts, response } = run(
      created,
      added(message()),
      delta("a"),
      added(callItem(""), 1),
      argument('{"city":', 1),
      done(callItem('{"city":', { status: "incomplete" }), 1),
      {
        type: "response.incomplete",
        response: { status: "incomplete", incomplete_details: { reason: "max_output_tokens" } }
      }
    )
    assert.isUndefined(error)
    assert.deepStrictEqual(response?.choice, [{ _tag: "Text", text: "a" }])
    assert.strictEqual(response?.finishReason._tag, "MaxTokens")
    assert.strictEqual(parts.filter(({ _tag }) => _tag === "ContentEnd").length, 1)
  })

  it("reads summaries and open reasoning, and takes the encrypted form of the item that is done", () => {
    const { parts, response } = run(
      created,
      added({ type: "reasoning", id: "rs_1", summary: [], encrypted_content: "half" }),
      { type: "response.reasoning_summary_text.delta", output_index: 0, summary_index: 0, delta: "a" },
      { type: "response.reasoning_summary_text.done", output_index: 0, summary_index: 0, text: "ab" },
      { type: "response.reasoning_summary_text.delta", output_index: 0, summary_index: 1, delta: "c" },
      { type: "response.reasoning_text.delta", output_index: 0, content_index: 0, delta: "d" },
      done({
        type: "reasoning",
        id: "rs_1",
        summary: [{ type: "summary_text", text: "ab" }, { type: "summary_text", text: "c" }],
        content: [{ type: "reasoning_text", text: "d" }],
        encrypted_content: "whole"
      }),
      added(message(), 1),
      delta("x", { output_index: 1, content_index: 0 }),
      completed()
    )
    const shown = parts.flatMap((part) => part._tag === "ReasoningDelta" ? part.text : []).join("")
    assert.strictEqual(shown, "ab\nc\nd")
    assert.strictEqual(response?.reasoning, shown)
    const [reasoning] = response?.choice ?? []
    assert(reasoning?._tag === "Reasoning")
    assert.deepInclude(reasoning.content.at(-1), { _tag: "Encrypted", data: "whole" })
    const broken = run(
      created,
      added({ type: "reasoning", id: "rs_1", summary: [], encrypted_content: "half" }),
      { type: "response.reasoning_summary_text.delta", output_index: 0, summary_index: 0, delta: "a" }
    )
    assert.deepStrictEqual(broken.error?.partial?.choice, [{
      _tag: "Reasoning",
      content: [{ _tag: "Summary", text: "a", id: "rs_1" }]
    }])
  })

  it("reads refusals and annotations", () => {
    const refused = run(
      created,
      added(message()),
      { type: "response.refusal.delta", output_index: 0, content_index: 0, delta: "No" },
      { type: "response.refusal.done", output_index: 0, content_index: 0, refusal: "No." },
      done(message({ type: "refusal", refusal: "No." })),
      completed()
    )
    assert.strictEqual(refused.response?.text, "No.")
    assert.strictEqual(refused.response?.finishReason._tag, "ContentFilter")
    const annotation = { type: "url_citation", url: "https://a" }
    const cited = run(
      created,
      added(message()),
      delta("See."),
      { type: "response.output_text.annotation.added", output_index: 0, content_index: 0, annotation },
      completed()
    )
    assert.deepStrictEqual(cited.response?.choice, [{ _tag: "Text", text: "See.", citations: [annotation] }])
  })

  it("keeps items of other types whole", () => {
    const patch = { type: "custom_tool_call", id: "ctc_1", call_id: "call_1", name: "patch", input: "+a" }
    const { response } = run(
      created,
      added({ ...patch, input: "" }),
      { type: "response.custom_tool_call_input.delta", output_index: 0, delta: "+a" },
      done(patch),
      completed()
    )
    assert.deepStrictEqual(response?.choice, [{ _tag: "ProviderBlock", provider: "openai", block: patch }])
    assert.strictEqual(response?.finishReason._tag, "ToolUse")
  })

  it("is linear in its events", () => {
    const many = Array.from({ length: 20_000 }, (_, index) => delta("x", { output_index: index % 2, content_index: 0 }))
    const { response } = run(created, added(message()), added(message(), 1), ...many, completed())
    assert.strictEqual(response?.text.length, 20_000)
    const items = Array.from(
      { length: 5000 },
      (
        _,
        index
      ) => [added(callItem("", { call_id: `c${index}` }), index), done(callItem("{}", { call_id: `c${index}` }), index)]
    ).flat()
    assert.strictEqual(run(created, ...items, completed()).response?.toolCalls.length, 5000)
  })

  it("of a server without streams is read as the body that it is", () => {
    const { response } = streamedText(other, completionOf(), JSON.stringify({ output: [message(text("Hello"))] }))
    assert.strictEqual(response?.text, "Hello")
  })
})
