import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import type { CompletionPart } from "../../src/index.ts"
import { response } from "../../src/wire/anthropic/response.ts"
import { stream } from "../../src/wire/anthropic/stream.ts"
import type { Answer } from "../../src/wire/Wire.ts"
import { available, isStream, recordings, skipped } from "../conformance/corpus.ts"
import { frames } from "../conformance/events.ts"
import { runs } from "../effort.ts"

type Json = { readonly [key: string]: unknown }
type Parts = Array<CompletionPart.CompletionPart>

const mint = (index: number): string => `minted_${index}`

/** What the events of a stream bring, up to its end. */
const read = (events: ReadonlyArray<Json>): { readonly parts: Parts; readonly answer: Answer } => {
  const decoder = stream("anthropic")(mint)
  const parts: Parts = []
  for (const event of events) decoder.event(event, parts)
  // As the session does it: the answer first.
  const answer = decoder.answer()
  assert(answer !== undefined)
  if (decoder.complete()) decoder.close(parts)
  return { parts, answer }
}

const start = (message: Json = {}): Json => ({
  type: "message_start",
  message: { id: "msg_1", model: "m", content: [], usage: { input_tokens: 3, output_tokens: 1 }, ...message }
})
const block = (index: unknown, content_block: Json): Json => ({ type: "content_block_start", index, content_block })
const delta = (index: unknown, delta: Json): Json => ({ type: "content_block_delta", index, delta })
const stop = (index: unknown): Json => ({ type: "content_block_stop", index })
const end = (reason = "end_turn", fields: Json = {}): Json => ({
  type: "message_delta",
  delta: { stop_reason: reason, stop_sequence: null },
  usage: { output_tokens: 9 },
  ...fields
})
const text = (index: unknown, text: string) => delta(index, { type: "text_delta", text })
const input = (index: unknown, partial_json: string) => delta(index, { type: "input_json_delta", partial_json })
const call = (index: unknown, id: string, name = "rm") => block(index, { type: "tool_use", id, name, input: {} })

const calls = ({ choice }: Answer) =>
  choice.flatMap((content): ReadonlyArray<readonly [string, unknown]> =>
    content._tag === "ToolCall" ? [[content.id, content.arguments]] : []
  )

/** The laws of parts: contents by index are the answer, and the deltas joined are its text. */
const holds = ({ answer, parts }: ReturnType<typeof read>): void => {
  const ends = parts.filter((part) => part._tag === "ContentEnd")
  const byIndex = ends.toSorted((a, b) => a.index - b.index)
  assert.deepStrictEqual(byIndex.map(({ content }) => content), answer.choice)
  assert.lengthOf(new Set(ends.map(({ index }) => index)), ends.length)
  // A stream that mixes the deltas of two texts brings them in its own order.
  const deltas = parts.filter((part) => part._tag === "TextDelta").toSorted((a, b) => a.index - b.index)
  assert.strictEqual(
    deltas.map(({ text }) => text).join(""),
    answer.choice.map((content) => content._tag === "Text" ? content.text : "").join("")
  )
}

/** Whether the contents are numbered in the order in which they begin. */
const inOrder = ({ parts }: ReturnType<typeof read>): void => {
  const seen = new Set<number>()
  for (const part of parts) if (part._tag !== "Start" && part._tag !== "Finish") seen.add(part.index)
  assert.deepStrictEqual([...seen], [...seen].toSorted((a, b) => a - b))
}

