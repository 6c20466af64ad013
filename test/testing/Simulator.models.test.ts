import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import * as Completion from "../../src/Completion.ts"
import * as Message from "../../src/Message.ts"
import * as Simulator from "../../src/testing/Simulator.ts"
import { hear, type Service, services, simulated } from "./simulated.ts"

type Json = { readonly [key: string]: unknown }

const user = { role: "user", content: "Hello" }
const schema = { type: "object", properties: {} }

/** The status and the text of the answer to one plain request. */
const ask = (
  provider: Service,
  model: string,
  fields: Json,
  headers: Record<string, string> = {},
  settings: Simulator.Settings = {}
) => {
  const body: Record<Service, Json> = {
    anthropic: { model, max_tokens: 4096, messages: [user] },
    openai: { model, messages: [user] },
    responses: { model, input: [user] },
    openrouter: { model, messages: [user] },
    gemini: { contents: [{ role: "user", parts: [{ text: "Hello" }] }] }
  }
  const paths: Record<Service, string> = {
    anthropic: "/v1/messages",
    openai: "/v1/chat/completions",
    responses: "/v1/responses",
    openrouter: "/openrouter/api/v1/chat/completions",
    gemini: `/v1beta/models/${model}:generateContent`
  }
  const response = Simulator.respond({
    method: "POST",
    url: new URL(`http://localhost${paths[provider]}`),
    headers: { ...provider === "anthropic" && { "anthropic-version": "2023-06-01" }, ...headers },
    body: JSON.stringify({ ...body[provider], ...fields })
  }, settings)
  return { status: response.status, text: response.body.join("") }
}

// Name, model, what is asked for besides, and the words of the refusal; none where the model takes it.
type Row = readonly [
  model: string,
  fields: Json,
  refusal?: string | undefined,
  headers?: Record<string, string> | undefined
]

const claudeTool = { tools: [{ name: "add", input_schema: schema }] }
const forced = { ...claudeTool, tool_choice: { type: "any" } }
const named = { ...claudeTool, tool_choice: { type: "tool", name: "add" } }
const adaptive = { thinking: { type: "adaptive" } }
const enabled = { thinking: { type: "enabled", budget_tokens: 2000 } }
const disabled = { thinking: { type: "disabled" } }
const effort = (effort: string) => ({ output_config: { effort } })
const system = { messages: [user, { role: "system", content: "Be brief." }] }
const prefill = { messages: [user, { role: "assistant", content: "Well" }] }
const dropping = { thinking: { type: "adaptive", block_binding: { prefix_mismatch_behavior: "drop_block" } } }
const withBeta = { "anthropic-beta": "other-2026, thinking-binding-controls-2026-08-01" }
const notForced = 'tool_choice: type \\"tool\\" and \\"any\\" are not supported for this model.'
const noSampling = "is not supported for this model."

