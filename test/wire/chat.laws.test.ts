/**
 * Chat Completions, read as it was written: what a client sends is what a server reads, and what a server answers is what
 * a client reads, streamed or not. What the wire has no words for stands in `normal…`, and nowhere else.
 */
import { assert, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { isDeepStrictEqual } from "node:util"
import { Completion, CompletionPart, CompletionResponse, Message, TokenUsage, type Tool } from "../../src/index.ts"
import { openAi, openAiServer, openRouter, openRouterServer } from "../../src/wire/chat/wire.ts"
import { structured } from "../../src/wire/jsonSchema.ts"
import type { Answer, Asked, Stamp, StreamDecoder, Wire } from "../../src/wire/Wire.ts"
import { full } from "../effort.ts"

const runs = { arbitrary: { runs: 2000, ...!full && { size: 5 } } }

const sides = {
  openai: { wire: openAi("openai"), server: openAiServer },
  openrouter: { wire: openRouter("openrouter"), server: openRouterServer }
} as const
type Vendor = keyof typeof sides
const Vendor = Schema.Literals(["openai", "openrouter"])

const stamp: Stamp = { seed: "seed", created: 1 }

const mintId = (index: number): string => Message.mintId("answer", index)

// Compares much faster than the assertions do, which explain a difference.
const same = (actual: unknown, expected: unknown): void => {
  if (!isDeepStrictEqual(actual, expected)) assert.deepStrictEqual(actual, expected)
}

const failed = (): never => assert.fail("was refused")

const incoming = (body: Answer["metadata"]) => ({ body: body!, headers: {}, path: "/chat/completions" })

// ---------------------------------------------------------------------------------------------------------------------
// What is said
// ---------------------------------------------------------------------------------------------------------------------

const few = <S extends Schema.Constraint>(item: S) => Schema.Array(item).check(Schema.isMaxLength(3))
// Any text at all takes much longer to make than what is hard in a text.
const words = ["a", "Grüße", "空は青い\n", '"{}"', "data: [DONE]\n\n", "😀", "\\", "\u2028", " ", "__proto__"] as const
const text: Schema.Codec<string> = full ? Schema.NonEmptyString : Schema.Literals(words)
const key = full ? Schema.String : Schema.Literals(["", ...words])
const maybe = Schema.optionalKey
const cache = maybe(Schema.Struct({ ttl: maybe(Schema.Literals(["5m", "1h"])) }))

// JSON does not tell -0 from 0.
const amount = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000_000 }))
const share = Schema.Finite.check(Schema.isBetween({ minimum: 0.01, maximum: 2 }))

const json = Schema.Union([Schema.Null, Schema.Boolean, amount, key, few(key)])
const args = Schema.Record(Schema.String, json)

// Objects that are made for a test have no prototype now and then; those of JSON do.
const plain = <A>(value: A): A => JSON.parse(JSON.stringify(value))

const Source = Schema.Union([
  Schema.TaggedStruct("Url", {
    url: Schema.Literals(["https://a.test/x", "https://a.test/x.png?y=1", "http://b.test"])
  }),
  Schema.TaggedStruct("Base64", {
    data: Schema.Literals(["AAAA", "QUJD"]),
    mediaType: Schema.Literals(["image/png", "video/mp4", "application/pdf"])
  })
])

const Content = Schema.Union([
  Schema.TaggedStruct("Text", { text, cache }),
  Schema.TaggedStruct("Image", { source: Source, detail: maybe(Schema.Literals(["low", "high", "auto"])), cache }),
  Schema.TaggedStruct("Audio", {
    source: Schema.TaggedStruct("Base64", { data: text, mediaType: Schema.Literals(["audio/wav", "audio/mpeg"]) }),
    cache
  }),
  Schema.TaggedStruct("Document", {
    source: Schema.Union([Source, Schema.TaggedStruct("FileId", { id: text })]),
    title: maybe(text),
    cache
  })
])

const Call = Schema.Struct({ name: text, arguments: args, signature: maybe(text) })

