import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { CompletionResponse } from "../src/CompletionResponse.ts"
import * as Prices from "../src/Prices.ts"
import * as TokenUsage from "../src/TokenUsage.ts"
import { note, references, serviceOf } from "./models/reference.ts"

const million = 1_000_000
const at = (date: string): number => DateTime.toEpochMillis(DateTime.makeUnsafe(date))

const usage = (counts: Partial<Prices.Usage>): Prices.Usage => ({
  ...TokenUsage.make(counts),
  longCacheWriteTokens: counts.longCacheWriteTokens ?? 0
})

const near = (actual: number | undefined, expected: number): void => {
  assert.isDefined(actual)
  assert.approximately(actual!, expected, 1e-9)
}

describe("the tables", () => {
  const rows = Object.entries(Prices.table.rows).flatMap(([provider, models]) =>
    Object.entries(models).map(([model, row]) => ({ provider, model, row }))
  )

  it("have a day in each row", () => {
    for (const { model, row } of rows) assert.match(row.asOf ?? "", /^2026-\d\d-\d\d$/, model)
  })

  it("have prices that can be, and tiers and changes in order", () => {
    const isPrice = (price: number | undefined): boolean => price === undefined || (price >= 0 && price < 1000)
    const check = (model: string, price: Partial<Prices.Price>): void => {
      for (const key of ["input", "output", "cacheRead", "cacheWrite", "longCacheWrite"] as const) {
        assert.isTrue(isPrice(price[key]), `${model} ${key}`)
      }
      assert.isAtMost(price.cacheRead ?? 0, price.input ?? Infinity, model)
    }
    for (const { model, row } of rows) {
      check(model, row)
      const { planned = [], tiers = [] } = row
      tiers.forEach((tier) => check(model, tier))
      planned.forEach((change) => check(model, change))
      assert.deepStrictEqual(tiers, tiers.toSorted((a, b) => a.above - b.above), model)
      assert.deepStrictEqual(planned, planned.toSorted((a, b) => at(a.from) - at(b.from)), model)
    }
  })

  it("are imported by no other module", () => {
    const src = join(import.meta.dirname, "../src")
    const importers = globSync("**/*.ts", { cwd: src }).filter((file) =>
      /from "[^"]*\/(?:Prices|prices)\.ts"/.test(readFileSync(join(src, file), "utf8"))
    )
    assert.deepStrictEqual(importers, ["Prices.ts"])
  })
})

describe(`reference${note}`, () => {
  it.skipIf(references.length === 0)("has prices", () => {
    assert.isAtLeast(references.filter(({ price }) => price !== undefined && price !== null).length, 90)
  })

  for (const row of references.filter(({ price }) => price !== undefined && price !== null)) {
    it(`agrees on ${row.provider} ${row.id}`, () => {
      const { price: listed } = row
      const ours = Prices.find(serviceOf(row), row.id, at(row.asOf))
      assert.isDefined(ours)
      assert.strictEqual(ours!.input, listed!.input)
      assert.strictEqual(ours!.output, listed!.output)
      if (listed!.cacheRead) assert.strictEqual(ours!.cacheRead, listed!.cacheRead)
      if (listed!.cacheWrite5m) assert.strictEqual(ours!.cacheWrite, listed!.cacheWrite5m)
      else assert.isUndefined(ours!.cacheWrite)
      assert.strictEqual(ours!.longCacheWrite, listed!.cacheWrite1h ?? undefined)
      if (listed!.tiers !== undefined) {
        const tiers = ours!.tiers!.map(({ above, cacheRead = NaN, cacheWrite = 0, input, output }) => ({
          inputTokensAbove: above,
          input,
          output,
          cacheRead,
          cacheWrite
        }))
        assert.deepStrictEqual(tiers, [...listed!.tiers])
      }
      const later = Prices.find(serviceOf(row), row.id, at("2026-12-01"))!
      const { input, output } = listed!.from20261201 ?? listed!
      assert.deepStrictEqual([later.input, later.output], [input, output])
    })
  }
})

