import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { failures as anthropic } from "../../src/wire/anthropic/failure.ts"
import { failures as chat } from "../../src/wire/chat/failure.ts"
import { classify } from "../../src/wire/failure.ts"
import { goDuration } from "../../src/wire/hints.ts"

// 2026-01-15T12:00:00Z
const now = 1_768_478_400_000

type Headers = Readonly<Record<string, string>>
type Json = Readonly<Record<string, unknown>>

const isAnthropic = (headers: Headers): boolean => Object.keys(headers).some((name) => name.startsWith("anthropic-"))

// Each wire reads its own headers; chat's reads all that may stand in an error.
const wireOf = (headers: Headers) => isAnthropic(headers) ? anthropic : chat

const millis = (headers: Headers, error: Json = {}): number | undefined => {
  const { retryAfter } = classify(wireOf(headers), { _tag: "Failed", text: "", body: { error } }, { headers, now })
  return retryAfter && Duration.toMillis(retryAfter)
}

const rateLimits = (headers: Headers, now: number) => wireOf(headers).rateLimits(headers, now)

const retryInfo = (retryDelay: unknown): Json => ({
  details: [
    { "@type": "type.googleapis.com/google.rpc.QuotaFailure", violations: [] },
    { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay }
  ]
})

const anthropicReset = (window: string, reset: string, remaining = "0"): Headers => ({
  [`anthropic-ratelimit-${window}-remaining`]: remaining,
  [`anthropic-ratelimit-${window}-reset`]: reset
})

const openAiReset = (window: string, reset: string, remaining = "0"): Headers => ({
  [`x-ratelimit-remaining-${window}`]: remaining,
  [`x-ratelimit-reset-${window}`]: reset
})

const hints = (title: string, cases: ReadonlyArray<readonly [string, number | undefined, Headers, Json?]>) =>
  describe(title, () => {
    for (const [name, expected, headers, error] of cases) {
      it(`${name}: ${expected === undefined ? "no hint" : `${expected} ms`}`, () =>
        assert.strictEqual(millis(headers, error), expected))
    }
  })

hints("retry-after-ms", [
  ["milliseconds", 813, { "retry-after-ms": "813" }],
  ["a fraction of them", 12.5, { "retry-after-ms": "12.5" }],
  ["0 means now", 0, { "retry-after-ms": "0" }]
])

describe("a hint of three megabytes is none, wherever it stands, and costs nothing", () => {
  const texts = { durations: "1s".repeat(1_500_000), digits: "9".repeat(3_000_000), blanks: " ".repeat(3_000_000) }
  for (const [what, text] of Object.entries(texts)) {
    it(what, () => {
      const start = performance.now()
      for (
        const [headers, error] of [
          [{ "retry-after": text }, {}],
          [{ "retry-after-ms": text }, {}],
          [anthropicReset("tokens", text), {}],
          [anthropicReset("tokens", "2026-01-15T12:00:30Z", text), {}],
          [openAiReset("tokens", text), {}],
          [openAiReset("tokens", "1s", text), {}],
          [{ "x-ratelimit-reset": text }, {}],
          [{}, retryInfo(text)],
          [{}, { availability: { retry_after: text } }],
          [{}, { metadata: { headers: { "Retry-After": text, "X-RateLimit-Reset": text } } }]
        ] as ReadonlyArray<readonly [Headers, Json]>
      ) {
        assert.isUndefined(millis(headers, error))
        rateLimits(headers, now)
      }
      assert.isBelow(performance.now() - start, 1000)
    })
  }
})

hints("retry-after", [
  ["seconds", 12_000, { "retry-after": "12" }],
  ["a fraction of them", 1500, { "retry-after": "1.5" }],
  ["0 means now", 0, { "retry-after": "0" }],
  ["0.0 means now", 0, { "retry-after": "0.0" }],
  ["blanks around it", 12_000, { "retry-after": " 12 " }],
  ["an HTTP date", 30_000, { "retry-after": "Thu, 15 Jan 2026 12:00:30 GMT" }],
  ["an HTTP date that is now", 0, { "retry-after": "Thu, 15 Jan 2026 12:00:00 GMT" }],
  ["an HTTP date that has passed", undefined, { "retry-after": "Thu, 15 Jan 2026 11:59:59 GMT" }],
  ["no date", undefined, { "retry-after": "soon" }]
])

