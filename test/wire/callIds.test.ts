import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Completion, Message } from "../../src/index.ts"
import { type CallIds, fitIds } from "../../src/wire/callIds.ts"
import { type Name, sendTo } from "../transport/exchange.ts"

const word: CallIds = { fits: (id) => /^\w+$/.test(id) }

const asks = (provider: string, ...ids: ReadonlyArray<string>) =>
  Message.assistant(ids.map((id) => Message.toolCall({ id, name: "get", arguments: {} })), { provider })

const answers = (...ids: ReadonlyArray<string>) =>
  Message.user(ids.flatMap((id) => Message.user(Message.toolResult({ id, name: "get", content: id })).content))

/** The ids of calls and of the results that answer them, message by message. */
const idsOf = (messages: ReadonlyArray<Message.Message>): ReadonlyArray<ReadonlyArray<string>> =>
  messages.map((message) =>
    message._tag === "System"
      ? []
      : message.content.flatMap((content) =>
        content._tag === "ToolCall" || content._tag === "ToolResult" ? [content.id] : []
      )
  )

describe("fitIds", () => {
  it("gives the same messages back when all ids fit", () => {
    const messages = [Message.user("a"), asks("test", "a", "b"), answers("a", "b")]
    assert.strictEqual(fitIds(messages, "test", word), messages)
  })

  it("replaces what does not fit by nine letters and digits, the same in call and result", () => {
    const messages = [asks("other", "a.b:0", "fits"), answers("fits", "a.b:0"), Message.user("thanks")]
    const [calls, results] = idsOf(fitIds(messages, "test", word))
    assert.match(calls![0]!, /^[a-zA-Z0-9]{9}$/)
    assert.deepStrictEqual(results, ["fits", calls![0]!])
    assert.strictEqual(calls![1], "fits")
  })

  it("gives the same messages the same ids, which later messages do not change", () => {
    const messages = [asks("other", "a.1", "a.2"), answers("a.1", "a.2")]
    const first = idsOf(fitIds(messages, "test", word))
    assert.deepStrictEqual(idsOf(fitIds(messages, "test", word)), first)
    const longer = fitIds([...messages, asks("other", "a.3"), answers("a.3")], "test", word)
    assert.deepStrictEqual(idsOf(longer).slice(0, 2), first)
  })

  it("never gives two calls one id, not even one that stands in the conversation already", () => {
    const name = idsOf(fitIds([asks("other", "a.1")], "test", word))[0]![0]!
    const [ids] = idsOf(fitIds([asks("other", "a.1", name)], "test", word))
    assert.strictEqual(ids![1], name)
    assert.notStrictEqual(ids![0], name)
    const many = Array.from({ length: 5000 }, (_, index) => `functions.get:${index}`)
    const [all] = idsOf(fitIds([asks("other", ...many)], "test", word))
    assert.strictEqual(new Set(all).size, many.length)
  })

  it("asks whether an id is the provider's own, or of a message that names none", () => {
    const own: CallIds = { fits: (_, own) => own }
    const messages = [
      asks("test", "a"),
      asks("other", "b"),
      Message.assistant([Message.toolCall({
        id: "c",
        name: "get",
        arguments: {}
      })])
    ]
    const [a, b, c] = idsOf(fitIds(messages, "test", own)).flat()
    assert.deepStrictEqual([a, c], ["a", "c"])
    assert.notStrictEqual(b, "b")
  })

  it("distinguishes calls of one turn with the same id", () => {
    const messages = [asks("other", "call_0", "call_0"), answers("call_0", "call_0")]
    const [calls, results] = idsOf(fitIds(messages, "test", word))
    assert.strictEqual(calls![0], "call_0")
    assert.notStrictEqual(calls![1], "call_0")
    assert.deepStrictEqual(results, calls)
  })

  it("distinguishes calls of all turns with the same id, if ids must be unique", () => {
    const messages = [
      asks("other", "call_0"),
      answers("call_0"),
      asks("other", "call_0", "call_0"),
      answers("call_0", "call_0")
    ]
    const apart = idsOf(fitIds(messages, "test", word))
    assert.strictEqual(apart[2]![0], "call_0")
    const [first, firstResults, second, secondResults] = idsOf(fitIds(messages, "test", { ...word, unique: true }))
    assert.deepStrictEqual(first, ["call_0"])
    assert.deepStrictEqual(firstResults, first)
    assert.deepStrictEqual(secondResults, second)
    assert.strictEqual(new Set([...first!, ...second!]).size, 3)
  })
})