const detail = { id: maybe(text), format: maybe(text) }
const ReasoningPart = Schema.Union([
  Schema.TaggedStruct("Text", { text, signature: maybe(text), ...detail }),
  Schema.TaggedStruct("Summary", { text, ...detail }),
  Schema.TaggedStruct("Encrypted", { data: text, ...detail }),
  Schema.TaggedStruct("Redacted", { data: text, ...detail })
])

const Reasoning = Schema.Struct({
  content: few(ReasoningPart),
  field: maybe(Schema.Literals(["reasoning", "reasoning_content", "reasoning_details"]))
})

/** A turn of the user, or of the model with what its tools answered. */
const Turn = Schema.Union([
  Schema.TaggedStruct("System", { content: text, cache }),
  Schema.TaggedStruct("Asks", { content: Schema.NonEmptyArray(Content) }),
  Schema.TaggedStruct("Answers", {
    reasoning: maybe(Reasoning),
    texts: few(text),
    calls: few(Call),
    results: few(Schema.Union([Schema.TaggedStruct("Text", { text }), Schema.TaggedStruct("Json", { value: args })])),
    audio: maybe(text),
    cache
  })
])

const Definition = Schema.Struct({ name: text, description: text, cache })

const Asking = Schema.Struct({
  turns: few(Turn),
  prompt: Schema.NonEmptyArray(Content),
  preamble: maybe(text),
  tools: few(Definition),
  choice: maybe(Schema.Literals(["Auto", "None", "Required", "one", "two"])),
  maxTokens: maybe(amount),
  temperature: maybe(share),
  topP: maybe(share),
  seed: maybe(amount),
  parallelToolCalls: maybe(Schema.Boolean),
  stopSequences: maybe(few(text)),
  reasoning: maybe(Schema.Struct({
    effort: maybe(Schema.Literals(["none", "minimal", "low", "medium", "high", "xhigh", "max"])),
    budgetTokens: maybe(amount),
    summary: maybe(Schema.Boolean)
  })),
  schema: Schema.Boolean,
  streamed: Schema.Boolean
})
type Asking = typeof Asking.Type

const outputSchema = { type: "object", properties: { a: { type: "string" } } }

const choices: { readonly [Tag in NonNullable<Asking["choice"]>]: Tool.ToolChoice } = {
  Auto: { _tag: "Auto" },
  None: { _tag: "None" },
  Required: { _tag: "Required", otherwise: "auto" },
  one: { _tag: "Specific", names: ["one"] },
  two: { _tag: "Specific", names: ["one", "two"] }
}

const audioOf = (vendor: Vendor, id: string): Message.ProviderBlock => ({
  _tag: "ProviderBlock",
  provider: vendor,
  block: { audio: { id } }
})

const turnOf = (vendor: Vendor, turn: typeof Turn.Type, at: number): ReadonlyArray<Message.Message> => {
  switch (turn._tag) {
    case "System":
      return [turn]
    case "Asks":
      return [Message.user(turn.content)]
    case "Answers": {
      const calls = turn.calls.map((call, index) => Message.toolCall({ ...call, id: `call_${at}_${index}` }))
      const content = [
        ...(turn.reasoning === undefined ? [] : [{ _tag: "Reasoning", ...turn.reasoning } as const]),
        ...turn.texts.map((said) => Message.text(said)),
        ...calls,
        ...(turn.audio === undefined ? [] : [audioOf(vendor, turn.audio)])
      ]
      const results = calls.map(({ id, name }): Message.ToolResult => ({
        _tag: "ToolResult",
        id,
        name,
        content: turn.results,
        ...(turn.cache && { cache: turn.cache })
      }))
      return [Message.assistant(content, { provider: vendor }), ...(results.length > 0 ? [Message.user(results)] : [])]
    }
  }
}