hints("google.rpc.RetryInfo", [
  ["seconds", 22_000, {}, retryInfo("22s")],
  ["a fraction of them", 34_400, {}, retryInfo("34.4s")],
  ["nanoseconds", 45_837.906927, {}, retryInfo("45.837906927s")],
  ["0 means now", 0, {}, retryInfo("0s")],
  ["without a unit", undefined, {}, retryInfo("22")],
  ["negative", undefined, {}, retryInfo("-1s")],
  ["a number", undefined, {}, retryInfo(22)],
  ["the delay of another detail", undefined, {}, {
    details: [{ "@type": "type.googleapis.com/google.rpc.Other", retryDelay: "22s" }]
  }],
  ["details that are no list", undefined, {}, { details: { retryDelay: "22s" } }]
])

hints("OpenRouter's availability and headers", [
  ["availability.retry_after", 7000, {}, { availability: { retry_after: 7 } }],
  ["availability.retry_after as a text", 7500, {}, { availability: { retry_after: "7.5" } }],
  ["availability.retry_after in metadata", 7000, {}, { metadata: { availability: { retry_after: 7 } } }],
  ["availability.retry_after 0 means now", 0, {}, { availability: { retry_after: 0 } }],
  ["a negative availability.retry_after", undefined, {}, { availability: { retry_after: -7 } }],
  ["metadata.headers, whatever their case", 4000, {}, { metadata: { headers: { "Retry-After": "4" } } }],
  ["milliseconds in metadata.headers", 40, {}, { metadata: { headers: { "Retry-After-Ms": 40 } } }],
  ["metadata.headers beside what is no header", 4000, {}, {
    metadata: { headers: { "retry-after": "4", "x-a": { toString: 1, valueOf: 1 } } }
  }],
  ["a date in metadata.headers", 60_000, {}, {
    metadata: { headers: { "retry-after": "Thu, 15 Jan 2026 12:01:00 GMT" } }
  }],
  ["the reset in metadata.headers", 90_000, {}, {
    metadata: { headers: { "X-RateLimit-Reset": String(now + 90_000) } }
  }],
  ["metadata.headers that are a text", undefined, {}, { metadata: { headers: "Retry-After: 4" } }]
])

hints("Anthropic's resets", [
  ...["requests", "tokens", "input-tokens", "output-tokens"].map((window) =>
    [`${window} with nothing left`, 25_000, anthropicReset(window, "2026-01-15T12:00:25Z")] as const
  ),
  ["something left", undefined, anthropicReset("tokens", "2026-01-15T12:00:25Z", "1000")],
  ["nothing said of what is left", undefined, { "anthropic-ratelimit-tokens-reset": "2026-01-15T12:00:25Z" }],
  ["an instant that has passed", undefined, anthropicReset("tokens", "2026-01-15T11:00:00Z")],
  ["an instant that is none", undefined, anthropicReset("tokens", "tomorrow")],
  ["the longest of those with nothing left", 50_000, {
    ...anthropicReset("requests", "2026-01-15T12:00:05Z"),
    ...anthropicReset("input-tokens", "2026-01-15T12:00:50Z"),
    ...anthropicReset("output-tokens", "2026-01-15T12:10:00Z", "12")
  }]
])

hints("OpenAI's resets", [
  ["milliseconds", 12, openAiReset("requests", "12ms")],
  ["seconds", 1000, openAiReset("tokens", "1s")],
  ["minutes and seconds", 360_000, openAiReset("requests", "6m0s")],
  ["hours, minutes and seconds", 3_723_000, openAiReset("tokens", "1h2m3s")],
  ["a fraction", 7660, openAiReset("tokens", "7.66s")],
  ["something left", undefined, openAiReset("tokens", "6m0s", "1")],
  ["no duration", undefined, openAiReset("tokens", "soon")],
  ["the longest of those with nothing left", 8000, { ...openAiReset("requests", "8s"), ...openAiReset("tokens", "2s") }]
])

hints("X-RateLimit-Reset", [
  ["epoch milliseconds", 45_000, { "x-ratelimit-reset": String(now + 45_000) }],
  ["now", 0, { "x-ratelimit-reset": String(now) }],
  ["a time that has passed", undefined, { "x-ratelimit-reset": String(now - 1) }],
  ["no number", undefined, { "x-ratelimit-reset": "soon" }]
])