describe("find", () => {
  const input = (provider: string, model: string): number | undefined => Prices.find(provider, model)?.input

  it("knows a model by its names", () => {
    for (
      const model of [
        "claude-opus-5-5",
        "claude-opus-5-5-20260922",
        "claude-opus-5-5@20260922",
        "claude-opus-5-5-latest",
        "anthropic/claude-opus-5.5",
        "us.anthropic.claude-opus-5-5-v1:0"
      ]
    ) {
      assert.strictEqual(input("anthropic", model), 4, model)
    }
    assert.strictEqual(input("gemini", "models/gemini-4-hydrogen"), 1.5)
    assert.strictEqual(input("google", "gemini-4-hydrogen"), 1.5)
    assert.strictEqual(input("openai", "gpt-6-sol-2026-09-22"), 2)
    assert.strictEqual(input("groq", "openai/gpt-oss-120b"), 0.15)
  })

  it("never has the price of a similar model", () => {
    for (
      const model of [
        "",
        "claude-opus-7",
        "claude-opus-5-5-fast",
        "claude-opus-50",
        "gpt-6-sol-mini",
        "gpt-6-sol:batch",
        "ft:gpt-4.1-mini:org::id",
        "my-gpt-6-sol",
        "gemini-3.1-pro",
        "toString",
        "__proto__"
      ]
    ) {
      for (const provider of ["anthropic", "openai", "gemini", "openrouter", "my-proxy", "__proto__", "toString"]) {
        assert.isUndefined(Prices.find(provider, model), `${provider} ${model}`)
      }
    }
  })

  it("distinguishes the old model from the one that took its name", () => {
    assert.strictEqual(input("openai", "gpt-4o-2024-05-13"), 5)
    assert.strictEqual(input("openrouter", "openai/gpt-4o-2024-05-13"), 5)
    assert.strictEqual(input("openai", "gpt-4o-2024-08-06"), 2.5)
  })

  it("distinguishes services that serve the same model", () => {
    assert.strictEqual(input("cerebras", "gpt-oss-120b"), 0.35)
    assert.isUndefined(input("cerebras", "claude-opus-5-5"))
    assert.isUndefined(input("my-vllm", "gpt-oss-120b"))
    assert.strictEqual(input("openrouter", "google/gemini-3.8-flash"), 0.825)
    assert.strictEqual(input("gemini", "gemini-3.8-flash"), 0.75)
    assert.strictEqual(input("openrouter", "meta/muse-glimmer-30b:batch"), 0.24)
    assert.isUndefined(input("openrouter", "z-ai/glm-5.3"))
  })

  it("has the vendor's price behind services without rows", () => {
    assert.strictEqual(input("openrouter", "anthropic/claude-opus-5.5"), 4)
    assert.strictEqual(input("my-proxy", "gpt-6-sol"), 2)
  })
})

describe("of", () => {
  it("counts what was cached, written and neither once each", () => {
    const tokens = usage({
      inputTokens: 10_000,
      outputTokens: 1000,
      cachedInputTokens: 5000,
      cacheWriteTokens: 3000,
      longCacheWriteTokens: 1000
    })
    near(
      Prices.of(tokens, "claude-opus-5-5", "anthropic"),
      (2000 * 4 + 5000 * 0.2 + 2000 * 5 + 1000 * 8 + 1000 * 20) / million
    )
    // It has no price of writes: they are input.
    near(Prices.of(tokens, "gpt-5.5", "openai"), (5000 * 5 + 5000 * 0.5 + 1000 * 30) / million)
    // It has one price of writes.
    near(Prices.of(tokens, "gpt-6-sol", "openai"), (2000 * 2 + 5000 * 0.2 + 3000 * 2.5 + 1000 * 10) / million)
  })

  it("accepts usage without long writes", () => {
    const { longCacheWriteTokens: _, ...tokens } = usage({ inputTokens: million, cacheWriteTokens: million })
    near(Prices.of(tokens, "claude-haiku-4-5", "anthropic"), 1.25)
  })

  it("has all tokens of a larger request at its tier's price", () => {
    const cost = (inputTokens: number, cachedInputTokens = 0) =>
      Prices.of(usage({ inputTokens, cachedInputTokens, outputTokens: 1000 }), "gpt-6-sol", "openai")
    near(cost(272_000), (272_000 * 2 + 1000 * 10) / million)
    near(cost(272_001), (272_001 * 4 + 1000 * 15) / million)
    near(cost(272_001, 272_001), (272_001 * 0.4 + 1000 * 15) / million)
    const haiku = usage({ inputTokens: 100_001, cacheWriteTokens: 100_001, longCacheWriteTokens: 1 })
    near(Prices.of(haiku, "claude-haiku-5-5", "anthropic"), (100_000 * 0.625 + 1) / million)
    const flash = (inputTokens: number) => Prices.of(usage({ inputTokens }), "qwen/qwen3.7-flash", "openrouter")
    near(flash(32_000), 32_000 * 0.03 / million)
    near(flash(32_001), 32_001 * 0.1 / million)
    near(flash(256_001), 256_001 * 0.2 / million)
  })

  it("changes on the day that is planned, and without a time has changed", () => {
    const cost = (time?: number) =>
      Prices.of(usage({ inputTokens: million, outputTokens: million }), "gemini-4-argon", "gemini", time)
    near(cost(at("2026-11-30T23:59:59Z")), 12)
    near(cost(at("2026-12-01")), 24)
    near(cost(), 24)
  })

  it("is undefined for a model without a price, and 0 for no tokens", () => {
    assert.isUndefined(Prices.of(usage({ inputTokens: 1 }), "some-model", "openai"))
    assert.strictEqual(Prices.of(usage({}), "gpt-6-sol", "openai"), 0)
  })
})

