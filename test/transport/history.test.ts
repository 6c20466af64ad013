/** What a history holds of one instance goes back to that instance as it came, and to no other. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Anthropic, Completion, Gemini, Message, OpenAi, OpenRouter, Tool } from "../../src/index.ts"
import type { CommonOptions } from "../../src/Provider.ts"
import { exchange, type Json } from "./exchange.ts"

const apiKey = Redacted.make("sk-0123456789")

const baseUrl = "https://llm.example.com/v1"

const call = { id: "call_9", name: "weather", arguments: { city: "Rome" } }

const chatCall = {
  id: call.id,
  type: "function",
  function: { name: call.name, arguments: JSON.stringify(call.arguments) }
}

/** Each provider: its layer, an answer that holds what is its own, and the words by which that is found again. */
const providers: Readonly<
  Record<string, {
    readonly layer: (options: CommonOptions) => ReturnType<typeof Anthropic.layer>
    readonly answer: Json
    readonly own: ReadonlyArray<string>
  }>
> = {
  anthropic: {
    layer: (options) => Anthropic.layer({ apiKey, whole: "unary", ...options }),
    answer: {
      content: [
        { type: "thinking", thinking: "hm-own", signature: "signature-own" },
        { type: "redacted_thinking", data: "redacted-own" },
        { type: "server_tool_use", id: "srv_own", name: "web_search", input: {} },
        { type: "web_search_tool_result", tool_use_id: "srv_own", content: [{ encrypted_content: "result-own" }] },
        { type: "text", text: "Let me see." },
        { type: "tool_use", id: call.id, name: call.name, input: call.arguments }
      ],
      stop_reason: "tool_use"
    },
    own: ["hm-own", "signature-own", "redacted-own", "srv_own", "result-own"]
  },
  compatible: {
    layer: (options) => OpenAi.layer({ apiKey, baseUrl, ...options }),
    answer: {
      choices: [{
        message: {
          content: "Let me see.",
          reasoning_content: "hm-own",
          tool_calls: [{ ...chatCall, extra_content: { google: { thought_signature: "signature-own" } } }]
        },
        finish_reason: "tool_calls"
      }]
    },
    own: ["hm-own", "signature-own"]
  },
  openrouter: {
    layer: (options) => OpenRouter.layer({ apiKey, whole: "unary", ...options }),
    answer: {
      choices: [{
        message: {
          content: "Let me see.",
          reasoning: "hm-own",
          reasoning_details: [
            { type: "reasoning.text", text: "hm-own", signature: "signature-own", index: 0 },
            { type: "reasoning.encrypted", data: "encrypted-own", index: 1 }
          ],
          tool_calls: [chatCall]
        },
        finish_reason: "tool_calls"
      }]
    },
    own: ["hm-own", "signature-own", "encrypted-own"]
  },
  responses: {
    layer: (options) => OpenAi.layer({ apiKey, whole: "unary", api: "responses", ...options }),
    answer: {
      status: "completed",
      output: [
        { type: "reasoning", id: "rs_1", summary: [], encrypted_content: "encrypted-own" },
        { type: "web_search_call", id: "ws_1", status: "completed", action: { type: "search", query: "query-own" } },
        {
          type: "message",
          role: "assistant",
          content: [{ type: "output_text", text: "Let me see.", annotations: [] }]
        },
        {
          type: "function_call",
          id: "fc_1",
          call_id: call.id,
          name: call.name,
          arguments: JSON.stringify(call.arguments)
        }
      ]
    },
    own: ["encrypted-own", "query-own"]
  },
  gemini: {
    layer: (options) => Gemini.layer({ apiKey, whole: "unary", ...options }),
    answer: {
      candidates: [{
        content: {
          parts: [
            { text: "hm", thought: true },
            { executableCode: { language: "PYTHON", code: "code-own" } },
            { text: "Let me see.", thoughtSignature: "signature-of-text-own" },
            { functionCall: { name: call.name, args: call.arguments }, thoughtSignature: "signature-own" }
          ]
        },
        finishReason: "STOP"
      }]
    },
    own: ["code-own", "signature-of-text-own", "signature-own"]
  }
}

const weather = Tool.make(call.name, {
  description: "The weather.",
  parameters: Schema.Struct({ city: Schema.String })
})

const question = Completion.make({ prompt: "The weather in Rome?", model: "m", tools: [weather] })

describe("history", () => {
  for (const [provider, { answer, layer, own }] of Object.entries(providers)) {
    for (
      const [what, one, other] of [
        ["named one and two", { name: "one" }, { name: "two" }],
        ["of the usual name, and named", {}, { name: "two" }],
        ["of the usual name, and elsewhere", {}, { baseUrl: "https://other.example.com/v1" }]
      ] as const
    ) {
      it.effect(`${provider}: of one instance is native to it alone: ${what}`, () =>
        Effect.gen(function*() {
          const first = yield* exchange(layer(one), question, answer)
          assert(Result.isSuccess(first.result), Result.isFailure(first.result) ? first.result.failure.message : "")
          const { message, toolCalls: [asked] } = first.result.success
          assert.deepInclude(asked, { name: call.name, arguments: call.arguments })
          const next = Completion.make({
            ...question,
            history: [question.prompt, message],
            prompt: Message.user(Message.toolResult({ id: asked!.id, name: call.name, content: "sunny" }))
          })
          const sent = (options: CommonOptions) =>
            Effect.map(exchange(layer(options), next, answer), ({ sent }) => {
              assert.lengthOf(sent, 1)
              return sent[0]!.text
            })
          const again = yield* sent(one)
          for (const word of own) assert.include(again, word)
          const elsewhere = yield* sent(other)
          for (const word of own) assert.notInclude(elsewhere, word)
          // What was said and called is everybody's.
          for (const text of [again, elsewhere]) {
            assert.include(text, "Let me see.")
            assert.include(text, "Rome")
            assert.include(text, "sunny")
          }
        }))
    }
  }
})

describe("parameters", () => {
  it.effect("are those of the vendor, and then those of the instance, which win", () =>
    Effect.gen(function*() {
      const params = {
        openai: { top_k: 1, verbosity: "low" },
        one: { top_k: 2 },
        two: { top_k: 3 }
      }
      const body = (name: string) =>
        Effect.map(
          exchange(
            OpenAi.layer({ apiKey, baseUrl, name }),
            Completion.providerParams(params)(Completion.make({ prompt: "Hi", model: "m" }))
          ),
          ({ sent }) => sent[0]!.body
        )
      assert.deepInclude(yield* body("one"), { top_k: 2, verbosity: "low" })
      assert.deepInclude(yield* body("two"), { top_k: 3, verbosity: "low" })
      assert.deepInclude(yield* body("openai"), { top_k: 1, verbosity: "low" })
      assert.deepInclude(yield* body("three"), { top_k: 1, verbosity: "low" })
    }))
})