const anthropic: ReadonlyArray<Row> = [
  ...["claude-opus-5-5", "claude-sonnet-5-5", "claude-fable-5-1", "claude-fable-5-2", "claude-mythos-5-1"].flatMap(
    (model): ReadonlyArray<Row> => [[model, forced, notForced], [model, named, notForced], [model, claudeTool]]
  ),
  ...["claude-opus-5", "claude-haiku-5-5", "claude-fable-5", "claude-sonnet-5", "claude-opus-4-8"].map(
    (model): Row => [model, forced]
  ),
  ["claude-opus-5-5-20260922", forced, notForced],
  ["claude-opus-50", forced],
  ["claude-sonnet-4-6", { ...forced, ...enabled }, "Thinking may not be enabled when tool_choice forces tool use."],
  ["claude-opus-4-7", { temperature: 0.5 }, noSampling],
  ["claude-opus-4-7", { temperature: 1, top_p: 1 }],
  ["claude-haiku-5-5", { top_p: 0.9 }, noSampling],
  ["claude-fable-5", { top_k: 5 }, noSampling],
  ["claude-opus-4-6", { temperature: 0.5, top_k: 5 }],
  [
    "claude-opus-4-6",
    { temperature: 1 },
    "temperature: Extra inputs are not permitted",
    { "anthropic-version": "2026-10-21" }
  ],
  ["claude-opus-5", enabled, '\\"thinking.type.enabled\\" is not supported for this model.'],
  ["claude-opus-4-6", enabled],
  ["claude-sonnet-4-5", adaptive, "adaptive thinking is not supported on this model"],
  ["claude-opus-4-6", adaptive],
  ["claude-opus-5-5", disabled, '\\"thinking.type.disabled\\" is not supported for this model.'],
  ["claude-fable-5", disabled, "thinking.type.disabled"],
  ["claude-sonnet-5-5", disabled, "thinking.type.disabled"],
  ["claude-sonnet-5-5", { thinking: { type: "between_tools" } }],
  ["claude-sonnet-5-5", { thinking: { type: "between_tools" }, ...effort("max") }, "between_tools"],
  ["claude-opus-5", disabled],
  ["claude-opus-5", { ...disabled, ...effort("xhigh") }, "thinking.type.disabled"],
  ["claude-sonnet-5", { ...disabled, ...effort("max") }],
  ["claude-opus-5", effort("xhigh")],
  ["claude-opus-4-6", effort("xhigh"), "output_config.effort"],
  ["claude-haiku-4-5", effort("low"), "output_config.effort"],
  ["claude-opus-4-5", effort("high")],
  ["claude-opus-4-6", prefill, "does not support assistant message prefill"],
  ["claude-sonnet-5", prefill, "does not support assistant message prefill"],
  ["claude-sonnet-4-5", prefill],
  ["claude-opus-5", system],
  ["claude-opus-4-8", system],
  // It is taken, and not looked at.
  ["claude-sonnet-5", system],
  ["claude-opus-4-7", system, "role 'system' is not supported on this model"],
  ["claude-opus-5", { messages: [{ role: "system", content: "a" }, user] }, "messages.0: use the top-level 'system'"],
  ["claude-opus-5", { messages: [user, { role: "system", content: "a" }, user] }, "messages.1: role 'system'"],
  ["claude-opus-5", { max_tokens: 128_001 }, "max_tokens: 128001 > 128000"],
  ["claude-haiku-4-5", { max_tokens: 64_001 }, "max_tokens: 64001 > 64000"],
  ["claude-fable-5-1", dropping, "block_binding: Extra inputs are not permitted"],
  ["claude-fable-5-1", dropping, undefined, withBeta]
]

const chatTool = { tools: [{ type: "function", function: { name: "add", parameters: schema } }] }
const noTools = "Function tools with reasoning_effort are not supported for"

const openai: ReadonlyArray<Row> = [
  ...["gpt-5.5", "gpt-5.6-sol", "gpt-6-sol", "gpt-6-luna", "gpt-6.1-terra", "gpt-6-astra", "gpt-6.1-sol"].map(
    (model): Row => [model, chatTool, `${noTools} ${model} in /v1/chat/completions.`]
  ),
  ...["gpt-5.5", "gpt-5.6-luna", "gpt-6-sol", "gpt-6.1-terra"].map(
    (model): Row => [model, { ...chatTool, reasoning_effort: "none" }]
  ),
  ["gpt-6-astra", { ...chatTool, reasoning_effort: "none" }, "does not support 'none' with this model."],
  ["gpt-6-astra", {}],
  ["gpt-5.4", chatTool],
  ["gpt-5.4", { ...chatTool, reasoning_effort: "low" }, "Please use /v1/responses instead."],
  ["gpt-5.2", { ...chatTool, reasoning_effort: "low" }],
  ["gpt-5-mini", chatTool],
  ["gpt-4.1", chatTool],
  ["gpt-6-sol", { temperature: 0.5 }, "'temperature' does not support 0.5 with this model."],
  ["gpt-6-sol", { temperature: 1 }],
  ["gpt-6-sol", { temperature: 0.5, reasoning_effort: "none" }],
  ["gpt-5.1", { temperature: 0.5, top_p: 0.5 }],
  ["gpt-5.1", { top_p: 0.5, reasoning_effort: "low" }, "'top_p' does not support 0.5"],
  ["gpt-5", { reasoning_effort: "none" }, "unsupported_value"],
  ["gpt-5.6-sol", { reasoning_effort: "minimal" }, "unsupported_value"],
  ["gpt-4.1", { reasoning_effort: "low" }, "Unrecognized request argument supplied: reasoning_effort"],
  ["gpt-6-sol", { prompt_cache_retention: "24h" }, "prompt_cache_options"],
  ["gpt-5.4", { prompt_cache_retention: "24h" }],
  ["some-other-model", { reasoning_effort: "high", temperature: 0.2, ...chatTool }]
]

