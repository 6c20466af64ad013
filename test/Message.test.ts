import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import * as Message from "../src/Message.ts"

// The same cases in every run.
Arbitrary.configureGlobal({ check: { seed: "Message" } })

const encode = Schema.encodeUnknownSync(Message.Message)
const decode = Schema.decodeUnknownSync(Message.Message)

const throughJson = (message: Message.Message): Message.Message => decode(JSON.parse(JSON.stringify(encode(message))))

// JSON has no -0, so arbitrary messages are those that came from JSON.
const messages = Arbitrary.map(Arbitrary.schema(Message.Message), throughJson)

const cat = Message.url("https://example.com/cat.png")

describe("sources", () => {
  it("are a URL, base64 data or the id of a file", () => {
    assert.deepStrictEqual(Message.url("https://example.com"), { _tag: "Url", url: "https://example.com" })
    assert.deepStrictEqual(Message.url("https://example.com", "image/png"), {
      _tag: "Url",
      url: "https://example.com",
      mediaType: "image/png"
    })
    assert.deepStrictEqual(Message.base64("AAAA", "image/png"), {
      _tag: "Base64",
      data: "AAAA",
      mediaType: "image/png"
    })
    assert.deepStrictEqual(Message.fileId("file_1"), { _tag: "FileId", id: "file_1" })
  })
})

describe("contents", () => {
  it("hold what they are made of, and their options", () => {
    assert.deepStrictEqual(Message.text("Hello"), { _tag: "Text", text: "Hello" })
    assert.deepStrictEqual(Message.text("Hello", { cache: { ttl: "1h" } }), {
      _tag: "Text",
      text: "Hello",
      cache: { ttl: "1h" }
    })
    assert.deepStrictEqual(Message.image(cat, { detail: "low" }), { _tag: "Image", source: cat, detail: "low" })
    assert.deepStrictEqual(Message.audio(cat), { _tag: "Audio", source: cat })
    assert.deepStrictEqual(Message.video(cat), { _tag: "Video", source: cat })
    assert.deepStrictEqual(Message.document(cat, { title: "Cats" }), { _tag: "Document", source: cat, title: "Cats" })
    assert.deepStrictEqual(Message.json([1]), { _tag: "Json", value: [1] })
    assert.deepStrictEqual(Message.toolCall({ id: "1", name: "f", arguments: { a: null } }), {
      _tag: "ToolCall",
      id: "1",
      name: "f",
      arguments: { a: null }
    })
  })
})

describe("system", () => {
  it("takes a text, and a mark for the cache", () => {
    assert.deepStrictEqual(Message.system("Be brief."), { _tag: "System", content: "Be brief." })
    assert.deepStrictEqual(Message.system("Be brief.", { cache: {} }), {
      _tag: "System",
      content: "Be brief.",
      cache: {}
    })
  })
})

describe("user", () => {
  it("takes a text, one content, or several of both", () => {
    const image = Message.image(cat)
    assert.deepStrictEqual(Message.user("Hello"), { _tag: "User", content: [{ _tag: "Text", text: "Hello" }] })
    assert.deepStrictEqual(Message.user(image), { _tag: "User", content: [image] })
    assert.deepStrictEqual(Message.user(["What is this?", image, "And why?"]), {
      _tag: "User",
      content: [Message.text("What is this?"), image, Message.text("And why?")]
    })
  })

  it("keeps an empty text, and leaves the array that it is given alone", () => {
    assert.deepStrictEqual(Message.user("").content, [Message.text("")])
    const contents = Object.freeze(["Hello"])
    assert.deepStrictEqual(Message.user(contents).content, [Message.text("Hello")])
    assert.deepStrictEqual(contents, ["Hello"])
  })

  it("does not throw without a content, and such a message does not encode", () => {
    const message = Message.user([])
    assert.deepStrictEqual(message, { _tag: "User", content: [] as never })
    assert.throws(() => encode(message))
  })
})

