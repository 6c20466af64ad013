/**
 * The decoder of Chat Completions streams, event by event.
 */
import { assert, describe, it } from "@effect/vitest"
import { type CompletionPart, Message } from "../../src/index.ts"
import { compatible, openAi, openRouter } from "../../src/wire/chat/wire.ts"
import type { Answer, Wire } from "../../src/wire/Wire.ts"
import { type Api, available, isStream, recordings, skipped } from "../conformance/corpus.ts"
import { frames } from "../conformance/events.ts"

type Json = { readonly [key: string]: unknown }
type Part = CompletionPart.CompletionPart

const mintId = (index: number): string => Message.mintId("answer", index)

const wire = compatible("server")

interface Heard {
  readonly parts: ReadonlyArray<Part>
  readonly answer: Answer
}

/** What a decoder makes of events; `[DONE]` ends them. */
const hear = (events: ReadonlyArray<Json | "[DONE]">, by: Wire = wire): Heard => {
  const decoder = by.stream(mintId)
  const parts: Array<Part> = []
  for (const event of events) {
    if (event === "[DONE]") decoder.end?.()
    else decoder.event(event, parts)
  }
  const answer = decoder.answer()!
  if (decoder.complete() && answer.malformedCall === undefined) decoder.close(parts)
  return { parts, answer }
}

const choice = (delta: Json, rest: Json = {}): Json => ({
  id: "1",
  model: "m",
  choices: [{ index: 0, delta, finish_reason: null, ...rest }]
})

const finish = (reason = "tool_calls"): Json => choice({}, { finish_reason: reason })

/** A fragment of a call; what is undefined is not there. */
const fragment = (index: unknown, id?: string, name?: string, args?: unknown): Json =>
  choice({
    tool_calls: [JSON.parse(JSON.stringify({ index, id, type: "function", function: { name, arguments: args } }))]
  })

const callsOf = ({ answer }: Heard) =>
  answer.choice.flatMap((content) => content._tag === "ToolCall" ? [[content.id, content.name, content.arguments]] : [])

const ends = ({ parts }: Heard) => parts.filter((part) => part._tag === "ContentEnd")

const endsMatch = (heard: Heard): void => {
  const sorted = ends(heard).toSorted((a, b) => a.index - b.index)
  assert.deepStrictEqual(sorted.map(({ content }) => content), heard.answer.choice)
  assert.strictEqual(new Set(sorted.map(({ index }) => index)).size, sorted.length)
  const said = heard.parts.map((part) => part._tag === "TextDelta" ? part.text : "").join("")
  const texts = heard.answer.choice.map((content) => content._tag === "Text" ? content.text : "").join("")
  assert.strictEqual(said, texts)
}

const a = { path: "/a" }
const b = { path: "/b" }
const [ta, tb] = [JSON.stringify(a), JSON.stringify(b)]

