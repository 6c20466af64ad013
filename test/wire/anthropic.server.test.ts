import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Completion from "../../src/Completion.ts"
import * as CompletionPart from "../../src/CompletionPart.ts"
import * as CompletionResponse from "../../src/CompletionResponse.ts"
import * as LLMError from "../../src/LLMError.ts"
import * as Message from "../../src/Message.ts"
import * as TokenUsage from "../../src/TokenUsage.ts"
import { anthropic, server } from "../../src/wire/anthropic/wire.ts"
import { classify } from "../../src/wire/failure.ts"
import type { Answer, Asked, WireRequest } from "../../src/wire/Wire.ts"
import { available, recordings, skipped } from "../conformance/corpus.ts"

type Json = { readonly [key: string]: unknown }

const wire = anthropic("anthropic")
const stamp = { seed: "seed", created: 1_800_000_000 }
const mint = (index: number): string => `minted_${index}`

const request = (completion: Completion.Completion, streamed = false): WireRequest => {
  const request = wire.request(completion, completion.model ?? "m", streamed)
  assert(!("_tag" in request), "_tag" in request ? request.description : "")
  return request
}

const decode = (body: Json, headers: { readonly [name: string]: string } = {}): Asked =>
  Result.getOrThrow(server.decode({ body, headers, path: "/v1/messages" }))

/** Plain data: what JSON keeps of it. */
const plain = (value: unknown): Json => JSON.parse(JSON.stringify(value)) as Json

// ---------------------------------------------------------------------------------------------------------------------
// Requests
// ---------------------------------------------------------------------------------------------------------------------

const Word = Schema.Literals(["a", "Grüße", "空は青い\n", '"{}"', "data: [DONE]\n\n", "😀"])
const cache = Schema.optionalKey(
  Schema.Union([Schema.Struct({}), Schema.Struct({ ttl: Schema.Literals(["5m", "1h"]) })])
)
const Text = Schema.TaggedStruct("Text", { text: Word, cache })
const Source = Schema.Union([
  Schema.TaggedStruct("Url", { url: Schema.Literal("https://example.com/a"), mediaType: Schema.optionalKey(Word) }),
  Schema.TaggedStruct("Base64", { data: Schema.Literal("AAAA"), mediaType: Schema.Literal("image/png") }),
  Schema.TaggedStruct("FileId", { id: Schema.Literal("file_1") })
])
const Image = Schema.TaggedStruct("Image", { source: Source, cache })
const Document = Schema.TaggedStruct("Document", {
  source: Schema.Union([
    Source,
    Schema.TaggedStruct("Base64", { data: Schema.Literal("R3LDvMOfZQ=="), mediaType: Schema.Literal("text/plain") })
  ]),
  title: Schema.optionalKey(Word),
  citations: Schema.optionalKey(Schema.Literal(true)),
  cache
})
const Value = Schema.Union([
  Schema.Struct({}),
  Schema.Struct({ city: Word, n: Schema.Literals([0, 7, -1.5]), deep: Schema.Array(Schema.Null) })
])
const Result_ = Schema.Struct({
  content: Schema.Array(Schema.Union([Text, Image, Document, Schema.TaggedStruct("Json", { value: Value })])),
  isError: Schema.Boolean,
  cache
})
const Reasoning = Schema.TaggedStruct("Reasoning", {
  content: Schema.Array(Schema.Union([
    Schema.TaggedStruct("Text", { text: Schema.Literals(["", "hm"]), signature: Schema.optionalKey(Word) }),
    Schema.TaggedStruct("Redacted", { data: Word }),
    Schema.TaggedStruct("Summary", { text: Word }),
    Schema.TaggedStruct("Encrypted", { data: Word })
  ]))
})
const Block = Schema.TaggedStruct("ProviderBlock", {
  provider: Schema.Literals(["anthropic", "other"]),
  block: Schema.Struct({ type: Schema.Literals(["compaction", "server_tool_use", "novel"]), input: Value })
})
const Said = Schema.Union([Text, Reasoning, Block])
const Turn = Schema.Struct({
  system: Schema.optionalKey(Word),
  user: Schema.Array(Schema.Union([Text, Image, Document])),
  said: Schema.Array(Said),
  calls: Schema.Array(Schema.Struct({ arguments: Value, result: Result_, cache }))
})
const Level = Schema.Literals(["none", "minimal", "low", "medium", "high", "xhigh", "max"])
const Asking = Schema.Struct({
  preamble: Schema.optionalKey(Word),
  turns: Schema.Array(Turn),
  tools: Schema.Array(
    Schema.Struct({
      name: Word,
      description: Word,
      parameters: Schema.Struct({ type: Schema.Literal("object") }),
      cache
    })
  ),
  toolChoice: Schema.optionalKey(Schema.Union([
    Schema.TaggedStruct("Auto", {}),
    Schema.TaggedStruct("None", {}),
    Schema.TaggedStruct("Required", { otherwise: Schema.optionalKey(Schema.Literal("auto")) }),
    Schema.TaggedStruct("Specific", { names: Schema.Tuple([Word]) })
  ])),
  maxTokens: Schema.Literals([4097, 64_000]),
  temperature: Schema.optionalKey(Schema.Literals([0, 0.5, 1])),
  topP: Schema.optionalKey(Schema.Literals([0.1, 1])),
  seed: Schema.optionalKey(Schema.Int),
  parallelToolCalls: Schema.optionalKey(Schema.Boolean),
  stopSequences: Schema.optionalKey(Schema.NonEmptyArray(Word)),
  outputSchema: Schema.optionalKey(Schema.Literal(true)),
  reasoning: Schema.optionalKey(Schema.Struct({
    effort: Schema.optionalKey(Level),
    budgetTokens: Schema.optionalKey(Schema.Literals([1024, 4000])),
    summary: Schema.optionalKey(Schema.Boolean)
  }))
})
type Asking = typeof Asking.Type

