import { assert, describe, it } from "@effect/vitest"
import * as Completion from "../../src/Completion.ts"
import type { Warning } from "../../src/CompletionResponse.ts"
import * as Message from "../../src/Message.ts"
import * as Tool from "../../src/Tool.ts"
import { closed, problemOf } from "../../src/wire/anthropic/schema.ts"
import { anthropic, type Options } from "../../src/wire/anthropic/wire.ts"
import { classify } from "../../src/wire/failure.ts"
import type { Refused, WireRequest } from "../../src/wire/Wire.ts"

type Json = { readonly [key: string]: unknown }

const ask = (model: string, fields: Partial<Completion.Options> = {}, options?: Options): WireRequest | Refused =>
  anthropic("anthropic", options).request(
    Completion.make({ model, prompt: "Hi", ...fields } as Completion.Options),
    model,
    false
  )

const sent = (model: string, fields: Partial<Completion.Options> = {}, options?: Options) => {
  const request = ask(model, fields, options)
  assert(!("_tag" in request), "_tag" in request ? request.description : "")
  return { ...request, body: JSON.parse(JSON.stringify(request.body)) as Json, fields: fieldsOf(request.warnings) }
}

const fieldsOf = (warnings: ReadonlyArray<Warning> = []): ReadonlyArray<string> => warnings.map(({ field }) => field)

const refused = (model: string, fields: Partial<Completion.Options>, options?: Options): Refused => {
  const request = ask(model, fields, options)
  assert("_tag" in request, "it was not refused")
  return request
}

const tools = [
  Tool.make("weather", { description: "The weather.", parameters: { type: "object" } }),
  Tool.make("time", { description: "The time.", parameters: { type: "object" } })
]

// Every family of the table, and names of it in other forms.
const unforced = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-fable-5-1", "claude-fable-5-2", "claude-mythos-5-2"]
const forced = [
  "claude-fable-5",
  "claude-opus-5",
  "claude-sonnet-5",
  "claude-haiku-5-5",
  "claude-opus-4-8",
  "claude-opus-4-7"
]
const unsampled = [...unforced, ...forced]

describe("a tool that must be called", () => {
  for (const model of [...unforced, "anthropic/claude-opus-5.5", "us.anthropic.claude-fable-5-1-v1:0"]) {
    for (const toolChoice of [Tool.required, Tool.specific("weather")]) {
      it(`is refused on ${model} (${toolChoice._tag}), unless another choice will do`, () => {
        const { description, reason } = refused(model, { tools, toolChoice })
        assert.strictEqual(reason, "Unsupported")
        assert.match(description, /^toolChoice: /)
        const { body, fields } = sent(model, {
          tools,
          toolChoice: { ...toolChoice, otherwise: "auto" } as Tool.ToolChoice
        })
        assert.deepStrictEqual(body["tool_choice"], { type: "auto" })
        assert.deepStrictEqual(fields, ["toolChoice"])
        assert.lengthOf(body["tools"] as ReadonlyArray<unknown>, toolChoice._tag === "Specific" ? 1 : 2)
      })
    }
    it(`leaves the other choices of ${model} as they are`, () => {
      for (const toolChoice of [Tool.auto, Tool.none]) {
        assert.deepStrictEqual(sent(model, { tools, toolChoice }).fields, [])
      }
      assert.notProperty(sent(model, { toolChoice: Tool.required }).body, "tool_choice")
    })
  }

  for (const model of [...forced, "claude-sonnet-4-6", "some-other-model"]) {
    it(`is sent to ${model}`, () => {
      const { body, fields } = sent(model, { tools, toolChoice: Tool.required })
      assert.deepStrictEqual([body["tool_choice"], fields], [{ type: "any" }, []])
    })
  }

  for (const model of ["claude-sonnet-4-6", "claude-haiku-4-5"]) {
    it(`is refused on ${model} while it thinks within a budget, whoever asked for that`, () => {
      const reasoning = { budgetTokens: 2000 }
      assert.strictEqual(refused(model, { tools, toolChoice: Tool.required, reasoning }).reason, "Unsupported")
      const own = { thinking: { type: "enabled", budget_tokens: 2000 } }
      assert.strictEqual(
        refused(model, { tools, toolChoice: Tool.required, additionalParams: own }).reason,
        "Unsupported"
      )
    })
  }

  it("and one call at a time", () => {
    const { body } = sent("m", { tools, toolChoice: Tool.specific("weather"), parallelToolCalls: false })
    assert.deepStrictEqual(body["tool_choice"], { type: "tool", name: "weather", disable_parallel_tool_use: true })
    assert.deepStrictEqual(sent("m", { tools, parallelToolCalls: false }).body["tool_choice"], {
      type: "auto",
      disable_parallel_tool_use: true
    })
    assert.deepStrictEqual(sent("m", { tools, parallelToolCalls: true }).body["tool_choice"], {
      type: "auto",
      disable_parallel_tool_use: false
    })
    assert.deepStrictEqual(sent("m", { tools, toolChoice: Tool.none, parallelToolCalls: false }).body["tool_choice"], {
      type: "none"
    })
    assert.notProperty(sent("m", { parallelToolCalls: false }).body, "tool_choice")
  })
})

