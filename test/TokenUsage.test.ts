import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import * as TokenUsage from "../src/TokenUsage.ts"

// The same cases in every run.
Arbitrary.configureGlobal({ check: { seed: "TokenUsage" } })

const most = Number.MAX_SAFE_INTEGER

const keys = ["inputTokens", "outputTokens", "cachedInputTokens", "cacheWriteTokens", "reasoningTokens"] as const

// Counts as a provider might send them, most of them sensible, some at the limits and some that are no counts at all.
const Count = Schema.Union([
  Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 })),
  Schema.Int.check(Schema.isBetween({ minimum: most - 3, maximum: most })),
  Schema.Finite,
  Schema.Literals(["NaN", "Infinity", "-Infinity", "-0", "-1", "0.5", "1e300"])
])

const counts = Arbitrary.map(
  Arbitrary.schema(Schema.Struct({
    inputTokens: Schema.optionalKey(Count),
    outputTokens: Schema.optionalKey(Count),
    cachedInputTokens: Schema.optionalKey(Count),
    cacheWriteTokens: Schema.optionalKey(Count),
    reasoningTokens: Schema.optionalKey(Count)
  })),
  (counts): Parameters<typeof TokenUsage.make>[0] =>
    Object.fromEntries(Object.entries(counts).map(([key, count]) => [key, Number(count)]))
)

const usages = Arbitrary.map(counts, TokenUsage.make)

const isUsage = Schema.is(TokenUsage.TokenUsage)

const assertSound = (usage: TokenUsage.TokenUsage) => {
  assert.isTrue(isUsage(usage), "every count is a safe integer of at least 0")
  assert.isAtMost(usage.cachedInputTokens, usage.inputTokens)
  assert.isAtMost(usage.cacheWriteTokens, usage.inputTokens)
  assert.isAtMost(usage.reasoningTokens, usage.outputTokens)
  assert.strictEqual(usage.totalTokens, Math.min(usage.inputTokens + usage.outputTokens, most))
}

describe("make", () => {
  it("leaves counts that make sense as they are, and adds up the total", () => {
    assert.deepStrictEqual(
      TokenUsage.make({
        inputTokens: 100,
        outputTokens: 20,
        cachedInputTokens: 60,
        cacheWriteTokens: 30,
        longCacheWriteTokens: 20,
        reasoningTokens: 5
      }),
      {
        inputTokens: 100,
        outputTokens: 20,
        totalTokens: 120,
        cachedInputTokens: 60,
        cacheWriteTokens: 30,
        longCacheWriteTokens: 20,
        reasoningTokens: 5
      }
    )
  })

  it("takes what is absent, negative or no number for 0, and cuts fractions", () => {
    assert.deepStrictEqual(TokenUsage.make({}), TokenUsage.zero)
    assert.deepStrictEqual(TokenUsage.make({ inputTokens: NaN, outputTokens: -1 }), TokenUsage.zero)
    assert.deepStrictEqual(TokenUsage.make({ inputTokens: -Infinity, outputTokens: -0 }), TokenUsage.zero)
    assert.strictEqual(TokenUsage.make({ inputTokens: 2.9 }).inputTokens, 2)
    assert.strictEqual(TokenUsage.make({ outputTokens: Infinity }).outputTokens, most)
  })

  it("limits parts to the remainder of their whole", () => {
    const usage = TokenUsage.make({
      inputTokens: 10,
      outputTokens: 3,
      cachedInputTokens: 8,
      cacheWriteTokens: 8,
      longCacheWriteTokens: 0,
      reasoningTokens: 4
    })
    assert.deepInclude(usage, { cachedInputTokens: 8, cacheWriteTokens: 2, reasoningTokens: 3 })
  })

  it.prop("gives sound usage for any counts", { counts }, ({ counts }) => {
    const usage = TokenUsage.make(counts)
    assertSound(usage)
    assert.isAtMost(usage.cachedInputTokens + usage.cacheWriteTokens, usage.inputTokens)
  }, { arbitrary: { runs: 200 } })

  it.prop("keeps usage that it made", { usage: usages }, ({ usage }) => {
    assert.deepStrictEqual(TokenUsage.make(usage), usage)
  })
})

describe("add", () => {
  it.prop("is commutative", [usages, usages], ([a, b]) => {
    assert.deepStrictEqual(TokenUsage.add(a, b), TokenUsage.add(b, a))
  })

  it.prop("is associative", [usages, usages, usages], ([a, b, c]) => {
    assert.deepStrictEqual(TokenUsage.add(TokenUsage.add(a, b), c), TokenUsage.add(a, TokenUsage.add(b, c)))
  })

  it.prop("has zero as its neutral element", [usages], ([a]) => {
    assert.deepStrictEqual(TokenUsage.add(a, TokenUsage.zero), a)
    assert.deepStrictEqual(TokenUsage.add(TokenUsage.zero, a), a)
  })

  it.prop("gives sound usage, in which no count is smaller than before", [usages, usages], ([a, b]) => {
    const sum = TokenUsage.add(a, b)
    assertSound(sum)
    for (const key of keys) assert.isAtLeast(sum[key], Math.max(a[key], b[key]))
  })

  it.prop("adds every count, up to the largest safe integer", [usages, usages], ([a, b]) => {
    const sum = TokenUsage.add(a, b)
    for (const key of keys) assert.strictEqual(sum[key], Math.min(a[key] + b[key], most))
  })

  it("saturates", () => {
    const full = TokenUsage.make({ inputTokens: most, outputTokens: most, cachedInputTokens: most })
    assert.strictEqual(full.totalTokens, most)
    assert.deepStrictEqual(TokenUsage.add(full, full), full)
    assert.deepStrictEqual(TokenUsage.add(full, TokenUsage.make({ inputTokens: 1 })), full)
  })

  it("leaves what it adds alone", () => {
    const a = Object.freeze(TokenUsage.make({ inputTokens: 1 }))
    assert.strictEqual(TokenUsage.add(a, a).inputTokens, 2)
    assert.strictEqual(a.inputTokens, 1)
    assert.strictEqual(TokenUsage.zero.totalTokens, 0)
  })
})

describe("JSON", () => {
  it.prop("survives it", [usages], ([usage]) => {
    const text = JSON.stringify(Schema.encodeUnknownSync(TokenUsage.TokenUsage)(usage))
    assert.deepStrictEqual(Schema.decodeUnknownSync(TokenUsage.TokenUsage)(JSON.parse(text)), usage)
  })
})
