import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Completion from "../../src/Completion.ts"
import type { CompletionPart } from "../../src/CompletionPart.ts"
import * as LLMClient from "../../src/LLMClient.ts"
import * as LLMError from "../../src/LLMError.ts"
import * as Message from "../../src/Message.ts"
import * as Retry from "../../src/Retry.ts"
import * as TestLLM from "../../src/testing/TestLLM.ts"
import * as Tool from "../../src/Tool.ts"
import { hear } from "./hear.ts"

const hello = Completion.make({ prompt: "Hello" })

const ask = (prompt: string, model?: string) =>
  LLMClient.completion(Completion.make({ prompt, ...(model && { model }) }))

const texts = (parts: ReadonlyArray<CompletionPart>) =>
  parts.flatMap((part) => part._tag === "TextDelta" ? [part.text] : [])

/** What a test that uses the script ends with. */
const outcome = <A, E>(
  effect: Effect.Effect<A, E, LLMClient.LLMClient | TestLLM.TestLLM>,
  script: TestLLM.Script,
  settings?: TestLLM.Settings
): Effect.Effect<string> =>
  Effect.map(
    Effect.exit(Effect.provide(effect, TestLLM.layer(script, settings))),
    (exit) => Exit.isSuccess(exit) ? "passes" : Cause.pretty(exit.cause)
  )

const provided = <A, E>(
  script: TestLLM.Script,
  effect: Effect.Effect<A, E, LLMClient.LLMClient | TestLLM.TestLLM>,
  settings?: TestLLM.Settings
): Effect.Effect<A, E> => Effect.provide(effect, TestLLM.layer(script, settings))

