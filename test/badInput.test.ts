import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Completion, LLMClient, LLMError, Message, Tool } from "../src/index.ts"
import { layers, names, providerOf, recording, refusal, sendTo } from "./transport/exchange.ts"

const question = Completion.make({ model: "m", prompt: "Hi" })

const tool = (name: string) => Tool.make(name, { description: "", parameters: {} })

const cyclic: Record<string, Schema.Json> = { a: 1 }
cyclic["self"] = cyclic
const cyclicList: Array<Schema.Json> = []
cyclicList.push(cyclicList)
// What JSON does not have, though the types would have it so.
const big = { seed: 1n } as unknown as Schema.JsonObject

/** What cannot be sent, and the words that say what to do about it. */
const cases: {
  readonly [what: string]: readonly [completion: Completion.Completion, ...words: ReadonlyArray<string>]
} = {
  "an empty prompt": [Completion.prompt("")(question), "the prompt is empty", "give it a text"],
  "a prompt of empty texts": [Completion.prompt(Message.user(["", ""]))(question), "the prompt is empty"],
  "a prompt of white space": [Completion.prompt(" \n")(question), "the prompt is empty"],
  "a prompt without contents": [Completion.prompt(Message.user([]))(question), "the prompt is empty"],
  "an empty system message as the prompt": [Completion.prompt(Message.system(""))(question), "the prompt is empty"],
  "an assistant message without contents as the prompt": [
    Completion.prompt(Message.assistant([]))(question),
    "the prompt is empty"
  ],
  "a user message without contents in the history": [
    Completion.history([Message.user([])])(question),
    "a user message is empty"
  ],
  "only system messages": [
    Completion.make({
      model: "m",
      preamble: "a",
      history: [Message.system("b"), Message.user("")],
      prompt: Message.system("c")
    }),
    "only system messages",
    "give a user message"
  ],
  "no model": [Completion.make({ prompt: "Hi" }), "no model", "set it on the completion", "the layer's default"],
  "an empty model": [Completion.model("")(question), "no model"],
  "maxTokens of zero": [Completion.maxTokens(0)(question), "maxTokens is 0", "a positive whole number"],
  "negative maxTokens": [Completion.maxTokens(-5)(question), "maxTokens is -5", "a positive whole number"],
  "fractional maxTokens": [Completion.maxTokens(1.5)(question), "maxTokens is 1.5"],
  "maxTokens that are no number": [Completion.maxTokens(Number.NaN)(question), "maxTokens is NaN"],
  "infinite maxTokens": [Completion.maxTokens(Number.POSITIVE_INFINITY)(question), "maxTokens is Infinity"],
  "maxTokens beyond whole numbers": [Completion.maxTokens(2 ** 53)(question), "maxTokens is 9007199254740992"],
  "a negative temperature": [Completion.temperature(-1)(question), "temperature is -1", "at least 0"],
  "a temperature that is no number": [Completion.temperature(Number.NaN)(question), "temperature is NaN"],
  "a tool name twice": [
    Completion.tools([tool("a"), tool("b"), tool("a")])(question),
    "the tool name a is given twice",
    "rename"
  ],
  "a tool without a name": [Completion.tools([tool("")])(question), "a tool has no name"],
  "a tool name that no provider takes": [
    Completion.tools([tool("get weather")])(question),
    'no provider takes the tool name "get weather"',
    "use letters"
  ],
  "a tool name that is too long": [Completion.tools([tool("a".repeat(129))])(question), "no provider takes"],
  "a tool result without an id": [
    Completion.prompt(Message.user(Message.toolResult({ id: "", name: "a", content: "b" })))(question),
    "a tool result has no id",
    "the id of the call"
  ],
  "a tool call without an id": [
    Completion.history([Message.assistant(Message.toolCall({ id: "", name: "a", arguments: {} }))])(question),
    "no id or no name"
  ],
  "a tool call without a name": [
    Completion.history([Message.assistant(Message.toolCall({ id: "a", name: "", arguments: {} }))])(question),
    "no id or no name"
  ],
  "an empty stop sequence": [
    Completion.stopSequences(["end", ""])(question),
    "stopSequences contains an empty text",
    "leave it out"
  ],
  "a stream where a whole answer was called for": [
    Completion.additionalParams({ stream: true })(question),
    "stream in additionalParams",
    "LLMClient.stream"
  ],
  "a model that leads to another path": [Completion.model("../files")(question), "leads to another path"],
  "a forced call without tools": [
    Completion.toolChoice(Tool.required)(question),
    "there are no tools",
    "give tools, or leave toolChoice out"
  ],
  "a free choice without tools": [Completion.toolChoice(Tool.auto)(question), "there are no tools"],
  "a named choice without tools": [Completion.toolChoice(Tool.specific("a"))(question), "there are no tools"],
  "a choice of an unknown tool": [
    question.pipe(Completion.tools([tool("a"), tool("b")]), Completion.toolChoice(Tool.specific("c"))),
    "toolChoice names c",
    "a, b"
  ],
  "a choice of no tool": [
    question.pipe(Completion.tools([tool("a")]), Completion.toolChoice(Tool.specific())),
    "toolChoice names no tool"
  ],
  "a cycle in additionalParams": [Completion.additionalParams(cyclic)(question), "a cycle", "additionalParams"],
  "a cyclic list in additionalParams": [Completion.additionalParams({ a: cyclicList })(question), "a cycle"],
  "a BigInt in additionalParams": [Completion.additionalParams(big)(question), "a BigInt", "additionalParams"],
  "a BigInt in the arguments of a call": [
    Completion.history([Message.assistant(Message.toolCall({ id: "1", name: "a", arguments: big }))])(question),
    "a BigInt",
    "tool arguments"
  ],
  "a cycle in the result of a tool": [
    question.pipe(
      Completion.history([
        Message.user("a"),
        Message.assistant(Message.toolCall({ id: "1", name: "a", arguments: {} }))
      ]),
      Completion.prompt(Message.user(Message.toolResult({ id: "1", name: "a", content: Message.json(cyclic) })))
    ),
    "a cycle",
    "tool results"
  ],
  "a BigInt in the schema of the answer": [
    Completion.outputSchema({ type: "object", default: big } as Schema.JsonObject)(question),
    "a BigInt",
    "schemas"
  ]
}

