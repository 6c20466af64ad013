import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Models from "../src/Models.ts"
import { anthropic } from "../src/models/anthropic.ts"
import { compatible } from "../src/models/compatible.ts"
import { google } from "../src/models/google.ts"
import { openai } from "../src/models/openai.ts"
import { note, type Reference, references, serviceOf } from "./models/reference.ts"

// The same cases in every run.
Arbitrary.configureGlobal({ check: { seed: "Models" } })

const family = (model: string, provider = "anything"): string | undefined => Models.find(provider, model).family

describe("names", () => {
  const known = {
    // As the vendors have them, with dates, versions and "latest".
    "claude-opus-5-5": "claude-opus-5-5",
    "claude-opus-5-5-20260922": "claude-opus-5-5",
    "claude-opus-5-5@20260922": "claude-opus-5-5",
    "claude-opus-5-20260724": "claude-opus-5",
    "claude-opus-5": "claude-opus-5",
    "claude-sonnet-4-5-20250929": "claude-sonnet-4-5",
    "claude-opus-4-20250514": "claude-opus-4",
    "claude-opus-4-1-20250805": "claude-opus-4-1",
    "claude-haiku-4-5-latest": "claude-haiku-4-5",
    "claude-3-7-sonnet-20250219": "claude-3-7-sonnet",
    "claude-3-5-sonnet-20241022": "claude-3-5",
    "claude-3-opus-latest": "claude-3",
    "claude-mythos-5-1": "claude-mythos-5-1",
    "gpt-6-sol": "gpt-6-sol",
    "gpt-6-sol-2026-09-22": "gpt-6-sol",
    "gpt-5.6": "gpt-5.6-sol",
    "gpt-5-2025-08-07": "gpt-5",
    "gpt-5-mini-2025-08-07": "gpt-5-mini",
    "gpt-5-chat-latest": "gpt-chat",
    "gpt-4o-mini-2024-07-18": "gpt-4o-mini",
    "gpt-4.1": "gpt-4.1",
    "gpt-4-turbo-2024-04-09": "gpt-4-turbo",
    "gpt-4-0613": "gpt-4",
    "gpt-35-turbo": "gpt-3.5",
    "gpt-5.3-codex": "gpt-5.3-codex",
    "o3-2025-04-16": "o3",
    "o4-mini": "o4-mini",
    "models/gemini-4-argon": "gemini-4-argon",
    "gemini-3.1-pro-preview": "gemini-3.1-pro",
    "gemini-2.5-flash-preview-09-2025": "gemini-2.5-flash",
    "gemini-2.5-flash-lite": "gemini-2.5-flash-lite",
    "gemini-2.5-pro-preview-06-05": "gemini-2.5-pro",
    // Behind gateways, with regions, fine-tuned, in other spellings.
    "anthropic/claude-opus-5.5": "claude-opus-5-5",
    "anthropic/claude-opus-5.5:thinking": "claude-opus-5-5",
    "anthropic.claude-opus-5-5-v1:0": "claude-opus-5-5",
    "us.anthropic.claude-opus-5-5-v1:0": "claude-opus-5-5",
    "global.anthropic.claude-sonnet-5-5-20260928-v1:0": "claude-sonnet-5-5",
    "us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0": "claude-sonnet-4-5",
    "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-opus-5-v1:0": "claude-opus-5",
    "bedrock/us.anthropic.claude-haiku-5-5-v1:0": "claude-haiku-5-5",
    "vertex_ai/claude-opus-5-5@20260922": "claude-opus-5-5",
    "claude-opus-5-5[1m]": "claude-opus-5-5",
    "Claude-Opus-5-5": "claude-opus-5-5",
    "openai/gpt-6-sol": "gpt-6-sol",
    "openrouter/openai/gpt-6-sol:batch": "gpt-6-sol",
    "ft:gpt-4.1-mini-2025-04-14:my-org::BxYz": "gpt-4.1-mini",
    "publishers/google/models/gemini-4-hydrogen": "gemini-4-hydrogen",
    "google/gemini-3.8-flash": "gemini-3.8-flash",
    "openai.gpt-oss-120b-1:0": "gpt-oss",
    "openai/gpt-oss-20b": "gpt-oss",
    "deepseek/deepseek-v4-pro": "deepseek-v4-pro",
    "deepseek-ai/DeepSeek-V4-Flash": "deepseek-v4-flash",
    "x-ai/grok-4.3": "grok-4.3",
    "accounts/fireworks/models/kimi-k2p6": "kimi-k2.6",
    "z-ai/glm-5.3-flash": "glm-5.3-flash",
    "qwen/qwen3.8-27b": "qwen3.8-27b",
    "qwen-3.8-27b": "qwen3.8-27b",
    "MiniMax-M3": "minimax-m3"
  }
  for (const [name, expected] of Object.entries(known)) {
    it(`${name} is ${expected}`, () => {
      assert.strictEqual(family(name), expected)
      assert.isUndefined(Models.find("", name).assumed)
    })
  }

  const assumed = {
    "claude-opus-7": "claude-opus-5-5",
    "claude-opus-6-1-20270301": "claude-opus-5-5",
    "claude-opus-5-7": "claude-opus-5-5",
    "claude-opus-5-2": "claude-opus-5",
    "claude-haiku-6": "claude-haiku-5-5",
    "claude-fable-6": "claude-fable-5-2",
    "claude-opus": "claude-opus-5-5",
    "claude-opus-latest": "claude-opus-5-5",
    "~anthropic/claude-sonnet-latest": "claude-sonnet-5-5",
    "claude-saga-6": "claude",
    "gpt-7-sol": "gpt-6.1-sol",
    "gpt-7": "gpt-6.1",
    "gpt-6.5-luna": "gpt-6-luna",
    "gpt-5.3": "gpt-5.2",
    "o5": "o3",
    "gemini-5-x": "gemini-4",
    "gemini-5-argon": "gemini-4-argon",
    "gemini-5-flash": "gemini-4",
    "gemini-3.9-flash": "gemini-3.8-flash",
    "grok-5": "grok-4.7",
    "kimi-k4-pro": "kimi-k3.1",
    "glm-6": "glm-5.3"
  }
  for (const [name, expected] of Object.entries(assumed)) {
    it(`${name} has the rules of ${expected}, and says so`, () => {
      const rules = Models.find("", name)
      assert.strictEqual(rules.family, expected)
      assert.isTrue(rules.assumed)
    })
  }

  it("gemini-4-xenon, of a generation that is known, has the rules of Gemini 4", () => {
    assert.strictEqual(family("gemini-4-xenon"), "gemini-4")
  })

  const nearMisses = [
    "",
    "/",
    "claude",
    "claude-",
    "claude-opus-",
    "claude-opus-50",
    "claude-opus-5-50",
    "claude-opus-5.50",
    "claude-opus-5-5x",
    "claude-opus-5-5-5",
    "claude-opus-005",
    "claude-opus-123",
    "claude-opus-next",
    "claudeopus-5",
    "my-claude-opus-5-5",
    "claude-nonexistent-rig-test",
    "my-gpt-6x",
    "my-gpt-6",
    "gpt-6x",
    "gpt-60",
    "gpt-6.55-sol",
    "gpt-",
    "gpt-6-",
    "gpt6",
    "gpt-nonexistent-model-for-error-edge",
    "gpt-4o-realtime-preview",
    "gpt-4o-mini-tts",
    "gpt-image-1",
    "gpt-2",
    "o3x",
    "o3-deep-research",
    "o99",
    "gemini-40-argon",
    "gemini-2.5-flash-image",
    "gemini-embedding-001",
    "gemini-1.5-pro",
    "gemini",
    "openai/",
    "ft:",
    "ft:my-own",
    "anthropic.",
    "grok-3-mini",
    "kimi-k2-0711-preview",
    "llama3",
    "__proto__",
    "constructor",
    "toString"
  ]
  for (const name of nearMisses) {
    it(`${JSON.stringify(name)} is not known, and restricts nothing`, () => {
      assert.deepStrictEqual(Models.find("anthropic", name), Models.unknown)
      assert.deepStrictEqual(Object.keys(Models.find("openrouter", name)), [])
      assert.isFalse(Models.isKnown(Models.find("openai", name)))
    })
  }

  const Name = Schema.Union([
    Schema.String,
    Schema.Literals(Object.keys(known)),
    Schema.Literals(Object.keys(assumed)),
    Schema.Literals(nearMisses)
  ])
  const Service = Schema.Union([
    Schema.String,
    Schema.Literals(["anthropic", "openai", "gemini", "openrouter", "groq", "cerebras", "__proto__", "constructor"])
  ])

  it.prop("are total", { provider: Service, model: Name }, ({ model, provider }) => {
    const rules = Models.find(provider, model)
    assert.strictEqual(Models.isKnown(rules), rules.family !== undefined)
    if (rules.family === undefined) assert.deepStrictEqual(rules, {})
    assert.deepStrictEqual(Models.find(provider, model), rules)
  })

  it.prop("mean the same behind a vendor, an account and a region", { model: Name }, ({ model }) => {
    for (const prefix of ["anthropic/", "openai/", "accounts/a/models/", "models/", "https://host/"]) {
      assert.strictEqual(family(prefix + model), family(model))
    }
  })

  it.prop("mean the same in capitals", { model: Schema.Literals(Object.keys(known)) }, ({ model }) => {
    assert.strictEqual(family(model.toUpperCase().replace("FT:", "ft:")), family(model))
  })

  it("of 100,000 characters are handled quickly", () => {
    const times = 100_000
    const shapes = [
      "-",
      "/",
      ".",
      ":",
      "a",
      "1",
      "us.",
      "-a",
      "-12-34",
      "-1234-12-12",
      "-latest",
      "claude-opus-",
      "anthropic.",
      "ft:",
      "[",
      "@",
      "\u{1F600}"
    ]
    const heads = [
      "",
      "claude-opus-5-5",
      "gpt-6-sol",
      "o3",
      "gemini-4-argon",
      "vendor/",
      "ft:gpt-4o",
      "us.anthropic.claude-"
    ]
    const start = performance.now()
    for (const head of heads) {
      for (const shape of shapes) {
        const long = shape.repeat(times / shape.length)
        Models.find("openai", head + long)
        Models.find("openai", `${head}${shape.repeat(200 / shape.length)}`)
        Models.find("openai", `${long}/${head}`)
      }
    }
    // A scan that is quadratic in the length takes minutes.
    assert.isBelow(performance.now() - start, 2000)
  })
})

