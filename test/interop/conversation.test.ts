import { assert, describe, it } from "@effect/vitest"
import { Effect, Equal, Schema } from "effect"
import * as Prompt from "effect/ai/Prompt"
import * as Arbitrary from "effect/Arbitrary"
import { Message } from "../../src/index.ts"
import { fromPrompt, toPrompt } from "../../src/interop/conversation.ts"
import { full } from "../effort.ts"

const Messages = Schema.Array(Message.Message)
const stored = Schema.fromJsonString(Prompt.Prompt)
const store = Schema.encodeSync(stored)
const restore = Schema.decodeUnknownSync(stored)

// Results stand before all else of a turn, as on the wire.
const normal = (messages: ReadonlyArray<Message.Message>): ReadonlyArray<Message.Message> =>
  messages.flatMap((message): ReadonlyArray<Message.Message> => {
    if (message._tag !== "User") return [message]
    const results = message.content.filter(({ _tag }) => _tag === "ToolResult")
    const others = message.content.filter(({ _tag }) => _tag !== "ToolResult")
    return [results, others].filter(({ length }) => length > 0).map((contents) => Message.user(contents))
  })

/** As JSON keeps them: `-0` is 0 there. */
const conversations = Arbitrary.map(
  Arbitrary.schema(Messages),
  (messages) => JSON.parse(JSON.stringify(messages)) as typeof messages
)

const throughJson = (prompt: Prompt.Prompt): Prompt.Prompt => restore(store(prompt))

type Part = Readonly<Record<string, unknown>>

const isPart = (value: unknown): value is Part =>
  typeof value === "object" && value !== null && "type" in value && "options" in value

/** The conversation of a prompt whose parts somebody changed. */
const change = (prompt: Prompt.Prompt, f: (part: Part) => Part): ReadonlyArray<Message.Message> => {
  const changed: unknown = JSON.parse(store(prompt), (_, value: unknown) => isPart(value) ? f(value) : value)
  return fromPrompt(restore(JSON.stringify(changed)))
}

describe("a conversation as a prompt of effect/ai", () => {
  it.effect("comes back as it was, through JSON", () =>
    Effect.gen(function*() {
      let filled = 0
      const seen = new Set<string>()
      const result = yield* Arbitrary.checkEffect(conversations, (messages) => {
        if (messages.length > 0) filled++
        for (const message of messages) {
          if (message._tag !== "System") { for (const { _tag } of message.content) seen.add(_tag) }
        }
        return Equal.equals(fromPrompt(throughJson(toPrompt(messages))), normal(messages))
      }, { runs: 2200, seed: "conversations", ...!full && { size: 6 } })
      assert.strictEqual(result._tag, "Passed", Arbitrary.formatCheckFailure(result)?.slice(0, 3000))
      assert.isAbove(filled, 1000)
      assert.sameMembers([...seen], [
        "Text",
        "Image",
        "Audio",
        "Video",
        "Document",
        "ToolResult",
        "ToolCall",
        "Reasoning",
        "ProviderBlock"
      ])
    }), 30_000)

  it("says in parts what parts can say, and carries no more than the rest", () => {
    const prompt = toPrompt([
      Message.assistant([
        { _tag: "Reasoning", content: [{ _tag: "Text", text: "Hm", signature: "s" }] },
        { _tag: "ProviderBlock", provider: "anthropic", block: { type: "own" } },
        "Hello",
        Message.toolCall({ id: "1", name: "look", arguments: {} })
      ], { id: "msg", provider: "anthropic" })
    ])
    const [turn] = prompt.content
    assert(turn?.role === "assistant")
    assert.deepStrictEqual(
      turn.content.map((
        part
      ) => [part.type, "text" in part ? part.text : "", Object.keys(part.options["effect-llm"] ?? {})]),
      [
        ["reasoning", "Hm", ["content", "id", "provider"]],
        ["reasoning", "", ["content"]],
        ["text", "Hello", []],
        ["tool-call", "", []]
      ]
    )
  })

  it("gives way where the user changed it", () => {
    const turn = Message.assistant([
      Message.text("Hello", { signature: "s" }),
      { _tag: "Reasoning", content: [{ _tag: "Text", text: "Hm", signature: "s" }] },
      Message.toolCall({ id: "1", name: "look", arguments: { at: "sky" }, signature: "s" })
    ])
    const result = Message.user({
      ...Message.toolResult({ id: "1", name: "look", content: [Message.text("blue", { citations: [1] })] })
    })
    const note = Message.user([Message.text("note", { signature: "s" })])
    const prompt = toPrompt([turn, result, note])
    assert.deepStrictEqual(change(prompt, (part) => part), [turn, result, note])
    assert.deepStrictEqual(
      change(prompt, (part) => ({
        ...part,
        ...("text" in part && { text: "changed" }),
        ...("params" in part && { params: { at: "sea" } }),
        ...("result" in part && { result: "grey" })
      })),
      [
        Message.assistant([
          "changed",
          { _tag: "Reasoning", content: [{ _tag: "Text", text: "changed" }] },
          Message.toolCall({ id: "1", name: "look", arguments: { at: "sea" } })
        ]),
        Message.user(Message.toolResult({ id: "1", name: "look", content: "grey" })),
        Message.user("changed")
      ]
    )
  })

  it("is put in the order of its contents, whatever the order of the parts", () => {
    const part = (index: number, text: string) => Prompt.textPart({ text, options: { "effect-llm": { index } } })
    const prompt = Prompt.fromMessages([
      Prompt.assistantMessage({
        content: [part(2, "c"), Prompt.textPart({ text: "behind c" }), part(0, "a"), part(1, "b")]
      })
    ])
    assert.deepStrictEqual(fromPrompt(prompt), [Message.assistant(["a", "b", "c", "behind c"])])
  })

  it("ignores foreign data under our key", () => {
    const options = { "effect-llm": { index: "one", content: 5 } }
    const prompt = Prompt.fromMessages([
      Prompt.userMessage({ content: [Prompt.textPart({ text: "a", options })] }),
      Prompt.assistantMessage({ content: [Prompt.textPart({ text: "b", options })] })
    ])
    assert.deepStrictEqual(fromPrompt(prompt), [Message.user("a"), Message.assistant("b")])
  })
})

