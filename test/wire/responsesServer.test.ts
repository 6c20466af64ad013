import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Completion from "../../src/Completion.ts"
import * as CompletionPart from "../../src/CompletionPart.ts"
import * as CompletionResponse from "../../src/CompletionResponse.ts"
import * as LLMError from "../../src/LLMError.ts"
import * as Message from "../../src/Message.ts"
import * as TokenUsage from "../../src/TokenUsage.ts"
import * as Tool from "../../src/Tool.ts"
import { responses, server } from "../../src/wire/responses/wire.ts"
import type { Asked } from "../../src/wire/Wire.ts"
import type { Json } from "../conformance/corpus.ts"
import { frames } from "../conformance/events.ts"
import { record, records } from "../conformance/json.ts"
import { streamedText, whole } from "./responsesRun.ts"

const openai = responses({ name: "openai", native: true })

const stamp = { seed: "seed", created: 1_800_000_000 }

const incoming = (body: Json) => ({
  body: { model: "gpt-6-sol", input: "Hi", ...body },
  headers: {},
  path: "/responses"
})

const asked = (body: Json = {}): Asked => Result.getOrThrow(server.decode(incoming(body)))

const completionOf = (body: Json): Completion.Completion => asked(body).completion

const messagesOf = (...input: ReadonlyArray<Json>) => Completion.messages(completionOf({ input }))

const refusedFor = (body: Json) => {
  const decoded = server.decode(incoming(body))
  assert(Result.isFailure(decoded), "it was taken")
  return decoded.failure
}