describe("parts", () => {
  it("name their content, and end each as soon as it is whole", () => {
    const { answer, parts } = read([
      start(),
      block(0, { type: "thinking", thinking: "", signature: "" }),
      delta(0, { type: "thinking_delta", thinking: "hm" }),
      delta(0, { type: "signature_delta", signature: "sig" }),
      stop(0),
      block(1, { type: "redacted_thinking", data: "secret" }),
      stop(1),
      block(2, { type: "text", text: "" }),
      text(2, "Hel"),
      text(2, "lo"),
      delta(2, { type: "citations_delta", citation: { type: "page" } }),
      stop(2),
      call(3, "a"),
      input(3, '{"x":'),
      input(3, "1}"),
      stop(3),
      end("tool_use")
    ])
    assert.deepStrictEqual(parts, [
      { _tag: "ReasoningDelta", index: 0, text: "hm" },
      {
        _tag: "ContentEnd",
        index: 0,
        content: { _tag: "Reasoning", content: [{ _tag: "Text", text: "hm", signature: "sig" }] }
      },
      {
        _tag: "ContentEnd",
        index: 1,
        content: { _tag: "Reasoning", content: [{ _tag: "Redacted", data: "secret" }] }
      },
      { _tag: "TextDelta", index: 2, text: "Hel" },
      { _tag: "TextDelta", index: 2, text: "lo" },
      { _tag: "ContentEnd", index: 2, content: { _tag: "Text", text: "Hello", citations: [{ type: "page" }] } },
      { _tag: "ToolCallStart", index: 3, id: "a", name: "rm" },
      { _tag: "ToolCallDelta", index: 3, arguments: '{"x":' },
      { _tag: "ToolCallDelta", index: 3, arguments: "1}" },
      {
        _tag: "ContentEnd",
        index: 3,
        content: { _tag: "ToolCall", id: "a", name: "rm", arguments: { x: 1 } }
      }
    ])
    assert.deepStrictEqual(answer.choice.map(({ _tag }) => _tag), ["Reasoning", "Reasoning", "Text", "ToolCall"])
  })

  it("end a call without arguments once something comes behind it, since it may have been cut before them", () => {
    const events = [start(), call(0, "a"), stop(0)]
    const { parts } = read(events)
    assert.deepStrictEqual(parts.map(({ _tag }) => _tag), ["ToolCallStart"])
    assert.deepStrictEqual(read([...events, call(1, "b")]).parts.map(({ _tag }) => _tag), [
      "ToolCallStart",
      "ContentEnd",
      "ToolCallStart"
    ])
    assert.deepStrictEqual(calls(read([...events, end("tool_use")]).answer), [["a", {}]])
    const cut = read([...events, end("max_tokens")])
    assert.deepStrictEqual(cut.answer.choice, [])
    assert.deepStrictEqual(cut.parts.map(({ _tag }) => _tag), ["ToolCallStart"])
  })

  it("of a call that was cut have no ContentEnd", () => {
    for (const reason of ["max_tokens", "model_context_window_exceeded", "refusal"]) {
      const cut = read([
        start(),
        call(0, "a"),
        input(0, "{}"),
        stop(0),
        call(1, "b"),
        input(1, '{"x":'),
        stop(1),
        end(reason)
      ])
      assert.deepStrictEqual(calls(cut.answer), [["a", {}]])
      assert.isUndefined(cut.answer.malformedCall)
      holds(cut)
    }
  })

  it("a call that is there to its last brace is whole, whatever cut the answer behind it", () => {
    const whole = read([start(), call(0, "a"), input(0, '{"x":1}'), stop(0), end("max_tokens")])
    assert.deepStrictEqual(calls(whole.answer), [["a", { x: 1 }]])
    holds(whole)
  })

  it("arguments that are not a JSON object are a malformed call, and never an empty one", () => {
    for (const json of ['{"x":', "5", "[1]", "null"]) {
      const { answer, parts } = read([start(), call(0, "a"), input(0, json), stop(0), end("tool_use")])
      assert.deepStrictEqual(answer.choice, [], json)
      assert.include(answer.malformedCall, "rm")
      assert.notInclude(parts.map(({ _tag }) => _tag), "ContentEnd")
      const whole = response("anthropic")({
        content: [{
          type: "tool_use",
          id: "a",
          name: "rm",
          input: json === "null" ? [] : JSON.parse(`[${json === '{"x":' ? 1 : json}]`)
        }],
        stop_reason: "tool_use"
      }, mint)
      assert.include(whole?.malformedCall, "rm")
    }
  })

  it("as far as they came are the answer of a stream that broke off, without the call in it", () => {
    const { answer } = read([
      start(),
      block(0, { type: "text", text: "" }),
      text(0, "Hel"),
      call(1, "a"),
      input(1, '{"x":1')
    ])
    assert.deepStrictEqual(answer.choice, [{ _tag: "Text", text: "Hel" }])
  })
})