describe("sampling", () => {
  for (const model of unsampled) {
    it(`is left out for ${model}, with a warning where it says something`, () => {
      const { body, fields } = sent(model, { temperature: 0.2, topP: 0.5 })
      assert.deepStrictEqual(fields, ["temperature", "topP"])
      assert.notProperty(body, "temperature")
      assert.notProperty(body, "top_p")
      const usual = sent(model, { temperature: 1, topP: 1 })
      assert.deepStrictEqual(usual.fields, [])
      assert.notProperty(usual.body, "temperature")
    })
  }

  it("is taken by models that do not think at the moment", () => {
    for (const model of ["claude-sonnet-4-6", "claude-opus-4-6"]) {
      const { body, fields } = sent(model, { temperature: 0.2, topP: 0.5 })
      assert.deepStrictEqual([body["temperature"], body["top_p"], fields], [0.2, 0.5, []])
      assert.deepStrictEqual(sent(model, { temperature: 0.2, reasoning: { effort: "low" } }).fields, ["temperature"])
      const own = { additionalParams: { thinking: { type: "adaptive" } } }
      assert.deepStrictEqual(sent(model, { temperature: 0.2, ...own }).fields, ["temperature"])
      assert.deepStrictEqual(sent(model, { temperature: 0.2, reasoning: { effort: "none" } }).fields, [])
    }
  })

  it("is one setting where a model takes only one", () => {
    const { body, fields } = sent("claude-sonnet-4-5", { temperature: 0.2, topP: 0.5 })
    assert.deepStrictEqual([body["temperature"], body["top_p"], fields], [0.2, undefined, ["topP"]])
    assert.deepStrictEqual(sent("claude-sonnet-4-5", { topP: 0.5 }).body["top_p"], 0.5)
  })

  it("is left out for every model if the version of the API does not support it", () => {
    for (const model of ["m", "claude-sonnet-4-6"]) {
      const { body, fields } = sent(model, { temperature: 0.2, topP: 1 }, { version: "2026-10-21" })
      assert.notProperty(body, "temperature")
      assert.notProperty(body, "top_p")
      assert.deepStrictEqual(fields, ["temperature"])
      assert.strictEqual(sent(model, { temperature: 0.2 }, { version: "2023-06-01" }).body["temperature"], 0.2)
    }
  })

  it("of a model that is not known is the service's to judge; a seed there is none", () => {
    const { body, fields } = sent("m", { temperature: 0, topP: 0, seed: 7 })
    assert.deepStrictEqual([body["temperature"], body["top_p"], fields], [0, 0, ["seed"]])
    assert.notProperty(body, "seed")
  })
})