describe("a request", () => {
  it("of a text is a user's message", () => {
    const { completion, model, streamed } = asked({ stream: true })
    assert.strictEqual(model, "gpt-6-sol")
    assert.strictEqual(streamed, true)
    assert.deepStrictEqual(completion, Completion.make({ model: "gpt-6-sol", prompt: "Hi" }))
  })

  it("without a model, without an input, or with an empty one is refused", () => {
    assert.deepInclude(refusedFor({ model: undefined }), {
      reason: "InvalidRequest",
      description: "Missing required parameter: 'model'."
    })
    assert.deepInclude(refusedFor({ input: undefined }), { reason: "InvalidRequest" })
    assert.deepInclude(refusedFor({ input: [] }), { reason: "InvalidRequest" })
    assert.deepInclude(refusedFor({ input: [{ role: "tool", content: "a" }] }), { reason: "InvalidRequest" })
    assert.deepInclude(refusedFor({ input: [{ type: "function_call_output", output: "a" }] }), {
      reason: "InvalidRequest"
    })
  })

  it("for what is stored is refused", () => {
    for (
      const body of [
        { previous_response_id: "resp_1" },
        { conversation: "conv_1" },
        { prompt: { id: "pmpt_1" } },
        { background: true },
        { input: [{ type: "item_reference", id: "rs_1" }] },
        { tools: [{ type: "file_search", vector_store_ids: ["vs_1"] }] },
        { tools: [{ type: "mcp", connector_id: "connector_1" }] },
        { tools: [{ type: "code_interpreter", container: "cntr_1" }] }
      ]
    ) assert.deepInclude(refusedFor(body), { reason: "Unsupported" }, JSON.stringify(body))
    assert.isDefined(asked({ previous_response_id: null, conversation: null, background: false, store: true }))
  })

  it("of the forms in which messages come is read alike", () => {
    const expected = [Message.system("rules"), Message.user("a"), Message.assistant("b", { provider: "openai" })]
    const last = { role: "user", content: "c" }
    assert.deepStrictEqual(
      messagesOf(
        { role: "developer", content: "rules" },
        { role: "user", content: "a" },
        { role: "assistant", content: "b" },
        last
      ).slice(0, -1),
      expected
    )
    assert.deepStrictEqual(
      messagesOf(
        { type: "message", role: "system", content: [{ type: "input_text", text: "rules" }] },
        { type: "message", role: "user", content: [{ type: "input_text", text: "a" }] },
        {
          type: "message",
          role: "assistant",
          id: "msg_1",
          status: "completed",
          content: [{ type: "output_text", text: "b", annotations: [], logprobs: [] }]
        },
        last
      ).slice(0, -1),
      expected
    )
  })

  it("of an agent is turns: what the model said in a row, and the results in a row", () => {
    const messages = messagesOf(
      { type: "message", role: "user", content: [{ type: "input_text", text: "<environment_context/>" }] },
      { type: "message", role: "user", content: [{ type: "input_text", text: "go" }] },
      {
        type: "reasoning",
        summary: [{ type: "summary_text", text: "hm" }],
        content: null,
        encrypted_content: "secret"
      },
      { type: "message", role: "assistant", phase: "commentary", content: [{ type: "output_text", text: "On it." }] },
      { type: "function_call", call_id: "call_1", name: "shell", arguments: '{"command":["ls"]}' },
      { type: "custom_tool_call", call_id: "call_2", name: "apply_patch", input: "+a" },
      { type: "function_call_output", call_id: "call_1", output: "a.txt" },
      {
        type: "custom_tool_call_output",
        call_id: "call_2",
        output: [{ type: "input_text", text: "done" }, { type: "input_image", image_url: "data:image/png;base64,aW1n" }]
      }
    )
    assert.deepStrictEqual(messages, [
      Message.user("<environment_context/>"),
      Message.user("go"),
      Message.assistant([
        {
          _tag: "Reasoning",
          content: [{ _tag: "Summary", text: "hm" }, { _tag: "Encrypted", data: "secret" }]
        },
        Message.text("On it.", { phase: "commentary" }),
        Message.toolCall({ id: "call_1", name: "shell", arguments: { command: ["ls"] } }),
        {
          _tag: "ProviderBlock",
          provider: "openai",
          block: { type: "custom_tool_call", call_id: "call_2", name: "apply_patch", input: "+a" }
        }
      ], { provider: "openai" }),
      Message.user([
        Message.toolResult({ id: "call_1", name: "shell", content: "a.txt" }),
        Message.toolResult({
          id: "call_2",
          name: "apply_patch",
          content: ["done", Message.image(Message.base64("aW1n", "image/png"))]
        })
      ])
    ])
  })

  it("has its settings", () => {
    const { completion } = asked({
      instructions: "Be brief.",
      max_output_tokens: 100,
      temperature: 0.5,
      top_p: 0.9,
      parallel_tool_calls: false,
      reasoning: { effort: "high", summary: "auto" },
      tools: [{ type: "function", name: "weather", parameters: { type: "object", properties: {} }, strict: true }],
      tool_choice: { type: "allowed_tools", mode: "required", tools: [{ type: "function", name: "weather" }] },
      text: { format: { type: "json_schema", name: "city", schema: { type: "object" }, strict: true } },
      store: false,
      include: ["reasoning.encrypted_content"]
    })
    assert.deepStrictEqual(
      completion,
      Completion.make({
        model: "gpt-6-sol",
        prompt: "Hi",
        preamble: "Be brief.",
        maxTokens: 100,
        temperature: 0.5,
        topP: 0.9,
        parallelToolCalls: false,
        reasoning: { effort: "high", summary: true },
        tools: [Tool.make("weather", { description: "", parameters: { type: "object", properties: {} } })],
        toolChoice: Tool.specific("weather"),
        outputSchema: { title: "city", type: "object" }
      })
    )
  })

  it("passes on to OpenAI what the vocabulary cannot express", () => {
    const search = { type: "web_search" }
    const { providerParams } = completionOf({
      tools: [search],
      tool_choice: search,
      service_tier: "flex",
      reasoning: { effort: "low", summary: "detailed", context: "all_turns" },
      text: { format: { type: "json_object" }, verbosity: "low" },
      include: ["reasoning.encrypted_content", "message.output_text.logprobs"],
      metadata: null
    })
    assert.deepStrictEqual(providerParams, {
      openai: {
        service_tier: "flex",
        tools: [search],
        tool_choice: search,
        reasoning: { summary: "detailed", context: "all_turns" },
        text: { format: { type: "json_object" }, verbosity: "low" },
        include: ["reasoning.encrypted_content", "message.output_text.logprobs"]
      }
    })
  })

  it("that lets the model choose among some tools has those alone", () => {
    const tool = (name: string) => ({ type: "function", name, parameters: {} })
    const { completion } = asked({
      tools: [tool("a"), tool("b")],
      tool_choice: { type: "allowed_tools", mode: "auto", tools: [tool("b")] }
    })
    assert.deepStrictEqual(completion.tools.map(({ name }) => name), ["b"])
    assert.isUndefined(completion.toolChoice)
  })

  it("with what cannot be read is refused or read, and never throws", () => {
    const odd: ReadonlyArray<unknown> = [null, 1, "x", [], {}, [[]], { type: null }, { toString: 1 }]
    for (const value of odd) {
      for (const field of ["input", "tools", "tool_choice", "text", "reasoning", "include", "instructions", "stream"]) {
        server.decode(incoming({ [field]: value }))
      }
      for (const type of ["message", "function_call", "function_call_output", "reasoning", "compaction"]) {
        for (const field of ["content", "output", "arguments", "summary", "role", "call_id", "name"]) {
          server.decode(incoming({ input: [{ type, role: "user", call_id: "c", name: "n", [field]: value }] }))
        }
      }
    }
    assert.deepInclude(refusedFor({ input: [{ role: "user", content: [{ type: "hologram" }] }] }), {
      reason: "Unsupported"
    })
    assert.strictEqual(completionOf({ tool_choice: "constructor" }).toolChoice, undefined)
  })
})