// Every source of Chat Completions with a hint of its own, in the order in which they count.
const sources: ReadonlyArray<readonly [string, number, Headers, Json]> = [
  ["retry-after-ms", 1000, { "retry-after-ms": "1000" }, {}],
  ["retry-after", 2000, { "retry-after": "2" }, {}],
  ["RetryInfo", 3000, {}, retryInfo("3s")],
  ["availability", 4000, {}, { availability: { retry_after: 4 } }],
  ["metadata.headers", 5000, {}, { metadata: { headers: { "retry-after": "5" } } }],
  ["OpenAI's reset", 7000, openAiReset("tokens", "7s"), {}],
  ["X-RateLimit-Reset", 8000, { "x-ratelimit-reset": String(now + 8000) }, {}]
]

const together = (these: typeof sources): readonly [Headers, Json] => [
  Object.assign({}, ...these.map(([, , headers]) => headers)),
  Object.assign({}, ...these.map(([, , , error]) => error))
]

describe("precedence", () => {
  it("retry-after counts before Anthropic's reset", () => {
    const reset = anthropicReset("tokens", "2026-01-15T12:00:06Z")
    assert.strictEqual(millis({ "retry-after": "2", ...reset }), 2000)
    assert.strictEqual(millis(reset), 6000)
  })

  sources.forEach(([name, expected], index) => {
    it(`${name} counts before what follows it`, () =>
      assert.strictEqual(millis(...together(sources.slice(index))), expected))
  })

  for (const nonsense of ["NaN", "-1", "Infinity", "", "1e3", "0x10", "12 apples", "--"]) {
    it(`${JSON.stringify(nonsense)} is not a hint, and the next one counts`, () => {
      assert.isUndefined(millis({ "retry-after-ms": nonsense, "retry-after": nonsense }))
      assert.strictEqual(millis({ "retry-after-ms": nonsense, "retry-after": "2" }), 2000)
      assert.strictEqual(millis({ "retry-after": nonsense }, retryInfo("3s")), 3000)
      assert.strictEqual(millis({}, { ...retryInfo(nonsense), availability: { retry_after: 4 } }), 4000)
      assert.isUndefined(millis(anthropicReset("tokens", nonsense)))
      assert.strictEqual(
        millis({ ...openAiReset("tokens", nonsense), "x-ratelimit-reset": String(now + 8000) }),
        8000
      )
    })
  }

  for (const nonsense of [Number.NaN, -4, Number.POSITIVE_INFINITY, null, [], {}, true]) {
    it(`availability.retry_after ${String(nonsense)} is not a hint`, () =>
      assert.strictEqual(
        millis({ "x-ratelimit-reset": String(now + 8000) }, { availability: { retry_after: nonsense } }),
        8000
      ))
  }

  it("0 is a hint, and what follows it does not count", () =>
    assert.strictEqual(millis({ "retry-after-ms": "0", "retry-after": "30" }, retryInfo("3s")), 0))

  it("nothing is not a hint", () => assert.isUndefined(millis({})))

  it.prop(
    "a hint is finite and not negative, whatever the headers say",
    [Schema.String, Schema.String, Schema.Json],
    ([text, other, value]) => {
      const hint = millis({
        "retry-after-ms": text,
        "retry-after": other,
        "x-ratelimit-reset": text,
        ...anthropicReset("tokens", other),
        ...openAiReset("tokens", text)
      }, { details: value, availability: value, metadata: value })
      return hint === undefined || (Number.isFinite(hint) && hint >= 0)
    },
    { arbitrary: { seed: 1 } }
  )

  it.prop(
    "seconds and milliseconds of the same length are the same hint",
    [Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))],
    ([seconds]) => {
      assert.strictEqual(millis({ "retry-after": String(seconds) }), seconds * 1000)
      assert.strictEqual(millis({ "retry-after-ms": String(seconds * 1000) }), seconds * 1000)
      assert.strictEqual(millis({}, retryInfo(`${seconds}s`)), seconds * 1000)
      assert.strictEqual(millis(openAiReset("tokens", `${seconds}s`)), seconds * 1000)
      assert.strictEqual(millis({ "retry-after": new Date(now + seconds * 1000).toUTCString() }), seconds * 1000)
      assert.strictEqual(
        millis(anthropicReset("tokens", new Date(now + seconds * 1000).toISOString())),
        seconds * 1000
      )
      assert.strictEqual(millis({ "x-ratelimit-reset": String(now + seconds * 1000) }), seconds * 1000)
    },
    { arbitrary: { seed: 1 } }
  )
})

