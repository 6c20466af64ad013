/**
 * What models refuse over Chat Completions, and what is sent instead.
 */
import { assert, describe, it } from "@effect/vitest"
import { Completion, Message, Tool } from "../../src/index.ts"
import { compatible, openAi, openRouter } from "../../src/wire/chat/wire.ts"
import * as Presets from "../../src/wire/presets.ts"
import type { Refused, Wire, WireRequest } from "../../src/wire/Wire.ts"

type Json = { readonly [key: string]: unknown }

const at = (name: Presets.Name): Wire => {
  const { chat, service = name } = Presets.find(name)
  return compatible(name, { service, particulars: chat })
}

const wires = {
  openai: openAi("openai"),
  openrouter: openRouter("openrouter"),
  azure: at("azure"),
  deepseek: at("deepseek"),
  groq: at("groq"),
  mistral: at("mistral"),
  perplexity: at("perplexity"),
  together: at("together"),
  ollama: at("ollama"),
  cerebras: at("cerebras"),
  unknown: compatible("llm.example.com")
} as const
type Name = keyof typeof wires

const weather: Tool.ToolDefinition = { name: "weather", description: "", parameters: { type: "object" } }
const time: Tool.ToolDefinition = { ...weather, name: "time" }

type Fields = Partial<Completion.Completion>

const ask = (name: Name, model: string, fields: Fields = {}, streamed = false): WireRequest | Refused =>
  wires[name].request(Completion.make({ prompt: "Hi", ...fields as object }), model, streamed)

const sent = (name: Name, model: string, fields: Fields = {}, streamed = false): WireRequest => {
  const request = ask(name, model, fields, streamed)
  return "_tag" in request ? assert.fail(request.description) : request
}

const body = (name: Name, model: string, fields: Fields = {}): Json => sent(name, model, fields).body

const warned = ({ warnings = [] }: WireRequest): ReadonlyArray<string> => warnings.map(({ field }) => field)

const refused = (request: WireRequest | Refused): string =>
  "_tag" in request && request.reason === "Unsupported" ? request.description : assert.fail("was not refused")

describe("tools beside reasoning", () => {
  for (const model of ["gpt-5.5", "gpt-5.6-terra", "gpt-6-sol", "gpt-6-luna", "gpt-6.1-terra", "gpt-9-luna"]) {
    it(`of ${model}: effort none is sent, with a warning, if the caller set no effort`, () => {
      const request = sent("openai", model, { tools: [weather] })
      assert.strictEqual(request.body["reasoning_effort"], "none")
      assert.deepStrictEqual(warned(request), ["reasoning.effort"])
      assert.include(request.warnings?.[0]?.description, "responses")
      const searching = sent("openai", model, { additionalParams: { tools: [{ type: "web_search" }] } })
      assert.strictEqual(searching.body["reasoning_effort"], "none")
    })

    it(`of ${model}: an effort that the caller set is refused, and names the way`, () => {
      const description = refused(ask("openai", model, { tools: [weather], reasoning: { effort: "high" } }))
      assert.match(description, /^reasoning\.effort: .*api: "responses"/)
      const none = sent("openai", model, { tools: [weather], reasoning: { effort: "none" } })
      assert.strictEqual(none.body["reasoning_effort"], "none")
      assert.isUndefined(none.warnings)
    })

    it(`of ${model}: without tools, and with an effort of the caller's own words, nothing is changed`, () => {
      assert.notProperty(body("openai", model), "reasoning_effort")
      const own = sent("openai", model, { tools: [weather], providerParams: { openai: { reasoning_effort: "low" } } })
      assert.notProperty(own.body, "reasoning_effort")
      assert.isUndefined(own.warnings)
    })
  }

  for (const model of ["gpt-6-astra", "gpt-6.1-sol"]) {
    it(`of ${model} are refused, because it does not support them over Chat Completions`, () => {
      assert.match(refused(ask("openai", model, { tools: [weather] })), /^tools: .*api: "responses"/)
      sent("openai", model)
    })
  }

  it("of models that do not reason unless told to need nothing", () => {
    for (const model of ["gpt-5.4", "gpt-5.1", "gpt-4.1", "gpt-5-mini"]) {
      const request = sent("openai", model, { tools: [weather] })
      assert.notProperty(request.body, "reasoning_effort")
      assert.isUndefined(request.warnings)
    }
    refused(ask("openai", "gpt-5.4", { tools: [weather], reasoning: { effort: "low" } }))
    assert.strictEqual(
      body("openai", "gpt-5-mini", { tools: [weather], reasoning: { effort: "low" } })["reasoning_effort"],
      "low"
    )
  })

  it("are OpenRouter's to bring together", () => {
    const request = sent("openrouter", "openai/gpt-6-sol", { tools: [weather], reasoning: { effort: "high" } })
    assert.deepStrictEqual(request.body["reasoning"], { effort: "high" })
    assert.isUndefined(request.warnings)
  })
})