describe("calls", () => {
  const whole: ReadonlyArray<readonly [string, ReadonlyArray<Json>, ReadonlyArray<unknown>]> = [
    ["numbered, in turn", [
      fragment(0, "a", "rm", ""),
      fragment(1, "b", "rm", ""),
      fragment(1, undefined, undefined, '{"path":'),
      fragment(0, undefined, undefined, ta),
      fragment(1, undefined, undefined, '"/b"}')
    ], [["a", "rm", a], ["b", "rm", b]]],
    ["numbered by digits, in turn", [
      fragment("0", "a", "rm", ""),
      fragment("1", "b", "rm", ""),
      fragment("1", undefined, undefined, tb),
      fragment("0", undefined, undefined, ta)
    ], [["a", "rm", a], ["b", "rm", b]]],
    ["numbered by digits, of which one has no arguments", [
      fragment("0", "a", "rm", ""),
      fragment("1", "b", "ls", ""),
      fragment("0", undefined, undefined, ta)
    ], [["a", "rm", a], ["b", "ls", {}]]],
    ["without numbers, whose fragments all have an id", [
      fragment(undefined, "a", "rm", ""),
      fragment(undefined, "b", "ls", ""),
      fragment(undefined, "a", undefined, ta),
      fragment(undefined, "b", undefined, tb)
    ], [["a", "rm", a], ["b", "ls", b]]],
    ["without numbers, one after the other", [
      fragment(null, "a", "rm", ""),
      fragment(null, undefined, undefined, ta),
      fragment(null, "b", "rm", ""),
      fragment(null, undefined, undefined, tb)
    ], [["a", "rm", a], ["b", "rm", b]]],
    ["all numbered 0, one after the other", [
      fragment(0, "a", "rm", ""),
      fragment(0, undefined, undefined, ta),
      fragment(0, "b", "ls", ""),
      fragment(0, undefined, undefined, tb)
    ], [["a", "rm", a], ["b", "ls", b]]],
    ["all numbered 0, whose fragments all have an id", [
      fragment(0, "a", "rm", ""),
      fragment(0, "b", "ls", ""),
      fragment(0, "a", undefined, ta),
      fragment(0, "b", undefined, tb)
    ], [["a", "rm", a], ["b", "ls", b]]],
    ["all numbered 0, one without arguments", [
      fragment(0, "a", "now", ""),
      fragment(0, "b", "rm", ta)
    ], [["a", "now", {}], ["b", "rm", a]]],
    ["numbered strangely", [fragment(1e9, "a", "rm", ta), fragment(-1, "b", "rm", tb)], [["a", "rm", a], [
      "b",
      "rm",
      b
    ]]],
    ["of a server that repeats names and gives no ids", [
      fragment(0, undefined, "rm", '{"path":'),
      fragment(0, undefined, "rm", '"/a"}'),
      fragment(0, undefined, "rm", ""),
      fragment(0, undefined, "rm", "\n"),
      fragment(0, undefined, "rm", tb),
      fragment(0, undefined, "rm", tb)
    ], [[mintId(0), "rm", a], [mintId(1), "rm", b]]],
    ["without ids and of different names", [
      fragment(0, undefined, "now", ""),
      fragment(0, undefined, "rm", ta)
    ], [[mintId(0), "now", {}], [mintId(1), "rm", a]]],
    ["whose name comes again with its id", [
      fragment(0, undefined, "rm", ""),
      fragment(0, "a", "rm", ""),
      fragment(0, "a", "rm", ta)
    ], [[mintId(0), "rm", a]]],
    ["with braces and quotes in their texts", [
      fragment(0, "a", "rm", '{"a":"}\\"'),
      fragment(0, undefined, "rm", '{","b":[1'),
      fragment(0, undefined, "rm", "]}")
    ], [["a", "rm", { a: '}"{', b: [1] }]]],
    ["with a blank in a piece of its own", [
      fragment(0, "a", "rm", '{"a":"'),
      fragment(0, undefined, undefined, " "),
      fragment(0, undefined, undefined, '"}')
    ], [["a", "rm", { a: " " }]]],
    ["in the older form", [
      choice({ function_call: { name: "rm", arguments: "" } }),
      choice({ function_call: { arguments: ta } })
    ], [[mintId(0), "rm", a]]]
  ]
  for (const [what, events, expected] of whole) {
    it(`are read: ${what}`, () => {
      const heard = hear([...events, finish(), "[DONE]"])
      assert.isUndefined(heard.answer.malformedCall)
      assert.deepStrictEqual(callsOf(heard), expected)
      endsMatch(heard)
      // Each begins before its arguments, and ends behind them.
      for (const { index } of ends(heard)) {
        const own = heard.parts.filter((part) =>
          part._tag !== "Start" && part._tag !== "Finish" && part.index === index
        )
        assert.strictEqual(own[0]?._tag, "ToolCallStart")
        assert.strictEqual(own.at(-1)?._tag, "ContentEnd")
      }
    })
  }

  const uncertain: ReadonlyArray<readonly [string, ReadonlyArray<Json>]> = [
    ["all numbered 0, in turn", [
      fragment(0, "a", "rm", ""),
      fragment(0, "b", "rm", ""),
      fragment(0, undefined, undefined, ta),
      fragment(0, undefined, undefined, tb)
    ]],
    ["all numbered 0, begun together, with the arguments of one", [
      fragment(0, "a", "rm", ""),
      fragment(0, "b", "ls", ""),
      fragment(0, undefined, undefined, ta)
    ]],
    ["without numbers, begun together", [
      fragment(undefined, "a", "rm", ""),
      fragment(undefined, "b", "rm", ""),
      fragment(undefined, undefined, undefined, ta)
    ]],
    ["a new id for each fragment of a call, the first of them empty", [
      fragment(0, "a", "rm", ""),
      fragment(0, "b", "rm", ""),
      fragment(0, "c", "rm", '{"path":'),
      fragment(0, "d", "rm", '"/a"}')
    ]],
    ["a new id for each fragment of a call, the last of them empty", [
      fragment(0, "a", "rm", ta),
      fragment(0, "b", "rm", "")
    ]],
    ["the same call twice, without arguments", [fragment(0, "a", "rm", ""), fragment(0, "b", "rm", "")]],
    ["arguments behind the end of a call", [
      fragment(0, "a", "rm", ta),
      fragment(1, "b", "rm", tb),
      fragment(0, undefined, undefined, '{"more":1}')
    ]],
    ["arguments at a place that no call has", [fragment(0, "a", "rm", ""), fragment(1, undefined, undefined, ta)]],
    ["arguments that say the whole again and more", [
      fragment(0, undefined, "rm", '{"path"'),
      fragment(0, undefined, "rm", ta)
    ]],
    ["two values", [fragment(0, "a", "rm", a), fragment(0, undefined, undefined, { x: 1 })]]
  ]
  for (const [what, events] of uncertain) {
    it(`are malformed where it is uncertain what was called: ${what}`, () => {
      const heard = hear([...events, finish(), "[DONE]"])
      assert.isDefined(heard.answer.malformedCall)
    })
  }

  it("end when the next begins, if their arguments are whole by then", () => {
    const { parts } = hear([
      fragment(0, "a", "rm", ta),
      fragment(1, "b", "rm", ""),
      fragment(2, "c", "rm", ""),
      fragment(1, undefined, undefined, tb),
      finish()
    ])
    assert.deepStrictEqual(
      parts.map((part) =>
        part._tag === "ContentEnd" || part._tag === "ToolCallStart" ? [part._tag, part.index] : part._tag
      ),
      [
        ["ToolCallStart", 0],
        "ToolCallDelta",
        ["ContentEnd", 0],
        ["ToolCallStart", 1],
        ["ToolCallStart", 2],
        "ToolCallDelta",
        ["ContentEnd", 1],
        ["ContentEnd", 2]
      ]
    )
  })

  it("that were cut have no ContentEnd, and complete ones do", () => {
    for (const reason of ["length", "model_context_window_exceeded"]) {
      const heard = hear([fragment(0, "a", "rm", ta), fragment(1, "b", "rm", '{"pa'), finish(reason), "[DONE]"])
      assert.deepStrictEqual(callsOf(heard), [["a", "rm", a]])
      assert.deepStrictEqual(heard.answer.finishReason, { _tag: "MaxTokens" })
      endsMatch(heard)
    }
  })

  it("do not contain a number that the model did not write", () => {
    const heard = hear([fragment(0, "a", "rm", '{"n":1e999}'), fragment(1, "b", "rm", tb), finish(), "[DONE]"])
    assert.lengthOf(ends(heard), 1)
  })

  it("keep the signature of Google's compatible server, which gets it back", () => {
    const google = compatible("google")
    const extra_content = { google: { thought_signature: "sig" } }
    const call = { index: 0, id: "a", type: "function", function: { name: "rm", arguments: ta }, extra_content }
    const { answer, parts } = hear([choice({ tool_calls: [call] }), finish()], google)
    assert.deepInclude(parts[0], { _tag: "ToolCallStart", signature: "sig" })
    assert.deepInclude(answer.choice[0], { _tag: "ToolCall", signature: "sig" })
    const whole = google.response({ choices: [{ message: { tool_calls: [call] } }] }, mintId)
    assert.deepStrictEqual(whole?.choice, answer.choice)
  })
})

