import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as Completion from "../../src/Completion.ts"
import * as LLMError from "../../src/LLMError.ts"
import type * as Message from "../../src/Message.ts"
import type * as Simulator from "../../src/testing/Simulator.ts"
import { served } from "./served.ts"
import { hear, type Service, services, simulated } from "./simulated.ts"

const hello = Completion.make({ prompt: "Hello", reasoning: { summary: true } })

/** Ids that are minted are minted alike. */
const seeded = Random.withSeed("answer")

/** What is said whole and in parts, which must be the same. */
const answered = (provider: Service, answer: Simulator.Options["answer"], completion = hello) =>
  Effect.gen(function*() {
    const { client } = yield* simulated(provider, { answer: answer! })
    const whole = yield* seeded(client.completion(completion))
    const { error, parts } = yield* seeded(hear(client, completion))
    assert.isUndefined(error)
    const last = parts.at(-1)
    assert(last?._tag === "Finish")
    assert.deepStrictEqual(last.response.choice, whole.choice)
    assert.deepStrictEqual(last.response.usage, whole.usage)
    assert.deepStrictEqual(last.response.finishReason, whole.finishReason)
    return whole
  })

const thought = (content: Message.ReasoningPart): Message.Reasoning => ({ _tag: "Reasoning", content: [content] })

// Over Responses every item has an id of its own.
const withoutItemId = (content: Message.AssistantContent): Message.AssistantContent =>
  content._tag === "Reasoning"
    ? { ...content, content: content.content.map(({ id: _, ...part }) => part as Message.ReasoningPart) }
    : content

/** What each wire can carry, and gives back as it was given. */
const carried: Record<Service, ReadonlyArray<Message.AssistantContent>> = {
  anthropic: [
    thought({ _tag: "Text", text: "Well, then.", signature: "sig-1" }),
    thought({ _tag: "Redacted", data: "secret" }),
    { _tag: "Text", text: "Here you are." },
    { _tag: "ToolCall", id: "toolu_7", name: "look", arguments: { x: [1, "空"] } }
  ],
  openai: [
    { _tag: "Text", text: "Here you are." },
    { _tag: "ToolCall", id: "call_7", name: "look", arguments: { x: [1, "空"] } }
  ],
  responses: [
    thought({ _tag: "Summary", text: "Well, then." }),
    { _tag: "Text", text: "Here you are.", phase: "commentary" },
    { _tag: "ToolCall", id: "call_7", name: "look", arguments: { x: [1, "空"] } }
  ],
  openrouter: [
    {
      _tag: "Reasoning",
      field: "reasoning",
      content: [{ _tag: "Text", text: "Well, then.", signature: "sig-1", format: "anthropic-claude-v1", index: 0 }]
    },
    { _tag: "Text", text: "Here you are." },
    { _tag: "ToolCall", id: "call_7", name: "look", arguments: { x: [1, "空"] } }
  ],
  gemini: [
    thought({ _tag: "Text", text: "Well, then." }),
    { _tag: "Text", text: "Here you are.", signature: "sig-1" },
    { _tag: "Image", source: { _tag: "Base64", data: "iVBORw0KGgo=", mediaType: "image/png" } },
    { _tag: "ToolCall", id: "look-7", name: "look", arguments: { x: [1, "空"] }, signature: "sig-2" }
  ]
}