it("models that Chat Completions do not reach are refused", () => {
  for (const model of ["gpt-5.5-pro", "o3-pro", "gpt-5-codex"]) {
    assert.match(refused(ask("openai", model)), /^model: .*api: "responses"/)
    sent("openrouter", `openai/${model}`)
  }
})

describe("reasoning", () => {
  const efforts = [
    ["openai", "gpt-6-luna", "xhigh", "xhigh", []],
    ["openai", "gpt-6-luna", "max", "xhigh", ["reasoning.effort"]],
    ["openai", "gpt-6-luna", "minimal", "low", ["reasoning.effort"]],
    ["openai", "gpt-6-luna", "none", "none", []],
    ["openai", "gpt-6-astra", "none", "low", ["reasoning.effort"]],
    ["openai", "gpt-5-mini", "none", "minimal", ["reasoning.effort"]],
    ["openai", "o3", "xhigh", "high", ["reasoning.effort"]],
    ["openai", "gpt-4.1", "high", undefined, ["reasoning"]],
    ["openai", "gpt-4.1", "none", undefined, []],
    ["groq", "qwen/qwen3.6-27b", "high", "default", []],
    ["groq", "qwen/qwen3.6-27b", "low", "default", ["reasoning.effort"]],
    ["groq", "openai/gpt-oss-120b", "none", "low", ["reasoning.effort"]],
    ["mistral", "mistral-medium-latest", "low", "high", ["reasoning.effort"]],
    ["unknown", "my-model", "max", "max", []]
  ] as const
  for (const [name, model, effort, expected, warnings] of efforts) {
    it(`at effort ${effort} is ${expected} for ${model} of ${name}`, () => {
      const request = sent(name, model, { reasoning: { effort } })
      assert.strictEqual(request.body["reasoning_effort"], expected)
      assert.deepStrictEqual(warned(request), [...warnings])
    })
  }

  it("within a budget is the effort that comes nearest, and said", () => {
    const request = sent("openai", "gpt-6-luna", { reasoning: { budgetTokens: 8000 } })
    assert.strictEqual(request.body["reasoning_effort"], "medium")
    assert.deepStrictEqual(warned(request), ["reasoning.budgetTokens"])
    const both = sent("openai", "gpt-6-luna", { reasoning: { budgetTokens: 8000, effort: "low" } })
    assert.strictEqual(both.body["reasoning_effort"], "low")
    assert.deepStrictEqual(warned(both), ["reasoning.budgetTokens"])
  })

  it("of DeepSeek is turned off and on by its switch, and elsewhere is not", () => {
    const flash = "deepseek-flash"
    assert.deepInclude(body("deepseek", flash, { reasoning: { effort: "none" } }), { thinking: { type: "disabled" } })
    assert.notProperty(body("deepseek", flash, { reasoning: { effort: "none" } }), "reasoning_effort")
    assert.deepInclude(body("deepseek", flash, { reasoning: { effort: "high" } }), {
      thinking: { type: "enabled" },
      reasoning_effort: "high"
    })
    assert.notProperty(body("deepseek", flash), "thinking")
    assert.notProperty(body("unknown", flash, { reasoning: { effort: "none" } }), "thinking")
  })

  it("of OpenRouter takes an effort or a budget, and what is shown", () => {
    const asked = (reasoning: Completion.Reasoning, model = "x/unknown") => sent("openrouter", model, { reasoning })
    assert.deepStrictEqual(asked({ effort: "low" }).body["reasoning"], { effort: "low" })
    assert.deepStrictEqual(asked({ budgetTokens: 2000, summary: false }).body["reasoning"], {
      max_tokens: 2000,
      exclude: true
    })
    const both = asked({ effort: "low", budgetTokens: 2000, summary: true })
    assert.deepStrictEqual(both.body["reasoning"], { effort: "low", exclude: false })
    assert.deepStrictEqual(warned(both), ["reasoning.budgetTokens"])
    // It turns thinking off where it can be, and takes the nearest effort where not.
    assert.deepStrictEqual(asked({ effort: "none" }, "anthropic/claude-sonnet-4.6").body["reasoning"], {
      effort: "none"
    })
    assert.deepStrictEqual(asked({ effort: "none" }, "anthropic/claude-fable-5.2").body["reasoning"], { effort: "low" })
  })
})

