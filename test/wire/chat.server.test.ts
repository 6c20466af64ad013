/**
 * The server half of Chat Completions: failures that a client reads as they were, and requests at their edges.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import { CompletionResponse, LLMError, Message, TokenUsage } from "../../src/index.ts"
import { openAi, openAiServer, openRouter, openRouterServer } from "../../src/wire/chat/wire.ts"
import { classify } from "../../src/wire/failure.ts"
import type { Asked, Server, Wire } from "../../src/wire/Wire.ts"

type Json = { readonly [key: string]: unknown }

const sides = {
  openai: { wire: openAi("openai"), server: openAiServer },
  openrouter: { wire: openRouter("openrouter"), server: openRouterServer }
} as const

const stamp = { seed: "seed", created: 1 }

// ---------------------------------------------------------------------------------------------------------------------
// Failures
// ---------------------------------------------------------------------------------------------------------------------

const all: ReadonlyArray<LLMError.LLMError> = [
  ...LLMError.RateLimitReason.literals.map((reason) => LLMError.make("RateLimit", { ...said(), reason })),
  ...LLMError.TransientReason.literals.map((reason) => LLMError.make("Transient", { ...said(), reason })),
  ...LLMError.EmptyResponseReason.literals.map((reason) => LLMError.make("EmptyResponse", { ...said(), reason })),
  ...LLMError.ClientErrorReason.literals.map((reason) => LLMError.make("ClientError", { ...said(), reason }))
]

function said() {
  return { provider: "somewhere", model: "m", description: "what went wrong" }
}

/** What this wire has no words for, and how it is read. */
const lost: { readonly [reason: string]: readonly [tag: string, reason: string] } = {
  Network: ["Transient", "Server"],
  Timeout: ["Transient", "Server"],
  Truncated: ["Transient", "Server"],
  Malformed: ["Transient", "Server"],
  NoContent: ["Transient", "Server"],
  MalformedToolCall: ["Transient", "Server"],
  MalformedOutput: ["Transient", "Server"],
  OutputBudget: ["ClientError", "InvalidRequest"],
  Budget: ["ClientError", "Quota"]
}

const readBy = ({ failures }: Wire, server: Server, error: LLMError.LLMError) => {
  const { body, headers, status } = server.refuse(error, stamp)
  const text = JSON.stringify(body)
  return classify(failures, { _tag: "Failed", text, body: JSON.parse(text) }, { status, headers, now: 0 })
}

describe("a failure is read as it was", () => {
  for (const vendor of ["openai", "openrouter"] as const) {
    const { server, wire } = sides[vendor]
    for (const error of all) {
      const { _tag, reason } = error
      const expected = vendor === "openai" && reason === "DailyQuota"
        ? ["ClientError", "Quota"]
        : lost[reason] ?? [_tag, reason]
      it(`by a client of ${vendor}: ${_tag} · ${reason}`, () => {
        const read = readBy(wire, server, error)
        assert.deepStrictEqual([...read.verdict], [...expected])
        assert.include(read.description, "what went wrong")
      })

      it(`by a client of ${vendor} in the middle of a stream: ${_tag} · ${reason}`, () => {
        const asked = { completion: undefined as never, model: "m", streamed: true }
        const [event = ""] = server.stream(asked, stamp).fail(error)
        const text = event.replace(/^data: /, "").trim()
        const read = classify(wire.failures, { _tag: "Failed", text, body: JSON.parse(text) }, { status: 200, now: 0 })
        assert.deepStrictEqual([...read.verdict], [...expected])
      })
    }
  }

  it("with how long to wait, and whether to try again at all", () => {
    const error = LLMError.make("RateLimit", {
      ...said(),
      reason: "Tokens",
      retryAfter: Duration.millis(1500),
      retryable: false,
      requestId: "req_7"
    })
    for (const vendor of ["openai", "openrouter"] as const) {
      const { server, wire } = sides[vendor]
      const read = readBy(wire, server, error)
      assert.deepStrictEqual(read.retryAfter, Duration.millis(1500))
      assert.isFalse(read.retryable)
      assert.strictEqual(server.refuse(error, stamp).headers["x-request-id"], "req_7")
    }
  })
})