describe("reasoning", () => {
  for (
    const [model, reasoning, thinking, effort, fields] of [
      // Adaptive alone: a budget becomes an effort.
      ["claude-opus-5-5", { effort: "high" }, { type: "adaptive" }, "high", []],
      ["claude-opus-5-5", { effort: "minimal" }, { type: "adaptive" }, "low", ["reasoning.effort"]],
      ["claude-opus-5-5", { effort: "max", summary: true }, { type: "adaptive", display: "summarized" }, "max", []],
      ["claude-opus-5-5", { effort: "low", summary: false }, { type: "adaptive" }, "low", []],
      ["claude-opus-5-5", { budgetTokens: 9000 }, { type: "adaptive" }, "medium", ["reasoning.budgetTokens"]],
      ["claude-opus-5-5", { budgetTokens: 9000, effort: "max" }, { type: "adaptive" }, "max", []],
      ["claude-opus-5-5", { summary: true }, { type: "adaptive", display: "summarized" }, undefined, []],
      ["claude-opus-5-5", { summary: false }, undefined, undefined, []],
      // It cannot be off.
      ["claude-opus-5-5", { effort: "none" }, undefined, "low", ["reasoning.effort"]],
      ["claude-fable-5-2", { budgetTokens: 0 }, undefined, "low", ["reasoning.effort"]],
      ["claude-sonnet-5-5", { effort: "none" }, { type: "between_tools" }, undefined, ["reasoning.effort"]],
      // It can, where it is on by itself.
      ["claude-opus-5", { effort: "none" }, { type: "disabled" }, undefined, []],
      ["claude-haiku-5-5", { effort: "none" }, { type: "disabled" }, undefined, []],
      ["claude-sonnet-5", { effort: "none", summary: true }, { type: "disabled" }, undefined, []],
      // And where it is off by itself, it is left so.
      ["claude-opus-4-8", { effort: "none" }, undefined, undefined, []],
      ["claude-opus-4-8", { summary: true }, undefined, undefined, []],
      ["claude-opus-4-8", { effort: "xhigh" }, { type: "adaptive" }, "xhigh", []],
      ["claude-opus-4-7", { budgetTokens: 40_000 }, { type: "adaptive" }, "max", ["reasoning.budgetTokens"]],
      // Both forms: a budget stays one, and a level that is lacking becomes the nearest.
      ["claude-sonnet-4-6", { budgetTokens: 9000 }, { type: "enabled", budget_tokens: 9000 }, undefined, []],
      ["claude-sonnet-4-6", { effort: "xhigh" }, { type: "adaptive" }, "max", ["reasoning.effort"]],
      [
        "claude-sonnet-4-6",
        { effort: "medium", summary: false },
        { type: "adaptive", display: "omitted" },
        "medium",
        []
      ],
      // Budgets alone: an effort becomes one.
      ["claude-haiku-4-5", { effort: "high" }, { type: "enabled", budget_tokens: 20_000 }, undefined, [
        "reasoning.effort"
      ]],
      ["claude-haiku-4-5", { budgetTokens: 500 }, { type: "enabled", budget_tokens: 1024 }, undefined, [
        "reasoning.budgetTokens"
      ]],
      ["claude-haiku-4-5", { budgetTokens: 70_000 }, { type: "enabled", budget_tokens: 63_999 }, undefined, [
        "reasoning.budgetTokens"
      ]],
      ["claude-haiku-4-5", { effort: "none" }, undefined, undefined, []],
      ["claude-opus-4-5", { effort: "high" }, { type: "enabled", budget_tokens: 20_000 }, "high", []],
      ["claude-opus-4-5", { effort: "max" }, { type: "enabled", budget_tokens: 48_000 }, "high", ["reasoning.effort"]],
      // They do not think.
      ["claude-3-5-haiku-latest", { effort: "high" }, undefined, undefined, ["reasoning.effort"]],
      ["claude-3-5-haiku-latest", { effort: "none" }, undefined, undefined, []],
      ["claude-3-5-haiku-latest", { summary: true }, undefined, undefined, []],
      // Nothing is known.
      ["m", { effort: "minimal" }, { type: "adaptive" }, "low", ["reasoning.effort"]],
      ["m", { budgetTokens: 2000 }, { type: "enabled", budget_tokens: 2000 }, undefined, []],
      ["m", { effort: "none" }, { type: "disabled" }, undefined, []]
    ] as const
  ) {
    it(`${JSON.stringify(reasoning)} for ${model}`, () => {
      const { body, fields: warned } = sent(model, { reasoning })
      assert.deepStrictEqual(body["thinking"], thinking)
      assert.strictEqual((body["output_config"] as Json | undefined)?.["effort"], effort)
      assert.deepStrictEqual(warned, [...fields])
    })
  }

  it("is left out if the limit leaves no room for it", () => {
    const { body, fields } = sent("claude-haiku-4-5", { reasoning: { effort: "high" }, maxTokens: 1000 })
    assert.notProperty(body, "thinking")
    assert.deepStrictEqual(fields, ["reasoning.effort"])
  })

  it("that is not asked for is not sent", () => {
    for (const model of [...unsampled, "claude-sonnet-4-6", "m"]) {
      const { body, fields } = sent(model, {})
      assert.notProperty(body, "thinking")
      assert.notProperty(body, "output_config")
      assert.deepStrictEqual(fields, [])
    }
  })
})

