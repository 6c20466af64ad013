import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { isDeepStrictEqual } from "node:util"
import * as Completion from "../src/Completion.ts"
import * as CompletionResponse from "../src/CompletionResponse.ts"
import * as LLMError from "../src/LLMError.ts"
import * as Message from "../src/Message.ts"
import * as Attempts from "../src/middleware/attempts.ts"
import * as TokenUsage from "../src/TokenUsage.ts"

// The same cases in every run.
Arbitrary.configureGlobal({ check: { seed: "CompletionResponse" } })

type Response = CompletionResponse.CompletionResponse

const encode = Schema.encodeUnknownSync(CompletionResponse.CompletionResponse)
const decode = Schema.decodeUnknownSync(CompletionResponse.CompletionResponse)

const throughJson = (response: Response): Response => decode(JSON.parse(JSON.stringify(encode(response))))

// JSON has neither -0 nor infinity: arbitrary answers are those that came from JSON, infinite durations made 0.
const responses = Arbitrary.map(
  Arbitrary.schema(CompletionResponse.CompletionResponse),
  (response) =>
    decode(
      JSON.parse(JSON.stringify(encode(response), (_, value) => value === Infinity || value === -Infinity ? 0 : value))
    )
)

const reasoning = (...content: ReadonlyArray<Message.ReasoningPart>): Message.Reasoning => ({
  _tag: "Reasoning",
  content
})

const call = (id: string) => Message.toolCall({ id, name: "f", arguments: { id } })

const make = (choice: ReadonlyArray<Message.AssistantContent>, more: Partial<Response> = {}): Response =>
  CompletionResponse.make({
    choice,
    finishReason: { _tag: "Stop" },
    usage: TokenUsage.make({ inputTokens: 3, outputTokens: 2 }),
    provider: "anthropic",
    ...more
  })

const failed = (tag: LLMError.LLMError["_tag"], reason: string, more: Readonly<Record<string, unknown>> = {}) =>
  LLMError.make(tag, { provider: "anthropic", model: "m", description: "no", reason: reason as never, ...more })

const assertSame = (actual: unknown, expected: unknown) =>
  // Not by chai, which does not compare prototypes, nor errors by their fields.
  assert.isTrue(isDeepStrictEqual(actual, expected), "expected both to be equal, classes included")

const assertNothingUndefined = (value: unknown): void => {
  assert.isDefined(value)
  if (typeof value === "object" && value !== null) Object.values(value).forEach(assertNothingUndefined)
}

describe("text", () => {
  it("joins the texts with nothing between them", () => {
    const block: Message.ProviderBlock = { _tag: "ProviderBlock", provider: "anthropic", block: { type: "x" } }
    const thought = reasoning({ _tag: "Text", text: "Hm" })
    assert.strictEqual(make([Message.text("One"), thought, call("1"), block, Message.text(", two")]).text, "One, two")
    assert.strictEqual(make([Message.text("One"), Message.text("", { signature: "s" })]).text, "One")
    assert.strictEqual(make([Message.text("alone")]).text, "alone")
    assert.strictEqual(make([]).text, "")
    assert.strictEqual(make([call("1")]).text, "")
  })

  it("leaves commentary out where there is a final answer, and only there", () => {
    const commentary = Message.text("Let me look.", { phase: "commentary" })
    assert.strictEqual(make([commentary, Message.text("Blue.", { phase: "final_answer" })]).text, "Blue.")
    assert.strictEqual(make([commentary, Message.text("Blue.")]).text, "Let me look.Blue.")
    assert.strictEqual(make([commentary]).text, "Let me look.")
  })
})

describe("toolCalls", () => {
  it("are the calls in order", () => {
    assert.deepStrictEqual(make([Message.text("Let me see."), call("1"), call("2")]).toolCalls, [call("1"), call("2")])
    assert.deepStrictEqual(make([Message.text("No.")]).toolCalls, [])
  })
})

describe("reasoning", () => {
  it("joins what can be read of it by a newline", () => {
    const response = make([
      reasoning(
        { _tag: "Text", text: "First", signature: "s" },
        { _tag: "Encrypted", data: "ZW5j" },
        { _tag: "Text", text: "" }
      ),
      Message.text("Hello"),
      reasoning({ _tag: "Summary", text: "second" }, { _tag: "Redacted", data: "cmVk" })
    ])
    assert.strictEqual(response.reasoning, "First\nsecond")
    assert.strictEqual(make([Message.text("Hello")]).reasoning, "")
  })
})

