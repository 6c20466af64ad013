import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import type { CompletionPart } from "../../src/CompletionPart.ts"
import * as Message from "../../src/Message.ts"
import { gemini } from "../../src/wire/gemini/wire.ts"
import type { JsonRecord } from "../../src/wire/json.ts"
import { type Answer, sound } from "../../src/wire/Wire.ts"
import { apis, available, type Exchange, isStream, recordings, skipped } from "../conformance/corpus.ts"
import { frames } from "../conformance/events.ts"
import { runs } from "../effort.ts"

const wire = gemini("gemini")
const mintId = (index: number): string => Message.mintId("a", index)

interface Read {
  readonly parts: ReadonlyArray<CompletionPart>
  readonly answer: Answer | undefined
  readonly complete: boolean
}

const read = (events: ReadonlyArray<JsonRecord>): Read => {
  const decoder = wire.stream(mintId)
  const parts: Array<CompletionPart> = []
  for (const event of events) decoder.event(event, parts)
  const complete = decoder.complete()
  if (complete) decoder.close(parts)
  return { parts, answer: decoder.answer(), complete }
}

const part = (part: JsonRecord, fields: JsonRecord = {}): JsonRecord => ({
  candidates: [{ content: { parts: [part], role: "model" }, index: 0, ...fields }]
})

const call = (functionCall: JsonRecord, fields?: JsonRecord): JsonRecord => part({ functionCall }, fields)

const stop = part({ text: "" }, { finishReason: "STOP" })

const contentsOf = (parts: ReadonlyArray<CompletionPart>): ReadonlyArray<unknown> =>
  parts.filter((part) => part._tag === "ContentEnd").toSorted((a, b) => a.index - b.index).map(({ content }) => content)

/** What holds for the parts of every stream that came to its end. */
const lawful = ({ answer, parts }: Read): void => {
  const choice = answer?.choice ?? []
  assert.deepStrictEqual(contentsOf(parts), choice.flatMap((content) => sound(content) ?? []))
  const texts = parts.flatMap((part) => part._tag === "TextDelta" ? [part.text] : [])
  assert.strictEqual(
    texts.join(""),
    choice.flatMap((content) => content._tag === "Text" ? [content.text] : []).join("")
  )
  const ended = new Set<number>()
  let last = -1
  const begun = new Set<number>()
  for (const part of parts) {
    assert("index" in part)
    assert.isFalse(ended.has(part.index), "nothing comes after the end of a content")
    if (!begun.has(part.index)) {
      assert.isAbove(part.index, last, "indices follow first appearance")
      last = part.index
      begun.add(part.index)
    }
    if (part._tag === "ContentEnd") ended.add(part.index)
    else if (part._tag !== "ToolCallStart") {
      assert.notStrictEqual(part._tag === "ToolCallDelta" ? part.arguments : part.text, "")
    }
  }
  for (const content of parts) {
    if (content._tag !== "ContentEnd" || content.content._tag !== "ToolCall") continue
    const pieces = parts.flatMap((part) =>
      part._tag === "ToolCallDelta" && part.index === content.index ? [part.arguments] : []
    )
    // As JSON, which writes -0 as 0.
    assert.deepStrictEqual(JSON.parse(pieces.join("")), JSON.parse(JSON.stringify(content.content.arguments)))
  }
}

