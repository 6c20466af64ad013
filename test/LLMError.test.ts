import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { inspect, isDeepStrictEqual } from "node:util"
import * as CompletionResponse from "../src/CompletionResponse.ts"
import * as LLMError from "../src/LLMError.ts"
import * as Message from "../src/Message.ts"
import * as Attempts from "../src/middleware/attempts.ts"
import * as TokenUsage from "../src/TokenUsage.ts"

// The same cases in every run.
Arbitrary.configureGlobal({ check: { seed: "LLMError" } })

const encode = Schema.encodeUnknownSync(LLMError.LLMError)
const decode = Schema.decodeUnknownSync(LLMError.LLMError)

const throughJson = (error: LLMError.LLMError): LLMError.LLMError => decode(JSON.parse(JSON.stringify(encode(error))))

// JSON has neither -0 nor infinity: arbitrary errors are those that came from JSON, infinite durations made 0.
const errors = Arbitrary.map(
  Arbitrary.schema(LLMError.LLMError),
  (error) =>
    decode(
      JSON.parse(JSON.stringify(encode(error), (_, value) => value === Infinity || value === -Infinity ? 0 : value))
    )
)

const reasons = {
  RateLimit: LLMError.RateLimitReason.literals,
  Transient: LLMError.TransientReason.literals,
  EmptyResponse: LLMError.EmptyResponseReason.literals,
  ClientError: LLMError.ClientErrorReason.literals
} satisfies Record<LLMError.LLMError["_tag"], ReadonlyArray<string>>

const signals = Object.entries(reasons).flatMap(([tag, reasons]) =>
  reasons.map((reason) => [tag as LLMError.LLMError["_tag"], reason as string] as const)
)

const make = (tag: LLMError.LLMError["_tag"], reason: string, more: Readonly<Record<string, unknown>> = {}) =>
  LLMError.make(tag, {
    provider: "anthropic",
    model: "claude-sonnet-4-6",
    description: "",
    reason: reason as never,
    ...more
  })

const partial = CompletionResponse.make({
  choice: [Message.text("Hel")],
  finishReason: { _tag: "None" },
  usage: TokenUsage.make({ inputTokens: 3, outputTokens: 1 }),
  provider: "anthropic"
})

const classes = {
  RateLimit: LLMError.RateLimit,
  Transient: LLMError.Transient,
  EmptyResponse: LLMError.EmptyResponse,
  ClientError: LLMError.ClientError
} satisfies Record<LLMError.LLMError["_tag"], unknown>

const assertSame = (actual: unknown, expected: unknown) =>
  // Not by chai, which compares errors by their names and messages alone.
  assert.isTrue(isDeepStrictEqual(actual, expected), "expected both to be equal, classes included")

const assertNothingUndefined = (value: unknown): void => {
  assert.isDefined(value)
  if (typeof value === "object" && value !== null) Object.values(value).forEach(assertNothingUndefined)
}

describe("make", () => {
  it.each(signals)("makes %s · %s, of its class", (tag, reason) => {
    const error = make(tag, reason)
    assert.strictEqual(error.constructor, classes[tag])
    assert.instanceOf(error, Error)
    assert.deepInclude(Object.fromEntries(Object.entries(error)), { _tag: tag, reason, provider: "anthropic" })
  })

  it("leaves out what is undefined", () => {
    const error = make("Transient", "Server", { status: undefined, partial: undefined, cause: undefined, code: "x" })
    assert.sameMembers(Object.keys(error), ["_tag", "reason", "provider", "model", "description", "code"])
    assert.isFalse(Object.hasOwn(error, "cause"))
  })
})