describe("what a server says of a failure", () => {
  const verdictOf = (vendor: keyof typeof sides, status: number | undefined, error: Json) =>
    classify(
      sides[vendor].wire.failures,
      { _tag: "Failed", text: "", body: { error } },
      { status: status ?? 200, now: 0 }
    ).verdict.join(" · ")

  const unsupported = "ClientError · Unsupported"
  const tooLong = "ClientError · ContextWindow"
  const cases: ReadonlyArray<readonly [number | undefined, Json, string]> = [
    [503, { type: "server_error", message: "The server had an error" }, "Transient · Overloaded"],
    [503, { type: "api_error", code: null, message: "x" }, "Transient · Overloaded"],
    [500, { type: "server_error", message: "x" }, "Transient · Server"],
    [400, { type: "invalid_request_error", code: "unsupported_value", message: "x" }, unsupported],
    [
      400,
      { type: "invalid_request_error", code: "unknown_parameter", message: "Unknown parameter: 'x'." },
      unsupported
    ],
    [400, {
      type: "invalid_request_error",
      code: null,
      param: "reasoning_effort",
      message: "Function tools with reasoning_effort are not supported for gpt-6-sol in /v1/chat/completions. To use "
        + "function tools, use /v1/responses or set reasoning_effort to 'none'."
    }, unsupported],
    [
      400,
      { code: null, message: "Unsupported parameter: 'temperature' is not supported with this model." },
      unsupported
    ],
    [400, { message: "role 'system' is not supported on this model" }, unsupported],
    [400, { message: "Missing required parameter: 'messages'." }, "ClientError · InvalidRequest"],
    [400, { message: "This model's maximum prompt length is 131072 but the request contains 200000 tokens." }, tooLong],
    [400, { message: "Please reduce the length of the messages or completion." }, tooLong],
    [400, { code: 400, message: "the request exceeds the available context size, try increasing it" }, tooLong],
    [400, { message: "Prompt contains 9 tokens, too large for model with 8 maximum context length" }, tooLong],
    [400, { message: "The input (9000 tokens) is longer than the model's context length (8192 tokens)." }, tooLong],
    [400, { message: "prompt too long; exceeded maximum context length by 9 tokens" }, tooLong],
    [400, { message: "Range of input length should be [1, 98304]" }, tooLong],
    [400, { message: "invalid params, context window exceeds limit" }, tooLong],
    [400, { message: "Invalid request: Your request exceeded model token limit: 131072" }, tooLong],
    [400, { message: "The number of tokens is greater than the context length" }, tooLong]
  ]
  for (const [status, error, expected] of cases) {
    it(`at ${status}: ${String(error["message"]).slice(0, 60)} ${String(error["code"] ?? "")}`, () => {
      for (const vendor of ["openai", "openrouter"] as const) {
        assert.strictEqual(verdictOf(vendor, status, error), expected)
      }
    })
  }

  for (
    const [type, expected] of [
      ["context_length_exceeded", tooLong],
      ["max_tokens_exceeded", tooLong],
      ["token_limit_exceeded", tooLong],
      ["string_too_long", tooLong],
      ["payload_too_large", "ClientError · TooLarge"],
      ["content_policy_violation", "ClientError · ContentFilter"],
      ["refusal", "ClientError · ContentFilter"],
      ["unmapped", "ClientError · InvalidRequest"]
    ] as const
  ) {
    it(`OpenRouter's ${type}`, () => {
      assert.strictEqual(
        verdictOf("openrouter", 400, { code: 400, message: "x", metadata: { error_type: type } }),
        expected
      )
    })
  }

  it("reads a megabyte of the worst words at once", () => {
    const near = "too large for model with unsupported parameter request too large exceeded "
    verdictOf("openai", 400, { message: near.repeat(15_000) })
    verdictOf("openrouter", 400, { message: near.repeat(15_000) })
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Requests
// ---------------------------------------------------------------------------------------------------------------------

const decode = (body: Json, server: Server = openAiServer): Asked =>
  Result.getOrElse(
    server.decode({ body: { model: "m", ...body }, headers: {}, path: "/chat/completions" }),
    ({ description }) => assert.fail(description)
  )

const refusal = (body: Json) => {
  const asked = openAiServer.decode({ body, headers: {}, path: "/chat/completions" })
  return Result.isFailure(asked) ? asked.failure : undefined
}

const hello = { role: "user", content: "Hi" }

describe("a request", () => {
  it("without a model, without messages or with an unknown role is refused, and says what is wrong", () => {
    assert.deepInclude(refusal({ messages: [hello] }), { reason: "InvalidRequest" })
    assert.include(refusal({ messages: [hello] })?.description, "model")
    assert.include(refusal({ model: "m" })?.description, "'messages'")
    assert.include(refusal({ model: "m", messages: [] })?.description, "'messages'")
    assert.include(refusal({ model: "m", messages: [{ role: "robot" }] })?.description, "'robot'")
  })

  it("for several answers, or with a content that nobody knows, is refused as not supported", () => {
    assert.deepInclude(refusal({ model: "m", messages: [hello], n: 2 }), { reason: "Unsupported" })
    const content = [{ type: "hologram" }]
    assert.deepInclude(refusal({ model: "m", messages: [{ role: "user", content }] }), { reason: "Unsupported" })
  })

  it("may hold system messages anywhere, also a developer's", () => {
    const { completion } = decode({
      messages: [
        { role: "developer", content: "first" },
        hello,
        { role: "system", content: [{ type: "text", text: "second" }, { type: "text", text: "third" }] },
        hello
      ]
    })
    assert.deepStrictEqual(completion.history, [
      Message.system("first"),
      Message.user("Hi"),
      Message.system("second"),
      Message.system("third")
    ])
  })

  it("has calls without arguments, in the older form, and results out of order", () => {
    const call = (id: string, args: unknown) => ({ id, type: "function", function: { name: "f", arguments: args } })
    const { completion } = decode({
      messages: [
        hello,
        { role: "assistant", content: null, tool_calls: [call("1", ""), call("2", '{"x":1}'), call("3", "broken")] },
        { role: "tool", tool_call_id: "2", content: "two" },
        { role: "tool", tool_call_id: "1", content: [{ type: "text", text: "one" }] },
        { role: "tool", tool_call_id: "3", content: "three" },
        { role: "user", content: "and?" }
      ]
    })
    assert.deepStrictEqual(completion.history[1], {
      _tag: "Assistant",
      provider: "openai",
      content: [
        Message.toolCall({ id: "1", name: "f", arguments: {} }),
        Message.toolCall({ id: "2", name: "f", arguments: { x: 1 } }),
        Message.toolCall({ id: "3", name: "f", arguments: {} })
      ]
    })
    assert.deepStrictEqual(
      completion.prompt,
      Message.user([
        Message.toolResult({ id: "2", name: "f", content: "two" }),
        Message.toolResult({ id: "1", name: "f", content: "one" }),
        Message.toolResult({ id: "3", name: "f", content: "three" }),
        "and?"
      ])
    )
    const legacy = decode({
      messages: [hello, { role: "assistant", function_call: { name: "f", arguments: "{}" } }, hello]
    })
    assert.deepStrictEqual(legacy.completion.history[1]?.content, [
      Message.toolCall({ id: "call_0", name: "f", arguments: {} })
    ])
  })

  it("gives data with parameters in its URL, and types that its URLs tell", () => {
    const image = (url: string) => ({ type: "image_url", image_url: { url } })
    const { completion } = decode({
      messages: [{
        role: "user",
        content: [
          image("data:image/png;name=x;base64,AAAA"),
          image("https://a.test/b.JPG?c=d.png"),
          image("https://a.test")
        ]
      }]
    })
    assert.deepStrictEqual(completion.prompt.content, [
      Message.image(Message.base64("AAAA", "image/png")),
      Message.image(Message.url("https://a.test/b.JPG?c=d.png", "image/jpeg")),
      Message.image(Message.url("https://a.test"))
    ])
  })

  it("keeps what only its own vendor knows for that one", () => {
    const { completion } = decode({
      messages: [hello],
      user: "me",
      top_logprobs: 2,
      reasoning_effort: "extreme",
      tools: [{ type: "web_search" }],
      tool_choice: { type: "web_search" },
      response_format: { type: "json_object" }
    })
    assert.isUndefined(completion.reasoning)
    assert.deepStrictEqual(completion.tools, [])
    assert.deepStrictEqual(completion.providerParams, {
      openai: {
        user: "me",
        top_logprobs: 2,
        tools: [{ type: "web_search" }],
        tool_choice: { type: "web_search" },
        response_format: { type: "json_object" },
        reasoning_effort: "extreme"
      }
    })
    const routed = decode({ messages: [hello], reasoning: { enabled: true, effort: "low" } }, openRouterServer)
    assert.deepStrictEqual(routed.completion.providerParams, {
      openrouter: { reasoning: { enabled: true, effort: "low" } }
    })
  })

  it("nulls say nothing", () => {
    const { completion, streamed } = decode({
      messages: [hello],
      max_tokens: null,
      stop: null,
      tools: null,
      tool_choice: null,
      reasoning_effort: null,
      response_format: null,
      stream: null
    })
    assert.deepStrictEqual({ ...completion }, { model: "m", prompt: Message.user("Hi"), history: [], tools: [] })
    assert.isFalse(streamed)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Answers
// ---------------------------------------------------------------------------------------------------------------------

const answerOf = (choice: CompletionResponse.CompletionResponse["choice"], rest: Json = {}) =>
  CompletionResponse.make({
    choice,
    finishReason: { _tag: "Stop" },
    usage: TokenUsage.zero,
    provider: "anthropic",
    ...rest
  })

const asked: Asked = { completion: undefined as never, model: "m", streamed: false }

const messageOf = (body: Json): Json => (body["choices"] as ReadonlyArray<{ readonly message: Json }>)[0]!.message

const streamedBy = (
  server: Server,
  response: CompletionResponse.CompletionResponse,
  given: Asked = asked
): ReadonlyArray<Json> => {
  const encoder = server.stream(given, stamp)
  const text = [
    ...response.choice.map((content, index) => encoder.part({ _tag: "ContentEnd", index, content })),
    encoder.part({ _tag: "Finish", response })
  ].flat().join("")
  assert.isTrue(text.endsWith("data: [DONE]\n\n"))
  return text.split("\n\n").slice(0, -2).map((frame) => JSON.parse(frame.slice(6)) as Json)
}

describe("an answer", () => {
  const call = Message.toolCall({ id: "1", name: "now", arguments: {} })

  it("of calls alone has no content, and one cut in a call ends with as much of it as there is", () => {
    const response = answerOf([call], { finishReason: { _tag: "MaxTokens" } })
    const cutCall = { id: "2", name: "f", arguments: '{"x"' }
    const body = openAiServer.encode({ response, cutCall }, asked, stamp)
    const written = (id: string, name: string, args: string) => ({
      id,
      type: "function",
      function: { name, arguments: args }
    })
    assert.deepStrictEqual(messageOf(body), {
      role: "assistant",
      content: null,
      refusal: null,
      tool_calls: [written("1", "now", "{}"), written("2", "f", '{"x"')]
    })
    const read = openAi("openai").response(body, () => "")
    assert.deepStrictEqual(read?.choice, [call])
  })

  it("that refuses says so where the wire does", () => {
    const response = answerOf([Message.text("No.")], { metadata: { anthropic: { refusal: "No." } } })
    assert.deepInclude(messageOf(openAiServer.encode({ response }, asked, stamp)), { content: null, refusal: "No." })
  })

  it("has the same ids and times for the same stamp, and OpenRouter's for its clients", () => {
    const body = openAiServer.encode({ response: answerOf([Message.text("a")]) }, asked, stamp)
    assert.deepInclude(body, { id: "chatcmpl-seed", created: 1, model: "m" })
    assert.deepInclude(openRouterServer.encode({ response: answerOf([]) }, asked, stamp), { id: "gen-seed" })
  })

  it("streams missing arguments as an empty object, because clients parse them", () => {
    const encoder = openAiServer.stream(asked, stamp)
    const events = [
      ...encoder.part({ _tag: "ToolCallStart", index: 4, id: "1", name: "now" }),
      ...encoder.part({ _tag: "ContentEnd", index: 4, content: call })
    ].map((event) => JSON.parse(event.slice(6)))
    assert.deepStrictEqual(events.map(({ choices: [{ delta }] }) => delta), [
      { role: "assistant", content: "", refusal: null },
      { tool_calls: [{ index: 0, id: "1", type: "function", function: { name: "now", arguments: "" } }] },
      { tool_calls: [{ index: 0, function: { arguments: "{}" } }] }
    ])
  })

  it("streams usage in a chunk of its own to clients that asked for it, and OpenRouter to all", () => {
    const chunks = (server: Server, usage: boolean) => streamedBy(server, answerOf([]), { ...asked, usage })
    assert.isTrue(chunks(openAiServer, false).every((chunk) => !("usage" in chunk)))
    const withUsage = chunks(openAiServer, true)
    assert.deepInclude(withUsage.at(-1), { choices: [] })
    assert.isTrue(withUsage.slice(0, -1).every(({ usage }) => usage === null))
    assert.property(chunks(openRouterServer, false).at(-1), "usage")
  })

  it("streams the reasoning of several blocks each in its place, redacted and signed", () => {
    const response = answerOf([
      { _tag: "Reasoning", content: [{ _tag: "Redacted", data: "r" }] },
      { _tag: "Reasoning", content: [{ _tag: "Text", text: "hm", signature: "s" }] }
    ])
    const details = streamedBy(openAiServer, response).flatMap(({ choices }) =>
      (choices as ReadonlyArray<{ readonly delta: Json }>).flatMap(({ delta }) => delta["reasoning_details"] ?? [])
    )
    assert.deepStrictEqual(details, [
      { type: "reasoning.encrypted", data: "r", id: null, format: null, index: 0 },
      { type: "reasoning.text", text: "hm", signature: "s", id: null, format: null, index: 1 }
    ])
  })

  it("keeps the connection alive with comments", () => {
    for (const { server } of Object.values(sides)) assert.match(server.stream(asked, stamp).ping, /^: .*\n\n$/)
  })
})