describe("broken indexes", () => {
  const two: ReadonlyArray<readonly [string, unknown]> = [["a", { x: 1 }], ["b", { y: 2 }]]

  for (
    const [what, indexes] of [
      ["as digits in a text", ["0", "1"]],
      ["missing", [undefined, undefined]],
      ["null", [null, null]],
      ["all 0", [0, 0]],
      ["negative words", ["first", "second"]]
    ] as const
  ) {
    const [first, second] = indexes
    it(`${what}: calls one after the other stay two calls`, () => {
      const one = read([
        start(),
        call(first, "a"),
        input(first, '{"x":'),
        input(first, "1}"),
        stop(first),
        call(second, "b"),
        input(second, '{"y":'),
        input(second, "2}"),
        stop(second),
        end("tool_use")
      ])
      assert.deepStrictEqual(calls(one.answer), two.map((pair) => [...pair]))
      assert.isUndefined(one.answer.malformedCall)
      holds(one)
    })

    it(`${what}: calls that nobody ends stay two calls`, () => {
      const one = read([
        start(),
        call(first, "a"),
        input(first, '{"x":1}'),
        call(second, "b"),
        input(second, '{"y":2}'),
        end("tool_use")
      ])
      // Whose arguments come last is not known where two calls are open and no index tells them apart.
      if (first === second || !/^\d$/.test(String(first))) {
        assert.isTrue(one.answer.malformedCall !== undefined || calls(one.answer).length === 2)
      }
      for (const [id, args] of calls(one.answer)) assert.deepStrictEqual([id, args], two.find(([name]) => name === id))
      holds(one)
    })
  }

  it("calls begun together and told apart by nothing are malformed, not run on each other's arguments", () => {
    for (const index of [undefined, null, 0, "x"]) {
      for (const [one, two] of [['{"x":1}', ""], ["", '{"y":2}'], ['{"x":1}', '{"y":2}'], ["", ""]] as const) {
        const { answer } = read([
          start(),
          call(index, "a"),
          call(index, "b"),
          ...(one === "" ? [] : [input(index, one)]),
          ...(two === "" ? [] : [input(index, two)]),
          stop(index),
          stop(index),
          end("tool_use")
        ])
        if (one + two === "") continue
        assert.isDefined(answer.malformedCall, `${String(index)} ${one}${two}`)
      }
    }
  })

  it("deltas at an index that is over belong to the block that is open", () => {
    const { answer } = read([
      start(),
      call(0, "a"),
      input(0, '{"x":1}'),
      stop(0),
      call(1, "b"),
      input(0, '{"y":2}'),
      stop(0),
      end("tool_use")
    ])
    assert.deepStrictEqual(calls(answer), two.map((pair) => [...pair]))
  })

  it("arguments of no call make the calls that are there doubtful", () => {
    const { answer } = read([start(), call(0, "a"), stop(0), input(7, '{"x":1}'), end("tool_use")])
    assert.isDefined(answer.malformedCall)
  })

  it("a text that comes in a block of thinking begins a text", () => {
    const one = read([
      start(),
      block(0, { type: "thinking", thinking: "" }),
      delta(0, { type: "thinking_delta", thinking: "hm" }),
      text(0, "Hello"),
      stop(0),
      end()
    ])
    assert.deepStrictEqual(one.answer.choice, [
      { _tag: "Reasoning", content: [{ _tag: "Text", text: "hm" }] },
      { _tag: "Text", text: "Hello" }
    ])
    holds(one)
  })
})