const responseTool = { tools: [{ type: "function", name: "add", parameters: schema }] }

const responses: ReadonlyArray<Row> = [
  ...["gpt-5.5", "gpt-6-astra", "gpt-6.1-sol", "gpt-5-pro"].map((model): Row => [model, responseTool]),
  ["gpt-6-sol", { reasoning: { effort: "max" } }],
  ["gpt-5.5", { reasoning: { effort: "max" } }, "'reasoning.effort' does not support 'max'"],
  ["gpt-6-astra", { reasoning: { effort: "none" } }, "unsupported_value"],
  ["gpt-6-sol", { temperature: 0.5 }, "Unsupported parameter: 'temperature' is not supported with this model."],
  ["gpt-6-sol", { temperature: 0.5, reasoning: { effort: "none" } }],
  ["gpt-4.1", { temperature: 0.5 }]
]

const config = (thinkingConfig: Json, rest: Json = {}) => ({ generationConfig: { thinkingConfig, ...rest } })

const gemini: ReadonlyArray<Row> = [
  ["gemini-3.5-flash", { generationConfig: { candidateCount: 2 } }, "Multiple candidates"],
  ["gemini-2.5-flash", { generationConfig: { candidateCount: 2 } }],
  ["gemini-3.5-flash", config({ thinkingLevel: "LOW", thinkingBudget: 100 }), "only one of"],
  ["gemini-3.6-flash", config({ thinkingLevel: "minimal" })],
  ["gemini-3.7-flash", config({ thinkingLevel: "minimal" }), "MINIMAL is not supported"],
  ["gemini-4-argon", config({ thinkingLevel: "MINIMAL" }), "MINIMAL is not supported"],
  ["gemini-4-argon", config({ thinkingLevel: "xhigh" }), "XHIGH is not supported"],
  ["gemini-4-hydrogen", config({ thinkingLevel: "xhigh" })],
  ["gemini-2.5-pro", config({ thinkingBudget: 0 }), "only works in thinking mode"],
  ["gemini-2.5-flash", config({ thinkingBudget: 0 })],
  ["gemini-2.5-flash", config({ thinkingBudget: 30_000 }), "thinking budget 30000"],
  // Ignored, not refused.
  ["gemini-4-argon", { generationConfig: { temperature: 0.2, topP: 0.5, topK: 3 } }],
  ["gemini-3.8-flash", { continuationToken: "continue-4" }, "continuation_token"],
  ["gemini-4-argon", { continuationToken: "other" }, "continuation token is not valid"]
]

const rows = [
  ["anthropic", anthropic],
  ["openai", openai],
  ["responses", responses],
  ["gemini", gemini]
] as const

describe.each(rows)("Simulator: what the models of %s refuse", (provider, rows) => {
  for (const [model, fields, refusal, headers] of rows) {
    it(`${model} with ${JSON.stringify(fields)}: ${refusal ?? "nothing"}`, () => {
      const { status, text } = ask(provider, model, fields, headers)
      assert.strictEqual(status, refusal === undefined ? 200 : 400, text)
      if (refusal !== undefined) assert.include(text, refusal)
    })
  }
})

describe("Simulator: models over the wrong door", () => {
  it("serves some over Responses alone", () => {
    const { status, text } = ask("openai", "gpt-5-pro", {})
    assert.strictEqual(status, 404)
    assert.include(text, "only supported in v1/responses")
  })
})

const hello = Completion.make({ prompt: "Why is the sky blue?" })

const thinkers: Record<Service, string> = {
  anthropic: "claude-opus-5",
  openai: "gpt-6-sol",
  responses: "gpt-6-sol",
  openrouter: "anthropic/claude-opus-5",
  gemini: "gemini-4-argon"
}

const clocks = { bytes: "1 hour", progress: "1 hour", firstPart: "1 hour", total: "2 hours" } as const