describe("overrides", () => {
  it("hold instead of what is known, for an exact name or the beginning of several", () => {
    const overrides: Models.Overrides = {
      "gpt-6-sol": { sampling: "all" },
      "my-*": { contextWindow: 1 },
      "my-models/*": { contextWindow: 2 },
      "*": { contextWindow: 3 }
    }
    assert.deepStrictEqual(Models.find("openai", "gpt-6-sol", overrides), {
      ...Models.find("openai", "gpt-6-sol"),
      sampling: "all"
    })
    assert.deepStrictEqual(Models.find("openai", "my-models/a", overrides), { contextWindow: 2 })
    assert.deepStrictEqual(Models.find("openai", "my-model", overrides), { contextWindow: 1 })
    assert.strictEqual(Models.find("openai", "gpt-6-luna", overrides).contextWindow, 3)
    assert.strictEqual(Models.find("openai", "gpt-6-luna", overrides).family, "gpt-6-luna")
  })

  it("take the rules of another name, as for a deployment", () => {
    const overrides: Models.Overrides = { production: { like: "gpt-6-sol", maxInput: 1000 } }
    assert.deepStrictEqual(Models.find("azure", "production", overrides), {
      ...Models.find("azure", "gpt-6-sol"),
      maxInput: 1000
    })
  })

  it("that name nothing of the kind change nothing", () => {
    for (const model of ["gpt-6-sol", "toString", "__proto__", ""]) {
      assert.deepStrictEqual(
        Models.find("openai", model, { "gpt-6": { sampling: "all" } }),
        Models.find("openai", model)
      )
    }
  })
})