const outputSchema = { type: "object", properties: { a: { type: "string" } }, additionalProperties: false } as const

const completionOf = ({ turns, ...asking }: Asking): Completion.Completion => {
  let calls = 0
  const messages = turns.flatMap(({ calls: called, said, system, user }): ReadonlyArray<Message.Message> => {
    const ids = called.map(() => `toolu_${calls++}`)
    return [
      ...(system === undefined ? [] : [Message.system(system)]),
      Message.user(["Hi", ...user]),
      Message.assistant([
        "Hello",
        ...said as ReadonlyArray<Message.AssistantContent>,
        ...called.map(({ arguments: args, cache }, index): Message.ToolCall => ({
          _tag: "ToolCall",
          id: ids[index]!,
          name: `tool ${index}`,
          arguments: args,
          ...(cache && { cache })
        }))
      ], { provider: "anthropic", id: "msg_0" }),
      ...(called.length === 0 ? [] : [
        Message.user(called.map(({ result: { isError, ...result } }, index): Message.ToolResult => ({
          _tag: "ToolResult",
          id: ids[index]!,
          name: `tool ${index}`,
          ...result,
          ...(isError && { isError })
        })))
      ])
    ]
  })
  return Completion.make({
    ...asking,
    model: "m",
    messages: [...messages, Message.user("And now?")],
    outputSchema: asking.outputSchema && outputSchema
  })
}