describe("sampling", () => {
  const sampling = { temperature: 0.2, topP: 0.9 }

  it("is left out, with a warning, if the model does not support it", () => {
    for (
      const [name, model] of [["openai", "gpt-5"], ["openai", "gpt-6-astra"], [
        "openrouter",
        "anthropic/claude-opus-5.5"
      ]] as const
    ) {
      const request = sent(name, model, sampling)
      assert.notProperty(request.body, "temperature")
      assert.notProperty(request.body, "top_p")
      assert.deepStrictEqual(warned(request), ["temperature", "topP"])
    }
  })

  it("of 1 is what the model does anyway", () => {
    const request = sent("openai", "gpt-6-astra", { temperature: 1, topP: 1 })
    assert.notProperty(request.body, "temperature")
    assert.isUndefined(request.warnings)
  })

  it("is sent to models that do not reason, or were told not to", () => {
    for (
      const [model, fields] of [
        ["gpt-4.1", {}],
        ["gpt-5.1", {}],
        ["gpt-6-luna", { reasoning: { effort: "none" } }],
        ["gpt-6-luna", { tools: [weather] }]
      ] as const
    ) {
      assert.deepInclude(body("openai", model, { ...sampling, ...fields }), { temperature: 0.2, top_p: 0.9 })
    }
    assert.notProperty(body("openai", "gpt-6-luna", sampling), "temperature")
    assert.deepInclude(body("unknown", "my-model", sampling), { temperature: 0.2, top_p: 0.9 })
  })
})

describe("a forced tool", () => {
  const asks = (toolChoice: Tool.ToolChoice): Fields => ({ tools: [weather, time], toolChoice })

  it("of a model that cannot be forced is refused, or left to it where the caller takes that", () => {
    const model = "anthropic/claude-opus-5.5"
    assert.match(refused(ask("openrouter", model, asks(Tool.required))), /^toolChoice: .*otherwise: "auto"/)
    const required = sent("openrouter", model, asks({ _tag: "Required", otherwise: "auto" }))
    assert.strictEqual(required.body["tool_choice"], "auto")
    assert.deepStrictEqual(warned(required), ["toolChoice"])
    const named = sent("openrouter", model, asks({ _tag: "Specific", names: ["time"], otherwise: "auto" }))
    assert.deepStrictEqual(
      (named.body["tools"] as ReadonlyArray<Json>).map((tool) => (tool["function"] as Json)["name"]),
      [
        "time"
      ]
    )
    assert.strictEqual(body("openrouter", model, asks(Tool.auto))["tool_choice"], "auto")
  })

  it("of DeepSeek is taken only while it does not think", () => {
    assert.match(refused(ask("deepseek", "deepseek-flash", asks(Tool.required))), /^toolChoice: .*reasoning\.effort/)
    const off = body("deepseek", "deepseek-flash", { ...asks(Tool.required), reasoning: { effort: "none" } })
    assert.deepInclude(off, { tool_choice: "required", thinking: { type: "disabled" } })
  })

  it("of others is sent, in Mistral's word to Mistral", () => {
    assert.strictEqual(body("openai", "gpt-4.1", asks(Tool.required))["tool_choice"], "required")
    assert.strictEqual(body("unknown", "my-model", asks(Tool.required))["tool_choice"], "required")
    assert.strictEqual(body("mistral", "mistral-large-latest", asks(Tool.required))["tool_choice"], "any")
  })
})

describe("the conversation", () => {
  it("may not end with an assistant's text where the model does not continue it", () => {
    const fields: Fields = { history: [Message.user("a")], prompt: Message.assistant("Well,") }
    assert.match(refused(ask("openrouter", "anthropic/claude-opus-5.5", fields)), /^prompt: /)
    sent("openrouter", "openai/gpt-4.1", fields)
  })

  it("has its system messages at the beginning where the model takes them nowhere else", () => {
    const history = [Message.system("one"), Message.user("a"), Message.system("two"), Message.assistant("b")]
    const roles = (name: Name, model: string) =>
      (body(name, model, { preamble: "zero", history, prompt: Message.user("c") })["messages"] as ReadonlyArray<Json>)
        .map(({ content, role }) => role === "system" ? content : role)
    assert.deepStrictEqual(roles("deepseek", "deepseek-flash"), ["zero", "one", "two", "user", "assistant", "user"])
    assert.deepStrictEqual(roles("openai", "gpt-6-luna"), ["zero", "one", "user", "two", "assistant", "user"])
    const ending: Fields = { history: [Message.user("a")], prompt: Message.system("now") }
    const sentRoles = (body("deepseek", "deepseek-flash", ending)["messages"] as ReadonlyArray<Json>).map(({ role }) =>
      role
    )
    assert.deepStrictEqual(sentRoles, ["system", "user"])
  })

  it("holds reasoning_content in every turn for models that want it there", () => {
    const call = Message.toolCall({ id: "call_1", name: "weather", arguments: {} })
    const history = [
      Message.user("a"),
      Message.assistant([{ _tag: "Reasoning", content: [{ _tag: "Text", text: "hm" }] }, call], {
        provider: "deepseek"
      }),
      Message.user(Message.toolResult({ id: "call_1", name: "weather", content: "sunny" })),
      Message.assistant("b", { provider: "anthropic" })
    ]
    const turns = (name: Name) =>
      (body(name, "deepseek-v4-pro", { history })["messages"] as ReadonlyArray<Json>).filter(({ role }) =>
        role === "assistant"
      ).map(({ reasoning_content }) => reasoning_content)
    assert.deepStrictEqual(turns("deepseek"), ["hm", ""])
    assert.deepStrictEqual(turns("openrouter"), [undefined, undefined])
  })
})