describe.each(services)("Simulator: models that think, as %s", (provider) => {
  const model = thinkers[provider]

  it.effect("are silent for the configured time, whole and streamed", () =>
    Effect.gen(function*() {
      const { client } = yield* simulated(provider, { think: "8 minutes", model, timeouts: clocks })
      for (const call of [client.completion(hello), Effect.map(hear(client, hello), ({ parts }) => parts.at(-1))]) {
        const fiber = yield* Effect.forkChild(call)
        yield* TestClock.adjust("479 seconds")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 second")
        const answer = yield* Fiber.join(fiber)
        const response = answer === undefined || "choice" in answer
          ? answer
          : answer._tag === "Finish"
          ? answer.response
          : undefined
        assert.include(response?.text, "Simulated answer")
        assert.isAbove(response?.usage.reasoningTokens ?? 0, 0)
      }
    }))

  it.effect("send what their provider sends meanwhile: pings, comments, or nothing", () =>
    Effect.gen(function*() {
      // A clock over the bytes tells the difference.
      const { client } = yield* simulated(provider, {
        think: "8 minutes",
        model,
        timeouts: { ...clocks, bytes: "31 seconds" }
      })
      const fiber = yield* Effect.forkChild(hear(client, hello))
      yield* TestClock.adjust("8 minutes")
      const { error } = yield* Fiber.join(fiber)
      assert.strictEqual(error === undefined, provider === "anthropic" || provider === "openrouter", String(error))
    }))

  it.effect("give back what they thought in a form that can be sent again", () =>
    Effect.gen(function*() {
      const { client } = yield* simulated(provider, { think: "1 second", model })
      const asked = Completion.make({ prompt: "Why is the sky blue?", reasoning: { summary: true } })
      const first = yield* Effect.forkChild(client.completion(asked))
      yield* TestClock.adjust("1 second")
      const { message, reasoning } = yield* Fiber.join(first)
      if (provider !== "openai") assert.strictEqual(reasoning, "Simulated thought.")
      const second = yield* Effect.forkChild(client.completion(Completion.make({
        prompt: "And at night?",
        history: [asked.prompt, message],
        reasoning: { summary: true }
      })))
      yield* TestClock.adjust("1 second")
      assert.include((yield* Fiber.join(second)).text, "And at night?")
    }))
})

describe("Simulator: thinking that is bound to what stood before it", () => {
  const turn = (text: string) => [{ type: "text", text }]
  const first = [{ role: "user", content: turn("Why is the sky blue?") }]
  const think: Simulator.Settings = { think: 1 }
  const answer = (model: string) =>
    JSON.parse(ask("anthropic", model, { messages: first }, {}, think).text) as { readonly content: unknown }
  const next = (model: string, before: unknown, fields: Json = {}, headers?: Record<string, string>) => {
    const assistant = { role: "assistant", content: answer(model).content }
    const messages = [{ role: "user", content: before }, assistant, { role: "user", content: "And at night?" }]
    return ask("anthropic", model, { messages, ...fields }, headers)
  }

  it("is taken back where it was", () => {
    const cached = [{ type: "text", text: "Why is the sky blue?", cache_control: { type: "ephemeral" } }]
    for (const before of ["Why is the sky blue?", turn("Why is the sky blue?"), cached]) {
      assert.strictEqual(next("claude-fable-5-1", before).status, 200)
    }
  })

  it("is refused after a change, or dropped where that is asked for, and left by models that do not bind", () => {
    for (
      const [before, fields] of [["Another question", {}], ["Why is the sky blue?", { system: "Be brief." }]] as const
    ) {
      const refused = next("claude-fable-5-1", before, fields)
      assert.strictEqual(refused.status, 400)
      assert.include(refused.text, "messages.1.content.0: this `thinking` block")
      const dropped = next("claude-fable-5-1", before, { ...fields, ...dropping }, withBeta)
      assert.strictEqual(dropped.status, 200)
      assert.include(
        dropped.text,
        '"input_transformations":[{"type":"thinking_dropped","path":"messages.1.content.0","reason":"prefix_mismatch"}]'
      )
      assert.strictEqual(next("claude-opus-5", before, fields).status, 200)
    }
  })

  it.effect("says what was dropped at the head of a stream too, and a caller hears of it", () =>
    Effect.gen(function*() {
      const { client } = yield* simulated("anthropic", { think: "1 second", model: "claude-fable-5-1" })
      const asking = yield* Effect.forkChild(client.completion(hello))
      yield* TestClock.adjust("1 second")
      const { message } = yield* Fiber.join(asking)
      const changed = Completion.make({
        prompt: "And at night?",
        history: [Message.user("Another question"), message]
      })
      const fiber = yield* Effect.forkChild(Effect.all([client.completion(changed), hear(client, changed)]))
      yield* TestClock.adjust("1 minute")
      const [whole, { error, parts }] = yield* Fiber.join(fiber)
      assert.isUndefined(error)
      const last = parts.at(-1)
      assert(last?._tag === "Finish")
      assert.lengthOf(whole.warnings ?? [], 1)
      assert.deepStrictEqual(last.response.warnings, whole.warnings)
    }))
})