describe("indices follow the first appearance", () => {
  it("of text, reasoning, calls, images and audio", () => {
    const image = { type: "image_url", image_url: { url: "https://a.test/x.png" } }
    const heard = hear([
      choice({ role: "assistant", content: "", reasoning: null }),
      choice({ content: "so" }),
      choice({ reasoning: "hm" }),
      fragment(0, "a", "rm", ta),
      choice({ images: [image] }),
      choice({ audio: { id: "audio_1", data: "AA" } }),
      choice({ content: ", then", audio: { data: "BB" } }),
      finish(),
      "[DONE]"
    ])
    assert.deepStrictEqual(heard.answer.choice, [
      { _tag: "Text", text: "so, then" },
      { _tag: "Reasoning", field: "reasoning", content: [{ _tag: "Text", text: "hm" }] },
      { _tag: "ToolCall", id: "a", name: "rm", arguments: a },
      { _tag: "Image", source: { _tag: "Url", url: "https://a.test/x.png" } },
      { _tag: "ProviderBlock", provider: "server", block: { audio: { id: "audio_1", data: "AABB" } } }
    ])
    endsMatch(heard)
  })

  it("where text and reasoning are parts of the content, in turn", () => {
    const thinking = (text: string) => choice({ content: [{ type: "thinking", thinking: [{ type: "text", text }] }] })
    const heard = hear([
      thinking("Let "),
      thinking("me."),
      choice({ content: [{ type: "text", text: "He" }] }),
      choice({ content: "llo" }),
      thinking("Hm."),
      choice({
        content: [{ type: "text", text: "one" }, { type: "text", text: "two" }, { type: "reference", ids: [1] }]
      }),
      finish("stop")
    ])
    assert.deepStrictEqual(heard.answer.choice, [
      { _tag: "Reasoning", content: [{ _tag: "Text", text: "Let me." }] },
      { _tag: "Text", text: "Hello" },
      { _tag: "Reasoning", content: [{ _tag: "Text", text: "Hm." }] },
      { _tag: "Text", text: "one" },
      { _tag: "Text", text: "two" }
    ])
    assert.deepStrictEqual(heard.answer.metadata, { content: [{ type: "reference", ids: [1] }] })
    endsMatch(heard)
  })
})

