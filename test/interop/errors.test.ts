import { assert, describe, it } from "@effect/vitest"
import { Duration, Schema } from "effect"
import * as AiError from "effect/ai/AiError"
import { LLMError } from "../../src/index.ts"
import { fromAiError, toAiError } from "../../src/interop/errors.ts"
import { answer, failure } from "../clients.ts"

const context = { provider: "acme", model: "a-1" }

const partial = answer({ inputTokens: 3, outputTokens: 2 })

const details = { provider: "anthropic", model: "claude", description: "why", status: 418, code: "teapot", partial }

const all: ReadonlyArray<LLMError.LLMError> = [
  ...LLMError.RateLimitReason.literals.map((reason) =>
    failure("RateLimit", reason, { ...details, retryAfter: Duration.seconds(7) })
  ),
  ...LLMError.TransientReason.literals.map((reason) => failure("Transient", reason, details)),
  ...LLMError.EmptyResponseReason.literals.map((reason) => failure("EmptyResponse", reason, details)),
  ...LLMError.ClientErrorReason.literals.map((reason) => failure("ClientError", reason, details)),
  failure("RateLimit", "Requests", { ...details, retryable: false }),
  failure("Transient", "Server", { ...details, retryable: false }),
  failure("Transient", "Network", { ...details, retryable: false }),
  failure("EmptyResponse", "NoContent", { ...details, retryable: false, attempts: [failure("Transient", "Server")] })
]

const nameOf = ({ _tag, reason, retryable }: LLMError.LLMError): string =>
  `${_tag} · ${reason}${retryable === false ? ", final" : ""}`

const json = Schema.toCodecJson(AiError.AiError)
const throughJson = (error: AiError.AiError): AiError.AiError =>
  Schema.decodeUnknownSync(json)(JSON.parse(JSON.stringify(Schema.encodeSync(json)(error))))

const toJson = Schema.encodeSync(Schema.toCodecJson(LLMError.LLMError))

describe("an LLMError as an AiError", () => {
  for (const error of all) {
    it(`${nameOf(error)} is retried there as it is here, and comes back as it was`, () => {
      const there = toAiError(error, "generateText", 0)
      assert.strictEqual(there.isRetryable, error._tag !== "ClientError" && error.retryable !== false)
      assert.deepStrictEqual(toJson(fromAiError(there, context)), toJson(error))
      const back = fromAiError(throughJson(there), context)
      assert.deepStrictEqual([back._tag, back.reason], [error._tag, error.reason])
      // The reason of networks has no room for more.
      if (there.reason._tag !== "NetworkError") assert.deepStrictEqual(toJson(back), toJson(error))
    })
  }

  it("has the hint, as a wait or as an instant", () => {
    const retryAfter = Duration.seconds(7)
    const limited = toAiError(failure("RateLimit", "Tokens", { retryAfter }), "x", 0)
    assert.deepStrictEqual(limited.retryAfter, retryAfter)
    const { reason } = toAiError(failure("ClientError", "Quota", { retryAfter }), "x", 5000)
    assert(reason._tag === "QuotaExhaustedError")
    assert.strictEqual(reason.resetAt?.epochMilliseconds, 12_000)
  })

  it("names what the request is to be changed in", () => {
    const parameters = { NotFound: "model", ContextWindow: "prompt", OutputBudget: "maxTokens" }
    for (const [name, parameter] of Object.entries(parameters)) {
      const { reason } = toAiError(failure("ClientError", name), "x", 0)
      assert(reason._tag === "InvalidRequestError")
      assert.strictEqual(reason.parameter, parameter)
    }
  })

  it("is the AiError again that it was made from", () => {
    const error = AiError.make({
      module: "Acme",
      method: "generateText",
      reason: new AiError.ContentPolicyError({ description: "no" })
    })
    assert.strictEqual(toAiError(fromAiError(error, context), "x", 0), error)
  })
})

describe("an AiError as an LLMError", () => {
  const of = (reason: AiError.AiErrorReason) =>
    fromAiError(AiError.make({ module: "Acme", method: "m", reason }), { ...context, partial })
  const http = (status: number) => ({ response: { status, headers: {} }, body: "x".repeat(9000) })

  const cases: ReadonlyArray<readonly [AiError.AiErrorReason, LLMError.LLMError["_tag"], string, boolean | undefined]> =
    [
      [new AiError.RateLimitError({}), "RateLimit", "Unknown", undefined],
      [new AiError.QuotaExhaustedError({}), "ClientError", "Quota", undefined],
      [new AiError.AuthenticationError({ kind: "ExpiredKey" }), "ClientError", "Authentication", undefined],
      [new AiError.AuthenticationError({ kind: "InsufficientPermissions" }), "ClientError", "Permission", undefined],
      [new AiError.ContentPolicyError({ description: "" }), "ClientError", "ContentFilter", undefined],
      [new AiError.InvalidRequestError({ http: http(413) }), "ClientError", "TooLarge", undefined],
      [new AiError.InvalidRequestError({ http: http(529) }), "ClientError", "InvalidRequest", undefined],
      [new AiError.InternalProviderError({ description: "", http: http(529) }), "Transient", "Overloaded", undefined],
      [new AiError.InternalProviderError({ description: "" }), "Transient", "Server", undefined],
      [new AiError.UnknownError({}), "Transient", "Server", false],
      [new AiError.InvalidOutputError({ description: "" }), "EmptyResponse", "MalformedOutput", undefined],
      [
        new AiError.NetworkError({ reason: "EncodeError", method: "POST", url: "https://example.com" }),
        "ClientError",
        "InvalidRequest",
        undefined
      ]
    ]
  for (const [reason, tag, name, retryable] of cases) {
    it(`${reason._tag} is ${tag} · ${name}`, () => {
      const error = of(reason)
      assert.deepStrictEqual([error._tag, error.reason, error.retryable], [tag, name, retryable])
      assert.strictEqual(error.partial, partial)
      assert.isTrue(error.body === undefined || error.body.length === 8192)
      assert.deepStrictEqual([error.provider, error.model], ["acme", "a-1"])
    })
  }
})