/** What the wire cannot say of a completion is left out, and what it says in another form has that form. */
const normal = (completion: Completion.Completion): Json => {
  const { parallelToolCalls, preamble, reasoning, seed: _, temperature, toolChoice, tools, ...rest } = completion
  const source = (from: Message.Source): Message.Source => from._tag === "Url" ? { _tag: "Url", url: from.url } : from
  const withSource = <A>(content: A): A =>
    typeof content === "object" && content !== null && "source" in content
      ? { ...content, source: source(content.source as Message.Source) }
      : content
  const user = (content: Message.UserContent): Message.UserContent =>
    content._tag !== "ToolResult" ? withSource(content) : {
      ...content,
      content: content.content.map((item) =>
        item._tag === "Json"
          ? Message.text(JSON.stringify(item.value))
          : item._tag === "Text"
          ? Message.text(item.text)
          : withSource(item)
      )
    }
  // Unsigned reasoning, and that of other providers, is not taken.
  const assistant = (content: Message.AssistantContent): ReadonlyArray<Message.AssistantContent> =>
    content._tag === "Reasoning"
      ? content.content.filter((part) =>
        part._tag === "Redacted" || (part._tag === "Text" && part.signature !== undefined)
      )
        .map((part) => ({ _tag: "Reasoning", content: [part] }))
      : content._tag === "ProviderBlock" && content.provider !== "anthropic"
      ? []
      : [content]
  const messages = Completion.messages(completion)
  const turns: Array<Message.Message> = []
  for (const message of messages) {
    const last = turns.at(-1)
    if (message._tag === "System") continue
    if (message._tag === "Assistant") {
      turns.push(Message.assistant(message.content.flatMap(assistant), { provider: "anthropic" }))
    } else if (last?._tag === "User") {
      turns[turns.length - 1] = Message.user([...last.content, ...message.content.map(user)])
    } else turns.push(Message.user(message.content.map(user)))
  }
  // System text stands first, and results before everything else of their turn.
  const all = [
    ...(preamble === undefined ? [] : [Message.system(preamble)]),
    ...messages.filter((message) => message._tag === "System"),
    ...turns
  ].map((message) =>
    message._tag !== "User" ?
      message :
      Message.user(
        message.content.toSorted((a, b) => Number(b._tag === "ToolResult") - Number(a._tag === "ToolResult"))
      )
  )
  // Without tools there is no choice; whether there may be several calls is a part of it.
  const forced = tools.length === 0
    ? undefined
    : toolChoice ?? (parallelToolCalls === undefined ? undefined : { _tag: "Auto" })
  const { effort, budgetTokens, summary } = reasoning ?? {}
  const level = effort === "minimal" ? "low" : effort
  const thinks = effort !== "none" && (effort !== undefined || budgetTokens !== undefined)
  return plain({
    ...rest,
    history: all.slice(0, -1),
    prompt: all.at(-1),
    tools,
    toolChoice: forced && ("otherwise" in forced ? { _tag: forced._tag } : forced),
    parallelToolCalls: forced === undefined || forced._tag === "None" ? undefined : parallelToolCalls,
    temperature,
    reasoning: level === "none" || thinks
      ? {
        effort: budgetTokens !== undefined && level !== "none" ? undefined : level,
        budgetTokens: level === "none" ? undefined : budgetTokens,
        summary: thinks ? summary : undefined
      }
      : undefined
  })
}