describe("TestLLM", () => {
  it.effect("answers calls in their order, streamed or not", () =>
    provided(
      ["Hello, you.", "Good bye, you."],
      Effect.gen(function*() {
        const first = yield* LLMClient.completion(hello)
        assert.strictEqual(first.text, "Hello, you.")
        assert.deepStrictEqual(first.finishReason, { _tag: "Stop" })
        const client = yield* LLMClient.LLMClient
        const { parts } = yield* hear(client, hello)
        assert.deepStrictEqual(texts(parts), ["Good", " bye,", " you."])
        const last = parts.at(-1)
        assert.strictEqual(last?._tag === "Finish" ? last.response.text : undefined, "Good bye, you.")
        assert.deepStrictEqual(
          (yield* TestLLM.requests).map(({ outcome, streamed }) => [streamed, outcome]),
          [[false, "Answered"], [true, "Answered"]]
        )
      })
    ))

  it.effect("calls tools, with ids that differ between calls", () =>
    provided(
      [TestLLM.toolCall("get_weather", { city: "Oslo" }), TestLLM.toolCall("get_weather", { city: "Rome" })],
      Effect.gen(function*() {
        const first = yield* LLMClient.completion(hello)
        assert.deepStrictEqual(first.finishReason, { _tag: "ToolUse" })
        assert.deepStrictEqual(first.toolCalls[0]?.arguments, { city: "Oslo" })
        const { parts } = yield* hear(yield* LLMClient.LLMClient, hello)
        assert.deepStrictEqual(parts.map(({ _tag }) => _tag), [
          "Start",
          "ToolCallStart",
          "ToolCallDelta",
          "ToolCallDelta",
          "ContentEnd",
          "Finish"
        ])
        assert.strictEqual(
          parts.map((part) => part._tag === "ToolCallDelta" ? part.arguments : "").join(""),
          '{"city":"Rome"}'
        )
        const last = parts.at(-1)
        const id = last?._tag === "Finish" ? last.response.toolCalls[0]?.id : undefined
        assert.isDefined(id)
        assert.notStrictEqual(id, first.toolCalls[0]?.id)
      })
    ))

  it.effect("gives answers with the usage and the finish reason that they are given", () =>
    provided(
      [TestLLM.answer({
        reasoning: "hm",
        text: "cut",
        finishReason: { _tag: "MaxTokens" },
        usage: { inputTokens: 7, outputTokens: 5 },
        cost: 0.5
      })],
      Effect.gen(function*() {
        const response = yield* LLMClient.completion(Completion.model("m")(hello))
        assert.strictEqual(response.usage.totalTokens, 12)
        assert.strictEqual(response.reasoning, "hm")
        assert.strictEqual(response.finishReason._tag, "MaxTokens")
        assert.deepStrictEqual([response.provider, response.model, response.cost], ["acme", "m", 0.5])
      }),
      { provider: "acme" }
    ))

  it.effect("gives an answer that is there already as it is", () =>
    Effect.gen(function*() {
      const given = yield* provided([TestLLM.answer({ text: "one", id: "id" })], LLMClient.completion(hello))
      const again = yield* provided([given], LLMClient.completion(hello), { provider: "other" })
      assert.deepStrictEqual(again, given)
    }))

  it.effect("streams parts with their pauses on Effect's clock", () =>
    provided(
      [TestLLM.parts(["Hel", Duration.seconds(60), "lo", Duration.seconds(60)], { usage: { outputTokens: 2 } })],
      Effect.gen(function*() {
        const heard: Array<CompletionPart> = []
        const fiber = yield* Effect.forkChild(
          Stream.runForEach(LLMClient.stream(hello), (part) => Effect.sync(() => heard.push(part)))
        )
        yield* TestClock.adjust("59 seconds")
        assert.deepStrictEqual(texts(heard), ["Hel"])
        yield* TestClock.adjust("1 seconds")
        assert.deepStrictEqual(texts(heard), ["Hel", "lo"])
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("60 seconds")
        yield* Fiber.join(fiber)
        const last = heard.at(-1)
        assert(last?._tag === "Finish")
        assert.strictEqual(last.response.text, "Hello")
        assert.strictEqual(last.response.usage.outputTokens, 2)
      })
    ))

  it.effect("gives the joined answer of parts to a call without streaming, after the same time", () =>
    provided(
      [TestLLM.parts([
        { _tag: "ReasoningDelta", text: "h" },
        { _tag: "ReasoningDelta", text: "m" },
        "It ",
        Duration.seconds(5),
        "rains.",
        { _tag: "ToolCallStart", index: 2, id: "a", name: "look" },
        { _tag: "ToolCallStart", id: "b", name: "out" },
        { _tag: "ToolCallDelta", index: 2, arguments: '{"x"' },
        { _tag: "ToolCallDelta", index: 2, arguments: ":1}" }
      ])],
      Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(LLMClient.completion(hello))
        yield* TestClock.adjust("4 seconds")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 seconds")
        const { choice, finishReason } = yield* Fiber.join(fiber)
        assert.strictEqual(finishReason._tag, "ToolUse")
        assert.deepStrictEqual(choice, [
          { _tag: "Reasoning", content: [{ _tag: "Text", text: "hm" }] },
          { _tag: "Text", text: "It rains." },
          { _tag: "ToolCall", id: "a", name: "look", arguments: { x: 1 } },
          { _tag: "ToolCall", id: "b", name: "out", arguments: {} }
        ])
      })
    ))

  it.effect("adds what follows from the parts: who answers, which content a piece is of, and where each one ends", () =>
    Effect.gen(function*() {
      const image = { _tag: "Image", source: { _tag: "Base64", data: "AA==", mediaType: "image/png" } } as const
      const thought = {
        _tag: "Reasoning",
        content: [{ _tag: "Text", text: "hm", signature: "signed" }]
      } as const
      const { parts } = yield* provided(
        [TestLLM.parts([
          { _tag: "ReasoningDelta", text: "hm" },
          { _tag: "ContentEnd", content: thought },
          "It ",
          "rains.",
          { _tag: "ContentEnd", content: image },
          "Look:",
          { _tag: "ToolCallStart", name: "look", signature: "s" },
          { _tag: "ToolCallDelta", arguments: '{"x":1}' }
        ], { id: "a1" })],
        Effect.flatMap(LLMClient.LLMClient, (client) => hear(client, hello))
      )
      const call = { _tag: "ToolCall", id: "call_0_4", name: "look", signature: "s", arguments: { x: 1 } } as const
      const finish = parts.at(-1)
      assert(finish?._tag === "Finish")
      assert.deepStrictEqual<ReadonlyArray<CompletionPart>>(parts, [
        { _tag: "Start", provider: "test", model: "test-model", id: "a1" },
        { _tag: "ReasoningDelta", index: 0, text: "hm" },
        { _tag: "ContentEnd", index: 0, content: thought },
        { _tag: "TextDelta", index: 1, text: "It " },
        { _tag: "TextDelta", index: 1, text: "rains." },
        { _tag: "ContentEnd", index: 1, content: { _tag: "Text", text: "It rains." } },
        { _tag: "ContentEnd", index: 2, content: image },
        { _tag: "TextDelta", index: 3, text: "Look:" },
        { _tag: "ContentEnd", index: 3, content: { _tag: "Text", text: "Look:" } },
        { _tag: "ToolCallStart", index: 4, id: "call_0_4", name: "look", signature: "s" },
        { _tag: "ToolCallDelta", index: 4, arguments: '{"x":1}' },
        { _tag: "ContentEnd", index: 4, content: call },
        finish
      ])
      assert.deepStrictEqual(finish.response.choice, [
        thought,
        { _tag: "Text", text: "It rains." },
        image,
        { _tag: "Text", text: "Look:" },
        call
      ])
      // What a stream brought can be given to another as it is.
      const again = yield* provided(
        [TestLLM.parts(parts)],
        Effect.flatMap(LLMClient.LLMClient, (client) => hear(client, hello)),
        { provider: "other" }
      )
      assert.deepStrictEqual(again.parts, parts)
    }))

  it.effect("brings who answers together with the first part, and the end of a content with its last piece", () =>
    Effect.gen(function*() {
      const chunks = yield* provided(
        [TestLLM.parts(["a", Duration.zero, "b"])],
        LLMClient.stream(hello).pipe(Stream.chunks, Stream.runCollect)
      )
      assert.deepStrictEqual(chunks.map((chunk) => chunk.map(({ _tag }) => _tag)).filter(({ length }) => length > 0), [
        ["Start", "TextDelta"],
        ["TextDelta", "ContentEnd"],
        ["Finish"]
      ])
    }))

  it.effect("does not return a call that was cut, and does not end a content that broke off", () =>
    provided(
      [
        TestLLM.parts(
          ["Look:", { _tag: "ToolCallStart", name: "look" }, { _tag: "ToolCallDelta", arguments: '{"x' }],
          { finishReason: { _tag: "MaxTokens" } }
        ),
        TestLLM.parts([{ _tag: "ReasoningDelta", text: "hm" }, "Hel", { _tag: "Transient" }])
      ],
      Effect.gen(function*() {
        const client = yield* LLMClient.LLMClient
        const cut = (yield* hear(client, hello)).parts
        const last = cut.at(-1)
        assert.deepStrictEqual(cut.flatMap((part) => part._tag === "ContentEnd" ? [part.index] : []), [0])
        assert.deepStrictEqual(last?._tag === "Finish" && last.response.choice, [{ _tag: "Text", text: "Look:" }])
        const broken = yield* hear(client, hello)
        assert.deepStrictEqual(broken.parts.flatMap((part) => part._tag === "ContentEnd" ? [part.index] : []), [0])
        assert.deepStrictEqual(broken.error?.partial?.text, "Hel")
      })
    ))

  it.effect("says which model it answers with, and where it is", () =>
    Effect.gen(function*() {
      const plain = yield* TestLLM.make([])
      assert.strictEqual(plain.client.model, "test-model")
      assert.notProperty(plain.client, "baseUrl")
      const { client } = yield* TestLLM.make([], { model: "m", baseUrl: "http://localhost:8000/v1" })
      assert.deepStrictEqual([client.model, client.baseUrl], ["m", "http://localhost:8000/v1"])
    }))

  it.effect("expects all messages of a conversation", () =>
    Effect.gen(function*() {
      const conversation = Completion.make({ messages: [Message.user("Hi"), Message.assistant("Yes?"), "Oslo?"] })
      const expecting = (match: TestLLM.Match) =>
        outcome(LLMClient.completion(conversation), [TestLLM.expect(match, "Hi")])
      assert.strictEqual(
        yield* expecting({ messages: ["Hi", Message.assistant("Yes?"), "Oslo?"], model: undefined }),
        "passes"
      )
      assert.include(yield* expecting({ messages: ["Oslo?"] }), '+  "history": [\n')
      assert.include(yield* expecting({ prompt: undefined }), "give a predicate or a field to expect")
    }))

  it.effect("breaks a stream in its middle, with what had come in partial", () =>
    provided(
      [TestLLM.parts(["Hel", { _tag: "Transient", reason: "Truncated" }], { usage: { inputTokens: 3 } })],
      Effect.gen(function*() {
        const { error, parts } = yield* hear(yield* LLMClient.LLMClient, hello)
        assert.deepStrictEqual(texts(parts), ["Hel"])
        assert(error?._tag === "Transient")
        assert.strictEqual(error.reason, "Truncated")
        assert.strictEqual(error.partial?.text, "Hel")
        assert.strictEqual(error.partial?.usage.inputTokens, 3)
        assert.deepStrictEqual((yield* TestLLM.requests).map(({ outcome }) => outcome), ["Failed"])
      })
    ))

  it.effect("fails with each of the four errors, in short or as they are", () => {
    const given = LLMError.make("ClientError", { provider: "p", model: "m", reason: "Quota", description: "paid out" })
    return provided(
      [
        { _tag: "RateLimit", retryAfter: "10 seconds" },
        { _tag: "Transient", reason: "Overloaded", status: 529 },
        { _tag: "EmptyResponse" },
        { _tag: "ClientError", reason: "ContextWindow", description: "too long" },
        given
      ],
      Effect.gen(function*() {
        const errors = yield* Effect.forEach([1, 2, 3, 4, 5], () => Effect.flip(LLMClient.completion(hello)))
        assert.isTrue(errors.every(LLMError.isLLMError))
        assert.deepStrictEqual(errors.map(({ message }) => message), [
          "RateLimit: test test-model Requests, retry after 10s",
          "Transient: test test-model 529 Overloaded",
          "EmptyResponse: test test-model NoContent",
          "ClientError: test test-model ContextWindow: too long",
          "ClientError: p m Quota: paid out"
        ])
        assert.strictEqual(errors[4], given)
      })
    )
  })

  it.effect("keeps a call waiting, for a time or for ever, and says who left", () =>
    provided(
      [TestLLM.after("10 seconds", "late"), TestLLM.never, TestLLM.never, "read no further"],
      Effect.gen(function*() {
        const late = yield* Effect.forkChild(LLMClient.completion(hello))
        yield* TestClock.adjust("9 seconds")
        assert.isUndefined(late.pollUnsafe())
        yield* TestClock.adjust("1 seconds")
        assert.strictEqual((yield* Fiber.join(late)).text, "late")
        for (const call of [LLMClient.completion(hello), Stream.runDrain(LLMClient.stream(hello))]) {
          const never = yield* Effect.forkChild(call)
          yield* TestClock.adjust("10 days")
          assert.isUndefined(never.pollUnsafe())
          assert.strictEqual((yield* TestLLM.requests).at(-1)?.outcome, "Running")
          yield* Fiber.interrupt(never)
        }
        yield* Stream.runDrain(Stream.take(LLMClient.stream(hello), 1))
        assert.deepStrictEqual(
          (yield* TestLLM.requests).map(({ outcome, streamed }) => [streamed, outcome]),
          [[false, "Answered"], [false, "Interrupted"], [true, "Interrupted"], [true, "Interrupted"]]
        )
      })
    ))

  it.effect("has replies by model, each model with an order of its own", () =>
    provided(
      { small: ["s1", "s2"], large: ["l1"] },
      Effect.gen(function*() {
        assert.strictEqual((yield* ask("?", "small")).text, "s1")
        assert.strictEqual((yield* ask("?", "large")).text, "l1")
        assert.strictEqual((yield* ask("?")).text, "s2")
      }),
      { model: "small" }
    ))

  it.effect("keeps a reply for the first call that matches, and gives other calls the next one", () =>
    provided(
      [
        TestLLM.when((completion) => completion.tools.length > 0, "with tools"),
        TestLLM.when({ prompt: "b" }, "for b"),
        "first",
        "second"
      ],
      Effect.gen(function*() {
        assert.strictEqual((yield* ask("a")).text, "first")
        assert.strictEqual((yield* ask("b")).text, "for b")
        assert.strictEqual((yield* ask("b")).text, "second")
        const tools = [Tool.make("t", { description: "", parameters: Schema.Struct({}) })]
        assert.strictEqual((yield* LLMClient.completion(Completion.make({ prompt: "b", tools }))).text, "with tools")
      })
    ))

  it.effect("computes replies from the completion and the number of the call", () =>
    Effect.gen(function*() {
      const script: TestLLM.Script = (completion, call) => call < 2 ? `${call} ${completion.model}` : undefined
      const answered = Effect.all([ask("a"), ask("b", "large")])
      yield* provided(
        script,
        Effect.map(answered, (all) => assert.deepStrictEqual(all.map(({ text }) => text), ["0 test-model", "1 large"]))
      )
      assert.include(yield* outcome(Effect.andThen(answered, ask("c")), script), "call 3 is one too many")
    }))

  it.effect("starts again with every build of the layer", () =>
    Effect.gen(function*() {
      const Scripted = TestLLM.layer(["once"])
      for (const _ of [1, 2]) {
        assert.strictEqual((yield* Effect.provide(LLMClient.completion(hello), Scripted)).text, "once")
      }
    }))

  it.effect("lets a retry of 60 seconds take no time", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(LLMClient.completion(hello))
      yield* TestClock.adjust("66 seconds")
      const response = yield* Fiber.join(fiber)
      assert.strictEqual(response.text, "there you are")
      assert.deepStrictEqual(response.attempts?.map(({ _tag }) => _tag), ["RateLimit"])
      assert.strictEqual((yield* TestLLM.requests).length, 2)
    }).pipe(Effect.provide(Layer.provideMerge(
      Retry.layer(),
      TestLLM.layer([{ _tag: "RateLimit", retryAfter: "60 seconds" }, "there you are"])
    ))))

  it.effect("stands for several providers in one test", () =>
    Effect.gen(function*() {
      const first = yield* TestLLM.make([{ _tag: "ClientError", reason: "Quota" }], { provider: "anthropic" })
      const second = yield* TestLLM.make(["from the other"], { provider: "openai" })
      const response = yield* Effect.catchTag(
        first.client.completion(hello),
        "ClientError",
        () => second.client.completion(hello)
      )
      assert.strictEqual(response.provider, "openai")
      assert.strictEqual((yield* first.requests).length, 1)
    }))
})