const completionOf = (vendor: Vendor, asking: Asking): Completion.Completion => {
  const { choice, prompt, schema, streamed: _, tools, turns, ...settings } = plain(asking)
  return Completion.make({
    ...settings,
    history: turns.flatMap((turn, at) => turnOf(vendor, turn, at)),
    prompt: Message.user(prompt),
    tools: tools.map((tool) => ({ ...tool, parameters: { type: "object", properties: {} } })),
    ...(choice !== undefined && { toolChoice: choices[choice] }),
    ...(schema && { outputSchema })
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// What the wire cannot say of a request
// ---------------------------------------------------------------------------------------------------------------------

const uncached = <A extends { readonly cache?: unknown }>({ cache: _, ...rest }: A) => rest

const formats: { readonly [type: string]: string } = { "https://a.test/x.png?y=1": "image/png" }

const normalSource = (source: Message.Source): Message.Source =>
  source._tag === "Url" && formats[source.url] !== undefined
    ? { ...source, mediaType: formats[source.url]! }
    : source

// Of what a URL points to, the type is guessed; a document gets a name.
const normalContent = (vendor: Vendor, content: Message.UserContent): Message.UserContent => {
  const said = vendor === "openai" ? uncached(content) as Message.UserContent : content
  switch (said._tag) {
    case "Image":
      return { ...said, source: normalSource(said.source) }
    case "Document": {
      const { title, ...rest } = said
      const source = normalSource(said.source)
      if (source._tag === "FileId") return rest as Message.Document
      const isPdf = source._tag === "Url" || source.mediaType === "application/pdf"
      return { ...said, source, title: title ?? (isPdf ? "document.pdf" : "document") }
    }
    case "ToolResult": {
      // A result is one text.
      const texts = said.content.flatMap((item) =>
        item._tag === "Json" ? [JSON.stringify(item.value)] : item._tag === "Text" ? [item.text] : []
      )
      return { ...said, content: [Message.text(texts.join("\n"))] }
    }
    default:
      return said
  }
}

// Of reasoning, details have numbers, and what is hidden is hidden for one reason; OpenAI's own API takes none.
const normalReasoning = ({ content }: Message.Reasoning): ReadonlyArray<Message.Reasoning> =>
  content.length === 0 ? [] : [{
    _tag: "Reasoning",
    content: content.map((part, index) =>
      part._tag === "Redacted" ? { ...part, _tag: "Encrypted", index } : { ...part, index }
    )
  }]

const normalMessage = (vendor: Vendor) => (message: Message.Message): ReadonlyArray<Message.Message> => {
  switch (message._tag) {
    case "System":
      return [vendor === "openai" ? uncached(message) : message]
    case "User":
      return [Message.user(message.content.map((content) => normalContent(vendor, content)))]
    case "Assistant": {
      const [reasoning] = message.content.filter((content) => content._tag === "Reasoning")
      const rest = message.content.filter((content) => content._tag !== "Reasoning").map((content) => {
        if (content._tag !== "ToolCall") return content
        const { signature: _, ...call } = content
        return call
      })
      return rest.length === 0 ? [] : [{
        ...message,
        content: [...(reasoning && vendor === "openrouter" ? normalReasoning(reasoning) : []), ...rest]
      }]
    }
  }
}

// Results, and what the user says behind them, are one message.
const joined = (messages: ReadonlyArray<Message.Message>): ReadonlyArray<Message.Message> =>
  messages.reduce<ReadonlyArray<Message.Message>>((all, message) => {
    const last = all.at(-1)
    return last?._tag === "User" && message._tag === "User" && last.content.every(({ _tag }) => _tag === "ToolResult")
      ? [...all.slice(0, -1), Message.user([...last.content, ...message.content])]
      : [...all, message]
  }, [])

const efforts = (budget: number) =>
  budget <= 0 ? "none" : budget <= 1024 ? "minimal" : budget <= 4096 ? "low" : budget <= 16_384 ? "medium" : "high"

// Chat Completions know an effort alone; OpenRouter an effort or a budget.
const normalAsked = (vendor: Vendor, asked: Completion.Reasoning = {}): Completion.Reasoning | undefined => {
  const { budgetTokens, effort, summary } = asked
  const said = vendor === "openai"
    ? { effort: effort ?? (budgetTokens === undefined ? undefined : efforts(budgetTokens)) }
    : { effort, budgetTokens: effort === undefined ? budgetTokens : undefined, summary }
  const kept = Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined))
  return Object.keys(kept).length === 0 ? undefined : kept
}

const plainChoice = (choice: Tool.ToolChoice | undefined): Tool.ToolChoice | undefined => {
  if (choice?._tag !== "Required") return choice
  return { _tag: "Required" }
}

const normal = (vendor: Vendor, completion: Completion.Completion): Completion.Completion => {
  const { outputSchema, preamble, prompt, stopSequences = [], tools, ...rest } = completion
  const messages = joined([
    ...(preamble === undefined ? [] : [Message.system(preamble)]),
    ...completion.history,
    prompt
  ].flatMap(normalMessage(vendor)))
  return Completion.make({
    ...rest,
    model: "some-model",
    history: messages.slice(0, -1),
    prompt: messages.at(-1)!,
    tools: vendor === "openai" ? tools.map(uncached) as typeof tools : tools,
    // There is nothing to choose, and nothing to call in parallel, where there are no tools.
    toolChoice: tools.length === 0 ? undefined : plainChoice(completion.toolChoice),
    parallelToolCalls: tools.length === 0 ? undefined : completion.parallelToolCalls,
    stopSequences: stopSequences.length === 0 ? undefined : stopSequences,
    reasoning: normalAsked(vendor, completion.reasoning),
    outputSchema: outputSchema && structured(outputSchema).schema as typeof outputSchema
  })
}

it.prop("a request is read as it was written", [Arbitrary.schema(Asking), Vendor], ([asking, vendor]) => {
  const { server, wire } = sides[vendor]
  const completion = completionOf(vendor, asking)
  const sent = wire.request(completion, "some-model", asking.streamed)
  if ("_tag" in sent) return failed()
  const asked = Result.getOrElse(server.decode(incoming(JSON.parse(JSON.stringify(sent.body)))), failed)
  same({ ...asked.completion }, { ...normal(vendor, completion) })
  same([asked.model, asked.streamed, asked.usage], ["some-model", asking.streamed, asking.streamed])
}, runs)

// ---------------------------------------------------------------------------------------------------------------------
// Answers
// ---------------------------------------------------------------------------------------------------------------------

const Answering = Schema.Struct({
  reasoning: maybe(Reasoning),
  texts: few(text),
  calls: few(Call),
  images: few(Source),
  audio: maybe(text),
  finish: Schema.Literals(["Stop", "MaxTokens", "ToolUse", "ContentFilter", "strange"]),
  usage: Schema.Tuple([amount, amount, amount, amount, amount]),
  id: maybe(text),
  model: maybe(text),
  cost: maybe(share),
  besides: maybe(Schema.Struct({ service_tier: text, system_fingerprint: text, logprobs: Schema.Struct({ x: text }) })),
  cuts: few(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9 })))
})
type Answering = typeof Answering.Type