describe("a stream", () => {
  it("ends a text when something else begins, or with its signature", () => {
    const { parts } = read([
      part({ text: "hm", thought: true }),
      part({ text: ", so", thought: true }),
      part({ text: "Hel" }),
      part({ text: "lo" }),
      call({ name: "f", args: { a: 1 }, id: "c1" }),
      part({ text: "by" }),
      part({ text: "e", thoughtSignature: "s" }),
      part({ text: "!" }),
      stop
    ])
    assert.deepStrictEqual(parts, [
      { _tag: "ReasoningDelta", index: 0, text: "hm" },
      { _tag: "ReasoningDelta", index: 0, text: ", so" },
      {
        _tag: "ContentEnd",
        index: 0,
        content: { _tag: "Reasoning", content: [{ _tag: "Text", text: "hm, so" }] }
      },
      { _tag: "TextDelta", index: 1, text: "Hel" },
      { _tag: "TextDelta", index: 1, text: "lo" },
      { _tag: "ContentEnd", index: 1, content: { _tag: "Text", text: "Hello" } },
      { _tag: "ToolCallStart", index: 2, id: "c1", name: "f" },
      { _tag: "ToolCallDelta", index: 2, arguments: '{"a":1}' },
      {
        _tag: "ContentEnd",
        index: 2,
        content: { _tag: "ToolCall", id: "c1", name: "f", arguments: { a: 1 } }
      },
      { _tag: "TextDelta", index: 3, text: "by" },
      { _tag: "TextDelta", index: 3, text: "e" },
      { _tag: "ContentEnd", index: 3, content: { _tag: "Text", text: "bye", signature: "s" } },
      { _tag: "TextDelta", index: 4, text: "!" },
      { _tag: "ContentEnd", index: 4, content: { _tag: "Text", text: "!" } }
    ])
  })

  it("keeps a picture that the model thought with as a block of the instance", () => {
    const image = { inlineData: { mimeType: "image/png", data: "AAAA" }, thought: true }
    const { answer } = read([part(image), part({ text: "x" }), stop])
    assert.deepStrictEqual(answer?.choice, [
      { _tag: "ProviderBlock", provider: "gemini", block: image },
      { _tag: "Text", text: "x" }
    ])
    const decoder = gemini("mine").stream(mintId)
    decoder.event(part({ executableCode: {} }), [])
    assert.deepStrictEqual(decoder.answer()?.choice, [
      { _tag: "ProviderBlock", provider: "mine", block: { executableCode: {} } }
    ])
  })

  it("adds up log probabilities and citations, and of everything else keeps the last word", () => {
    const event = (n: number, fields: JsonRecord = {}): JsonRecord => ({
      ...part({ text: "x" }, {
        logprobsResult: { chosenCandidates: [{ token: `${n}` }] },
        citationMetadata: { citationSources: [{ uri: `${n}` }] },
        groundingMetadata: { webSearchQueries: [n] },
        ...fields
      }),
      usageMetadata: { promptTokenCount: 1, candidatesTokenCount: n, serviceTier: "standard" }
    })
    const events = [event(1), event(2, { finishReason: "STOP", avgLogprobs: -1 })]
    const before = JSON.stringify(events)
    const { answer } = read(events)
    assert.strictEqual(JSON.stringify(events), before)
    assert.strictEqual(answer?.usage.outputTokens, 2)
    assert.deepStrictEqual(answer?.metadata, {
      logprobsResult: { chosenCandidates: [{ token: "1" }, { token: "2" }] },
      citationMetadata: { citationSources: [{ uri: "1" }, { uri: "2" }] },
      groundingMetadata: { webSearchQueries: [2] },
      avgLogprobs: -1,
      usageMetadata: { serviceTier: "standard" }
    })
  })

  it("keeps other candidates, each put together, out of the answer", () => {
    const both = (a: string, b: string, fields: JsonRecord = {}): JsonRecord => ({
      candidates: [
        { content: { parts: [{ text: b }] }, index: "1", ...fields },
        { content: { parts: [{ text: a }] }, index: 0, ...fields }
      ]
    })
    const { answer, parts } = read([both("He", "Go"), both("llo", "od", { finishReason: "STOP" })])
    assert.deepStrictEqual(answer?.choice, [{ _tag: "Text", text: "Hello" }])
    assert.deepStrictEqual(contentsOf(parts), answer?.choice)
    assert.deepStrictEqual(answer?.metadata, {
      candidates: [{ index: "1", finishReason: "STOP", content: { parts: [{ text: "Good" }] } }]
    })
  })

  it("ignores events that do not belong to an answer", () => {
    for (const event of [{ foo: 1 }, { candidates: 1 }, { candidates: [null, 1] }, { candidates: [{ content: 1 }] }]) {
      assert.deepStrictEqual(read([event]).parts, [])
    }
    assert.isUndefined(read([{ foo: 1 }]).answer)
  })

  it("leaves out of the metadata what JSON cannot keep", () => {
    const huge = JSON.parse('{"avgLogprobs":1e999,"groundingMetadata":{"a":1}}') as JsonRecord
    assert.deepStrictEqual(read([part({ text: "x" }, { finishReason: "STOP", ...huge })]).answer?.metadata, {
      groundingMetadata: { a: 1 }
    })
  })
})