const answer = (
  choice: ReadonlyArray<Message.AssistantContent>,
  more: Partial<Parameters<typeof CompletionResponse.make>[0]> = {}
): CompletionResponse.CompletionResponse =>
  CompletionResponse.make({
    choice,
    finishReason: { _tag: "Stop" },
    usage: TokenUsage.make({ inputTokens: 10, outputTokens: 5 }),
    provider: "openai",
    ...more
  })

const streamOf = (parts: ReadonlyArray<CompletionPart.CompletionPart>, about: Asked = asked()): string => {
  const encoder = server.stream(about, stamp)
  return parts.flatMap(encoder.part).join("")
}

describe("an answer", () => {
  it("is a response with everything that its type promises", () => {
    const body = server.encode(
      { response: answer([Message.text("Hello", { phase: "final_answer" })], { id: "resp_1", model: "gpt-6-sol" }) },
      asked({ instructions: "Be brief.", max_output_tokens: 9 }),
      stamp
    )
    assert.deepStrictEqual(body, {
      id: "resp_1",
      object: "response",
      created_at: stamp.created,
      status: "completed",
      background: false,
      error: null,
      incomplete_details: null,
      instructions: "Be brief.",
      max_output_tokens: 9,
      metadata: {},
      model: "gpt-6-sol",
      output: [{
        type: "message",
        id: "msg_seed_0",
        role: "assistant",
        status: "completed",
        content: [{ type: "output_text", text: "Hello", annotations: [], logprobs: [] }],
        phase: "final_answer"
      }],
      parallel_tool_calls: true,
      previous_response_id: null,
      reasoning: { effort: null, summary: null },
      store: false,
      temperature: 1,
      text: { format: { type: "text" } },
      tool_choice: "auto",
      tools: [],
      top_p: 1,
      truncation: "disabled",
      usage: {
        input_tokens: 10,
        input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
        output_tokens: 5,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 15
      },
      completed_at: stamp.created
    })
  })

  it("leaves out what clients of this API cannot read", () => {
    const body = server.encode(
      {
        response: answer([
          { _tag: "ProviderBlock", provider: "anthropic", block: { type: "server_tool_use", id: "s" } },
          { _tag: "ProviderBlock", provider: "anthropic", block: { type: "compaction", content: "c" } },
          Message.text("See.", { citations: [{ type: "page_location" }] })
        ])
      },
      asked(),
      stamp
    )
    const [item, ...others] = records(body["output"])
    assert.deepStrictEqual(records(item?.["content"])[0]?.["annotations"], [])
    assert.deepStrictEqual(others, [])
  })

  it("that was cut in a call ends with that call as it was", () => {
    const cutCall = { id: "call_1", name: "weather", arguments: '{"city":' }
    const response = answer([Message.text("Hm")], { finishReason: { _tag: "MaxTokens" } })
    const body = server.encode({ response, cutCall }, asked(), stamp)
    assert.deepInclude(records(body["output"])[1], { arguments: '{"city":', status: "incomplete" })
    const read = whole(openai, completionOf({}), JSON.stringify(body))
    assert.deepStrictEqual(read.response?.choice, [Message.text("Hm")])
    assert.strictEqual(read.response?.finishReason._tag, "MaxTokens")
    const parts: ReadonlyArray<CompletionPart.CompletionPart> = [
      { _tag: "Start", provider: "openai" },
      { _tag: "TextDelta", index: 0, text: "Hm" },
      { _tag: "ContentEnd", index: 0, content: Message.text("Hm") },
      { _tag: "ToolCallStart", index: 1, id: "call_1", name: "weather" },
      { _tag: "ToolCallDelta", index: 1, arguments: '{"city":' },
      { _tag: "Finish", response }
    ]
    const last = record(frames(streamOf(parts)).at(-1)?.data)
    assert.strictEqual(last["type"], "response.incomplete")
    assert.deepStrictEqual(record(last["response"])["output"], body["output"])
  })
})