describe("message", () => {
  it("says the tag, the source, the hint, the description and the request", () => {
    const error = make("RateLimit", "Requests", {
      status: 429,
      code: "rate_limit_error",
      retryAfter: Duration.seconds(12),
      description: "Too many requests",
      requestId: "req_1"
    })
    assert.strictEqual(
      error.message,
      "RateLimit: anthropic claude-sonnet-4-6 429 rate_limit_error, retry after 12s: Too many requests (req_1)"
    )
  })

  it("says the reason where the provider gave no code", () => {
    assert.strictEqual(make("Transient", "Timeout").message, "Transient: anthropic claude-sonnet-4-6 Timeout")
  })

  it("leaves out what is not known", () => {
    assert.strictEqual(
      make("ClientError", "InvalidRequest", { model: "", description: "no prompt" }).message,
      "ClientError: anthropic InvalidRequest: no prompt"
    )
  })

  it.prop("is what String gives, whatever the error", { error: errors }, ({ error }) => {
    assert.strictEqual(String(error), error.message)
    assert.isTrue(error.message.startsWith(`${error._tag}: `))
    assert.include(error.message, error.description)
  }, { arbitrary: { runs: 25 } })

  it("stands in what a console shows and in a rendered cause", () => {
    const error = make("Transient", "Server", { description: "went wrong" })
    assert.include(Cause.pretty(Cause.fail(error)), error.message)
    assert.include(inspect(error), "went wrong")
  })
})

describe("isFallbackable", () => {
  const never = ["InvalidRequest", "OutputBudget", "Budget"]
  it.each(signals)("of %s · %s is as the table of failures has it", (tag, reason) => {
    assert.strictEqual(make(tag, reason).isFallbackable, tag !== "ClientError" || !never.includes(reason))
  })
})

describe("isLLMError", () => {
  it("distinguishes the four tags from everything else", () => {
    for (const [tag, reason] of signals) assert.isTrue(LLMError.isLLMError(make(tag, reason)))
    const fields = { _tag: "Transient", reason: "Server", provider: "a", model: "m", description: "" }
    for (const other of [undefined, null, "Transient", new Error("Transient"), fields, {}, partial]) {
      assert.isFalse(LLMError.isLLMError(other))
    }
  })
})

describe("as an Effect failure", () => {
  it.effect("is matched by its tag", () =>
    Effect.gen(function*() {
      const program = (error: LLMError.LLMError) =>
        Effect.fail(error).pipe(
          Effect.catchTags({
            RateLimit: (error) => Effect.succeed(`limit ${error.reason}`),
            ClientError: (error) => Effect.succeed(`client ${error.reason}`),
            EmptyResponse: (error) => Effect.succeed(`empty ${error.reason}`),
            Transient: (error) => Effect.succeed(`transient ${error.reason}`)
          })
        )
      assert.strictEqual(yield* program(make("RateLimit", "Tokens")), "limit Tokens")
      assert.strictEqual(yield* program(make("ClientError", "Quota")), "client Quota")
      assert.strictEqual(yield* program(make("EmptyResponse", "NoContent")), "empty NoContent")
      assert.strictEqual(yield* program(make("Transient", "Network")), "transient Network")
    }))

  it.effect("can be yielded", () =>
    Effect.gen(function*() {
      const error = make("Transient", "Server")
      const failed = yield* Effect.gen(function*() {
        yield* Effect.void
        return yield* error
      }).pipe(Effect.flip)
      assert.isTrue(failed === error)
    }))
})