describe("Simulator: answers that go on over several requests", () => {
  const body = (fields: Json = {}) => ({
    contents: [{ role: "user", parts: [{ text: "Why is the sky blue? 🌌 空気" }] }],
    ...fields
  })
  const hop = (fields: Json, settings: Simulator.Settings = { perRequest: 4 }) =>
    JSON.parse(ask("gemini", "gemini-4-argon", body(fields), {}, settings).text) as {
      readonly candidates: readonly [{
        readonly content: { readonly parts?: ReadonlyArray<{ readonly text: string }> }
        readonly finishReason: string
        readonly continuationToken?: string
      }]
      readonly usageMetadata: { readonly promptTokenCount: number; readonly candidatesTokenCount: number }
    }

  const hops = (fields: Json) => {
    const all = [hop(fields)]
    while (all.at(-1)?.candidates[0].finishReason === "CONTINUATION" && all.length < 50) {
      all.push(hop({ ...fields, continuationToken: all.at(-1)!.candidates[0].continuationToken }))
    }
    return all
  }

  const textOf = (all: ReturnType<typeof hops>) =>
    all.flatMap(({ candidates: [{ content }] }) => content.parts?.map(({ text }) => text) ?? []).join("")

  it("adds up to the answer that one request would give", () => {
    const all = hops({})
    assert.isAbove(all.length, 2)
    assert.strictEqual(textOf(all), textOf([hop({}, {})]))
    assert.strictEqual(all.at(-1)?.candidates[0].finishReason, "STOP")
    assert.isUndefined(all.at(-1)?.candidates[0].continuationToken)
    // Each request reads what was written before it.
    const prompts = all.map(({ usageMetadata }) => usageMetadata.promptTokenCount)
    assert.deepStrictEqual(
      prompts.slice(1).map((count, index) => count - prompts[index]!),
      prompts.slice(1).map(() => 4)
    )
    assert.isTrue(all.slice(0, -1).every(({ usageMetadata }) => usageMetadata.candidatesTokenCount === 4))
  })

  it("counts the limit over all of them, and may be taken further", () => {
    const all = hops({ generationConfig: { maxOutputTokens: 10 } })
    assert.deepStrictEqual(all.map(({ candidates: [{ finishReason }] }) => finishReason), [
      "CONTINUATION",
      "CONTINUATION",
      "MAX_TOKENS"
    ])
    const { continuationToken } = all.at(-1)!.candidates[0]
    const more = hop({ generationConfig: { maxOutputTokens: 12 }, continuationToken })
    assert.strictEqual(textOf([...all, more]), textOf([hop({ generationConfig: { maxOutputTokens: 12 } }, {})]))
  })

  it.effect("is one answer to a caller, whole and streamed", () =>
    Effect.gen(function*() {
      const { client, simulator } = yield* simulated("gemini", { model: "gemini-4-argon", perRequest: 4 })
      const whole = yield* client.completion(hello)
      assert.strictEqual(whole.text, 'Simulated answer to: "Why is the sky blue?"')
      const { error, parts } = yield* hear(client, hello)
      assert.isUndefined(error)
      const last = parts.at(-1)
      assert(last?._tag === "Finish")
      assert.strictEqual(last.response.text, whole.text)
      assert.isAbove((yield* simulator.requests).length, 4)
    }))
})
