import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as TokenUsage from "../../src/TokenUsage.ts"
import { response } from "../../src/wire/anthropic/response.ts"
import { stream } from "../../src/wire/anthropic/stream.ts"
import { billed, billing } from "../../src/wire/anthropic/usage.ts"

type Json = { readonly [key: string]: unknown }

const mint = (index: number): string => `minted_${index}`

const pass = (type: string, input_tokens: number, output_tokens: number, fields: Json = {}): Json => ({
  type,
  input_tokens,
  output_tokens,
  cache_read_input_tokens: 0,
  cache_creation_input_tokens: 0,
  cache_creation: null,
  ...fields
})

const total = (usage: Json) => billed(usage, "m").usage.totalTokens

describe("usage", () => {
  it("counts what was read from the cache and written to it as input, and what is kept for an hour", () => {
    assert.deepStrictEqual(
      billed({
        input_tokens: 3,
        cache_read_input_tokens: 4512,
        cache_creation_input_tokens: 100,
        cache_creation: { ephemeral_5m_input_tokens: 40, ephemeral_1h_input_tokens: 60 },
        output_tokens: 50,
        output_tokens_details: { thinking_tokens: 20 }
      }, "m"),
      {
        usage: {
          inputTokens: 4615,
          outputTokens: 50,
          totalTokens: 4665,
          cachedInputTokens: 4512,
          cacheWriteTokens: 100,
          longCacheWriteTokens: 60,
          reasoningTokens: 20
        }
      }
    )
  })

  it("of a single pass is that of the whole, without passes", () => {
    const usage = { input_tokens: 3, output_tokens: 4, iterations: [pass("message", 3, 4)] }
    assert.deepStrictEqual(Object.keys(billed(usage, "m")), ["usage"])
    assert.strictEqual(total(usage), 7)
  })

  it("holds a compaction, which the counts of the whole leave out", () => {
    const usage = {
      input_tokens: 180,
      output_tokens: 40,
      iterations: [pass("compaction", 54_000, 976), pass("message", 180, 40)]
    }
    const { passes, usage: found } = billed(usage, "m")
    assert.strictEqual(found.totalTokens, 55_196)
    assert.deepStrictEqual(passes?.map(({ kind, usage }) => [kind, usage.totalTokens]), [
      ["compaction", 54_976],
      ["message", 220]
    ])
    // An answer that is nothing but the compaction.
    assert.strictEqual(total({ input_tokens: 0, output_tokens: 0, iterations: [pass("compaction", 900, 100)] }), 1000)
  })

  it("holds an advisor, and the model of each pass that is not the one that answered", () => {
    const { passes, usage } = billed({
      input_tokens: 30,
      output_tokens: 12,
      output_tokens_details: { thinking_tokens: 9 },
      iterations: [
        pass("message", 10, 8, { model: "m" }),
        pass("advisor_message", 500, 60, { model: "advisor" }),
        pass("message", 20, 4, { model: "m" })
      ]
    }, "m")
    assert.strictEqual(usage.totalTokens, 602)
    assert.strictEqual(usage.reasoningTokens, 9)
    assert.deepStrictEqual(passes?.map(({ model }) => model), [undefined, "advisor", undefined])
    assert.deepStrictEqual(passes?.reduce((sum, pass) => TokenUsage.add(sum, pass.usage), TokenUsage.zero), usage)
  })

  it("holds what a model spent before another one took over", () => {
    const { passes, usage } = billed({
      input_tokens: 100,
      output_tokens: 20,
      iterations: [pass("message", 90, 3, { model: "first" }), pass("fallback_message", 100, 20, { model: "m" })]
    }, "m")
    assert.strictEqual(usage.totalTokens, 213)
    assert.deepStrictEqual(passes?.map(({ kind, model }) => [kind, model]), [
      ["message", "first"],
      ["fallback_message", undefined]
    ])
  })

  it("counts the whole where the list of passes leaves some of it out", () => {
    assert.strictEqual(
      total({ input_tokens: 100, output_tokens: 20, iterations: [pass("compaction", 900, 100)] }),
      1120
    )
    const usage = { input_tokens: 100, output_tokens: 20, iterations: [pass("message", 5, 1), pass("message", 5, 1)] }
    assert.strictEqual(total(usage), 120)
  })

  it("is the same streamed, where the counts before the compaction come first", () => {
    const iterations = [pass("compaction", 54_000, 976), pass("message", 180, 40)]
    const unary = response("anthropic")({
      content: [{ type: "text", text: "x" }],
      stop_reason: "end_turn",
      usage: { input_tokens: 180, output_tokens: 40, iterations }
    }, mint)
    const decoder = stream("anthropic")(mint)
    for (
      const event of [
        { type: "message_start", message: { usage: { input_tokens: 55_237, output_tokens: 1 } } },
        { type: "content_block_start", index: 0, content_block: { type: "text", text: "x" } },
        {
          type: "message_delta",
          delta: { stop_reason: "end_turn" },
          usage: { input_tokens: 180, output_tokens: 40, iterations }
        }
      ]
    ) decoder.event(event, [])
    const streamed = decoder.answer()
    assert.strictEqual(unary?.usage.totalTokens, 55_196)
    assert.deepStrictEqual(streamed?.usage, unary?.usage)
    assert.deepStrictEqual(streamed?.passes, unary?.passes)
  })

  it("of nothing, of nulls and of nonsense is zero", () => {
    for (const usage of [{}, { input_tokens: null, output_tokens: "7", iterations: [1, null] }, { iterations: {} }]) {
      assert.deepStrictEqual(billed(usage, undefined), { usage: TokenUsage.zero })
    }
  })

  const Count = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1000 }))
  const Pass = Schema.Struct({
    kind: Schema.Literals(["message", "compaction", "advisor_message"]),
    counts: Schema.Array(Count)
  })

  it.prop(
    "is written so that it is read as it was",
    { passes: Schema.Array(Pass), thinking: Count },
    ({ passes, thinking }) => {
      const all = passes.map(({ counts: [input = 0, output = 0, read = 0, write = 0, long = 0], kind }) => ({
        kind,
        usage: TokenUsage.make({
          inputTokens: input + read + write,
          outputTokens: output,
          cachedInputTokens: read,
          cacheWriteTokens: write,
          longCacheWriteTokens: long
        })
      }))
      const plain = billed(
        billing(all.reduce((sum, { usage }) => TokenUsage.add(sum, usage), TokenUsage.zero), undefined),
        "m"
      )
      assert.isUndefined(plain.passes)
      if (all.length < 2) return
      const within = all.filter(({ kind }) => kind === "message")
      const wrote = within.reduce((sum, { usage }) => sum + usage.outputTokens, 0)
      const usage = {
        ...all.reduce((sum, { usage }) => TokenUsage.add(sum, usage), TokenUsage.zero),
        reasoningTokens: Math.min(thinking, wrote)
      }
      const again = billed(billing(usage, all), "m")
      assert.deepStrictEqual(again.usage, usage)
      assert.deepStrictEqual(again.passes?.map(({ kind }) => kind), all.map(({ kind }) => kind))
    },
    { arbitrary: { runs: 500 } }
  )
})