describe("goDuration", () => {
  const durations: ReadonlyArray<readonly [string | undefined, number | undefined]> = [
    ["12ms", 12],
    ["1s", 1000],
    ["6m0s", 360_000],
    ["1h2m3s", 3_723_000],
    ["1h0m0.5s", 3_600_500],
    ["2m59.56s", 179_560],
    ["500us", 0.5],
    ["500µs", 0.5],
    ["1000000ns", 1],
    ["0s", 0],
    ["", undefined],
    ["0", undefined],
    ["12", undefined],
    ["-1s", undefined],
    ["1.s", undefined],
    ["1 s", undefined],
    ["1d", undefined],
    ["s", undefined],
    [undefined, undefined]
  ]
  for (const [text, expected] of durations) {
    it(`${JSON.stringify(text)} is ${expected === undefined ? "none" : `${expected} ms`}`, () => {
      const parsed = goDuration(text)
      if (expected === undefined) assert.isUndefined(parsed)
      else assert.closeTo(parsed ?? Number.NaN, expected, 1e-6)
    })
  }
})

describe("rateLimits", () => {
  const seconds = (amount: number) => Duration.seconds(amount)

  it("reads Anthropic's four windows", () =>
    assert.deepStrictEqual(
      rateLimits({
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "49",
        "anthropic-ratelimit-requests-reset": "2026-01-15T12:00:01Z",
        "anthropic-ratelimit-tokens-limit": "90000",
        "anthropic-ratelimit-tokens-remaining": "80000",
        "anthropic-ratelimit-tokens-reset": "2026-01-15T12:00:02Z",
        "anthropic-ratelimit-input-tokens-limit": "50000",
        "anthropic-ratelimit-input-tokens-remaining": "0",
        "anthropic-ratelimit-input-tokens-reset": "2026-01-15T12:00:30Z",
        "anthropic-ratelimit-output-tokens-limit": "10000",
        "anthropic-ratelimit-output-tokens-remaining": "9000",
        "anthropic-ratelimit-output-tokens-reset": "2026-01-15T12:00:04Z"
      }, now),
      {
        requests: { limit: 50, remaining: 49, resetAfter: seconds(1) },
        tokens: { limit: 90_000, remaining: 80_000, resetAfter: seconds(2) },
        inputTokens: { limit: 50_000, remaining: 0, resetAfter: seconds(30) },
        outputTokens: { limit: 10_000, remaining: 9000, resetAfter: seconds(4) }
      }
    ))

  it("reads OpenAI's two windows", () =>
    assert.deepStrictEqual(
      rateLimits({
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-tokens": "6m0s"
      }, now),
      {
        requests: { limit: 60, remaining: 59, resetAfter: seconds(1) },
        tokens: { limit: 150_000, remaining: 149_984, resetAfter: seconds(360) }
      }
    ))

  it("reads OpenRouter's one window", () =>
    assert.deepStrictEqual(
      rateLimits({
        "x-ratelimit-limit": "20",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": String(now + 60_000)
      }, now),
      { requests: { limit: 20, remaining: 0, resetAfter: seconds(60) } }
    ))

  it("leaves out absent and invalid values", () =>
    assert.deepStrictEqual(
      rateLimits({
        "x-ratelimit-limit-requests": "many",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "soon",
        "x-ratelimit-limit-tokens": "-1",
        "x-ratelimit-remaining-tokens": "9".repeat(400)
      }, now),
      { requests: { remaining: 59 } }
    ))

  it("leaves out a reset that has passed", () =>
    assert.deepStrictEqual(
      rateLimits({
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-reset": "2026-01-15T11:59:59Z"
      }, now),
      { requests: { limit: 50 } }
    ))

  it("is absent when the headers say nothing", () => {
    assert.isUndefined(rateLimits({}, now))
    assert.isUndefined(rateLimits({ "content-type": "application/json", "retry-after": "1" }, now))
  })
})