describe("a refusal", () => {
  it("is a text, and said to be a refusal", () => {
    const heard = hear([
      choice({ content: "", refusal: "I ca" }),
      choice({ refusal: "n't." }),
      finish("stop"),
      "[DONE]"
    ])
    assert.deepStrictEqual(heard.answer.choice, [{ _tag: "Text", text: "I can't." }])
    assert.deepStrictEqual(heard.answer.metadata, { refusal: "I can't." })
    endsMatch(heard)
    const message = { content: null, refusal: "I can't." }
    const whole = wire.response({ choices: [{ index: 0, message, finish_reason: "stop" }] }, mintId)
    assert.deepStrictEqual(whole?.choice, heard.answer.choice)
    assert.deepStrictEqual(whole?.metadata, heard.answer.metadata)
  })

  it("beside a text is not said a second time, and not lost", () => {
    const heard = hear([choice({ content: "Well" }), choice({ refusal: "No." }), finish("stop"), "[DONE]"])
    assert.deepStrictEqual(heard.answer.choice, [{ _tag: "Text", text: "Well" }])
    assert.deepStrictEqual(heard.answer.metadata, { refusal: "No." })
    endsMatch(heard)
  })
})

describe("fields without a counterpart in the vocabulary are kept", () => {
  const logprob = (token: string) => ({ token, logprob: -1 })

  it("streamed as in a whole answer", () => {
    const details = { cached_tokens: 2, audio_tokens: 7 }
    const usage = { prompt_tokens: 3, completion_tokens: 2, queue_time: 0.5, prompt_tokens_details: details }
    const besides = { service_tier: "flex", system_fingerprint: "fp", citations: ["https://a.test"] }
    const annotations = [{ type: "url_citation", url_citation: { url: "https://a.test" } }]
    const streamed = hear([
      { id: "1", model: "m", choices: [], prompt_filter_results: [{ prompt_index: 0 }] },
      { ...choice({ content: "He" }, { logprobs: { content: [logprob("He")], refusal: null } }), ...besides },
      { ...choice({ content: "llo", annotations }, { logprobs: { content: [logprob("llo")] } }), ...besides },
      { id: "1", choices: [{ index: 1, delta: { role: "assistant", content: "Bon" } }], obfuscation: "xyz" },
      { id: "1", choices: [{ index: 1, delta: { content: "jour" }, finish_reason: "stop" }] },
      { ...finish("stop"), service_tier: "flex" },
      { id: "1", choices: [], usage },
      "[DONE]"
    ])
    const whole = wire.response({
      id: "1",
      object: "chat.completion",
      created: 1,
      model: "m",
      ...besides,
      prompt_filter_results: [{ prompt_index: 0 }],
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: "Hello", refusal: null, annotations },
          logprobs: { content: [logprob("He"), logprob("llo")], refusal: null },
          finish_reason: "stop"
        },
        { index: 1, message: { role: "assistant", content: "Bonjour" }, finish_reason: "stop" }
      ],
      usage
    }, mintId)
    const expected = {
      ...besides,
      prompt_filter_results: [{ prompt_index: 0 }],
      annotations,
      choices: [{ index: 1, message: { role: "assistant", content: "Bonjour" }, finish_reason: "stop" }],
      usage: { queue_time: 0.5, prompt_tokens_details: { audio_tokens: 7 } }
    }
    assert.deepStrictEqual(streamed.answer.metadata, {
      ...expected,
      logprobs: { content: [logprob("He"), logprob("llo")], refusal: null }
    })
    assert.deepStrictEqual(whole?.metadata, streamed.answer.metadata)
  })

  it("and there is nothing where there is nothing", () => {
    const message = { role: "assistant", content: "Hi", refusal: null, annotations: [] }
    const body = { id: "1", object: "x", created: 1, model: "m", system_fingerprint: "", service_tier: null }
    const usage = { prompt_tokens: 1, completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 } }
    const whole = openAi("openai").response(
      { ...body, choices: [{ index: 0, message, logprobs: null, finish_reason: "stop" }], usage },
      mintId
    )
    assert.isUndefined(whole?.metadata)
    assert.isUndefined(hear([choice({ content: "Hi" }), finish("stop"), "[DONE]"]).answer.metadata)
  })

  it("without what JSON cannot keep", () => {
    const event = JSON.parse(
      '{"id":"1","choices":[{"index":0,"delta":{"content":"Hi"}}],"big":1e999,"__proto__":{"x":1}}'
    )
    const { answer } = hear([event, finish("stop")])
    assert.strictEqual(JSON.stringify(answer.metadata), '{"__proto__":{"x":1}}')
  })
})