describe("requests", () => {
  it.prop("are read as they were meant", { asking: Asking, streamed: Schema.Boolean }, ({ asking, streamed }) => {
    const completion = completionOf(asking)
    const { body } = request(completion, streamed)
    const asked = decode(plain(body))
    assert.deepStrictEqual(plain(asked.completion), normal(completion))
    assert.strictEqual(asked.model, "m")
    assert.strictEqual(asked.streamed, streamed)
    // What was read is sent as the same bytes.
    assert.strictEqual(JSON.stringify(request(asked.completion, streamed).body), JSON.stringify(body))
  }, { arbitrary: { runs: 2000, size: 3 } })

  it("keep what Anthropic alone understands under its name", () => {
    const { completion } = decode({
      model: "m",
      max_tokens: 10,
      messages: [{ role: "user", content: "Hi" }],
      system: "Be brief.",
      top_k: 5,
      metadata: { user_id: "u" },
      thinking: { type: "adaptive", block_binding: {} },
      output_config: { effort: "high", task_budget: { total: 1 } },
      tools: [{ type: "web_search_20250305", name: "web_search" }, { name: "own", input_schema: {} }]
    }, { "anthropic-beta": "one,two" })
    assert.deepStrictEqual(plain(completion.providerParams), {
      anthropic: {
        top_k: 5,
        metadata: { user_id: "u" },
        thinking: { block_binding: {} },
        output_config: { task_budget: { total: 1 } },
        tools: [{ type: "web_search_20250305", name: "web_search" }]
      }
    })
    assert.deepStrictEqual(completion.tools.map(({ name }) => name), ["own"])
    assert.deepStrictEqual(completion.reasoning, { effort: "high" })
    assert.deepStrictEqual(completion.headers, { "anthropic-beta": "one,two" })
    assert.deepStrictEqual(completion.history, [Message.system("Be brief.")])
  })

  it("that say too little are refused, with the place", () => {
    const message = { role: "user", content: [{ type: "text", text: "Hi" }, { type: "search_result" }] }
    for (
      const [body, reason, place] of [
        [{ messages: [] }, "InvalidRequest", "model"],
        [{ model: "m" }, "InvalidRequest", "messages"],
        [{ model: "m", messages: [] }, "InvalidRequest", "messages"],
        [
          { model: "m", messages: [{ role: "user", content: "" }, { role: "tool" }] },
          "InvalidRequest",
          "messages.1.role"
        ],
        [{ model: "m", messages: [message] }, "Unsupported", "messages.0.content.1"],
        [
          { model: "m", messages: [{ role: "user", content: [{ type: "image", source: { type: "x" } }] }] },
          "Unsupported",
          "messages.0.content.0.source"
        ]
      ] as const
    ) {
      const refused = server.decode({ body, headers: {}, path: "/v1/messages" })
      assert(Result.isFailure(refused))
      assert.strictEqual(refused.failure.reason, reason)
      assert.include(refused.failure.description, place)
    }
  })

  it("may be anything that JSON can be", () => {
    for (
      const messages of [[null], [1], [{}], [{ role: "user" }], [{
        role: "user",
        content: [null, 1, { type: "text" }]
      }], [
        { role: "user", content: [{ type: "tool_result", content: [{}] }] }
      ], [{ role: "assistant", content: [{ type: "tool_use" }, {}] }]]
    ) {
      server.decode({
        body: { model: "m", messages, tools: [null, {}], tool_choice: 1, thinking: [], output_config: 0 },
        headers: {},
        path: ""
      })
    }
  })
})