describe("an answer that is begun by the caller", () => {
  const begun = { messages: [Message.user("a"), Message.assistant("The answer is")] }
  const paused = {
    messages: [
      Message.user("a"),
      Message.assistant({ _tag: "ProviderBlock", provider: "anthropic", block: { type: "server_tool_use", id: "s" } }, {
        provider: "anthropic"
      })
    ]
  }

  const without = (fields: object) => ({ prompt: undefined, ...fields }) as unknown as Partial<Completion.Options>

  for (const model of [...unsampled, "claude-opus-4-6"]) {
    it(`is refused on ${model}; a turn that was paused goes back as it is`, () => {
      const { description, reason } = refused(model, without(begun))
      assert.strictEqual(reason, "Unsupported")
      assert.match(description, /^prompt: /)
      const { body } = sent(model, without(paused))
      assert.deepStrictEqual((body["messages"] as ReadonlyArray<Json>).at(-1), {
        role: "assistant",
        content: [{ type: "server_tool_use", id: "s" }]
      })
    })
  }

  it("is sent where the model takes it, or is not known", () => {
    for (const model of ["claude-haiku-4-5", "claude-3-opus-20240229", "m"]) {
      assert.lengthOf(sent(model, without(begun)).body["messages"] as ReadonlyArray<unknown>, 2)
    }
  })
})

describe("system messages", () => {
  const messages = [Message.user("a"), Message.system("be brief"), Message.assistant("b"), Message.user("c")]
  const roles = (model: string, fields: object = { messages }) => {
    const { body } = sent(model, { prompt: undefined, ...fields } as never)
    return [(body["messages"] as ReadonlyArray<Json>).map(({ role }) => role).join(" "), body["system"] !== undefined]
  }

  for (const model of [...unforced, "claude-opus-5", "claude-haiku-5-5", "claude-fable-5", "claude-opus-4-8"]) {
    it(`stay where they stand on ${model}`, () => {
      assert.deepStrictEqual(roles(model), ["user system assistant user", false])
      assert.deepStrictEqual(roles(model, { messages: [Message.user("a"), Message.system("x")] }), [
        "user system",
        false
      ])
      // Not first, and not before a user's message.
      assert.deepStrictEqual(roles(model, { messages: [Message.system("x"), Message.user("a")] }), ["user", true])
      assert.deepStrictEqual(roles(model, { messages: [Message.user("a"), Message.system("x"), Message.user("b")] }), [
        "user",
        true
      ])
    })
  }

  for (const model of ["claude-sonnet-5", "claude-opus-4-7", "claude-sonnet-4-6", "m"]) {
    it(`go to the beginning on ${model}`, () => {
      assert.deepStrictEqual(roles(model), ["user assistant user", true])
    })
  }
})

