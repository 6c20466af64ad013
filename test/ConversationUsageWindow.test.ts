import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as CompletionResponse from "../src/CompletionResponse.ts"
import * as ConversationUsageWindow from "../src/ConversationUsageWindow.ts"
import * as TokenUsage from "../src/TokenUsage.ts"

// The same cases in every run.
Arbitrary.configureGlobal({ check: { seed: "ConversationUsageWindow" } })

const usage = TokenUsage.make({ inputTokens: 60, outputTokens: 40, cachedInputTokens: 30, reasoningTokens: 10 })

describe("ConversationUsageWindow", () => {
  it.effect("starts empty", () =>
    Effect.gen(function*() {
      const window = yield* ConversationUsageWindow.make()
      assert.deepStrictEqual(yield* window.usage, TokenUsage.zero)
    }))

  it.effect("adds up what is recorded, every count of it", () =>
    Effect.gen(function*() {
      const window = yield* ConversationUsageWindow.make()
      yield* window.record(usage)
      yield* window.record(usage)
      assert.deepStrictEqual(yield* window.usage, TokenUsage.add(usage, usage))
    }))

  it.effect("wants to be compacted exactly when the total reaches the threshold", () =>
    Effect.gen(function*() {
      const window = yield* ConversationUsageWindow.make({ compactThreshold: 101 })
      assert.isFalse(yield* window.shouldCompact)
      yield* window.record(usage)
      assert.isFalse(yield* window.shouldCompact, "one token below")
      yield* window.record(TokenUsage.make({ outputTokens: 1 }))
      assert.isTrue(yield* window.shouldCompact, "at the threshold")
      yield* window.record(usage)
      assert.isTrue(yield* window.shouldCompact, "above it")
    }))

  it.effect("never wants to be compacted without a threshold", () =>
    Effect.gen(function*() {
      const full = TokenUsage.make({ inputTokens: Number.MAX_SAFE_INTEGER })
      for (const window of [yield* ConversationUsageWindow.make(), yield* ConversationUsageWindow.make({})]) {
        yield* window.record(full)
        assert.isFalse(yield* window.shouldCompact)
      }
    }))

  it.effect("has reached a threshold of 0 from the start", () =>
    Effect.gen(function*() {
      const window = yield* ConversationUsageWindow.make({ compactThreshold: 0 })
      assert.isTrue(yield* window.shouldCompact)
    }))

  it.effect("starts again from zero after a reset, with its threshold", () =>
    Effect.gen(function*() {
      const window = yield* ConversationUsageWindow.make({ compactThreshold: 100 })
      yield* window.record(usage)
      yield* window.reset
      assert.deepStrictEqual(yield* window.usage, TokenUsage.zero)
      assert.isFalse(yield* window.shouldCompact)
      yield* window.record(usage)
      assert.isTrue(yield* window.shouldCompact)
    }))

  it.effect("loses nothing when 1000 fibers record at once", () =>
    Effect.gen(function*() {
      const window = yield* ConversationUsageWindow.make({ compactThreshold: 100_000 })
      const recorded = Effect.andThen(Effect.yieldNow, window.record(usage))
      yield* Effect.all(Array.from({ length: 999 }, () => recorded), { concurrency: "unbounded", discard: true })
      assert.isFalse(yield* window.shouldCompact)
      yield* recorded
      assert.isTrue(yield* window.shouldCompact)
      assert.deepStrictEqual(yield* window.usage, {
        inputTokens: 60_000,
        outputTokens: 40_000,
        totalTokens: 100_000,
        cachedInputTokens: 30_000,
        cacheWriteTokens: 0,
        longCacheWriteTokens: 0,
        reasoningTokens: 10_000
      })
    }))

  it.effect("windows made by one effect are apart", () =>
    Effect.gen(function*() {
      const make = ConversationUsageWindow.make()
      const [one, other] = [yield* make, yield* make]
      yield* one.record(usage)
      assert.deepStrictEqual(yield* other.usage, TokenUsage.zero)
    }))

  const Records = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1000 })))
  it.effect.prop("holds the sum of any records in any order", [Records], ([records]) =>
    Effect.gen(function*() {
      const window = yield* ConversationUsageWindow.make()
      yield* Effect.forEach(records, (inputTokens) => window.record(TokenUsage.make({ inputTokens })), {
        concurrency: "unbounded",
        discard: true
      })
      assert.strictEqual((yield* window.usage).totalTokens, records.reduce((sum, tokens) => sum + tokens, 0))
    }), { arbitrary: { runs: 30 } })

  const answer = (usage: TokenUsage.TokenUsage, passes?: CompletionResponse.CompletionResponse["passes"]) =>
    CompletionResponse.make({
      choice: [],
      finishReason: { _tag: "Stop" },
      usage,
      provider: "test",
      passes
    })

  const tokens = (inputTokens: number) => TokenUsage.make({ inputTokens })

  it.effect("the context is what the last answer filled of the window, not the sum", () =>
    Effect.gen(function*() {
      const window = yield* ConversationUsageWindow.make({ contextThreshold: 900 })
      assert.strictEqual(yield* window.context, 0)
      for (const total of [300, 500, 700]) yield* window.record(answer(tokens(total)))
      assert.strictEqual(yield* window.context, 700)
      assert.strictEqual((yield* window.usage).totalTokens, 1500)
      assert.isFalse(yield* window.shouldCompact)
      yield* window.record(answer(tokens(900)))
      assert.isTrue(yield* window.shouldCompact)
      yield* window.reset
      assert.strictEqual(yield* window.context, 0)
      assert.isFalse(yield* window.shouldCompact)
    }))

  it.effect("the context is the last pass alone, where an answer took several", () =>
    Effect.gen(function*() {
      const window = yield* ConversationUsageWindow.make({ contextThreshold: 1000 })
      yield* window.record(answer(tokens(55_196), [
        { kind: "compaction", usage: tokens(54_976) },
        { kind: "message", usage: tokens(220) }
      ]))
      assert.strictEqual(yield* window.context, 220)
      assert.strictEqual((yield* window.usage).totalTokens, 55_196)
      assert.isFalse(yield* window.shouldCompact)
    }))

  it.effect("a compaction or an advisor's pass says nothing of the context, wherever it stands", () =>
    Effect.gen(function*() {
      const window = yield* ConversationUsageWindow.make({ contextThreshold: 1000 })
      for (const kind of ["compaction", "advisor_message"]) {
        yield* window.record(answer(tokens(55_196), [
          { kind: "message", usage: tokens(220) },
          { kind, usage: tokens(54_976) }
        ]))
        assert.strictEqual(yield* window.context, 220)
      }
      // What goes on from an answer that is a compaction and no more is the summary that it wrote.
      const usage = TokenUsage.make({ inputTokens: 180_000, outputTokens: 3500 })
      yield* window.record(answer(usage, [{ kind: "compaction", usage }]))
      assert.strictEqual(yield* window.context, 3500)
    }))

  it.effect("either threshold is enough", () =>
    Effect.gen(function*() {
      const window = yield* ConversationUsageWindow.make({ compactThreshold: 1000, contextThreshold: 900 })
      yield* window.record(tokens(500))
      assert.isFalse(yield* window.shouldCompact)
      yield* window.record(tokens(500))
      assert.isTrue(yield* window.shouldCompact)
    }))
})