describe("recorded requests", () => {
  it.skipIf(!available)(available ? "are sent again as they were" : skipped, () => {
    let count = 0
    for (const { exchanges } of recordings("anthropic-messages")) {
      for (const { request: { body } } of exchanges) {
        const asked = server.decode({ body, headers: {}, path: "/v1/messages" })
        assert(Result.isSuccess(asked), JSON.stringify(asked))
        const again = wire.request(asked.success.completion, asked.success.model, asked.success.streamed)
        if ("_tag" in again) continue
        const sent = plain(again.body)
        // One turn may be several messages, and texts of white space are left out.
        const contents = (sentBody: Json) =>
          (sentBody["messages"] as ReadonlyArray<Json>).filter(({ role }) => role !== "system").flatMap(({ content }) =>
            typeof content === "string" ? [{ type: "text", text: content }] : content as ReadonlyArray<Json>
          ).filter(({ text, type }) => type !== "text" || String(text).trim() !== "")
        assert.deepStrictEqual(contents(sent), contents(body))
        for (const key of ["max_tokens", "stop_sequences", "tool_choice", "temperature"]) {
          if (again.warnings === undefined) assert.deepStrictEqual(sent[key], body[key] ?? undefined, key)
        }
        count++
      }
    }
    assert.isAbove(count, 200)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Answers
// ---------------------------------------------------------------------------------------------------------------------

const Call = Schema.TaggedStruct("ToolCall", {
  id: Schema.Literals(["toolu_1", "toolu_2"]),
  name: Word,
  arguments: Value
})
const Cited = Schema.TaggedStruct("Text", { text: Word, citations: Schema.optionalKey(Schema.NonEmptyArray(Value)) })
const Thought = Schema.TaggedStruct("Reasoning", {
  content: Schema.Tuple([Schema.Union([
    Schema.TaggedStruct("Text", { text: Schema.Literals(["", "hm", "so"]), signature: Schema.optionalKey(Word) }),
    Schema.TaggedStruct("Redacted", { data: Word })
  ])])
})
const Own = Schema.TaggedStruct("ProviderBlock", {
  provider: Schema.Literal("anthropic"),
  block: Schema.Union([
    Schema.Struct({ type: Schema.Literals(["server_tool_use", "mcp_tool_use"]), id: Word, input: Value }),
    Schema.Struct({
      type: Schema.Literal("compaction"),
      content: Schema.NullOr(Word),
      encrypted_content: Schema.NullOr(Word)
    }),
    Schema.Struct({ type: Schema.Literal("fallback"), from: Value })
  ])
})
const Finish = Schema.Union([
  Schema.TaggedStruct("Stop", {}),
  Schema.TaggedStruct("ToolUse", {}),
  Schema.TaggedStruct("ContentFilter", {}),
  Schema.TaggedStruct("Other", { reason: Schema.Literals(["pause_turn", "compaction"]) })
])
const Answering = Schema.Struct({
  choice: Schema.Array(Schema.Union([Cited, Thought, Call, Own])),
  finishReason: Finish,
  stopSequence: Schema.optionalKey(Word),
  counts: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 99 }))),
  metadata: Schema.optionalKey(Schema.Struct({
    stop_details: Value,
    input_transformations: Schema.Tuple([
      Schema.Struct({ type: Schema.Literal("thinking_dropped"), path: Word, reason: Word })
    ]),
    usage: Schema.Struct({ service_tier: Word })
  })),
  cuts: Schema.Array(Schema.Boolean)
})

const responseOf = (
  { choice, counts, finishReason, metadata, stopSequence }: typeof Answering.Type
): CompletionResponse.CompletionResponse => {
  const [input = 0, output = 0, read = 0, write = 0, reasoning = 0] = counts
  return CompletionResponse.make({
    choice: choice as ReadonlyArray<Message.AssistantContent>,
    finishReason,
    stopSequence,
    provider: "anthropic",
    id: "msg_1",
    model: "m-1",
    usage: TokenUsage.make({
      inputTokens: input + read + write,
      outputTokens: output + reasoning,
      cachedInputTokens: read,
      cacheWriteTokens: write,
      longCacheWriteTokens: Math.floor(write / 2),
      reasoningTokens: reasoning
    }),
    metadata: metadata && { anthropic: metadata as never }
  })
}

const asked: Asked = { completion: Completion.make({ prompt: "Hi" }), model: "m", streamed: true }

/** What an answer says, in the form in which the client half reads it. */
const expected = (response: CompletionResponse.CompletionResponse): Partial<Answer> => {
  const metadata = response.metadata?.["anthropic"]
  const dropped = (metadata?.["input_transformations"] ?? []) as ReadonlyArray<Json>
  return {
    choice: [...response.choice],
    finishReason: response.finishReason,
    // The wire names a sequence only where one ended the answer.
    stopSequence: response.stopSequence,
    usage: response.usage,
    id: response.id,
    model: response.model,
    metadata,
    warnings: metadata && dropped.map(({ path, reason }) => ({
      field: "history",
      description: `the provider left out the thinking at ${String(path)}: ${String(reason)}`
    }))
  }
}

const saidOf = (answer: Answer | undefined): Partial<Answer> => {
  assert(answer !== undefined)
  const { choice, finishReason, id, metadata, model, stopSequence, usage, warnings } = answer
  return { choice, finishReason, stopSequence, usage, id, model, metadata, warnings }
}