describe("message", () => {
  it("is the assistant message with the content, the id and the provider", () => {
    const choice = [reasoning({ _tag: "Redacted", data: "cmVk" }), Message.text("Hello"), call("1")]
    assert.deepStrictEqual(make(choice, { id: "msg_1" }).message, {
      _tag: "Assistant",
      id: "msg_1",
      provider: "anthropic",
      content: choice
    })
    assert.isFalse("id" in make(choice).message)
  })

  it.prop(
    "can be appended to the history and encoded, whatever the answer",
    { response: responses },
    ({ response }) => {
      const first = Completion.make({ prompt: "Hello" })
      const next = Completion.make({
        prompt: "And then?",
        history: [...Completion.messages(first), response.message]
      })
      const encoded = Schema.encodeUnknownSync(Completion.Completion)(next)
      const decoded = Schema.decodeUnknownSync(Completion.Completion)(JSON.parse(JSON.stringify(encoded)))
      assertSame(decoded, next)
      assertSame(decoded.history.at(-1), response.message)
    },
    { arbitrary: { runs: 25 } }
  )
})

describe("withAttempts", () => {
  const [a, b, c] = [failed("Transient", "Server"), failed("RateLimit", "Tokens"), failed("Transient", "Network")]

  it("puts failures before those that the answer has", () => {
    const response = Attempts.ofResponse(Attempts.ofResponse(make([]), [c]), [a, b])
    assert.instanceOf(response, CompletionResponse.CompletionResponse)
    assertSame(response.attempts, [a, b, c])
  })

  it("without any, is the answer itself", () => {
    const response = make([])
    assert.strictEqual(Attempts.ofResponse(response, []), response)
  })

  it("leaves the answer that it is given alone", () => {
    const response = make([Message.text("Hello")])
    const more = Attempts.ofResponse(response, [a])
    assert.isFalse("attempts" in response)
    assertSame({ ...more }, { ...response, attempts: [a] })
  })
})

describe("JSON", () => {
  it.prop("survives it, whatever the answer", { response: responses }, ({ response }) => {
    const decoded = throughJson(response)
    assertSame(decoded, response)
    assert.instanceOf(decoded, CompletionResponse.CompletionResponse)
    assert.strictEqual(decoded.text, response.text)
    assertSame(decoded.toolCalls, response.toolCalls)
    assert.strictEqual(decoded.reasoning, response.reasoning)
    assertSame(decoded.message, response.message)
    assertNothingUndefined({ ...decoded })
  }, { arbitrary: { runs: 40 } })

  it("survives it with failed attempts that hold partial answers, which hold failed attempts", () => {
    const inner = failed("EmptyResponse", "NoContent", { partial: make([], { cost: 0.25 }) })
    const partial = Attempts.ofResponse(make([Message.text("Hel")]), [inner])
    const outer = failed("Transient", "Truncated", {
      partial,
      attempts: [failed("RateLimit", "Requests", { retryAfter: Duration.millis(1500.5), status: 429 })],
      rateLimits: { requests: { limit: 10, remaining: 0, resetAfter: Duration.minutes(1) } }
    })
    const response = Attempts.ofResponse(
      make([Message.text("Hello"), call("1")], {
        finishReason: { _tag: "Other", reason: "odd" },
        model: "claude",
        id: "msg_1",
        requestId: "req_1",
        stopSequence: "END",
        rateLimits: { tokens: { resetAfter: Duration.seconds(2) } },
        cost: 0.001,
        cached: false
      }),
      [outer]
    )
    const decoded = throughJson(response)
    assertSame(decoded, response)
    const [before, attempt] = decoded.attempts!
    assert.instanceOf(attempt, LLMError.Transient)
    assert.strictEqual(attempt.message, outer.message)
    assert.strictEqual(attempt.partial?.text, "Hel")
    assert.instanceOf(attempt.partial?.attempts?.[0], LLMError.EmptyResponse)
    assert.strictEqual(Duration.toMillis(before!.retryAfter!), 1500.5)
    assertNothingUndefined(encode(response))
  })

  it("refuses a value that is not an answer", () => {
    const good = encode(make([Message.text("Hello")]))
    assert.instanceOf(decode(good), CompletionResponse.CompletionResponse)
    for (
      const junk of [null, {}, { ...good, usage: {} }, { ...good, finishReason: "stop" }, { ...good, choice: "Hi" }]
    ) {
      assert.throws(() => decode(junk))
    }
  })
})