describe("many calls of one id", () => {
  // A prompt cache of a provider may hold them.
  it("get the ids that they always got", () => {
    const ids = Array.from({ length: 4 }, () => "call_0")
    const [calls] = idsOf(fitIds([asks("other", ...ids), answers(...ids)], "test", word))
    assert.deepStrictEqual(calls, ["call_0", "isEKOjsEK", "3tPe72tPe", "q9099r909"])
  })

  it("are answered in their order, and a result too many by the last", () => {
    const [calls = [], results] = idsOf(fitIds([asks("other", "a", "a"), answers("a", "a", "a")], "test", word))
    assert.strictEqual(new Set(calls).size, 2)
    assert.deepStrictEqual(results, [...calls, ...calls.slice(1)])
  })

  it("take a time that grows with their number alone", () => {
    const ids = Array.from({ length: 40_000 }, () => "call_0")
    const messages = [asks("other", ...ids), answers(...ids)]
    const [calls, results] = idsOf(fitIds(messages, "test", word))
    assert.strictEqual(new Set(calls).size, ids.length)
    assert.deepStrictEqual(results, calls)
  })
})

describe("ids on the wire", () => {
  const long = `call_${"x".repeat(40)}`
  const cases: ReadonlyArray<readonly [Name, model: string, writer: string, id: string, form: RegExp]> = [
    ["anthropic", "claude-sonnet-4-6", "openrouter", "functions.get:0", /^[a-zA-Z0-9_-]+$/],
    ["openai", "gpt-4.1", "anthropic", long, /^.{1,40}$/],
    ["openai", "gpt-4.1", "openai", long, /^.{1,40}$/],
    ["openrouter", "anthropic/claude-sonnet-4.6", "gemini", "a b", /^[a-zA-Z0-9_-]{1,40}$/],
    ["openrouter", "mistralai/mistral-large", "openai", "call_1", /^[a-zA-Z0-9]{9}$/],
    ["compatible", "mistral-small-latest", "openai", "call_1", /^[a-zA-Z0-9]{9}$/],
    ["compatible", "open-mixtral-8x7b", "anthropic", "toolu_01", /^[a-zA-Z0-9]{9}$/],
    ["compatible", "Qwen3", "openrouter", "functions.get:0", /^[a-zA-Z0-9_-]{1,40}$/]
  ]
  const sentIds = Effect.fnUntraced(function*(name: Name, model: string, writer: string, id: string) {
    const { text } = yield* sendTo(name)(Completion.make({
      model,
      history: [Message.user("a"), asks(writer, id)],
      prompt: answers(id)
    }))
    const [, call] = /"id":"([^"]*)"/.exec(text) ?? []
    const [, result] = /"tool_(?:use|call)_id":"([^"]*)"/.exec(text) ?? []
    return { call, result }
  })

  for (const [name, model, writer, id, form] of cases) {
    it.effect(`${name} gets the id ${id} of ${writer} for ${model} in a form that it takes`, () =>
      Effect.gen(function*() {
        const { call, result } = yield* sentIds(name, model, writer, id)
        assert.isDefined(call)
        assert.match(call, form)
        assert.notStrictEqual(call, id)
        assert.strictEqual(result, call)
      }))
  }

  const kept: ReadonlyArray<readonly [Name, model: string, writer: string, id: string]> = [
    ["compatible", "kimi-k2", "llm.example.com", "functions.get_weather:0"],
    ["compatible", "Qwen3", "llm.example.com", long],
    ["compatible", "mistral-small-latest", "llm.example.com", "D681PevKs"],
    ["openrouter", "google/gemini-3-pro", "openrouter", `tool_0_${"x".repeat(50)}`],
    ["openai", "gpt-4.1", "anthropic", "toolu_01"],
    ["anthropic", "claude-sonnet-4-6", "openai", "call_1"]
  ]
  for (const [name, model, writer, id] of kept) {
    it.effect(`${name} gets the id ${id} of ${writer} for ${model} as it is`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* sentIds(name, model, writer, id), { call: id, result: id })
      }))
  }
})