describe("blocks of the provider's own", () => {
  it("a compaction is whole, however it came", () => {
    const whole = {
      type: "compaction",
      content: "What was said.",
      encrypted_content: "opaque",
      signature: "sig",
      tool_changes: []
    }
    const streamed = read([
      start(),
      block(0, { type: "compaction", content: null, encrypted_content: null, tool_changes: [] }),
      delta(0, { type: "compaction_delta", content: "What was ", encrypted_content: null }),
      delta(0, { type: "compaction_delta", content: "said.", encrypted_content: "opaque" }),
      delta(0, { type: "signature_delta", signature: "sig" }),
      stop(0),
      end("compaction")
    ])
    assert.deepStrictEqual(streamed.answer.choice, [{ _tag: "ProviderBlock", provider: "anthropic", block: whole }])
    assert.deepStrictEqual(streamed.answer.finishReason, { _tag: "Other", reason: "compaction" })
    holds(streamed)
    const unary = response("anthropic")({ content: [whole], stop_reason: "compaction" }, mint)
    assert.deepStrictEqual(unary?.choice, streamed.answer.choice)
    const failed = { type: "compaction", content: null, encrypted_content: null }
    assert.deepStrictEqual(read([start(), block(0, failed), stop(0), end()]).answer.choice, [
      { _tag: "ProviderBlock", provider: "anthropic", block: failed }
    ])
  })

  it("a fallback is kept where it stands", () => {
    const fallback = { type: "fallback", from: { model: "a" }, to: { model: "b" }, trigger: { type: "refusal" } }
    const streamed = read([
      start(),
      block(0, { type: "text", text: "I " }),
      stop(0),
      block(1, fallback),
      stop(1),
      block(2, { type: "text", text: "can" }),
      stop(2),
      end()
    ])
    assert.deepStrictEqual(streamed.answer.choice.map(({ _tag }) => _tag), ["Text", "ProviderBlock", "Text"])
    assert.deepInclude(streamed.answer.choice[1], { block: fallback })
    holds(streamed)
  })

  it("a tool of the provider's that was cut is left out, since it could not go back", () => {
    const server = { type: "server_tool_use", id: "s", name: "web_search", input: {} }
    const cut = read([start(), block(0, server), input(0, '{"query":"x'), stop(0), end("max_tokens")])
    assert.deepStrictEqual(cut.answer.choice, [])
    holds(cut)
  })
})

describe("what else an answer says", () => {
  it("stands in metadata, whole and streamed alike", () => {
    const said = {
      stop_details: { type: "refusal", category: "cyber", explanation: "no" },
      container: { id: "c" },
      context_management: { applied_edits: [{ type: "clear_tool_uses_20250919" }] }
    }
    const usage = { service_tier: "standard", inference_geo: "global", server_tool_use: { web_search_requests: 1 } }
    const unary = response("anthropic")({
      id: "msg_1",
      model: "m",
      role: "assistant",
      type: "message",
      content: [{ type: "text", text: "x" }],
      stop_reason: "refusal",
      stop_sequence: null,
      ...said,
      diagnostics: null,
      input_transformations: [],
      usage: { input_tokens: 3, output_tokens: 9, cache_creation: { ephemeral_1h_input_tokens: 0 }, ...usage }
    }, mint)
    assert.deepStrictEqual(unary?.metadata, { ...said, usage })
    assert.strictEqual(unary?.filter, "cyber")
    const { answer } = read([
      start({ usage: { input_tokens: 3, output_tokens: 1, service_tier: "standard", inference_geo: "global" } }),
      block(0, { type: "text", text: "x" }),
      stop(0),
      {
        type: "message_delta",
        delta: { stop_reason: "refusal", stop_details: said.stop_details, container: said.container },
        context_management: said.context_management,
        usage: { output_tokens: 9, server_tool_use: usage.server_tool_use }
      }
    ])
    assert.deepStrictEqual(answer.metadata, unary?.metadata)
    assert.strictEqual(answer.filter, "cyber")
  })

  it("thinking that the provider dropped is a warning; thinking that it accepted is not", () => {
    const input_transformations = [
      { type: "thinking_dropped", path: "messages.1.content.0", reason: "prefix_binding_mismatch" },
      { type: "thinking_mismatch_allowed", path: "messages.3.content.0", reason: "prefix_binding_mismatch" },
      { type: "from_the_future" }
    ]
    const unary = response("anthropic")({ content: [], stop_reason: "end_turn", input_transformations }, mint)
    const { answer } = read([start({ input_transformations }), end()])
    for (const { metadata, warnings } of [unary!, answer]) {
      assert.lengthOf(warnings ?? [], 1)
      assert.strictEqual(warnings?.[0]?.field, "history")
      assert.include(warnings?.[0]?.description, "messages.1.content.0")
      assert.deepStrictEqual(metadata?.["input_transformations"], input_transformations)
    }
  })

  it("a turn that was paused says so", () => {
    assert.deepStrictEqual(read([start(), end("pause_turn")]).answer.finishReason, {
      _tag: "Other",
      reason: "pause_turn"
    })
  })
})

