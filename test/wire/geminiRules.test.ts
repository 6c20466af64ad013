import { assert, describe, it } from "@effect/vitest"
import { Completion, Message, Tool } from "../../src/index.ts"
import { gemini } from "../../src/wire/gemini/wire.ts"
import type { JsonRecord } from "../../src/wire/json.ts"

const wire = gemini("gemini")
const question = (model: string, more: object = {}) => Completion.make({ model, prompt: "Hi", ...more })

const ask = (model: string, more: object = {}, of = wire) => {
  const request = of.request(question(model, more), model, true)
  assert(!("_tag" in request), JSON.stringify(request))
  const config = (request.body["generationConfig"] ?? {}) as JsonRecord
  return { config, warned: (request.warnings ?? []).map(({ field }) => field), warnings: request.warnings ?? [] }
}

const thinking = (model: string, reasoning: Completion.Reasoning) => {
  const { config, warned } = ask(model, { reasoning })
  return [config["thinkingConfig"], ...warned]
}

const level = (thinkingLevel: string) => ({ thinkingLevel })
const budget = (thinkingBudget: number) => ({ thinkingBudget })

describe("thinking", () => {
  for (
    const [model, effort, ...expected] of [
      ["gemini-4-argon", "low", level("LOW")],
      ["gemini-4-argon", "high", level("HIGH")],
      ["gemini-4-argon", "minimal", level("LOW"), "reasoning.effort"],
      ["gemini-4-argon", "none", level("LOW"), "reasoning.effort"],
      ["gemini-4-argon", "xhigh", level("HIGH"), "reasoning.effort"],
      ["gemini-4-argon", "max", level("HIGH"), "reasoning.effort"],
      ["gemini-4-hydrogen", "xhigh", level("XHIGH")],
      ["gemini-4-hydrogen", "max", level("XHIGH"), "reasoning.effort"],
      ["gemini-3.8-flash", "minimal", level("LOW"), "reasoning.effort"],
      ["gemini-3.6-flash", "minimal", level("MINIMAL")],
      ["gemini-3.6-flash", "none", level("MINIMAL"), "reasoning.effort"],
      ["gemini-3.1-pro-preview", "minimal", level("LOW"), "reasoning.effort"],
      ["gemini-5-whatever", "minimal", level("LOW"), "reasoning.effort"],
      ["gemini-2.5-flash", "none", budget(0)],
      ["gemini-2.5-flash", "low", budget(1024)],
      ["gemini-2.5-flash", "high", budget(24_576)],
      ["gemini-2.5-flash", "max", budget(24_576)],
      ["gemini-2.5-pro", "none", budget(128), "reasoning.effort"],
      ["gemini-2.5-pro", "max", budget(32_768)],
      // Nothing is known of it.
      ["tunedModels/mine", "minimal", level("MINIMAL")],
      ["tunedModels/mine", "none", budget(0)]
    ] as const
  ) {
    it(`at effort ${effort} of ${model} is ${JSON.stringify(expected[0])}`, () => {
      assert.deepStrictEqual(thinking(model, { effort }), expected)
    })
  }

  for (
    const [model, budgetTokens, ...expected] of [
      ["gemini-4-argon", 1000, level("LOW"), "reasoning.budgetTokens"],
      ["gemini-4-argon", 10_000, level("MEDIUM"), "reasoning.budgetTokens"],
      ["gemini-4-argon", 1e9, level("HIGH"), "reasoning.budgetTokens"],
      ["gemini-4-argon", 0, level("LOW"), "reasoning.budgetTokens"],
      ["gemini-2.5-flash", 1000, budget(1000)],
      ["gemini-2.5-flash", 0, budget(0)],
      ["gemini-2.5-flash", 1e9, budget(24_576), "reasoning.budgetTokens"],
      ["gemini-2.5-pro", 1, budget(128), "reasoning.budgetTokens"]
    ] as const
  ) {
    it(`of ${budgetTokens} tokens of ${model} is ${JSON.stringify(expected[0])}`, () => {
      assert.deepStrictEqual(thinking(model, { budgetTokens }), expected)
    })
  }

  it("is a level or a budget, never both", () => {
    const both = { effort: "high", budgetTokens: 1000 } as const
    assert.deepStrictEqual(thinking("gemini-4-argon", both), [level("HIGH"), "reasoning.budgetTokens"])
    assert.deepStrictEqual(thinking("gemini-2.5-flash", both), [budget(1000)])
    for (
      const params of [
        { additionalParams: { generationConfig: { thinkingConfig: budget(5) } } },
        { providerParams: { gemini: { generationConfig: { thinkingConfig: level("LOW") } } } }
      ]
    ) {
      const { config, warned } = ask("gemini-4-argon", { ...params, reasoning: { effort: "high", summary: true } })
      assert.deepStrictEqual([config["thinkingConfig"], warned], [{ includeThoughts: true }, []])
    }
    const named = { mine: { generationConfig: { thinkingConfig: budget(5) } } }
    const asked = { providerParams: named, reasoning: { effort: "high" } }
    assert.notProperty(ask("gemini-4-argon", asked, gemini("mine")).config, "thinkingConfig")
    assert.property(ask("gemini-4-argon", asked).config, "thinkingConfig")
  })

  it("is shown where it was asked for, and nothing is said where nothing was", () => {
    assert.deepStrictEqual(thinking("gemini-4-argon", { summary: true }), [{ includeThoughts: true }])
    assert.deepStrictEqual(thinking("gemini-4-argon", { effort: "low", summary: false }), [
      { includeThoughts: false, thinkingLevel: "LOW" }
    ])
    assert.deepStrictEqual(thinking("gemini-4-argon", {}), [undefined])
    assert.notProperty(ask("gemini-4-argon").config, "thinkingConfig")
  })

  it("uses an instance's overrides", () => {
    const mine = gemini("gemini", {
      models: { "tunedModels/*": { like: "gemini-2.5-flash" }, "gemini-4-argon": { thinking: [] } }
    })
    const reasoning = { effort: "high" } as const
    assert.deepStrictEqual(ask("tunedModels/mine", { reasoning }, mine).config["thinkingConfig"], budget(24_576))
    const without = ask("gemini-4-argon", { reasoning }, mine)
    assert.deepStrictEqual([without.config, without.warned], [{}, ["reasoning"]])
  })

  it("is long from high on, and silent unless it is shown", () => {
    const of = (model: string, reasoning?: Completion.Reasoning) => {
      const { long, silent } = wire.thinking!(question(model, { reasoning }), model)
      return [long, silent]
    }
    assert.deepStrictEqual(of("gemini-4-argon"), [true, true])
    assert.deepStrictEqual(of("gemini-4-argon", { effort: "low" }), [false, true])
    assert.deepStrictEqual(of("gemini-4-argon", { effort: "high", summary: true }), [true, false])
    assert.deepStrictEqual(of("gemini-3.8-flash"), [false, true])
    assert.deepStrictEqual(of("gemini-2.5-flash", { effort: "none" }), [false, false])
    assert.deepStrictEqual(of("tunedModels/mine"), [false, false])
  })
})