/** The same deltas in other pieces. */
const recut = (parts: ReadonlyArray<CompletionPart.CompletionPart>, cuts: ReadonlyArray<boolean>) => {
  let at = 0
  return parts.flatMap((part): ReadonlyArray<CompletionPart.CompletionPart> => {
    if (cuts.length === 0 || !cuts[at++ % cuts.length]) return [part]
    if (part._tag === "TextDelta" || part._tag === "ReasoningDelta") {
      return [...part.text].map((text) => ({ ...part, text }))
    }
    return part._tag === "ToolCallDelta" ? [...part.arguments].map((piece) => ({ ...part, arguments: piece })) : [part]
  })
}

const read = (
  text: string
): { readonly answer: Answer | undefined; readonly parts: Array<CompletionPart.CompletionPart> } => {
  const decoder = wire.stream(mint)
  const parts: Array<CompletionPart.CompletionPart> = []
  const reader = wire.framing.reader(1e6, ({ data }) => decoder.event(JSON.parse(data) as Json, parts))
  reader.feed(text)
  reader.end()
  const answer = decoder.answer()
  if (decoder.complete()) decoder.close(parts)
  assert.isTrue(decoder.done())
  return { answer, parts }
}

const write = (parts: ReadonlyArray<CompletionPart.CompletionPart>): string => {
  const encoder = server.stream(asked, stamp)
  return parts.flatMap((part) => [encoder.ping, ...encoder.part(part)]).join("")
}