describe("withAttempts", () => {
  const [first, second, third] = [
    make("Transient", "Server"),
    make("RateLimit", "Tokens"),
    make("Transient", "Network")
  ]

  it("puts failures before those that the error has, and keeps all else", () => {
    const cause = new Error("below")
    const error = make("ClientError", "ContentFilter", { status: 400, partial, cause, attempts: [third] })
    const more = Attempts.ofError(error, [first, second])
    assert.instanceOf(more, LLMError.ClientError)
    assertSame(Object.fromEntries(Object.entries(more)), {
      ...Object.fromEntries(Object.entries(error)),
      attempts: [first, second, third]
    })
    assert.strictEqual(more.cause, cause)
    assert.strictEqual(more.message, error.message)
    assertSame(error.attempts, [third])
  })

  it("without any, is the error itself", () => {
    assert.isTrue(Attempts.ofError(first, []) === first)
  })

  it("of the error itself does not make a cycle", () => {
    const error = Attempts.ofError(first, [first, first])
    assert.isFalse(error === first)
    assert.isUndefined(error.attempts?.[0]?.attempts)
    assertSame(throughJson(error), error)
  })

  it("is one list of all failures, in their order, even of failures that had some before them", () => {
    const inner = Attempts.ofError(second, [first])
    const nested = make("Transient", "Overloaded", { attempts: [third, inner] })
    const more = Attempts.ofError(make("RateLimit", "Requests", { attempts: [third] }), [nested, first])
    const reasons: ReadonlyArray<string> = more.attempts!.map(({ reason }) => reason)
    assert.deepStrictEqual(reasons, ["Network", "Server", "Tokens", "Overloaded", "Server", "Network"])
    assert.isTrue(more.attempts!.every(({ attempts }) => attempts === undefined))
    assertSame(nested.attempts, [third, inner])
  })

  it.prop(
    "keeps everything but the attempts, whatever the error",
    { error: errors, before: errors },
    ({ before, error }) => {
      const more = Attempts.ofError(error, [before])
      assert.strictEqual(more.constructor, error.constructor)
      assert.strictEqual(more.message, error.message)
      assertSame(more.attempts, Attempts.flatten([before, ...(error.attempts ?? [])]))
      const { attempts: _, ...kept } = encode(more) as Record<string, unknown>
      const { attempts: __, ...had } = encode(error) as Record<string, unknown>
      assertSame(kept, had)
    },
    { arbitrary: { runs: 40 } }
  )
})

describe("JSON", () => {
  it.prop("survives it, whatever the error", { error: errors }, ({ error }) => {
    const decoded = throughJson(error)
    assertSame(decoded, error)
    assert.strictEqual(decoded.constructor, classes[error._tag])
    assert.strictEqual(decoded.message, error.message)
    assert.strictEqual(decoded.isFallbackable, error.isFallbackable)
    assert.isTrue(LLMError.isLLMError(decoded))
    assertNothingUndefined(encode(decoded))
  }, { arbitrary: { runs: 40 } })

  it.each(signals)("survives it with every field: %s · %s", (tag, reason) => {
    const error = make(tag, reason, {
      description: "no",
      status: 500,
      code: "x",
      requestId: "req_1",
      retryAfter: Duration.millis(34_400.5),
      retryable: false,
      rateLimits: { inputTokens: { limit: 1, remaining: 0, resetAfter: Duration.seconds(1) } },
      body: "{}",
      partial,
      attempts: [make("EmptyResponse", "NoContent", { partial })],
      cause: { why: ["not", null] }
    })
    const decoded = throughJson(error)
    assertSame(decoded, error)
    assert.deepStrictEqual(decoded.cause, { why: ["not", null] })
    assert.strictEqual(decoded.partial?.text, "Hel")
    assert.instanceOf(decoded.attempts?.[0], LLMError.EmptyResponse)
  })

  it("keeps the name and the message of an error below", () => {
    const below = throughJson(make("Transient", "Network", { cause: new TypeError("fetch failed") })).cause
    assert.instanceOf(below, Error)
    assert.strictEqual((below as Error).name, "TypeError")
    assert.strictEqual((below as Error).message, "fetch failed")
  })

  it("keeps an infinite hint through the JSON codec, which has a word for it", () => {
    const codec = Schema.toCodecJson(LLMError.LLMError)
    const error = make("RateLimit", "Requests", { retryAfter: Duration.infinity })
    const text = JSON.stringify(Schema.encodeUnknownSync(codec)(error))
    assertSame(Schema.decodeUnknownSync(codec)(JSON.parse(text)), error)
  })

  it("refuses a value that is not a failure, and a reason of another tag", () => {
    const good = encode(make("RateLimit", "Tokens")) as object
    assert.instanceOf(decode(good), LLMError.RateLimit)
    for (
      const junk of [null, {}, { ...good, _tag: "Other" }, { ...good, reason: "Server" }, { ...good, status: "429" }]
    ) {
      assert.throws(() => decode(junk))
    }
  })
})