const responseOf = (vendor: Vendor, answering: Answering): CompletionResponse.CompletionResponse => {
  const { audio, calls, finish, images, reasoning, texts } = plain(answering)
  const [inputTokens, outputTokens, cachedInputTokens, cacheWriteTokens, reasoningTokens] = answering.usage
  return CompletionResponse.make({
    choice: [
      ...(reasoning === undefined ? [] : [{ _tag: "Reasoning", ...reasoning } as const]),
      ...texts.map((said) => Message.text(said)),
      ...calls.map((call, index) => Message.toolCall({ ...call, id: `call_${index}` })),
      ...images.map((source) => Message.image(source)),
      ...(audio === undefined ? [] : [audioOf(vendor, audio)])
    ],
    finishReason: finish === "strange" ? { _tag: "Other", reason: finish } : { _tag: finish },
    usage: TokenUsage.make({ inputTokens, outputTokens, cachedInputTokens, cacheWriteTokens, reasoningTokens }),
    provider: vendor,
    id: answering.id,
    model: answering.model,
    cost: answering.cost,
    metadata: answering.besides && { [vendor]: answering.besides }
  })
}

const asked: Asked = { completion: Completion.make({ prompt: "Hi" }), model: "m", streamed: false, usage: true }

const readable = (parts: ReadonlyArray<Message.ReasoningPart>): ReadonlyArray<string> =>
  parts.flatMap((part) => part._tag === "Text" || part._tag === "Summary" ? [part.text] : [])