describe("thinking that is bound to its conversation", () => {
  const thought = (provider?: string) =>
    Message.assistant([{ _tag: "Reasoning", content: [{ _tag: "Text", text: "", signature: "s" }] }, "b"], { provider })
  const fields = (provider?: string) =>
    ({ prompt: undefined, messages: [Message.user("a"), thought(provider), Message.user("c")] }) as never

  for (const model of unforced) {
    it(`is dropped by ${model} if that was changed, unless it is to be refused`, () => {
      const { body, headers } = sent(model, fields("anthropic"))
      assert.deepStrictEqual(body["thinking"], {
        type: "adaptive",
        block_binding: { prefix_mismatch_behavior: "drop_block" }
      })
      assert.strictEqual(headers?.["anthropic-beta"], "thinking-binding-controls-2026-08-01")
      const strict = sent(model, fields("anthropic"), { thinkingMismatch: "error" })
      assert.notProperty(strict.body, "thinking")
      assert.isUndefined(strict.headers)
      // Without thinking in what is sent there is nothing to drop.
      assert.notProperty(sent(model, fields("openai")).body, "thinking")
      assert.notProperty(sent(model).body, "thinking")
    })
  }

  it("goes together with what was asked for, and with other betas", () => {
    const { body, headers } = sent("claude-opus-5-5", {
      ...fields(undefined) as object,
      reasoning: { effort: "high", summary: true },
      messages: [Message.user(Message.image(Message.fileId("file_1"))), thought(), Message.user("c")]
    } as never)
    assert.deepStrictEqual(body["thinking"], {
      type: "adaptive",
      display: "summarized",
      block_binding: { prefix_mismatch_behavior: "drop_block" }
    })
    assert.strictEqual(headers?.["anthropic-beta"], "files-api-2025-04-14,thinking-binding-controls-2026-08-01")
  })

  it("is not touched on models that do not bind it, nor where the caller's own thinking is of another type", () => {
    for (const model of [...forced, "claude-sonnet-4-6", "m"]) {
      assert.notProperty(sent(model, fields("anthropic")).body, "thinking")
    }
    const own = {
      ...fields("anthropic") as object,
      providerParams: { anthropic: { thinking: { type: "between_tools" } } }
    }
    assert.notProperty(sent("claude-sonnet-5-5", own).body, "thinking")
  })
})

describe("what is known of models", () => {
  it("may be said otherwise", () => {
    const models = { "my-claude": { like: "claude-opus-5-5" }, "claude-opus-5-5": { forcedTools: "yes" } } as const
    assert.strictEqual(refused("my-claude", { tools, toolChoice: Tool.required }, { models }).reason, "Unsupported")
    assert.deepStrictEqual(sent("claude-opus-5-5", { tools, toolChoice: Tool.required }, { models }).fields, [])
  })

  for (
    const [model, limit] of [
      ["claude-opus-5-5", 128_000],
      ["claude-sonnet-5", 128_000],
      ["claude-haiku-5-5", 128_000],
      ["claude-fable-5-1", 128_000],
      ["claude-opus-4-8", 128_000],
      ["claude-opus-4-7-20260401", 128_000],
      ["claude-opus-4-6", 128_000],
      ["claude-opus-4-5-20251101", 64_000],
      ["claude-opus-4-1-20250805", 32_000],
      ["claude-opus-4-20250514", 32_000],
      ["claude-opus-4@20250514", 32_000],
      ["claude-sonnet-4-5", 64_000],
      ["claude-sonnet-4-20250514", 64_000],
      ["claude-haiku-4-5-20251001", 64_000],
      ["claude-3-7-sonnet-latest", 64_000],
      ["claude-3-5-haiku-20241022", 8192],
      ["claude-3-opus-20240229", 4096],
      ["anthropic/claude-opus-4.6", 128_000],
      ["anthropic/claude-3.5-sonnet", 8192],
      ["us.anthropic.claude-sonnet-4-5-20250929-v1:0", 64_000],
      ["claude-newest-9", 64_000],
      ["deepseek-chat", 4096],
      ["", 4096]
    ] as const
  ) {
    it(`max_tokens of ${model || "no name"} is ${limit} where the request sets none`, () => {
      assert.strictEqual(sent(model).body["max_tokens"], limit)
      assert.strictEqual(sent(model, { maxTokens: 7 }).body["max_tokens"], 7)
    })
  }
})