describe("a stream", () => {
  it("has its events in their order, numbered", () => {
    const choice: ReadonlyArray<Message.AssistantContent> = [
      { _tag: "Reasoning", content: [{ _tag: "Summary", text: "hm" }] },
      Message.text("Hello"),
      Message.toolCall({ id: "call_1", name: "weather", arguments: {} })
    ]
    const response = answer(choice, { id: "resp_1", finishReason: { _tag: "ToolUse" } })
    const events = frames(streamOf(CompletionPart.fromResponse(response))).map(({ data }) => record(data))
    assert.deepStrictEqual(events.map(({ type }) => type), [
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.reasoning_summary_part.added",
      "response.reasoning_summary_text.delta",
      "response.reasoning_summary_text.done",
      "response.reasoning_summary_part.done",
      "response.output_item.done",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.output_item.added",
      "response.function_call_arguments.delta",
      "response.function_call_arguments.done",
      "response.output_item.done",
      "response.completed"
    ])
    assert.deepStrictEqual(events.map(({ sequence_number }) => sequence_number), events.map((_, index) => index))
    // What the last event repeats is what a body says.
    assert.deepStrictEqual(record(events.at(-1))["response"], server.encode({ response }, asked(), stamp))
  })

  it("names its events, and keeps the connection alive with comments", () => {
    assert.match(streamOf([{ _tag: "Start", provider: "openai" }]), /^event: response\.created\ndata: \{/)
    assert.match(server.stream(asked(), stamp).ping, /^:.*\n\n$/)
  })

  it("that fails says so once to a client, with what had come", () => {
    const encoder = server.stream(asked(), stamp)
    const begun = [
      { _tag: "Start", provider: "openai", id: "resp_1" },
      { _tag: "TextDelta", index: 0, text: "Hel" }
    ] satisfies ReadonlyArray<CompletionPart.CompletionPart>
    const error = LLMError.make("Transient", { reason: "Overloaded", provider: "p", model: "m", description: "busy" })
    const text = [...begun.flatMap(encoder.part), ...encoder.fail(error)].join("")
    assert.deepStrictEqual(frames(text).slice(-2).map(({ data }) => record(data)["type"]), ["error", "response.failed"])
    const read = streamedText(openai, completionOf({}), text)
    assert.deepInclude({ ...read.error }, { _tag: "Transient", reason: "Overloaded", description: "busy" } as object)
    assert.strictEqual(read.error?.partial?.text, "Hel")
  })
})

describe("a refusal", () => {
  const fields = { provider: "p", model: "m", description: "why" }

  const all: ReadonlyArray<LLMError.LLMError> = [
    ...LLMError.RateLimitReason.literals.map((reason) => LLMError.make("RateLimit", { ...fields, reason })),
    ...LLMError.TransientReason.literals.map((reason) => LLMError.make("Transient", { ...fields, reason })),
    ...LLMError.EmptyResponseReason.literals.map((reason) => LLMError.make("EmptyResponse", { ...fields, reason })),
    ...LLMError.ClientErrorReason.literals.map((reason) => LLMError.make("ClientError", { ...fields, reason }))
  ]

  // What the API has no words for, and what it says instead.
  const unsaid: Readonly<Record<string, string>> = {
    Network: "Transient Server",
    Timeout: "Transient Server",
    Truncated: "Transient Server",
    Malformed: "Transient Server",
    NoContent: "Transient Server",
    MalformedToolCall: "Transient Server",
    MalformedOutput: "Transient Server",
    DailyQuota: "ClientError Quota",
    Budget: "ClientError Quota",
    OutputBudget: "ClientError InvalidRequest"
  }

  it("is read as the same failure, as a body and in a stream", () => {
    for (const error of all) {
      const expected = unsaid[error.reason] ?? `${error._tag} ${error.reason}`
      const { body, status } = server.refuse(error, stamp)
      const read = whole(openai, completionOf({}), JSON.stringify(body), status).error
      const inStream = streamedText(openai, completionOf({}), server.stream(asked(), stamp).fail(error).join("")).error
      for (const failed of [read, inStream]) {
        assert.strictEqual(`${failed?._tag} ${failed?.reason}`, expected, error.reason)
        assert.strictEqual(failed?.description, "why")
      }
    }
  })

  it("says how long to wait, and that waiting does not help", () => {
    const { headers, status } = server.refuse(
      LLMError.make("RateLimit", {
        ...fields,
        reason: "Requests",
        retryAfter: Duration.millis(1500),
        retryable: false,
        requestId: "req_1"
      }),
      stamp
    )
    assert.strictEqual(status, 429)
    assert.deepStrictEqual(headers, {
      "retry-after": "2",
      "retry-after-ms": "1500",
      "x-should-retry": "false",
      "x-request-id": "req_1"
    })
  })
})