it("a field __proto__ is a field like any other, wherever it stands", () => {
  const forged = '"__proto__":{"forged":1,"list":["x"],"content":"forged"}'
  const events = [
    `{"id":"1",${forged},"choices":[{"index":0,${forged},"delta":{"content":"a",${forged}},"logprobs":{${forged}}}]}`,
    `{"id":"1",${forged},"choices":[{"index":0,${forged},"delta":{"content":"b",${forged}},"logprobs":{${forged}}}]}`,
    `{"choices":[{"index":1,${forged},"delta":{"content":"c",${forged},"x":{${forged}}}}]}`,
    `{"choices":[{"index":1,${forged},"delta":{"content":"d",${forged},"x":{${forged}}}}]}`,
    `{"choices":[{"index":0,"delta":{"audio":{${forged}},"reasoning_details":[{"type":"reasoning.text",${forged}}]}}]}`,
    `{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,${forged},"function":{${forged}}}]}}]}`
  ]
  const { answer } = hear([...events.map((event) => JSON.parse(event) as Json), finish("stop"), "[DONE]"])
  assert.strictEqual(answer.choice[0]?._tag === "Text" ? answer.choice[0].text : undefined, "ab")
  assert.isUndefined(({} as Json)["forged"])
  assert.isUndefined(({} as Json)["content"])
})