describe("services", () => {
  it("have their own limits for models of others", () => {
    assert.strictEqual(Models.find("groq", "openai/gpt-oss-120b").maxOutput?.streamed, 65_536)
    assert.strictEqual(Models.find("cerebras", "gpt-oss-120b").maxOutput?.streamed, 40_960)
    assert.isUndefined(Models.find("my-vllm", "openai/gpt-oss-120b").maxOutput)
    assert.strictEqual(Models.find("zai", "glm-5.3").maxOutput?.streamed, 131_072)
    assert.isUndefined(Models.find("openrouter", "z-ai/glm-5.3").maxOutput)
    assert.isUndefined(Models.find("openrouter", "z-ai/glm-5.3").efforts)
  })

  it("OpenRouter calls a model by the protocol that it takes", () => {
    const direct = Models.find("openai", "gpt-6-astra")
    const behind = Models.find("openrouter", "openai/gpt-6-astra")
    assert.deepStrictEqual([direct.chatTools, behind.chatTools], ["never", "yes"])
    assert.deepStrictEqual(Models.effortsOf(direct, "chat"), ["low", "medium", "high", "xhigh"])
    assert.deepStrictEqual(Models.effortsOf(behind, "chat"), ["low", "medium", "high", "xhigh", "max"])
    assert.isTrue(Models.find("openai", "gpt-5-pro").responsesOnly)
    assert.isFalse(Models.find("openrouter", "openai/gpt-5-pro").responsesOnly)
  })

  it("OpenRouter goes on with a long answer of Gemini's by itself", () => {
    const { continues, maxOutput } = Models.find("openrouter", "google/gemini-4-argon")
    assert.deepStrictEqual([continues, maxOutput], [undefined, undefined])
  })
})