describe("assistant", () => {
  it("takes a text, one content, or several of both, and ids", () => {
    const call = Message.toolCall({ id: "1", name: "f", arguments: {} })
    assert.deepStrictEqual(Message.assistant("Hello"), { _tag: "Assistant", content: [Message.text("Hello")] })
    assert.deepStrictEqual(Message.assistant(call, { id: "msg_1", provider: "anthropic" }), {
      _tag: "Assistant",
      id: "msg_1",
      provider: "anthropic",
      content: [call]
    })
    assert.deepStrictEqual(Message.assistant(["Let me see.", call]).content, [Message.text("Let me see."), call])
  })

  it("may be empty, as an answer may be", () => {
    assert.deepStrictEqual(throughJson(Message.assistant([])), { _tag: "Assistant", content: [] })
  })
})

describe("toolResult", () => {
  it("is the user message that answers a call", () => {
    assert.deepStrictEqual(Message.user(Message.toolResult({ id: "1", name: "f", content: "42" })), {
      _tag: "User",
      content: [{ _tag: "ToolResult", id: "1", name: "f", content: [Message.text("42")] }]
    })
  })

  it("takes one content or several, and says whether the tool failed", () => {
    const json = Message.json({ degrees: 21 })
    const message = Message.user(Message.toolResult({ id: "1", name: "f", content: ["It is", json], isError: true }))
    assert.deepStrictEqual(message.content[0], {
      _tag: "ToolResult",
      id: "1",
      name: "f",
      content: [Message.text("It is"), json],
      isError: true
    })
    assert.deepStrictEqual(
      Message.user(Message.toolResult({ id: "1", name: "f", content: json })),
      Message.user(Message.toolResult({ id: "1", name: "f", content: [json] }))
    )
  })
})

describe("minted ids", () => {
  it("are distinguished from a provider's", () => {
    assert.isTrue(Message.isMintedId(Message.mintId("answer", 0)))
    for (const id of ["", "toolu_01", "call_1", "answer_0"]) assert.isFalse(Message.isMintedId(id))
  })

  it("differ by answer and by index", () => {
    const ids = ["a", "b"].flatMap((answer) => [0, 1, 10].map((index) => Message.mintId(answer, index)))
    assert.strictEqual(new Set(ids).size, ids.length)
    assert.strictEqual(Message.mintId("a", 1), Message.mintId("a", 1))
  })
})

describe("JSON", () => {
  it.prop("survives it, whatever the message", { message: messages }, ({ message }) => {
    assert.deepStrictEqual(throughJson(message), message)
    assert.deepStrictEqual(encode(message), message, "a message is its own JSON")
  }, { arbitrary: { runs: 60 } })

  it("survives a turn with everything that a provider wants back", () => {
    const turn = Message.assistant([
      {
        _tag: "Reasoning",
        field: "reasoning_content",
        content: [
          { _tag: "Text", text: "First", signature: "sig", id: "r1", format: "f", index: 0 },
          { _tag: "Summary", text: "In short" },
          { _tag: "Encrypted", data: "ZW5j" },
          { _tag: "Redacted", data: "cmVk" }
        ]
      },
      Message.text("Hello", { signature: "s", citations: [{ start: 0 }] }),
      Message.toolCall({ id: "1", name: "f", arguments: [null, { "__proto__x": 1 }], signature: "s" }),
      Message.image(Message.base64("AAAA", "image/png"), { signature: "s" }),
      { _tag: "ProviderBlock", provider: "anthropic", block: { type: "server_tool_use", input: { q: "x" } } }
    ], { id: "msg_1", provider: "anthropic" })
    assert.deepStrictEqual(throughJson(turn), turn)
  })

  it("refuses a value that is not a message", () => {
    for (const junk of [null, "Hello", {}, { _tag: "User" }, { _tag: "User", content: [] }, { _tag: "Robot" }]) {
      assert.throws(() => decode(junk))
    }
  })
})
