import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import * as CompletionPart from "../src/CompletionPart.ts"
import * as CompletionResponse from "../src/CompletionResponse.ts"
import * as Message from "../src/Message.ts"
import * as TokenUsage from "../src/TokenUsage.ts"

// The same cases in every run.
Arbitrary.configureGlobal({ check: { seed: "CompletionPart" } })

const responseOf = (choice: ReadonlyArray<Message.AssistantContent>): CompletionResponse.CompletionResponse =>
  CompletionResponse.make({
    choice,
    finishReason: { _tag: "Stop" },
    usage: TokenUsage.zero,
    provider: "anthropic",
    model: "claude-opus-5-5",
    id: "msg_1"
  })

const choices = Schema.Array(Message.AssistantContent)

describe("fromResponse", () => {
  it("says who answers, shows each content and its end, and finishes with the answer", () => {
    const call = Message.toolCall({ id: "1", name: "f", arguments: { a: 1 }, signature: "s" })
    const response = responseOf([Message.text("Hi", { phase: "commentary" }), call])
    assert.deepStrictEqual(CompletionPart.fromResponse(response), [
      { _tag: "Start", provider: "anthropic", model: "claude-opus-5-5", id: "msg_1" },
      { _tag: "TextDelta", index: 0, text: "Hi", phase: "commentary" },
      { _tag: "ContentEnd", index: 0, content: Message.text("Hi", { phase: "commentary" }) },
      { _tag: "ToolCallStart", index: 1, id: "1", name: "f", signature: "s" },
      { _tag: "ToolCallDelta", index: 1, arguments: '{"a":1}' },
      { _tag: "ContentEnd", index: 1, content: call },
      { _tag: "Finish", response }
    ])
  })

  it.prop("the contents that end are the choice, and the text deltas its text", [choices], ([choice]) => {
    const response = responseOf(choice)
    const parts = CompletionPart.fromResponse(response)
    const ends = parts.filter((part) => part._tag === "ContentEnd").sort((a, b) => a.index - b.index)
    assert.deepStrictEqual(ends.map(({ content }) => content), [...choice])
    const deltas = parts.filter((part) => part._tag === "TextDelta")
    const final = deltas.some(({ phase }) => phase === "final_answer")
    const shown = deltas.filter(({ phase }) => !(final && phase === "commentary"))
    assert.strictEqual(shown.map(({ text }) => text).join(""), response.text)
    assert.isFalse(parts.some((part) => "text" in part && part.text === ""))
  }, { arbitrary: { runs: 200 } })

  it.prop("survives JSON", [choices], ([choice]) => {
    const codec = Schema.toCodecJson(Schema.Array(CompletionPart.CompletionPart))
    // JSON has no -0: what came from JSON once stays as it is.
    const once = (parts: unknown) => JSON.stringify(Schema.encodeUnknownSync(codec)(parts))
    const text = once(CompletionPart.fromResponse(responseOf(choice)))
    assert.strictEqual(once(Schema.decodeUnknownSync(codec)(JSON.parse(text))), text)
  }, { arbitrary: { runs: 100 } })
})