describe("is refused before anything is sent, and told what to do:", () => {
  for (const [what, [completion, ...words]] of Object.entries(cases)) {
    for (const name of names) {
      it.effect(`${what}, to ${name}`, () =>
        Effect.gen(function*() {
          const error = yield* refusal(name)(completion)
          assert.isTrue(LLMError.isLLMError(error))
          assert.strictEqual(error.reason, "InvalidRequest")
          assert.isFalse(error.isFallbackable)
          assert.strictEqual(error.provider, providerOf(name))
          assert.strictEqual(error.model, completion.model ?? "")
          for (const word of words) assert.include(error.message, word)
        }))
    }
  }

  for (const name of names) {
    const provider = providerOf(name)
    it.effect(`a cycle or a BigInt in the parameters for ${provider}, to ${name}`, () =>
      Effect.gen(function*() {
        for (const params of [cyclic, big]) {
          const error = yield* refusal(name)(Completion.providerParams({ [provider]: params })(question))
          assert.strictEqual(error.reason, "InvalidRequest")
          assert.include(error.description, "providerParams")
        }
      }))
  }
})

describe("a stream that is asked for without one", () => {
  for (const name of names) {
    it.effect(`is refused before anything is sent to ${name}`, () =>
      Effect.gen(function*() {
        for (const stream of [false, null, "true"]) {
          const http = recording()
          const error = yield* Stream.runDrain(LLMClient.stream(Completion.additionalParams({ stream })(question)))
            .pipe(
              Effect.flip,
              Effect.provide(Layer.provide(layers[name], http.layer))
            )
          assert.strictEqual(`${error._tag} ${error.reason}`, "ClientError InvalidRequest")
          assert.include(error.description, "LLMClient.completion")
          assert.lengthOf(http.sent, 0)
        }
      }))
  }
})

describe("is accepted:", () => {
  const fine: { readonly [what: string]: Completion.Completion } = {
    "an empty preamble": Completion.preamble("")(question),
    "empty texts in the history": Completion.history([Message.user(""), Message.assistant("")])(question),
    "a system message as the prompt of a conversation": question.pipe(
      Completion.history([Message.user("a"), Message.assistant("b"), Message.user("c")]),
      Completion.prompt(Message.system("be brief"))
    ),
    "no tools and the choice of none": Completion.toolChoice(Tool.none)(question),
    "a choice among tools of the caller's own": question.pipe(
      Completion.additionalParams({ tools: [{ name: "mine" }] }),
      Completion.toolChoice(Tool.specific("mine"))
    ),
    "what is called for anyway": Completion.additionalParams({ stream: false })(question),
    "a tool name with what one of them takes": Completion.tools([tool("a.b:c-d_1")])(question),
    "a BigInt in the parameters of another provider": Completion.providerParams({ other: big })(question)
  }

  for (const [what, completion] of Object.entries(fine)) {
    for (const name of names) it.effect(`${what}, to ${name}`, () => sendTo(name)(completion))
  }
})