describe("answers", () => {
  it.prop(
    "are read as they were written, whole and streamed in any pieces",
    { answering: Answering },
    ({ answering }) => {
      const response = responseOf(answering)
      const whole = server.encode({ response }, asked, stamp)
      assert.deepStrictEqual(saidOf(wire.response(plain(whole), mint)), cutAs(expected(response)))
      const parts = recut(CompletionPart.fromResponse(response), answering.cuts)
      const streamed = read(write(parts))
      assert.deepStrictEqual(saidOf(streamed.answer), expected(response))
      assert.deepStrictEqual(
        streamed.parts.flatMap((part) => part._tag === "ContentEnd" ? [part.content] : []),
        [...response.choice]
      )
    },
    { arbitrary: { runs: 2000, size: 3 } }
  )

  // A call at the end of an answer that a filter cut may be cut itself, which a whole body does not tell.
  const cutAs = (said: Partial<Answer>): Partial<Answer> =>
    said.finishReason?._tag === "ContentFilter" && said.choice?.at(-1)?._tag === "ToolCall"
      ? { ...said, choice: said.choice.slice(0, -1) }
      : said

  it("of other providers: reasoning as text, images as links, calls that come at once, ends that come late", () => {
    const image: Message.Image = { _tag: "Image", source: { _tag: "Base64", data: "AA", mediaType: "image/png" } }
    const response = CompletionResponse.make({
      provider: "openai",
      choice: [
        { _tag: "Reasoning", content: [{ _tag: "Summary", text: "hm" }, { _tag: "Encrypted", data: "secret" }] },
        Message.text("Hello"),
        Message.toolCall({ id: "call_1", name: "a", arguments: { x: 1 } }),
        Message.toolCall({ id: "call_2", name: "b", arguments: { y: 2 } }),
        image,
        { _tag: "ProviderBlock", provider: "openai", block: { type: "x" } }
      ],
      finishReason: { _tag: "Other", reason: "odd" },
      usage: TokenUsage.zero
    })
    const [reasoning, said, first, second] = response.choice as [
      Message.Reasoning,
      Message.Text,
      Message.ToolCall,
      Message.ToolCall
    ]
    const streamed = read(write([
      { _tag: "Start", provider: "openai" },
      { _tag: "ReasoningDelta", index: 0, text: "hm" },
      { _tag: "TextDelta", index: 1, text: "Hel" },
      { _tag: "TextDelta", index: 1, text: "lo" },
      { _tag: "ToolCallStart", index: 2, id: "call_1", name: "a" },
      { _tag: "ToolCallStart", index: 3, id: "call_2", name: "b" },
      { _tag: "ToolCallDelta", index: 3, arguments: '{"y":' },
      { _tag: "ToolCallDelta", index: 2, arguments: '{"x":1}' },
      { _tag: "ToolCallDelta", index: 3, arguments: "2}" },
      { _tag: "ContentEnd", index: 2, content: first },
      { _tag: "ContentEnd", index: 3, content: second },
      { _tag: "ContentEnd", index: 4, content: image },
      { _tag: "ContentEnd", index: 1, content: said },
      { _tag: "ContentEnd", index: 0, content: reasoning },
      { _tag: "Finish", response }
    ]))
    const heard = [
      { _tag: "Reasoning", content: [{ _tag: "Text", text: "hm" }] },
      said,
      first,
      second,
      { _tag: "Text", text: "![image](data:image/png;base64,AA)" }
    ]
    assert.deepStrictEqual(streamed.answer?.choice, heard as never)
    assert.deepStrictEqual(streamed.answer?.finishReason, { _tag: "Stop" })
    const whole = wire.response(plain(server.encode({ response }, asked, stamp)), mint)
    assert.deepStrictEqual(whole?.choice, heard as never)
    assert.deepStrictEqual([whole?.id, whole?.model], ["msg_seed", "m"])
  })

  it("that a limit cut hold the call in which it did, and the client leaves it out", () => {
    const response = CompletionResponse.make({
      provider: "anthropic",
      choice: [Message.text("Hello")],
      finishReason: { _tag: "MaxTokens" },
      usage: TokenUsage.zero
    })
    const cutCall = { id: "toolu_1", name: "a", arguments: '{"x":' }
    const body = plain(server.encode({ response, cutCall }, asked, stamp))
    assert.deepStrictEqual((body["content"] as ReadonlyArray<Json>).map(({ type }) => type), ["text", "tool_use"])
    assert.deepStrictEqual(wire.response(body, mint)?.choice, [Message.text("Hello")])
    const streamed = read(write([
      { _tag: "TextDelta", index: 0, text: "Hello" },
      { _tag: "ContentEnd", index: 0, content: Message.text("Hello") },
      { _tag: "ToolCallStart", index: 1, id: "toolu_1", name: "a" },
      { _tag: "ToolCallDelta", index: 1, arguments: '{"x":' },
      { _tag: "Finish", response }
    ]))
    assert.deepStrictEqual(streamed.answer?.choice, [Message.text("Hello")])
    assert.isUndefined(streamed.answer?.malformedCall)
  })

  it("take passes and hour-long cache writes along", () => {
    const usage = TokenUsage.make({ inputTokens: 50, outputTokens: 5, cacheWriteTokens: 20, longCacheWriteTokens: 10 })
    const passes = [{ kind: "compaction", usage }, { kind: "message", usage }]
    const response = CompletionResponse.make({
      provider: "anthropic",
      choice: [Message.text("Hello")],
      finishReason: { _tag: "Stop" },
      usage: TokenUsage.add(usage, usage),
      passes
    })
    const whole = wire.response(plain(server.encode({ response }, asked, stamp)), mint)
    assert.deepStrictEqual([whole?.usage, whole?.passes], [response.usage, passes])
    const streamed = read(write(CompletionPart.fromResponse(response))).answer
    assert.deepStrictEqual([streamed?.usage, streamed?.passes], [response.usage, passes])
  })
})