describe("shutdown", () => {
  const at = (date: string): number => Option.getOrThrow(Option.map(DateTime.make(date), DateTime.toEpochMillis))
  const gpt5 = Models.find("openai", "gpt-5")

  it("is near from so many days before its day on, and for ever after", () => {
    assert.strictEqual(gpt5.shutdown, "2026-12-11")
    assert.isFalse(Models.endsWithin(gpt5, at("2026-11-10T23:59:59Z"), 30))
    assert.isTrue(Models.endsWithin(gpt5, at("2026-11-11"), 30))
    assert.isFalse(Models.endsWithin(gpt5, at("2026-12-10T23:59:59Z"), 0))
    assert.isTrue(Models.endsWithin(gpt5, at("2026-12-11"), 0))
    assert.isTrue(Models.endsWithin(gpt5, at("2028-01-01"), 30))
  })

  it("is never near for a model without one, or with an override that is not a date", () => {
    for (const rules of [Models.find("anthropic", "claude-opus-5"), Models.unknown, { shutdown: "soon" }]) {
      assert.isFalse(Models.endsWithin(rules, at("2030-01-01"), 30))
    }
  })
})

describe("efforts", () => {
  const rows = [
    ["gpt-6-sol", "max", "responses", "max"],
    ["gpt-6-sol", "max", "chat", "xhigh"],
    ["gpt-6-sol", "minimal", "responses", "low"],
    ["gpt-6-sol", "none", "chat", "none"],
    ["gpt-6.1-sol", "none", "responses", "low"],
    ["gpt-5.5", "max", "responses", "xhigh"],
    ["gpt-5", "none", "responses", "minimal"],
    ["gpt-5", "max", "responses", "high"],
    ["gpt-5-pro", "low", "responses", "high"],
    ["gpt-4o", "high", "chat", undefined],
    ["gemini-3.8-flash", "minimal", undefined, "low"],
    ["gemini-3.6-flash", "minimal", undefined, "minimal"],
    ["gemini-4-argon", "max", undefined, "high"],
    ["gemini-4-hydrogen", "max", undefined, "xhigh"],
    ["claude-opus-4-6", "xhigh", undefined, "max"],
    ["claude-opus-5-5", "minimal", undefined, "low"],
    ["kimi-k3", "medium", undefined, "high"],
    ["some-model", "minimal", "chat", "minimal"]
  ] as const
  for (const [model, asked, api, nearest] of rows) {
    it(`${asked} is ${nearest ?? "not sent"} on ${model}${api === undefined ? "" : `, over ${api}`}`, () => {
      assert.strictEqual(Models.nearestEffort(Models.find("x", model), asked, api), nearest)
    })
  }

  it("that count in the end are those asked for, else the model's own", () => {
    const effective = (model: string, asked?: Models.Effort) => Models.effectiveEffort(Models.find("x", model), asked)
    assert.strictEqual(effective("claude-opus-5-5"), "medium")
    assert.strictEqual(effective("claude-opus-5"), "high")
    assert.strictEqual(effective("claude-opus-4-8"), "none")
    assert.strictEqual(effective("claude-opus-5", "none"), "none")
    assert.strictEqual(effective("claude-opus-5-5", "none"), "low")
    assert.strictEqual(effective("claude-sonnet-4-5", "high"), "high")
    assert.strictEqual(effective("gpt-5.4"), "none")
    assert.strictEqual(effective("gpt-6-sol"), "medium")
    assert.strictEqual(effective("gpt-4o", "high"), "none")
    assert.strictEqual(effective("gemini-2.5-flash", "none"), "none")
    assert.strictEqual(effective("some-model"), undefined)
    assert.strictEqual(effective("some-model", "high"), "high")
  })

  it("from high on make for long thinking, and so does a default that is not known", () => {
    const long = (model: string, asked?: Models.Effort) => Models.thinksLong(Models.find("x", model), asked)
    assert.isTrue(long("claude-opus-5"))
    assert.isFalse(long("claude-opus-5-5"))
    assert.isTrue(long("claude-opus-5-5", "xhigh"))
    assert.isFalse(long("claude-opus-4-8"))
    assert.isFalse(long("gpt-6-sol"))
    assert.isTrue(long("gpt-6-sol", "high"))
    assert.isTrue(long("gpt-6-astra"))
    assert.isTrue(long("gpt-5.5-pro"))
    assert.isTrue(long("gemini-3.7-flash"))
    assert.isFalse(long("gemini-3.8-flash"))
    assert.isFalse(long("gpt-4o", "max"))
    assert.isFalse(long("some-model"))
    assert.isTrue(long("some-model", "max"))
  })

  it("of none make no silence", () => {
    const silent = (model: string, asked?: Models.Effort) => Models.isSilent(Models.find("x", model), asked)
    assert.isTrue(silent("gpt-6-sol"))
    assert.isFalse(silent("gpt-6-sol", "none"))
    assert.isTrue(silent("gpt-6.1-sol", "none"))
    assert.isFalse(silent("gpt-5.4"))
    assert.isTrue(silent("gpt-5.4", "high"))
    assert.isTrue(silent("gemini-4-argon"))
    assert.isFalse(silent("gemini-2.5-flash-lite"))
    assert.isFalse(silent("claude-opus-5-5", "max"))
    assert.isFalse(silent("some-model", "max"))
  })
})