describe("A test with TestLLM", () => {
  it.effect("passes when all was asked for as the script says", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* outcome(Effect.andThen(ask("a"), TestLLM.verify), ["a"]), "passes")
      assert.strictEqual(yield* outcome(Effect.void, []), "passes")
    }))

  it.effect("fails when replies are left over, even if it ended with an error", () =>
    Effect.gen(function*() {
      const left = 'replies left over: 1 of 2, the next is\n{\n  "_tag": "Answer",\n  "fields": {\n    "text": "b"'
      assert.include(yield* outcome(ask("a"), ["a", "b"]), left)
      assert.include(yield* outcome(Effect.andThen(ask("a"), Effect.fail("other")), ["a", "b"]), left)
      assert.include(yield* outcome(Effect.exit(Effect.andThen(ask("a"), TestLLM.verify)), ["a", "b"]), left)
      const middleware = Effect.provide(ask("a"), Layer.provide(Retry.layer(), TestLLM.layer(["a", "b"])))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(middleware)))
    }))

  it.effect("fails when it asks for more, which is neither retried nor caught", () =>
    Effect.gen(function*() {
      const more = Effect.andThen(ask("a"), ask("b")).pipe(Effect.orElseSucceed(() => "caught"))
      const retried = Effect.provide(more, Layer.provideMerge(Retry.layer(), TestLLM.layer(["a"])))
      const exit = yield* Effect.exit(retried)
      assert(Exit.isFailure(exit))
      assert.isTrue(Cause.hasDies(exit.cause))
      assert.include(Cause.pretty(exit.cause), "call 2 is one too many: the script has 1 reply. It asked for")
      assert.include(Cause.pretty(exit.cause), '"User": "b"')
      const streamed = Effect.andThen(ask("a"), Stream.runDrain(LLMClient.stream(hello)))
      assert.include(yield* outcome(streamed, ["a"]), "call 2 is one too many")
      assert.include(
        yield* outcome(ask("b"), [TestLLM.when({ prompt: "a" }, "a")]),
        "call 1 is one too many: none of the replies left (1) is for it"
      )
    }))

  it.effect("fails in the end when the code under test swallowed what went against the script", () =>
    Effect.gen(function*() {
      const swallowed = Effect.exit(Effect.andThen(ask("a"), ask("b")))
      assert.include(yield* outcome(swallowed, ["a"]), "call 2 is one too many")
      assert.include(
        yield* outcome(Effect.andThen(swallowed, TestLLM.verify), ["a"]),
        "call 2 is one too many"
      )
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(TestLLM.layer(["a"]), scope)
      yield* Effect.provideContext(swallowed, context)
      const requests = yield* Context.get(context, TestLLM.TestLLM).requests
      assert.deepStrictEqual(requests.map(({ outcome }) => outcome), ["Answered", "Refused"])
      assert.isTrue(Exit.isFailure(yield* Effect.exit(Scope.close(scope, Exit.void))))
    }))

  it.effect("fails with the difference when it asks for something else than expected", () =>
    Effect.gen(function*() {
      const failed = yield* outcome(ask("Bye", "large"), [TestLLM.expect({ prompt: "Hello", model: "large" }, "Hi")])
      assert.include(
        failed,
        [
          "call 1 is not the one expected",
          "--- expected",
          "+++ got",
          "@@ -1,6 +1,6 @@",
          " {",
          '   "model": "large",',
          '   "prompt": {',
          '-    "User": "Hello"',
          '+    "User": "Bye"',
          "   }",
          " }"
        ].join("\n")
      )
      const expecting = (match: TestLLM.Match) => outcome(ask("Hello"), [TestLLM.expect(match, "Hi")])
      assert.strictEqual(yield* expecting({ prompt: "Hello", model: "test-model", history: [] }), "passes")
      assert.strictEqual(yield* expecting((completion) => completion.history.length === 0), "passes")
      assert.include(yield* expecting({ maxTokens: 5 }), '-  "maxTokens": 5')
      assert.include(
        yield* expecting((completion) => completion.history.length === 1),
        "expected that it fulfils (completion) => completion.history.length === 1\ngot {"
      )
    }))

  it.effect("fails in the end with what the script threw, when the code under test swallowed it", () =>
    Effect.gen(function*() {
      const swallowed = Effect.exit(ask("Hello"))
      const throws = (completion: Completion.Completion): boolean => {
        assert.strictEqual(completion.history.length, 7)
        return true
      }
      const script = (reply: unknown): TestLLM.Script => () => reply as string
      const bad: ReadonlyArray<readonly [thrown: string, script: TestLLM.Script]> = [
        ["expected +0 to equal 7", [TestLLM.expect(throws, "Hi")]],
        ["expected +0 to equal 7", [TestLLM.when(throws, "Hi"), "Hi"]],
        ["expected +0 to equal 7", (completion) => `${throws(completion)}`],
        ["give one of the reasons of RateLimit", script({ _tag: "RateLimit", reason: "Nope" })],
        ["give a reply", script({ _tag: "Nope" })]
      ]
      for (const [thrown, script] of bad) {
        const exit = yield* Effect.exit(provided(script, Effect.asVoid(swallowed)))
        assert(Exit.isFailure(exit))
        const defects = exit.cause.reasons.filter(Cause.isDieReason).map(({ defect }) => defect as Error)
        assert.include(defects[0]?.message, "TestLLM test: call 1 makes the script fail: ")
        assert.include(defects[0]?.message, thrown)
        assert.include(String(defects[0]?.cause), thrown)
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(TestLLM.layer(script), scope)
        yield* Effect.provideContext(
          Effect.andThen(swallowed, Effect.exit(LLMClient.stream(hello).pipe(Stream.runDrain))),
          context
        )
        const [first] = yield* Context.get(context, TestLLM.TestLLM).requests
        assert.strictEqual(first?.outcome, "Refused")
        yield* Effect.exit(Scope.close(scope, Exit.void))
      }
    }))

  it.effect("says what went against the script when it dies of a consequence", () =>
    Effect.gen(function*() {
      const swallowed = Effect.exit(ask("Bye"))
      const dies = (
        script: TestLLM.Script,
        effect: Effect.Effect<unknown, unknown, LLMClient.LLMClient | TestLLM.TestLLM>
      ) =>
        Effect.map(Effect.exit(provided(script, effect)), (exit) => {
          assert(Exit.isFailure(exit))
          return exit.cause.reasons.filter(Cause.isDieReason).map(({ defect }) => String(defect))
        })
      const expecting = [TestLLM.expect({ prompt: "Hello" }, "Hi"), "left over"]
      const own = yield* dies(expecting, Effect.andThen(swallowed, Effect.die(new Error("own"))))
      assert.strictEqual(own.length, 2)
      assert.strictEqual(own[0], "Error: own")
      assert.include(own[1], '-    "User": "Hello"\n+    "User": "Bye"')
      // What it died of itself is not said again, even if it was handed on.
      assert.strictEqual((yield* dies(expecting, ask("Bye"))).length, 1)
      const handed = Effect.flatMap(swallowed, (exit) =>
        Exit.isFailure(exit) ? Effect.failCause(exit.cause) : Effect.void)
      assert.strictEqual((yield* dies(expecting, handed)).length, 1)
      assert.strictEqual((yield* dies(expecting, Effect.andThen(swallowed, TestLLM.verify))).length, 2)
      assert.strictEqual((yield* dies([], Effect.all([swallowed, swallowed]))).length, 2)
    }))

  it.effect("shows texts by their lines", () =>
    Effect.gen(function*() {
      const prompt = (city: string) => JSON.stringify({ city, days: ["\\", "\t"], unit: "celsius" }, null, 2)
      const failed = yield* outcome(ask(prompt("Rome")), [TestLLM.expect({ prompt: prompt("Oslo") }, "Hi")])
      assert.include(
        failed,
        [
          "@@ -2,7 +2,7 @@",
          '   "prompt": {',
          '     "User": |',
          "       | {",
          '-      |   "city": "Oslo",',
          '+      |   "city": "Rome",',
          '       |   "days": [',
          '       |     "\\\\\\\\",'
        ].join("\n")
      )
      // Texts that only look alike are told apart.
      for (
        const [expected, got] of [["a\nb", "a\n| b"], ["a\n\\t", "a\n\t"], ["a\n", "a"], ["a\nb", "a\r\nb"]] as const
      ) {
        assert.include(yield* outcome(ask(got), [TestLLM.expect({ prompt: expected }, "Hi")]), "not the one expected")
      }
    }))

  it.effect("distinguishes numbers that JSON does not", () =>
    Effect.gen(function*() {
      const differs = (expected: unknown, got: unknown) =>
        outcome(
          LLMClient.completion(Completion.make({ prompt: "?", additionalParams: { n: got as number } })),
          [TestLLM.expect({ additionalParams: { n: expected as number } }, "Hi")]
        )
      assert.include(yield* differs(-0, 0), '-    "n": -0\n+    "n": 0')
      assert.include(yield* differs(Number.NaN, null), '-    "n": NaN\n+    "n": null')
      assert.include(yield* differs(Infinity, -Infinity), '-    "n": Infinity\n+    "n": -Infinity')
      assert.include(yield* differs([], {}), '-    "n": []\n+    "n": {}')
      for (const same of [-0, Number.NaN, null, [1, { a: "b" }]]) {
        assert.strictEqual(yield* differs(same, same), "passes")
      }
    }))

  it.effect("shows the difference to the next reply when none matches", () =>
    Effect.gen(function*() {
      const list = [TestLLM.when({ prompt: "Hello" }, "Hi"), TestLLM.when({ maxTokens: 5 }, "Hi")]
      const differs = "\nFrom the next one it differs by\n--- expected\n+++ got"
      const failed = yield* outcome(ask("Bye"), list)
      assert.include(failed, "none of the replies left (2) is for it")
      assert.include(failed, differs)
      assert.include(failed, '-    "User": "Hello"\n+    "User": "Bye"')
      const byModel = {
        small: [TestLLM.when({ prompt: "Hello" }, "Hi")],
        large: ["Hi", "Hi"],
        none: []
      }
      const other = yield* outcome(ask("Bye", "other"), byModel)
      assert.include(other, "Replies are left for small, large")
      assert.notInclude(other, "large, none")
      assert.include(yield* outcome(Effect.all([ask("Bye", "large"), ask("Bye", "small")]), byModel), differs)
      assert.include(
        yield* outcome(Effect.all([ask("1", "large"), ask("2", "large"), ask("3", "large")]), byModel),
        "Replies are left for small"
      )
    }))

  it.effect("is refused a script that cannot be kept", () =>
    Effect.gen(function*() {
      const refused = (script: TestLLM.Script, settings?: TestLLM.Settings) => outcome(Effect.void, script, settings)
      const tool = { _tag: "ToolCallStart", index: 0, id: "a", name: "t" } as const
      const response = yield* provided(["b"], LLMClient.completion(hello))
      const bad: ReadonlyArray<readonly [string, TestLLM.Reply]> = [
        ["reply 0: give a text that is not empty", ""],
        ["reply 0: give a text, tool calls, or a choice", TestLLM.answer({})],
        ["reply 0: give tool calls with names", TestLLM.toolCall("", {})],
        ["reply 0 delay: give a duration that is not negative", TestLLM.after(-1, "a")],
        ["reply 0 delay: give a duration that is not negative", TestLLM.after(Number.NaN, "a")],
        ["reply 0 retryAfter: give a duration", { _tag: "RateLimit", retryAfter: -1 }],
        ["reply 0: give one of the reasons of RateLimit", { _tag: "RateLimit", reason: "Quota" as "Tokens" }],
        ["reply 0: give at least one part", TestLLM.parts([])],
        ["reply 0 part 1: give a text that is not empty", TestLLM.parts(["a", ""])],
        ["reply 0 part 1: give a text that is not empty", TestLLM.parts(["a", { _tag: "ReasoningDelta", text: "" }])],
        ["reply 0 part 0: give the end of the answer last", TestLLM.parts([{ _tag: "EmptyResponse" }, "a"])],
        ["reply 0 part 1: give the Start first", TestLLM.parts(["a", { _tag: "Start", provider: "p" }])],
        [
          "reply 0 part 1: give an index other than 0",
          TestLLM.parts(["a", { _tag: "ReasoningDelta", index: 0, text: "a" }])
        ],
        [
          "reply 0 part 1: give indices in the order in which contents first appear",
          TestLLM.parts([{ _tag: "TextDelta", index: 1, text: "a" }, { _tag: "ReasoningDelta", index: 0, text: "a" }])
        ],
        [
          "reply 0 part 1: give the content that its pieces make",
          TestLLM.parts(["a", { _tag: "ContentEnd", content: { _tag: "Text", text: "b" } }])
        ],
        [
          "reply 0 part 0: give the ToolCallStart of this call before its end",
          TestLLM.parts([{ _tag: "ContentEnd", content: { _tag: "ToolCall", id: "a", name: "t", arguments: {} } }])
        ],
        [
          "reply 0 Finish: give the answer that the parts add up to",
          TestLLM.parts(["a", { _tag: "Finish", response }])
        ],
        [
          "reply 0 part 1: give arguments that are not empty",
          TestLLM.parts([tool, { ...tool, _tag: "ToolCallDelta", arguments: "" }])
        ],
        ["reply 0 part 0: give the ToolCallStart", TestLLM.parts([{ ...tool, _tag: "ToolCallDelta", arguments: "1" }])],
        [
          "reply 0 tool call 0: give arguments in JSON",
          TestLLM.parts([tool, { ...tool, _tag: "ToolCallDelta", arguments: "{" }])
        ],
        ["reply 0: give a predicate or a field to expect", TestLLM.expect({}, "a")],
        ["reply 0: give a reply", undefined as never],
        ["reply 0: give a reply", { _tag: "Timeout" } as never]
      ]
      for (const [message, reply] of bad) assert.include(yield* refused([reply]), `TestLLM script ${message}`)
      assert.include(yield* refused({ large: ["a", ""] }), "TestLLM script large reply 1: give a text")
      assert.include(yield* refused([], { provider: "" }), "TestLLM provider: give a name")
      assert.include(yield* refused([], { model: "" }), "TestLLM model: give a name")
    }))
})