describe("any stream", () => {
  const Index = Schema.NullOr(Schema.Literals([0, 1, 2, "1"]))
  const Event = Schema.Union([
    Schema.Struct({
      type: Schema.Literal("content_block_start"),
      index: Index,
      content_block: Schema.Union([
        Schema.Struct({ type: Schema.Literal("text"), text: Schema.Literals(["", "a"]) }),
        Schema.Struct({ type: Schema.Literal("thinking"), thinking: Schema.Literals(["", "b"]) }),
        Schema.Struct({ type: Schema.Literal("redacted_thinking"), data: Schema.Literal("c") }),
        Schema.Struct({
          type: Schema.Literals(["tool_use", "server_tool_use"]),
          id: Schema.Literals(["d", ""]),
          name: Schema.Literals(["e", ""]),
          input: Schema.Struct({})
        }),
        Schema.Struct({ type: Schema.Literal("compaction"), content: Schema.Null })
      ])
    }),
    Schema.Struct({
      type: Schema.Literal("content_block_delta"),
      index: Index,
      delta: Schema.Union([
        Schema.Struct({ type: Schema.Literal("text_delta"), text: Schema.Literals(["f", ""]) }),
        Schema.Struct({ type: Schema.Literal("thinking_delta"), thinking: Schema.Literal("g") }),
        Schema.Struct({ type: Schema.Literal("signature_delta"), signature: Schema.Literal("h") }),
        Schema.Struct({
          type: Schema.Literal("input_json_delta"),
          partial_json: Schema.Literals(["{", "}", "{}", "1", ""])
        }),
        Schema.Struct({ type: Schema.Literal("compaction_delta"), content: Schema.Literal("i") })
      ])
    }),
    Schema.Struct({ type: Schema.Literal("content_block_stop"), index: Index })
  ])
  const reasons = Schema.Literals(["end_turn", "tool_use", "max_tokens", "refusal", "pause_turn"])

  it.prop(
    "gives the contents of its ends as its answer",
    { events: Schema.Array(Event), reason: reasons },
    ({ events, reason }) => {
      holds(read([start(), ...events, end(reason)]))
    },
    { arbitrary: { runs: runs(400, 2000), size: 8 } }
  )

  it("of 40,000 events is read in a time that grows with their number", () => {
    const many = (count: number, make: (index: number) => ReadonlyArray<Json>) =>
      Array.from({ length: count }, (_, index) => make(index)).flat()
    const streams = [
      [start(), block(0, { type: "text", text: "" }), ...many(40_000, () => [text(0, "word ")]), stop(0), end()],
      [start(), call(0, "a"), input(0, '{"x":"'), ...many(40_000, () => [input(0, "y")]), input(0, '"}'), end()],
      [
        start(),
        ...many(20_000, (index) => [call(index, `c${index}`)]),
        ...many(20_000, (index) => [stop(index)]),
        end()
      ],
      [start(), ...many(20_000, (index) => [call(0, `c${index}`), stop(0)]), end()]
    ]
    const before = performance.now()
    for (const events of streams) read(events)
    // Work that grows with the square takes minutes.
    assert.isBelow(performance.now() - before, 5000)
  })
})

describe("recorded streams", () => {
  it.skipIf(!available)(available ? "follow the laws of parts wherever they are cut" : skipped, () => {
    let count = 0
    for (const { exchanges } of recordings("anthropic-messages")) {
      for (const exchange of exchanges.filter(isStream)) {
        const events = frames(exchange.response.body).flatMap(({ data }) => data === "[DONE]" ? [] : [data])
        const whole = read(events)
        holds(whole)
        inOrder(whole)
        const decoder = stream("anthropic")(mint)
        const parts: Parts = []
        for (const event of events) {
          decoder.event(event, parts)
          // What is told as whole stays so.
          const ends = parts.flatMap((part) => part._tag === "ContentEnd" ? [part.content] : [])
          for (const content of ends) assert.deepInclude(decoder.answer()?.choice ?? [], content)
        }
        count++
      }
    }
    assert.isAbove(count, 100)
  })
})