describe("a prompt of effect/ai as a conversation", () => {
  const png = Uint8Array.from(atob("iVBORw0KGgo="), (character) => character.charCodeAt(0))

  it("has its files by their media types, and the options of the provider packages", () => {
    const cacheControl = { type: "ephemeral", ttl: "1h" }
    const prompt = Prompt.make([
      { role: "system", content: "S", options: { anthropic: { cacheControl: { type: "ephemeral" } } } },
      {
        role: "user",
        content: [
          { type: "text", text: "Look" },
          { type: "file", mediaType: "image/png", data: png, options: { openai: { imageDetail: "high" } } },
          { type: "file", mediaType: "image/*", data: "iVBORw0KGgo=" },
          { type: "file", mediaType: "image/*", data: "data:image/webp;base64,AAAA" },
          { type: "file", mediaType: "image/*", data: new URL("https://example.com/a.png") },
          { type: "file", mediaType: "image/jpeg", data: "http://example.com/b.jpg" },
          {
            type: "file",
            mediaType: "application/pdf",
            fileName: "report.pdf",
            data: "JVBER",
            options: { anthropic: { citations: { enabled: true }, cacheControl } }
          },
          { type: "file", mediaType: "audio/wav", data: "UklGRg==" },
          { type: "file", mediaType: "video/mp4", data: "AAAA" }
        ]
      }
    ])
    assert.deepStrictEqual(fromPrompt(prompt), [
      Message.system("S", { cache: {} }),
      Message.user([
        "Look",
        Message.image(Message.base64("iVBORw0KGgo=", "image/png"), { detail: "high" }),
        Message.image(Message.base64("iVBORw0KGgo=", "image/png")),
        Message.image(Message.base64("AAAA", "image/webp")),
        Message.image(Message.url("https://example.com/a.png")),
        Message.image(Message.url("http://example.com/b.jpg", "image/jpeg")),
        Message.document(Message.base64("JVBER", "application/pdf"), {
          title: "report.pdf",
          citations: true,
          cache: { ttl: "1h" }
        }),
        Message.audio(Message.base64("UklGRg==", "audio/wav")),
        Message.video(Message.base64("AAAA", "video/mp4"))
      ])
    ])
  })

  it("has results of tools as values, as what the model sees of them, and as errors", () => {
    const result = { type: "tool-result", name: "look" } as const
    const prompt = Prompt.make([{
      role: "tool",
      content: [
        { ...result, id: "1", isFailure: false, result: { sky: "grey" } },
        { ...result, id: "2", isFailure: true, result: "too dark" },
        { ...result, id: "3", isFailure: false, result: undefined },
        {
          ...result,
          id: "4",
          isFailure: false,
          result: {},
          modelOutput: [
            { type: "text", text: "Look" },
            { type: "file", mediaType: "image/png", data: png },
            { type: "file", mediaType: "audio/wav", data: png }
          ]
        }
      ]
    }])
    const of = (id: string, content: Message.ToolResult["content"], isError?: boolean) =>
      Message.toolResult({ id, name: "look", content, isError })
    assert.deepStrictEqual(fromPrompt(prompt), [
      Message.user([
        of("1", [Message.json({ sky: "grey" })]),
        of("2", [Message.text("too dark")], true),
        of("3", []),
        of("4", [
          Message.text("Look"),
          Message.image(Message.base64("iVBORw0KGgo=", "image/png")),
          Message.text("[audio/wav omitted]")
        ])
      ])
    ])
  })

  it("has a message's cache mark on its last part", () => {
    const prompt = Prompt.make([{
      role: "user",
      content: [{ type: "text", text: "a" }, { type: "text", text: "b" }],
      options: { anthropic: { cacheControl: { type: "ephemeral" } } }
    }])
    assert.deepStrictEqual(fromPrompt(prompt), [Message.user(["a", Message.text("b", { cache: {} })])])
  })

  it("has the signatures of thinking that Anthropic's package keeps, and none of what a provider ran itself", () => {
    const prompt = Prompt.make([{
      role: "assistant",
      content: [
        { type: "reasoning", text: "Hm", options: { anthropic: { info: { type: "thinking", signature: "s" } } } },
        {
          type: "reasoning",
          text: "",
          options: { anthropic: { info: { type: "redacted_thinking", redactedData: "x" } } }
        },
        { type: "tool-call", id: "1", name: "web", params: {}, providerExecuted: true },
        { type: "text", text: "Hello" }
      ]
    }])
    assert.deepStrictEqual(fromPrompt(prompt), [
      Message.assistant([
        { _tag: "Reasoning", content: [{ _tag: "Text", text: "Hm", signature: "s" }] },
        { _tag: "Reasoning", content: [{ _tag: "Redacted", data: "x" }] },
        "Hello"
      ])
    ])
  })
})