describe("recorded answers", () => {
  it.skipIf(!available)(available ? "are written so that they are read as they were" : skipped, () => {
    for (const { exchanges } of recordings("anthropic-messages")) {
      for (const { response } of exchanges) {
        if (response.status !== 200 || !response.body.startsWith("{")) continue
        const answer = wire.response(JSON.parse(response.body) as Json, mint)!
        const again = CompletionResponse.make({
          choice: answer.choice,
          finishReason: answer.finishReason,
          usage: answer.usage,
          provider: "anthropic",
          id: answer.id,
          model: answer.model,
          stopSequence: answer.stopSequence,
          metadata: answer.metadata && { anthropic: answer.metadata as never }
        })
        assert.deepStrictEqual(
          saidOf(wire.response(plain(server.encode({ response: again }, asked, stamp)), mint)),
          saidOf(answer)
        )
        assert.deepStrictEqual(saidOf(read(write(CompletionPart.fromResponse(again))).answer), saidOf(answer))
      }
    }
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Failures
// ---------------------------------------------------------------------------------------------------------------------

describe("failures", () => {
  const reasons = {
    RateLimit: LLMError.RateLimitReason.literals,
    Transient: LLMError.TransientReason.literals,
    EmptyResponse: LLMError.EmptyResponseReason.literals,
    ClientError: LLMError.ClientErrorReason.literals
  }

  // The wire has no words for these, and says what comes nearest.
  const nearest: { readonly [reason: string]: readonly [string, string] } = {
    "RateLimit Requests": ["RateLimit", "Unknown"],
    "RateLimit Tokens": ["RateLimit", "Unknown"],
    "Transient Network": ["Transient", "Server"],
    "Transient Timeout": ["Transient", "Server"],
    "Transient Truncated": ["Transient", "Server"],
    "Transient Malformed": ["Transient", "Server"],
    "EmptyResponse NoContent": ["Transient", "Server"],
    "EmptyResponse MalformedToolCall": ["Transient", "Server"],
    "EmptyResponse MalformedOutput": ["Transient", "Server"],
    "ClientError DailyQuota": ["ClientError", "Quota"],
    "ClientError Budget": ["ClientError", "Quota"],
    "ClientError OutputBudget": ["ClientError", "InvalidRequest"]
  }

  for (const [tag, all] of Object.entries(reasons)) {
    for (const reason of all) {
      const [sayTag, sayReason] = nearest[`${tag} ${reason}`] ?? [tag, reason]
      it(`${tag} · ${reason} is read as ${sayTag} · ${sayReason}, before and in a stream`, () => {
        const error = LLMError.make(tag as "ClientError", {
          reason: reason as "InvalidRequest",
          provider: "p",
          model: "m",
          description: "what was wrong",
          retryAfter: Duration.millis(1500),
          retryable: false,
          rateLimits: { requests: { limit: 5, remaining: 0, resetAfter: Duration.seconds(30) } }
        })
        const { body, headers, status } = server.refuse(error, stamp)
        const found = classify(wire.failures, { _tag: "Failed", text: "", body: plain(body) }, {
          status,
          headers,
          now: stamp.created * 1000
        })
        assert.deepStrictEqual(found.verdict, [sayTag, sayReason] as never)
        assert.include(found.description, "what was wrong")
        assert.deepStrictEqual(found.retryAfter, Duration.millis(1500))
        assert.isFalse(found.retryable)
        assert.deepStrictEqual(wire.failures.rateLimits(headers, stamp.created * 1000), error.rateLimits)
        assert.strictEqual(wire.failures.requestId(headers, body), "req_seed")
        const [event = ""] = server.stream(asked, stamp).fail(error)
        const frames: Array<{ readonly name: string; readonly data: string }> = []
        wire.framing.reader(1e6, (frame) => frames.push(frame)).feed(event)
        assert.strictEqual(frames[0]?.name, wire.framing.error)
        const later = classify(wire.failures, { _tag: "Failed", text: "", body: JSON.parse(frames[0]!.data) }, {
          status: 200,
          headers: {},
          now: 0
        })
        assert.deepStrictEqual(later.verdict, [sayTag, sayReason] as never)
      })
    }
  }
})