const isSealed = (part: Message.ReasoningPart): boolean =>
  part._tag === "Encrypted" || part._tag === "Redacted" || (part._tag === "Text" && part.signature !== undefined)

// Readable reasoning comes in the field of the server's, and in one piece where it says no more than that.
const normalAnswered = (
  vendor: Vendor,
  { content, field }: Message.Reasoning,
  streamed: boolean
): ReadonlyArray<Message.Reasoning> => {
  const usual = vendor === "openrouter" ? "reasoning" : "reasoning_content"
  const own = field === "reasoning" || field === "reasoning_content" ? field : undefined
  const detailed = vendor === "openrouter" || field === "reasoning_details" || content.some(isSealed)
    || (own === undefined && content.some(({ format, id }) => (format ?? id) !== undefined))
  const texts = readable(content)
  const said = texts.length === 0 ? {} : { field: streamed ? usual : own ?? usual }
  if (detailed) return normalReasoning({ _tag: "Reasoning", content }).map((reasoning) => ({ ...reasoning, ...said }))
  return texts.length === 0
    ? []
    : [{ _tag: "Reasoning", ...said, content: [{ _tag: "Text", text: texts.join(streamed ? "" : "\n") }] }]
}

// All texts are one; the type of an image behind a URL is nobody's business.
const normalAnswer = (vendor: Vendor, { choice }: CompletionResponse.CompletionResponse, streamed: boolean) => {
  const texts = choice.flatMap((content) => content._tag === "Text" ? [content.text] : [])
  return [
    ...choice.flatMap((content) => content._tag === "Reasoning" ? normalAnswered(vendor, content, streamed) : []),
    ...(texts.length === 0 ? [] : [Message.text(texts.join(""))]),
    ...choice.filter((content) => content._tag !== "Text" && content._tag !== "Reasoning")
  ]
}

const sameAnswer = (
  vendor: Vendor,
  written: CompletionResponse.CompletionResponse,
  read: Answer | undefined,
  streamed: boolean
): void => {
  same(read?.choice, normalAnswer(vendor, written, streamed))
  same(read?.finishReason, written.finishReason)
  same(read?.usage, written.usage)
  assert.isUndefined(read?.malformedCall)
  assert.strictEqual(read?.id, written.id ?? `${vendor === "openai" ? "chatcmpl-" : "gen-"}seed`)
  assert.strictEqual(read?.model, written.model ?? "m")
  assert.strictEqual(read?.cost, written.cost)
  same(read?.metadata, written.metadata?.[vendor])
}

const frames = (events: ReadonlyArray<string>): ReadonlyArray<string> =>
  events.flatMap((event) => event.split("\n\n").filter((frame) => frame !== "")).map((frame) => frame.slice(6))

/** What a client hears of the events, and in the end. */
const heard = (wire: Wire, events: ReadonlyArray<string>) => {
  const decoder: StreamDecoder = wire.stream(mintId)
  const parts: Array<CompletionPart.CompletionPart> = []
  for (const frame of frames(events)) {
    if (frame === "[DONE]") decoder.end?.()
    else decoder.event(JSON.parse(frame), parts)
  }
  assert.isTrue(decoder.complete())
  const answer = decoder.answer()
  decoder.close(parts)
  return { parts, answer }
}