describe("the schema of an answer", () => {
  const object = (properties: Json, rest: Json = {}): Json => ({ type: "object", properties, ...rest })

  it("is closed, and requires no more than was required", () => {
    const inner = object({ b: { type: "string" } })
    assert.deepStrictEqual(
      closed(object({ a: inner, c: { type: "array", items: inner } }, { additionalProperties: true })),
      {
        type: "object",
        properties: {
          a: { ...inner, additionalProperties: false },
          c: { type: "array", items: { ...inner, additionalProperties: false } }
        },
        additionalProperties: false
      }
    )
  })

  it("says in words what the service cannot enforce", () => {
    assert.deepStrictEqual(
      closed(object({
        age: { type: "integer", minimum: 0, exclusiveMaximum: 150, description: "in years" },
        name: { type: "string", minLength: 1, format: "email" },
        list: { type: "array", minItems: 2, maxItems: 3, items: { type: "string" } },
        some: { type: "array", minItems: 1 }
      }))["properties"],
      {
        age: { type: "integer", description: "in years\n\n{minimum: 0, exclusiveMaximum: 150}" },
        name: { type: "string", format: "email", description: "{minLength: 1}" },
        list: { type: "array", items: { type: "string" }, description: "{minItems: 2, maxItems: 3}" },
        some: { type: "array", minItems: 1 }
      }
    )
  })

  it("keeps what stands beside a reference, and takes a property named like a keyword for no keyword", () => {
    const schema = object({ minimum: { $ref: "#/$defs/A", description: "D" } }, {
      additionalProperties: false,
      $defs: { A: { type: "string" } }
    })
    assert.deepStrictEqual(closed(schema), schema)
  })

  for (
    const [what, schema, place] of [
      ["a record", object({ a: { type: "object", additionalProperties: { type: "string" } } }), "properties.a"],
      ["a record at the root", { type: "object", additionalProperties: {} }, "the root"],
      [
        "a definition that holds itself",
        object({ tree: { $ref: "#/$defs/Tree" } }, {
          $defs: { Tree: object({ children: { type: "array", items: { $ref: "#/$defs/Tree" } } }) }
        }),
        "$defs.Tree.properties.children.items"
      ],
      [
        "definitions that hold each other",
        object({ a: { $ref: "#/$defs/A" } }, {
          $defs: {
            A: object({ b: { anyOf: [{ $ref: "#/$defs/B%20b" }] } }),
            "B b": object({ a: { $ref: "#/$defs/A" } })
          }
        }),
        "$defs.B b.properties.a"
      ],
      ["the root within itself", object({ a: { $ref: "#" } }), "properties.a"]
    ] as const
  ) {
    it(`that the service refuses is refused before: ${what}`, () => {
      assert.include(problemOf(schema), `${place}: `)
      const { description, reason } = refused("claude-opus-5-5", { outputSchema: schema as never })
      assert.strictEqual(reason, "Unsupported")
      assert.match(description, /^outputSchema: /)
    })
  }

  it("may be used twice, and is refused if the model does not support structured output", () => {
    const schema = object({ a: { $ref: "#/$defs/A" }, b: { $ref: "#/$defs/A" }, c: true }, { $defs: { A: object({}) } })
    assert.isUndefined(problemOf(schema))
    assert.match(refused("claude-3-opus-20240229", { outputSchema: schema as never }).description, /^outputSchema: /)
  })
})