describe("details of reasoning", () => {
  const signed = { type: "reasoning.text", signature: "sig", index: 0 }

  it("of a compatible server are kept, and go back to it", () => {
    const detail = (text: string) => ({ type: "reasoning.text", text, index: 0 })
    const { answer } = hear([
      choice({ reasoning: "Let ", reasoning_details: [detail("Let ")] }),
      choice({ reasoning: "me.", reasoning_details: [detail("me.")] }),
      choice({ reasoning_details: [signed] }),
      choice({ content: "Hi" }),
      finish("stop")
    ])
    const sent = wire.request(
      {
        history: [Message.assistant(answer.choice, { provider: "server" })],
        prompt: Message.user("a"),
        tools: []
      } as never,
      "m",
      false
    )
    assert.deepStrictEqual("_tag" in sent ? sent : (sent.body["messages"] as ReadonlyArray<Json>)[0], {
      role: "assistant",
      content: "Hi",
      reasoning: "Let me.",
      reasoning_details: [{
        type: "reasoning.text",
        text: "Let me.",
        signature: "sig",
        id: null,
        format: null,
        index: 0
      }]
    })
  })

  it("that come behind the plain text are not said again", () => {
    const heard = hear(
      [
        choice({ reasoning: "Let me." }),
        choice({ reasoning_details: [{ type: "reasoning.text", text: "Let me.", index: 0 }] }),
        choice({ content: "Hi" }),
        finish("stop")
      ],
      openRouter("openrouter")
    )
    assert.strictEqual(heard.parts.filter((part) => part._tag === "ReasoningDelta").length, 1)
    endsMatch(heard)
  })
})

describe("a long stream takes a time that grows with its length alone", () => {
  const many = 40_000
  const cases: { readonly [name: string]: ReadonlyArray<Json> } = {
    "of text": Array.from({ length: many }, () => choice({ content: "word " })),
    "of reasoning": Array.from(
      { length: many },
      () => choice({ reasoning: "x", reasoning_details: [{ type: "reasoning.text", text: "x", index: 0 }] })
    ),
    "of one call": [
      fragment(0, "a", "rm", '{"a":"'),
      ...Array.from({ length: many }, () => fragment(0, undefined, undefined, "{}}")),
      fragment(0, undefined, undefined, '"}')
    ],
    "of one call whose name comes again and again": [
      fragment(0, undefined, "rm", '{"a":"'),
      ...Array.from({ length: many }, () => fragment(0, undefined, "rm", "}")),
      fragment(0, undefined, "rm", '"}')
    ],
    "of many calls": Array.from({ length: many }, (_, index) => fragment(index, `call_${index}`, "rm", '{"a":')),
    "of other choices": Array.from({ length: many }, (_, index) => ({
      choices: [{ index: 1, delta: { tool_calls: [{ index: index % 2, function: { arguments: "x" } }] } }]
    })),
    "of log probabilities": Array.from(
      { length: many },
      () => choice({ content: "x" }, { logprobs: { content: [{ token: "x" }] } })
    )
  }
  for (const [what, events] of Object.entries(cases)) {
    it(what, () => {
      hear([...events, finish("length"), "[DONE]"])
    })
  }
})

describe("recorded streams", () => {
  const wires: { readonly [A in Api]?: Wire } = {
    "openai-chat": openAi("openai"),
    "openrouter-chat": openRouter("openrouter"),
    "openai-compatible-chat": wire
  }
  for (const [api, by] of Object.entries(wires) as ReadonlyArray<[Api, Wire]>) {
    it.skipIf(!available)(
      `of ${api} end each content once, with what the answer holds (${available ? "run" : skipped})`,
      () => {
        let count = 0
        for (const recording of recordings(api)) {
          for (const exchange of recording.exchanges.filter(isStream)) {
            const events = frames(exchange.response.body).map(({ data }) => data)
            const heard = hear(events as ReadonlyArray<Json | "[DONE]">, by)
            if (heard.answer.malformedCall === undefined) endsMatch(heard)
            count++
            // As much of it as had come at any point is a beginning of the whole.
            for (const at of [1, Math.floor(events.length / 2)]) {
              const begun = hear(events.slice(0, at) as ReadonlyArray<Json>, by)
              assert.deepStrictEqual(begun.parts.slice(0, 1), heard.parts.slice(0, begun.parts.length > 0 ? 1 : 0))
            }
          }
        }
        assert.isAbove(count, 20)
      }
    )
  }
})