describe("make", () => {
  const own = { input: 1, output: 2 }

  it("puts later rows over earlier ones, and leaves the others", () => {
    const prices = Prices.make(Prices.table, { openai: { "gpt-6-sol": own } }, { google: { "gemini-9": own } })
    assert.deepStrictEqual(prices.find("openai", "gpt-6-sol"), own)
    assert.deepStrictEqual(prices.find("openai", "gpt-6-luna"), Prices.find("openai", "gpt-6-luna"))
    assert.deepStrictEqual(prices.find("gemini", "gemini-9"), own)
    assert.strictEqual(Prices.find("openai", "gpt-6-sol")?.input, 2)
    assert.deepStrictEqual(Prices.make(prices).rows, prices.rows)
  })

  it("knows the beginning of names, the longest first, and everything", () => {
    const prices = Prices.make(Prices.table, {
      "my-vllm": { "*": own, "big/*": { input: 3, output: 3 }, "big/huge*": { input: 4, output: 4 }, "big/b": own }
    })
    const input = (model: string) => prices.find("my-vllm", model)?.input
    assert.deepStrictEqual(["", "small", "big/a", "big/huge-1", "big/b"].map(input), [1, 1, 3, 4, 1])
    near(prices.of(usage({ inputTokens: million, outputTokens: million }), "gpt-6-sol", "my-vllm"), 3)
  })

  it("has rows of a name that every object has", () => {
    const prices = Prices.make(JSON.parse(`{ "__proto__": { "constructor": { "input": 1, "output": 1 } } }`))
    assert.strictEqual(prices.find("__proto__", "constructor")?.input, 1)
    assert.isUndefined(prices.find("constructor", "name"))
  })

  it("ignores a price that is not a valid number", () => {
    for (const input of [-1, NaN, Infinity]) {
      const prices = Prices.make({ openai: { x: { input, output: 0 } } })
      assert.isUndefined(prices.of(usage({ inputTokens: 10 }), "x", "openai"), `${input}`)
    }
  })

  it("ignores a change on an invalid day", () => {
    const prices = Prices.make({ openai: { x: { ...own, planned: [{ from: "soon", input: 9 }] } } })
    assert.strictEqual(prices.find("openai", "x")?.input, 1)
  })

  it("is empty without tables", () => {
    assert.isUndefined(Prices.make().find("openai", "gpt-6-sol"))
  })
})

describe("cost", () => {
  const tokens = TokenUsage.make({ inputTokens: million, outputTokens: 100_000 })
  const answer = (fields: Partial<Prices.Answer> = {}): Prices.Answer => ({
    provider: "anthropic",
    model: "claude-opus-5-5",
    usage: tokens,
    ...fields
  })

  it("of a response is by its tokens", () => {
    const response = CompletionResponse.make({
      choice: [],
      finishReason: { _tag: "Stop" },
      provider: "anthropic",
      model: "claude-opus-5-5",
      usage: tokens
    })
    near(Prices.cost(response), 6)
  })

  it("is the provider's own figure where it sends one", () => {
    assert.strictEqual(Prices.cost(answer({ cost: 0.5 })), 0.5)
    assert.strictEqual(Prices.cost(answer({ cost: 0, model: "some-model" })), 0)
    near(Prices.cost(answer({ cost: NaN })), 6)
  })

  it("is that of the passes, each at its own model's price and in its own tier", () => {
    const passes = [
      { kind: "compaction", model: "claude-haiku-5-5", usage: TokenUsage.make({ inputTokens: 150_000 }) },
      { kind: "message", usage: TokenUsage.make({ inputTokens: 50_000, outputTokens: 1000 }) },
      { kind: "message", model: "claude-haiku-5-5", usage: TokenUsage.make({ inputTokens: 100_000 }) }
    ]
    near(Prices.cost(answer({ passes })), 150_000 * 0.5e-6 + 50_000 * 4e-6 + 1000 * 20e-6 + 100_000 * 0.1e-6)
    assert.isUndefined(Prices.cost(answer({ passes: [...passes, { model: "some-model", usage: tokens }] })))
    near(Prices.cost(answer({ passes: [] })), 6)
  })

  it("of an answer from a cache is nothing", () => {
    assert.strictEqual(Prices.cost(answer({ cached: true, cost: 1 })), 0)
  })

  it("is undefined without a price, or without a model", () => {
    assert.isUndefined(Prices.cost(answer({ model: "some-model" })))
    const { model: _, ...unnamed } = answer()
    assert.isUndefined(Prices.cost(unnamed))
  })

  it("is by a table and a time of one's own", () => {
    const prices = Prices.make({ anthropic: { "*": { input: 1, output: 0 } } })
    near(Prices.cost(answer(), { prices }), 1)
    const argon = answer({ provider: "gemini", model: "gemini-4-argon" })
    near(Prices.cost(argon, { at: at("2026-11-30") }), 3)
    near(Prices.cost(argon), 6)
  })
})