describe.each(services)("Simulator: answers that a test gives, as %s", (provider) => {
  it.effect("brings reasoning, signatures, images and calls as they are given", () =>
    Effect.gen(function*() {
      const choice = carried[provider]
      const { finishReason, usage, ...response } = yield* answered(provider, () => ({ choice }))
      assert.deepStrictEqual(response.choice.map(withoutItemId), choice)
      assert.strictEqual(finishReason._tag, "ToolUse")
      assert.isAbove(usage.inputTokens, 0)
      assert.isAbove(usage.outputTokens, 5)
    }))

  it.effect("takes a text, the fields of an answer, a whole answer, or nothing", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* answered(provider, () => "Quite so.")).text, "Quite so.")
      const cut = yield* answered(provider, () => ({
        text: "Quite",
        finishReason: { _tag: "MaxTokens" },
        usage: { inputTokens: 3, outputTokens: 7 }
      }))
      assert.deepStrictEqual([cut.text, cut.finishReason._tag, cut.usage.totalTokens], ["Quite", "MaxTokens", 10])
      const called = yield* answered(provider, () => ({ toolCalls: [{ name: "look", arguments: { x: 1 } }] }))
      assert.deepStrictEqual(called.toolCalls.map(({ name }) => name), ["look"])
      assert.isNotEmpty(called.toolCalls[0]?.id)
      // An answer from elsewhere is this provider's as soon as it comes from there.
      const again = yield* answered(provider, () => called)
      assert.deepStrictEqual(again.toolCalls.map(({ arguments: args }) => args), [{ x: 1 }])
      assert.strictEqual((yield* answered(provider, () => undefined)).text, 'Simulated answer to: "Hello"')
    }))

  it.effect("sees the completion that was asked for", () =>
    Effect.gen(function*() {
      const asked: Array<readonly [string | undefined, string, boolean]> = []
      const { client } = yield* simulated(provider, {
        answer: ({ preamble, prompt, history, maxTokens }, { provider, streamed }) => {
          asked.push([`${maxTokens}`, provider, streamed])
          return [...history, prompt].length > 0 ? JSON.stringify([preamble, history, prompt]) : undefined
        }
      })
      const completion = Completion.make({ prompt: "Hello", preamble: "Be brief.", maxTokens: 500 })
      const { text } = yield* client.completion(completion)
      yield* hear(client, completion)
      assert.include(text, "Be brief.")
      assert.include(text, '"text":"Hello"')
      assert.deepStrictEqual(asked, [["500", provider, false], ["500", provider, true]])
    }))

  it.effect("waits for an answer, and fails as the provider would say it", () =>
    Effect.gen(function*() {
      const { client } = yield* simulated(provider, {
        answer: ({ prompt }) =>
          JSON.stringify(prompt).includes("slow")
            ? Effect.delay(Effect.succeed("at last"), "30 seconds")
            : Effect.fail(
              LLMError.make("ClientError", {
                provider: "x",
                model: "y",
                reason: "ContextWindow",
                description: "That is far too long."
              })
            )
      })
      const slow = yield* Effect.forkChild(client.completion(Completion.make({ prompt: "slow" })))
      yield* TestClock.adjust("29 seconds")
      assert.isUndefined(slow.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(slow)).text, "at last")
      const error = yield* Effect.flip(client.completion(hello))
      assert.strictEqual(`${error._tag} ${error.reason}`, "ClientError ContextWindow")
      assert.include(error.description, "That is far too long.")
    }))

  it.effect("dies of what cannot be an answer, and of what the test throws", () =>
    Effect.gen(function*() {
      const bad: ReadonlyArray<readonly [string, Simulator.Options["answer"]]> = [
        ["Simulator answer: give a text", () => ({})],
        ["a failed assertion", () => {
          throw new Error("a failed assertion")
        }]
      ]
      for (const [message, answer] of bad) {
        const { client } = yield* simulated(provider, { answer: answer! })
        const exit = yield* Effect.exit(client.completion(hello))
        assert.isTrue(Exit.hasDies(exit))
        assert.include(String(exit), message)
      }
    }))

  it.effect("has faults over answers that a test gives", () =>
    Effect.gen(function*() {
      const { client } = yield* simulated(provider, { answer: () => "Quite so.", failures: ["OutputBudget", "Cut"] })
      assert.strictEqual((yield* Effect.flip(client.completion(hello))).reason, "OutputBudget")
      assert.strictEqual((yield* Effect.flip(client.completion(hello))).reason, "Malformed")
      assert.strictEqual((yield* client.completion(hello)).text, "Quite so.")
    }))

  it.effect("answers with any status, headers and body", () =>
    Effect.gen(function*() {
      const { client, simulator } = yield* simulated(provider, {
        failures: [
          { status: 418, headers: { "x-teapot": "short and stout" }, body: { error: { message: "I'm a teapot" } } },
          { status: 503, headers: { "retry-after": "7" }, body: "upstream connect error" }
        ]
      })
      const teapot = yield* Effect.flip(client.completion(hello))
      assert.strictEqual(teapot.status, 418)
      assert.include(teapot.description, "I'm a teapot")
      const upstream = yield* Effect.flip(client.completion(hello))
      assert.deepStrictEqual([upstream._tag, upstream.reason, upstream.status], ["Transient", "Overloaded", 503])
      assert.strictEqual((yield* simulator.requests).length, 2)
      assert.strictEqual((yield* client.completion(hello)).text, 'Simulated answer to: "Hello"')
    }))
})

describe("Simulator.serve: defects", () => {
  it.live("are reported to the client, and fail the end of the layer", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { baseUrls } = yield* Scope.provide(served({ failures: ["RetryInfo"] }), scope)
      const response = yield* Effect.promise(() =>
        fetch(`${baseUrls.openai}/chat/completions`, { method: "POST", body: "{}" })
      )
      assert.strictEqual(response.status, 501)
      assert.strictEqual(response.headers.get("x-should-retry"), "false")
      assert.include(yield* Effect.promise(() => response.text()), "openai cannot have the fault RetryInfo")
      const exit = yield* Effect.exit(Scope.close(scope, Exit.void))
      assert.isTrue(Exit.isFailure(exit))
      assert.include(String(exit), "openai cannot have the fault RetryInfo")
    }))
})