describe("failures", () => {
  const found = (status: number, error: Json, headers: { readonly [name: string]: string } = {}) =>
    classify(anthropic("anthropic").failures, { _tag: "Failed", text: "", body: { type: "error", error } }, {
      status,
      headers,
      now: Date.parse("2026-11-26T00:00:00Z")
    })

  const coded = (error_code: string, type = "invalid_request_error"): Json => ({
    type,
    message: "m",
    details: { error_code }
  })

  for (
    const [row, status, error, verdict] of [
      [34, 429, coded("ramp_limit_exceeded", "rate_limit_error"), ["RateLimit", "Unknown"]],
      [35, 429, coded("contract_spend_limit_reached", "rate_limit_error"), ["ClientError", "Quota"]],
      [35, 402, coded("linked_organization_spend_limit_reached", "billing_error"), ["ClientError", "Quota"]],
      [35, 402, coded("linked_organization_billing_unavailable", "billing_error"), ["ClientError", "Quota"]],
      [36, 400, coded("organization_on_hold"), ["ClientError", "Permission"]],
      [36, 400, coded("cmek_key_disabled"), ["ClientError", "Permission"]],
      [37, 529, coded("compaction_unavailable", "overloaded_error"), ["Transient", "Overloaded"]],
      [37, 503, coded("cmek_key_unreachable", "api_error"), ["Transient", "Overloaded"]],
      [38, 503, { type: "api_error", message: "m" }, ["Transient", "Overloaded"]],
      [39, 413, coded("request_body_too_large_after_decoding", "request_too_large"), ["ClientError", "TooLarge"]],
      [39, 400, coded("image_dimensions_too_large"), ["ClientError", "TooLarge"]],
      [40, 400, coded("compaction_block_misplaced"), ["ClientError", "InvalidRequest"]],
      [40, 400, coded("thread_fingerprint_mismatch"), ["ClientError", "InvalidRequest"]],
      [40, 400, coded("tool_name_conflict"), ["ClientError", "InvalidRequest"]],
      [40, 404, coded("thread_not_found", "not_found_error"), ["ClientError", "NotFound"]],
      [
        44,
        400,
        {
          type: "invalid_request_error",
          message: 'tool_choice: type "tool" and "any" are not supported for this model.'
        },
        ["ClientError", "Unsupported"]
      ],
      [
        44,
        400,
        { type: "invalid_request_error", message: "messages.1: role 'system' is not supported on this model" },
        ["ClientError", "Unsupported"]
      ],
      [
        44,
        400,
        { type: "invalid_request_error", message: "This model does not support assistant message prefill." },
        ["ClientError", "Unsupported"]
      ],
      [
        51,
        400,
        { type: "invalid_request_error", message: "messages.1.content.0: Invalid `signature` in `thinking` block" },
        ["ClientError", "InvalidRequest"]
      ]
    ] as const
  ) {
    const { details, message } = error as {
      readonly details?: { readonly error_code: string }
      readonly message: string
    }
    it(`row ${row}: ${status} ${details?.error_code ?? message}`, () => {
      const { code, verdict: read } = found(status, error)
      assert.deepStrictEqual(read, verdict as never)
      if (details !== undefined) assert.strictEqual(code, details.error_code)
    })
  }

  it("row 42: the limits of fast mode are a lack of capacity, and say when they end", () => {
    const { retryAfter, verdict } = found(429, { type: "rate_limit_error", message: "m" }, {
      "anthropic-fast-output-tokens-remaining": "0",
      "anthropic-fast-output-tokens-reset": "2026-11-26T00:00:07Z"
    })
    assert.deepStrictEqual(verdict, ["RateLimit", "Capacity"])
    assert.strictEqual(String(retryAfter), "7000 millis")
    assert.deepStrictEqual(
      found(429, { type: "rate_limit_error", message: "m" }, { "anthropic-fast-output-tokens-remaining": "9" }).verdict,
      ["RateLimit", "Unknown"]
    )
  })
})