describe("every family", () => {
  const families = [...anthropic, ...openai, ...google, ...compatible].flatMap(({ versions }) => versions)

  it("is consistent in itself", () => {
    for (const [, rules] of families) {
      const { contextWindow, defaultEffort, efforts, family, maxOutput, responsesEfforts, shutdown, thinking } = rules
      const within = (some: ReadonlyArray<Models.Effort> = []) =>
        some.forEach((effort) => assert.isTrue(efforts?.includes(effort), `${family} takes ${effort}`))
      within(responsesEfforts)
      within(rules.thinkingOffEfforts)
      if (defaultEffort !== undefined) within([defaultEffort])
      if (efforts?.includes("none")) assert.isTrue(rules.thinkingOff, family)
      if (
        thinking?.includes("effort") && thinking.length === 1 && efforts !== undefined && rules.thinkingOff === true
      ) {
        within(["none"])
      }
      if (thinking?.length === 0) assert.deepStrictEqual(efforts, [], family)
      if (thinking?.some((form) => form === "enabled" || form === "budget")) {
        assert.isDefined(rules.thinkingBudget, family)
      }
      if (rules.leastThinking !== undefined) assert.isFalse(rules.thinkingOff, family)
      if (maxOutput !== undefined) {
        assert.isAtMost(maxOutput.unary, maxOutput.streamed, family)
        assert.isAtMost(maxOutput.streamed, contextWindow!, family)
        assert.isAtMost(rules.defaultMaxTokens ?? 0, maxOutput.streamed, family)
      }
      assert.isAtMost(rules.maxInput ?? 0, contextWindow ?? 0, family)
      for (const date of [shutdown, rules.shutdownNotBefore]) {
        if (date !== undefined) assert.isTrue(Option.isSome(DateTime.make(date)), family)
      }
      if (rules.answeredByReplacement === true) assert.isDefined(rules.replacement, family)
    }
  })

  it("of Claude has a limit to send, since the service requires one", () => {
    for (const { versions } of anthropic) {
      for (const [, { defaultMaxTokens, family }] of versions) assert.isAbove(defaultMaxTokens ?? 0, 0, family)
    }
  })

  it("stands below the newer ones of its line", () => {
    for (const { name, versions } of [...anthropic, ...openai, ...google, ...compatible]) {
      const numbers = versions.map(([version]) => version)
      assert.deepStrictEqual(numbers, numbers.toSorted((a, b) => b - a), name.source)
    }
  })

  it("is reached by a name", () => {
    const names: Readonly<Record<string, string>> = {
      claude: "claude-saga-5",
      "claude-3": "claude-3-opus",
      "claude-3-5": "claude-3-5-haiku",
      "gpt-3.5": "gpt-3.5-turbo",
      "gpt-chat": "gpt-5-chat",
      "gpt-oss": "gpt-oss-120b",
      "gemini-3": "gemini-3-x",
      "gemini-3.6": "gemini-3.6-x",
      muse: "muse-wonder",
      "muse-glimmer": "muse-glimmer-30b",
      codestral: "codestral-2508",
      "llama-3.1": "llama-3.1-8b",
      "llama-3.3": "llama-3.3-70b",
      "mistral-large": "mistral-large-2512",
      "mistral-medium": "mistral-medium-latest",
      "mistral-small": "mistral-small-latest"
    }
    for (const [, { family }] of families) {
      const rules = Models.find("", names[family] ?? family)
      assert.strictEqual(rules.family, family)
    }
  })

  it("of Mythos is as the Fable of its number", () => {
    for (const number of ["5", "5-1", "5-2"]) {
      const mythos = Models.find("anthropic", `claude-mythos-${number}`)
      const fable = Models.find("anthropic", `claude-fable-${number}`)
      assert.deepStrictEqual(mythos, { ...fable, family: `claude-mythos-${number}` })
    }
  })
})