// Cuts the deltas of a stream into pieces.
const cut = (
  parts: ReadonlyArray<CompletionPart.CompletionPart>,
  cuts: ReadonlyArray<number>
): ReadonlyArray<CompletionPart.CompletionPart> => {
  const pieces = (whole: string): ReadonlyArray<string> =>
    cuts.length === 0
      ? [whole]
      : [...whole.match(new RegExp(`[^]{1,${cuts[whole.length % cuts.length]}}`, "g")) ?? []]
  return parts.flatMap((part): ReadonlyArray<CompletionPart.CompletionPart> => {
    switch (part._tag) {
      case "TextDelta":
      case "ReasoningDelta":
        return pieces(part.text).map((said) => ({ ...part, text: said }))
      case "ToolCallDelta":
        return pieces(part.arguments).map((said) => ({ ...part, arguments: said }))
      default:
        return [part]
    }
  })
}

// Deltas of several contents in turn, as providers interleave them; what ends, ends behind its deltas.
const interleaved = (
  parts: ReadonlyArray<CompletionPart.CompletionPart>
): ReadonlyArray<CompletionPart.CompletionPart> => {
  const calls = parts.filter((part) => part._tag === "ToolCallStart" || part._tag === "ToolCallDelta")
  const byIndex = [...new Set(calls.map(({ index }) => index))].map((index) =>
    calls.filter((part) => part.index === index)
  )
  if (byIndex.length < 2) return parts
  const longest = Math.max(0, ...byIndex.map((own) => own.length))
  const mixed = Array.from({ length: longest }, (_, at) => byIndex.flatMap((own) => own[at] ?? [])).flat()
  const first = parts.findIndex((part) => part._tag === "ToolCallStart")
  if (first < 0) return parts
  const others = parts.map((part, at) => calls.includes(part as never) ? undefined : [part, at] as const)
    .flatMap((item) => item === undefined ? [] : [item])
  return [
    ...others.filter(([, at]) => at < first).map(([part]) => part),
    ...mixed,
    ...others.filter(([, at]) => at > first).map(([part]) => part)
  ]
}

/** What holds of the parts of every stream. */
const partsHold = (parts: ReadonlyArray<CompletionPart.CompletionPart>, answer: Answer | undefined): void => {
  const ends = parts.filter((part) => part._tag === "ContentEnd").toSorted((a, b) => a.index - b.index)
  same(ends.map(({ content }) => content), answer?.choice)
  assert.strictEqual(new Set(ends.map(({ index }) => index)).size, ends.length)
  const said = parts.map((part) => part._tag === "TextDelta" ? part.text : "").join("")
  const texts = answer?.choice.map((content) => content._tag === "Text" ? content.text : "").join("")
  assert.strictEqual(said, texts)
  for (const { content, index } of ends) {
    if (content._tag !== "ToolCall") continue
    const own = parts.filter((part) => part._tag === "ToolCallDelta" && part.index === index)
    same(
      JSON.parse(own.map((part) => part._tag === "ToolCallDelta" ? part.arguments : "").join("")),
      content.arguments
    )
  }
}

it.prop("a whole answer is read as it was written", [Arbitrary.schema(Answering), Vendor], ([answering, vendor]) => {
  const { server, wire } = sides[vendor]
  const response = responseOf(vendor, answering)
  const body = JSON.parse(JSON.stringify(server.encode({ response }, asked, stamp)))
  sameAnswer(vendor, response, wire.response(body, mintId), false)
}, runs)

it.prop(
  "a stream is read as it was written, in pieces and with calls in turn",
  [Arbitrary.schema(Answering), Vendor],
  ([answering, vendor]) => {
    const { server, wire } = sides[vendor]
    const response = responseOf(vendor, answering)
    const pieces = cut(CompletionPart.fromResponse(response), answering.cuts)
    for (const written of new Set([pieces, interleaved(pieces)])) {
      const encoder = server.stream(asked, stamp)
      const { answer, parts } = heard(wire, written.flatMap(encoder.part))
      sameAnswer(vendor, response, answer, true)
      partsHold(parts, answer)
    }
  },
  runs
)