describe("presets", () => {
  const reasoned = (provider: string) =>
    Message.assistant([{ _tag: "Reasoning", content: [{ _tag: "Text", text: "hm" }] }, "yes"], { provider })

  it("of Mistral are sent in Mistral's forms, and hold no field that it refuses", () => {
    const { body } = sent("mistral", "mistral-small-latest", {
      seed: 7,
      history: [
        Message.user([
          Message.document(Message.base64("AAAA", "application/pdf"), { title: "a.pdf" }),
          Message.audio(Message.base64("BBBB", "audio/mpeg"))
        ]),
        reasoned("mistral")
      ],
      reasoning: { effort: "high" }
    }, true)
    assert.deepStrictEqual(body, {
      model: "mistral-small-latest",
      messages: [
        {
          role: "user",
          content: [
            { type: "document_url", document_url: "data:application/pdf;base64,AAAA", document_name: "a.pdf" },
            { type: "input_audio", input_audio: "BBBB" }
          ]
        },
        {
          role: "assistant",
          content: [{ type: "thinking", thinking: [{ type: "text", text: "hm" }] }, { type: "text", text: "yes" }]
        },
        { role: "user", content: "Hi" }
      ],
      random_seed: 7,
      reasoning_effort: "high",
      stream: true
    })
  })

  it("of others ask a stream for its usage, but where it comes anyway and the field is refused", () => {
    assert.property(sent("groq", "m", {}, true).body, "stream_options")
    assert.notProperty(sent("perplexity", "m", {}, true).body, "stream_options")
    assert.notProperty(sent("groq", "m").body, "stream")
  })

  it("say the limit of an answer in the field that the server takes", () => {
    const maxTokens = 7
    assert.deepInclude(body("azure", "my-deployment", { maxTokens }), { max_completion_tokens: 7 })
    assert.deepInclude(body("cerebras", "gpt-oss-120b", { maxTokens }), { max_completion_tokens: 7 })
    assert.deepInclude(body("ollama", "gpt-oss-120b", { maxTokens }), { max_tokens: 7 })
    assert.deepInclude(body("groq", "llama-3.3-70b-versatile", { maxTokens }), { max_tokens: 7 })
  })

  it("give reasoning back where the server wants it, and keep it where not", () => {
    const turn = (name: Name) =>
      (body(name, "m", { history: [Message.user("a"), reasoned(name)] })["messages"] as ReadonlyArray<Json>)[1]
    assert.deepStrictEqual(turn("perplexity"), { role: "assistant", content: "yes" })
    assert.deepStrictEqual(turn("groq"), { role: "assistant", content: "yes", reasoning_content: "hm" })
  })

  it("are complete: each has an address or a variable for it, over TLS unless it is this machine", () => {
    for (const [name, preset] of Object.entries(Presets.presets) as ReadonlyArray<[Presets.Name, Presets.Preset]>) {
      assert.match(preset.baseUrlVariable, /^[A-Z_]+_BASE_URL$/)
      assert.isTrue(preset.keyVariables.every((variable) => /^[A-Z_]+_API_KEY$/.test(variable)), name)
      assert.isNotEmpty(preset.keyVariables)
      if (preset.baseUrl !== undefined) assert.match(preset.baseUrl, /^(https:\/\/|http:\/\/localhost:\d+\/).*[^/]$/)
      else assert.strictEqual(name, "azure")
    }
  })
})

it("an instance's overrides replace the rules of models", () => {
  const wire = openAi("openai", { models: { "my-*": { like: "gpt-6-luna" }, "gpt-6-luna": { sampling: "all" } } })
  const of = (model: string, fields: Fields) => {
    const request = wire.request(Completion.make({ prompt: "Hi", ...fields as object }), model, false)
    return "_tag" in request ? assert.fail(request.description) : request.body
  }
  assert.deepInclude(of("my-model", { tools: [weather], maxTokens: 7 }), {
    reasoning_effort: "none",
    max_completion_tokens: 7
  })
  assert.deepInclude(of("gpt-6-luna", { temperature: 0.5 }), { temperature: 0.5 })
})