describe("sampling", () => {
  for (const model of ["gemini-3.6-flash", "gemini-3.8-flash", "gemini-4-argon", "gemini-6-new"]) {
    it(`is left out for ${model}, with a warning`, () => {
      const { config, warned } = ask(model, { temperature: 0.5, topP: 0.5, seed: 1 })
      assert.deepStrictEqual([config, warned], [{ seed: 1 }, ["temperature", "topP"]])
    })
  }

  for (const model of ["gemini-3-flash", "gemini-3.5-flash", "gemini-2.5-pro", "tunedModels/mine"]) {
    it(`is sent to ${model}`, () => {
      const { config, warned } = ask(model, { temperature: 0.5, topP: 0.5 })
      assert.deepStrictEqual([config, warned], [{ temperature: 0.5, topP: 0.5 }, []])
    })
  }

  it("that equals the model's default is left out without a warning", () => {
    assert.deepStrictEqual(ask("gemini-4-argon", { temperature: 1 }).warned, [])
  })
})

describe("several candidates", () => {
  const several = { additionalParams: { generationConfig: { candidateCount: 2 } } }

  it("are refused where the model gives one, by the name of the field", () => {
    for (const model of ["gemini-3-flash", "gemini-4-argon"]) {
      const refused = wire.request(question(model, several), model, false)
      assert("_tag" in refused)
      assert.strictEqual(refused.reason, "Unsupported")
      assert.include(refused.description, "generationConfig.candidateCount")
    }
  })

  it("are the caller's own business elsewhere", () => {
    assert.deepStrictEqual(ask("gemini-2.5-flash", several).warned, [])
    assert.deepStrictEqual(
      ask("gemini-4-argon", { additionalParams: { generationConfig: { candidateCount: 1 } } }).warned,
      []
    )
  })
})

describe("a schema together with tools", () => {
  it("is refused where the model does not support both, so that a fallback can answer", () => {
    const tool = Tool.make("f", { description: "", parameters: { type: "object", properties: {} } })
    const both = { outputSchema: { type: "object", properties: {} }, tools: [tool] }
    const refused = wire.request(question("gemini-2.5-flash", both), "gemini-2.5-flash", false)
    assert("_tag" in refused)
    assert.strictEqual(refused.reason, "Unsupported")
    assert.include(refused.description, "outputSchema")
  })
})

describe("what every model takes", () => {
  it("is sent as it is: forced tools, structured output beside tools, an answer that is begun", () => {
    const tool = Tool.make("f", {
      description: "",
      parameters: { type: "object", properties: { a: { type: "string" } } }
    })
    const completion = Completion.make({
      model: "gemini-4-argon",
      messages: ["Hi", Message.assistant("He")],
      tools: [tool],
      toolChoice: Tool.required,
      outputSchema: { type: "object" }
    })
    const request = wire.request(completion, "gemini-4-argon", false)
    assert(!("_tag" in request))
    assert.deepStrictEqual(request.warnings, [])
    assert.deepStrictEqual(request.body["toolConfig"], { functionCallingConfig: { mode: "ANY" } })
  })
})