describe("a call whose arguments come in pieces", () => {
  const pieces = (name: string, ...partials: ReadonlyArray<JsonRecord>): ReadonlyArray<JsonRecord> => [
    call({ name, id: "c", willContinue: true }),
    ...partials.map((partial) => call({ partialArgs: [partial], willContinue: true })),
    call({})
  ]

  const argumentsOf = (...partials: ReadonlyArray<JsonRecord>): unknown => {
    const whole = read([...pieces("f", ...partials), stop])
    lawful(whole)
    const [content] = whole.answer?.choice ?? []
    if (content === undefined) assert.isDefined(whole.answer?.malformedCall)
    return content?._tag === "ToolCall" ? content.arguments : undefined
  }

  for (
    const [what, partials, args] of [
      ["nothing", [], {}],
      ["a value of each kind", [
        { jsonPath: "$.s", stringValue: "x" },
        { jsonPath: "$.n", numberValue: 1.5 },
        { jsonPath: "$.b", boolValue: false },
        { jsonPath: "$.z", nullValue: null },
        { jsonPath: "$.y", nullValue: "NULL_VALUE" }
      ], { s: "x", n: 1.5, b: false, z: null, y: null }],
      ["a text in pieces", [
        { jsonPath: "$.s", stringValue: "He", willContinue: true },
        { jsonPath: "$.s", stringValue: "ll", willContinue: true },
        { jsonPath: "$.s", stringValue: "o" }
      ], { s: "Hello" }],
      ["a text that ends without a piece", [
        { jsonPath: "$.s", stringValue: "He", willContinue: true },
        { jsonPath: "$.s" }
      ], { s: "He" }],
      ["objects and lists", [
        { jsonPath: "$.a.b[0].c", numberValue: 1 },
        { jsonPath: "$.a.b[1].c", stringValue: "x", willContinue: true },
        { jsonPath: "$.a.b[1].c", stringValue: "y" },
        { jsonPath: "$.a.b[1].d", boolValue: true },
        { jsonPath: "$.a.b[]" },
        { jsonPath: "$.l[0][0]", numberValue: 2 }
      ], { a: { b: [{ c: 1 }, { c: "xy", d: true }] }, l: [[2]] }],
      ["empty lists and objects", [{ jsonPath: "$.a[]" }, { jsonPath: "$.b" }], { a: [], b: {} }],
      ["names in brackets", [
        { jsonPath: "$['a.b']", numberValue: 1 },
        { jsonPath: '$["c\\"d"].e', numberValue: 2 },
        { jsonPath: "$.__proto__.x", numberValue: 3 }
      ], JSON.parse('{"a.b":1,"c\\"d":{"e":2},"__proto__":{"x":3}}')],
      ["positions with dots", [
        { jsonPath: "$.a[0]", numberValue: 1 },
        { jsonPath: "$.a.1", numberValue: 2 }
      ], { a: [1, 2] }]
    ] as ReadonlyArray<readonly [string, ReadonlyArray<JsonRecord>, unknown]>
  ) {
    it(`of ${what} is put together`, () => {
      assert.deepStrictEqual(argumentsOf(...partials), args)
    })
  }

  for (
    const [what, ...partials] of [
      ["a value that comes twice", { jsonPath: "$.a", numberValue: 1 }, { jsonPath: "$.a", numberValue: 2 }],
      ["a text that came to its end", { jsonPath: "$.a", stringValue: "x" }, { jsonPath: "$.a", stringValue: "y" }],
      [
        "a number in the middle of a text",
        { jsonPath: "$.a", stringValue: "x", willContinue: true },
        { jsonPath: "$.a", numberValue: 1 }
      ],
      ["a list with a hole", { jsonPath: "$.a[1]", numberValue: 1 }],
      ["a list of a billion", { jsonPath: "$.a[999999999]", numberValue: 1 }],
      ["a way through a text", { jsonPath: "$.a", stringValue: "x" }, { jsonPath: "$.a.b", numberValue: 1 }],
      ["a position of an object", { jsonPath: "$.a.b", numberValue: 1 }, { jsonPath: "$.a[0]", numberValue: 1 }],
      ["a value at the root", { jsonPath: "$", numberValue: 1 }],
      ["no path", { numberValue: 1 }],
      ["a path of many values", { jsonPath: "$..a", numberValue: 1 }],
      ["a path that is too long", { jsonPath: `$${".a".repeat(5000)}`, numberValue: 1 }],
      ["a text that never ends", { jsonPath: "$.a", stringValue: "x", willContinue: true }]
    ] as ReadonlyArray<readonly [string, ...ReadonlyArray<JsonRecord>]>
  ) {
    it(`with ${what} is malformed, and no call`, () => {
      assert.isUndefined(argumentsOf(...partials))
    })
  }

  it("ends with the piece that says so, beside other calls", () => {
    const whole = read([
      call({ name: "f", id: "1", partialArgs: [{ jsonPath: "$.a", numberValue: 1 }] }, {}),
      {
        candidates: [{
          content: { parts: [{ functionCall: { name: "g", id: "2", willContinue: true }, thoughtSignature: "s" }] }
        }]
      },
      part({ text: "meanwhile" }),
      call({ partialArgs: [{ jsonPath: "$.b", numberValue: 2 }] }),
      call({ name: "h", id: "3" }),
      stop
    ])
    lawful(whole)
    assert.isUndefined(whole.answer?.malformedCall)
    assert.deepStrictEqual(whole.answer?.choice, [
      { _tag: "ToolCall", id: "1", name: "f", arguments: { a: 1 } },
      { _tag: "ToolCall", id: "2", name: "g", arguments: { b: 2 }, signature: "s" },
      { _tag: "Text", text: "meanwhile" },
      { _tag: "ToolCall", id: "3", name: "h", arguments: {} }
    ])
  })

  it("that gives way to another is malformed", () => {
    const whole = read([call({ name: "f", willContinue: true }), call({ name: "g", args: { a: 1 } }), stop])
    assert.include(whole.answer?.malformedCall ?? "", "the call of f")
  })

  it("that was cut is left out", () => {
    for (const finishReason of ["MAX_TOKENS", "SAFETY"]) {
      const whole = read([
        part({ text: "x" }),
        call({ name: "f", partialArgs: [{ jsonPath: "$.a", stringValue: "x", willContinue: true }] }, { finishReason })
      ])
      lawful(whole)
      assert.deepStrictEqual([whole.answer?.malformedCall, whole.answer?.choice.length], [undefined, 1])
    }
  })

  it("is read the same in a whole body", () => {
    const parts = [
      { functionCall: { name: "f", id: "c", willContinue: true } },
      { functionCall: { partialArgs: [{ jsonPath: "$.a", numberValue: 1 }] } }
    ]
    const answer = wire.response({ candidates: [{ content: { parts }, finishReason: "STOP" }] }, mintId)
    assert.deepStrictEqual(answer?.choice, [{ _tag: "ToolCall", id: "c", name: "f", arguments: { a: 1 } }])
    const cut = wire.response({ candidates: [{ content: { parts: [parts[0]] }, finishReason: "STOP" }] }, mintId)
    assert.deepStrictEqual([cut?.choice, cut?.malformedCall !== undefined], [[], true])
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Properties
// ---------------------------------------------------------------------------------------------------------------------

const signature = Schema.optionalKey(Schema.Literals(["", "s", "t"]))
const text = Schema.Literals(["", "a", "Hello ", "☀️", "\n"])
const PartialArg = Schema.Struct({
  jsonPath: Schema.Literals(["$.a", "$.b", "$.c[0]", "$.c[1]", "$.d.e", "$.c[]", "$", "x"]),
  stringValue: Schema.optionalKey(text),
  numberValue: Schema.optionalKey(Schema.Int),
  willContinue: Schema.optionalKey(Schema.Boolean)
})
const Part = Schema.Union([
  Schema.Struct({ text, thoughtSignature: signature }),
  Schema.Struct({ text, thought: Schema.Boolean, thoughtSignature: signature }),
  Schema.Struct({ thought: Schema.Literal(true), thoughtSignature: signature }),
  Schema.Struct({
    functionCall: Schema.Struct({
      name: Schema.optionalKey(Schema.Literals(["f", "g"])),
      id: Schema.optionalKey(Schema.Literals(["1", "2"])),
      args: Schema.optionalKey(Schema.Json),
      partialArgs: Schema.optionalKey(Schema.Array(PartialArg)),
      willContinue: Schema.optionalKey(Schema.Boolean)
    }),
    thoughtSignature: signature
  }),
  Schema.Struct({ inlineData: Schema.Struct({ mimeType: Schema.Literals(["image/png", "audio/wav"]), data: text }) }),
  Schema.Struct({ executableCode: Schema.Struct({ code: text }) }),
  Schema.Struct({})
])
// Events of any number of parts: a stream may be cut anywhere.
const Events = Schema.Array(Schema.Array(Part))
const Finish = Schema.Literals(["STOP", "MAX_TOKENS", "SAFETY", "OTHER"])

const eventsOf = (cuts: typeof Events.Type, finishReason: string): ReadonlyArray<JsonRecord> => [
  ...cuts.map((parts) => ({ candidates: [{ content: { parts, role: "model" } }] })),
  { candidates: [{ finishReason }], usageMetadata: { promptTokenCount: 1 } }
]

const many = { arbitrary: { runs: runs(400, 2000) } }

describe("every stream", () => {
  it.prop("ends each content of its answer once", { cuts: Events, finish: Finish }, ({ cuts, finish }) => {
    const whole = read(eventsOf(cuts, finish))
    assert.isTrue(whole.complete)
    lawful(whole)
  }, many)

  it.prop(
    "says the same however its parts are cut into events",
    { cuts: Events, finish: Finish },
    ({ cuts, finish }) => {
      const one = read(eventsOf([cuts.flat()], finish))
      const many = read(eventsOf(cuts.flat().map((part) => [part]), finish))
      assert.deepStrictEqual(many, one)
    },
    many
  )

  it.prop("says what a whole body of the same contents says", { cuts: Events, finish: Finish }, ({ cuts, finish }) => {
    // Texts beside each other are one in a stream, and stand for themselves in a body.
    const apart = { executableCode: {} }
    const parts = cuts.flat().flatMap((part) => "text" in part || "thought" in part ? [part, apart] : [part])
    const streamed = read(eventsOf([parts], finish)).answer
    const whole = wire.response({
      candidates: [{ content: { parts, role: "model" }, finishReason: finish }],
      usageMetadata: { promptTokenCount: 1 }
    }, mintId)
    assert.deepStrictEqual(streamed, whole)
  }, many)
})

describe("the recorded streams", () => {
  if (!available) it.skip(skipped, () => {})
  else {
    it("end each content of their answer once", () => {
      const streams = apis.filter((api) => api === "gemini-generate-content").flatMap(recordings)
        .flatMap(({ exchanges }): ReadonlyArray<Exchange> => exchanges.filter(isStream))
      assert.isAbove(streams.length, 20)
      for (const { response } of streams) {
        const events = frames(response.body).flatMap(({ data }) => data === "[DONE]" ? [] : [data])
        const whole = read(events)
        lawful(whole)
        // A stream that breaks off has ended no content that its answer does not have.
        for (let length = 0; length < events.length; length++) {
          const { answer, parts } = read(events.slice(0, length))
          const ended = contentsOf(parts)
          assert.deepStrictEqual(ended, answer?.choice.slice(0, ended.length) ?? [])
        }
      }
    })
  }
})

describe("a long stream", () => {
  it("takes work in proportion to its length", () => {
    const millis = (length: number): number => {
      const event = (n: number): JsonRecord => ({
        ...part({ text: "word " }, { logprobsResult: { chosenCandidates: [{ token: `${n}` }] } }),
        modelVersion: "m",
        usageMetadata: { promptTokenCount: 1 }
      })
      const decoder = wire.stream(mintId)
      const parts: Array<CompletionPart> = []
      const start = performance.now()
      for (let index = 0; index < length; index++) decoder.event(event(index), parts)
      decoder.event(stop, parts)
      decoder.close(parts)
      assert.strictEqual(decoder.answer()?.choice.length, 1)
      return performance.now() - start
    }
    millis(5000)
    // Quadratic work would take it minutes.
    assert.isBelow(millis(100_000), 5000)
  })
})