describe(`reference${note}`, () => {
  const sampling: ReadonlyArray<readonly [RegExp, Models.Rules["sampling"]]> = [
    [/^accepted while thinking is off|only with effort none/, "withoutThinking"],
    [/^rejected|^400|ignored/, "none"],
    [/^temperature 0|^accepted/, "all"]
  ]
  const chatTools: ReadonlyArray<readonly [RegExp, Models.Rules["chatTools"]]> = [
    [/^400 always/, "never"],
    [/^400/, "onlyAtNone"],
    [/^accepted/, "yes"]
  ]
  const meaning = <Value>(table: ReadonlyArray<readonly [RegExp, Value]>, text: string): Value => {
    const row = table.find(([pattern]) => pattern.test(text))
    assert.isDefined(row, text)
    return row![1]
  }
  const isVendors = ({ provider }: Reference) => ["anthropic", "openai", "google"].includes(provider)
  const word = (text: string): string => text.split(" ")[0]!

  /** What a row says, in our fields; those of which it says nothing, or nothing verified, are left out. */
  const expected = (row: Reference): Models.Rules => {
    const { forcedToolChoice: forced, midSystem, prefill, reasoning, shutdown, thinking } = row
    const fields: { -readonly [K in keyof Models.Rules]: unknown } = {}
    if (row.contextWindow !== undefined) fields.contextWindow = row.contextWindow
    if (row.maxInput !== undefined) fields.maxInput = row.maxInput
    if (row.maxOutput !== undefined) {
      fields.maxOutput = row.perRequestOutput ?? { streamed: row.maxOutput, unary: row.maxOutput }
    }
    if (row.totalOutput !== undefined) fields.continues = true
    if (row.sampling !== undefined) fields.sampling = meaning(sampling, row.sampling)
    if (row.sampling?.includes("not both")) fields.temperatureOrTopP = true
    if (typeof row.structuredOutput === "boolean") fields.structuredOutput = row.structuredOutput
    if (forced !== undefined && forced !== "unverified") {
      fields.forcedTools = forced === false ? "no" : /except/.test(`${forced}`) ? "withoutEnabledThinking" : "yes"
    }
    if (prefill !== undefined) fields.prefill = prefill !== false
    if (midSystem !== undefined) {
      fields.systemInMiddle = midSystem === true ? "yes" : /ignored/.test(`${midSystem}`) ? "ignored" : "hoisted"
    }
    if (row.provider === "anthropic" && thinking !== undefined) {
      fields.thinkingBound = row.thinkingBlockBinding === true
    }
    if (row.input !== undefined && isVendors(row)) fields.media = row.input.map(word).filter((kind) => kind !== "text")
    if (row.chatToolsWithReasoning !== undefined) fields.chatTools = meaning(chatTools, row.chatToolsWithReasoning)
    if (row.endpoints?.length === 1) fields.responsesOnly = true
    if (reasoning === null) fields.thinking = []
    else if (reasoning !== undefined) {
      fields.efforts = reasoning.efforts
      fields.thinkingOff = reasoning.canDisable
      fields.defaultEffort = word(reasoning.default) === "unverified" ? undefined : word(reasoning.default)
    }
    if (thinking === null) fields.thinking = []
    else if (thinking === "on") fields.efforts = []
    else if (thinking?.types !== undefined) {
      const types = thinking.types.map(word)
      fields.thinking = types.filter((type) => type === "adaptive" || type === "enabled")
      fields.thinkingOff = types.includes("disabled")
      if (types.includes("between_tools")) fields.leastThinking = "between_tools"
      fields.thinksByDefault = thinking.whenOmitted !== "off"
      fields.efforts = thinking.efforts ?? []
      if (typeof thinking.defaultEffort === "string") fields.defaultEffort = thinking.defaultEffort
      fields.thinkingText = word(thinking.displayDefault!)
      if (types.some((type) => type !== "adaptive") && /effort <= high/.test(`${thinking.canDisable}`)) {
        fields.thinkingOffEfforts = ["low", "medium", "high"]
      }
    } else if (thinking?.levels !== undefined) {
      fields.efforts = thinking.levels.map((level) => level.replace("off=none", "none").replace("=default", ""))
      if (thinking.levels.includes("high=default")) fields.effortNames = { high: "default" }
      if (thinking.levels.includes("off=none")) fields.thinkingOff = true
      if (thinking.default !== undefined) {
        fields.defaultEffort = thinking.default === "unverified" ? undefined : thinking.default
      }
      if (thinking.canDisable !== undefined) fields.thinkingOff = thinking.canDisable
    } else if (thinking?.budget !== undefined) {
      fields.thinkingBudget = { minimum: thinking.budget[0], maximum: thinking.budget[1] }
      fields.thinkingOff = thinking.canDisable
    }
    if (row.notes?.requiresReasoningContentOnAssistantMessages === true) fields.replayReasoningContent = true
    if (row.notes?.supportsMidConvoSystemMessages === true) fields.systemInMiddle = "yes"
    if (typeof shutdown === "string") {
      const date = /\d{4}-\d\d-\d\d/.exec(shutdown)![0]
      fields[/not before|earliest/.test(shutdown) ? "shutdownNotBefore" : "shutdown"] = date
      const replacement = /answered by (\S+)/.exec(shutdown)?.[1]
      if (replacement !== undefined) Object.assign(fields, { replacement, answeredByReplacement: true })
    }
    return fields as Models.Rules
  }

  for (const row of references) {
    it(`agrees on ${row.provider} ${row.id}`, () => {
      const rules = Models.find(serviceOf(row), row.id)
      assert.isTrue(Models.isKnown(rules))
      assert.isUndefined(rules.assumed)
      const said = expected(row)
      assert.isAbove(Object.keys(said).length, 0)
      for (const key of Object.keys(said) as Array<keyof Models.Rules>) {
        assert.deepStrictEqual(rules[key], said[key], key)
      }
      if (row.shutdown === null) assert.isUndefined(rules.shutdown)
    })
  }

  it.skipIf(references.length === 0)("holds as many models as it should", () => {
    assert.isAtLeast(references.length, 103)
  })
})
