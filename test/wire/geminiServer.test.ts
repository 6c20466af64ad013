import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Completion from "../../src/Completion.ts"
import * as Part from "../../src/CompletionPart.ts"
import * as CompletionResponse from "../../src/CompletionResponse.ts"
import * as LLMError from "../../src/LLMError.ts"
import * as Message from "../../src/Message.ts"
import * as TokenUsage from "../../src/TokenUsage.ts"
import { judge } from "../../src/transport/judge.ts"
import { classify } from "../../src/wire/failure.ts"
import { gemini, server } from "../../src/wire/gemini/wire.ts"
import type { JsonRecord } from "../../src/wire/json.ts"
import type { Asked, WireRequest } from "../../src/wire/Wire.ts"
import { full } from "../effort.ts"

const wire = gemini("gemini")
const model = "gemini-3-flash"
const stamp = { seed: "seed", created: 0 }
const asked: Asked = { completion: Completion.make({ prompt: "Hi" }), model, streamed: true, thoughts: true }
const mintId = (index: number): string => Message.mintId("a", index)
const runs = { arbitrary: { runs: 2000, ...!full && { size: 5 } } }

const decode = (body: JsonRecord, path = `/v1beta/models/${model}:generateContent`): Asked =>
  Result.getOrThrow(server.decode({ body, headers: {}, path }))

const refused = (body: JsonRecord, path?: string): string =>
  Result.getOrThrow(Result.flip(server.decode({
    body,
    headers: {},
    path: path ?? `/v1beta/models/${model}:generateContent`
  }))).description

const messages = (...contents: ReadonlyArray<unknown>): ReadonlyArray<Message.Message> =>
  Completion.messages(decode({ contents }).completion)

const user = (...parts: ReadonlyArray<unknown>) => ({ role: "user", parts })

// ---------------------------------------------------------------------------------------------------------------------
// Requests
// ---------------------------------------------------------------------------------------------------------------------

describe("a request", () => {
  it("is read by its path", () => {
    const of = (path: string) => {
      const { model, streamed } = decode({ contents: [user({ text: "Hi" })] }, path)
      return [model, streamed]
    }
    assert.deepStrictEqual(of("/v1beta/models/gemini-3-flash:generateContent"), ["gemini-3-flash", false])
    assert.deepStrictEqual(of("/v1/models/a%2Fb:streamGenerateContent"), ["a/b", true])
    assert.deepStrictEqual(of("/v1beta/tunedModels/mine:generateContent"), ["tunedModels/mine", false])
    assert.deepStrictEqual(of("/models/a:b:generateContent"), ["a:b", false])
    assert.include(refused({}, "/v1beta/models/gemini-3-flash:countTokens"), "countTokens")
    assert.include(refused({}, "/v1beta/models"), "models")
  })

  it("may have its names in snake case, nulls, and contents without a list", () => {
    const { completion } = decode({
      system_instruction: { parts: [{ text: "Be short." }], role: null },
      contents: { parts: [{ text: "Hi", thought_signature: null }] },
      generation_config: { max_output_tokens: 5, thinking_config: { include_thoughts: true, thinking_level: "low" } },
      tools: [{
        function_declarations: [{ name: "f", parameters_json_schema: { type: "object", a_b: null } }],
        google_search: {}
      }],
      safety_settings: null
    })
    assert.deepStrictEqual({ ...completion }, {
      model,
      preamble: "Be short.",
      prompt: Message.user("Hi"),
      history: [],
      maxTokens: 5,
      reasoning: { effort: "low", summary: true },
      tools: [{ name: "f", description: "", parameters: { type: "object", a_b: null } }],
      providerParams: { gemini: { tools: [{ googleSearch: {} }] } }
    })
  })

  it("takes Google's own schemas for JSON Schema", () => {
    const { completion: { outputSchema, tools } } = decode({
      contents: "Hi",
      tools: [{
        functionDeclarations: [{
          name: "f",
          parameters: {
            type: "OBJECT",
            properties: {
              some_name: { type: "STRING", nullable: true, enum: ["a"] },
              list: { type: "ARRAY", items: { type: "INTEGER" } },
              union: { anyOf: [{ type: "STRING" }, { type: "NUMBER" }], nullable: true }
            },
            required: ["some_name"],
            propertyOrdering: ["list"]
          }
        }]
      }],
      generationConfig: { responseMimeType: "application/json", responseSchema: { type: "OBJECT" } }
    })
    assert.deepStrictEqual(tools[0]?.parameters, {
      type: "object",
      properties: {
        some_name: { type: ["string", "null"], enum: ["a", null] },
        list: { type: "array", items: { type: "integer" } },
        union: { anyOf: [{ type: "string" }, { type: "number" }, { type: "null" }] }
      },
      required: ["some_name"]
    })
    assert.deepStrictEqual(outputSchema, { type: "object" })
  })

  it("keeps fields without a counterpart as parameters of the vendor", () => {
    const { completion } = decode({
      contents: [user({ text: "Hi" })],
      cachedContent: "cachedContents/1",
      toolConfig: { functionCallingConfig: { mode: "VALIDATED" }, retrievalConfig: { languageCode: "de" } },
      generationConfig: {
        topK: 4,
        responseMimeType: "application/json",
        thinkingConfig: { thinkingBudget: -1, somethingNew: 1 }
      }
    })
    assert.deepStrictEqual(completion.providerParams, {
      gemini: {
        cachedContent: "cachedContents/1",
        toolConfig: { functionCallingConfig: { mode: "VALIDATED" }, retrievalConfig: { languageCode: "de" } },
        generationConfig: {
          topK: 4,
          responseMimeType: "application/json",
          thinkingConfig: { somethingNew: 1 }
        }
      }
    })
    assert.isUndefined(completion.reasoning)
  })

  it("matches results to calls by id, else by name and place, whatever messages they stand in", () => {
    const call = (name: string, id?: string) => ({ functionCall: { name, args: {}, ...(id && { id }) } })
    const result = (name: string, id?: string) => ({ functionResponse: { name, response: {}, ...(id && { id }) } })
    const read = messages(
      user({ text: "a" }),
      { role: "model", parts: [call("f", "1"), call("g"), call("g"), call("h", "2")] },
      user(result("h", "2"), result("g")),
      user(result("f", "1"), result("g"), result("k", "9"), result("k"))
    )
    const calls = read.flatMap((message) =>
      message._tag === "Assistant"
        ? message.content.map((content) => content._tag === "ToolCall" ? content.id : "")
        : []
    )
    const results = read.flatMap((message) =>
      message._tag === "User"
        ? message.content.flatMap((content) => content._tag === "ToolResult" ? [content.id] : [])
        : []
    )
    assert.strictEqual(new Set(calls).size, 4)
    assert.deepStrictEqual(results, [calls[3], calls[1], calls[0], calls[2], "9", "k"])
  })

  for (
    const [what, response, content, isError] of [
      ["result", { result: "x" }, [Message.text("x")], false],
      ["output", { output: [1] }, [Message.json([1])], false],
      ["content", { content: null }, [Message.json(null)], false],
      ["error", { error: "no" }, [Message.text("no")], true],
      ["something else", { city: "Rome" }, [Message.json({ city: "Rome" })], false],
      ["nothing", {}, [], false]
    ] as const
  ) {
    it(`takes what a tool gave as ${what}`, () => {
      const [message] = messages(user({ functionResponse: { name: "f", response } }))
      assert.deepStrictEqual(message, {
        _tag: "User",
        content: [{ _tag: "ToolResult", id: "f", name: "f", content, ...(isError && { isError }) }]
      })
    })
  }

  it("takes media by their types, and pictures and files of tools", () => {
    const inline = (mimeType: string) => ({ inlineData: { mimeType, data: "AAAA" } })
    const [message] = messages(user(
      inline("image/png"),
      inline("audio/wav"),
      inline("video/mp4"),
      inline("application/pdf"),
      { fileData: { fileUri: "https://youtu.be/1" } },
      { functionResponse: { name: "f", response: {}, parts: [inline("image/png"), inline("application/pdf")] } }
    ))
    assert(message?._tag === "User")
    assert.deepStrictEqual(message.content.map(({ _tag }) => _tag), [
      "Image",
      "Audio",
      "Video",
      "Document",
      "Video",
      "ToolResult"
    ])
    const last = message.content.at(-1)
    assert.deepStrictEqual(last?._tag === "ToolResult" && last.content.map(({ _tag }) => _tag), ["Image", "Document"])
  })

  it("is refused, with what is wrong", () => {
    const deep = Array.from({ length: 20_000 }).reduce<JsonRecord>((inner) => ({ parts: inner }), {})
    assert.strictEqual(refused({}), "contents is not specified")
    assert.strictEqual(refused({ contents: [user()] }), "contents is not specified")
    assert.include(refused({ contents: [user({ text: "a" }), user({ somethingNew: 1 })] }), "contents[1]")
    assert.include(refused({ contents: [deep] }), "nested too deeply")
    assert.include(refused(JSON.parse('{"contents":[{"a":1e999}]}') as JsonRecord), "too large")
  })

  it("of any shape is read or refused, and never a defect", () => {
    const junk: ReadonlyArray<unknown> = [null, 1, "x", [], {}, [null], [[]], [{}], { parts: 1 }, { parts: [1, {}] }]
    for (const contents of junk) {
      for (const other of junk) {
        server.decode({
          body: {
            contents: [contents, user({ text: "a" }), { role: "model", parts: [{ functionCall: other }] }],
            tools: other,
            toolConfig: other,
            systemInstruction: other,
            generationConfig: other
          },
          headers: {},
          path: "/v1beta/models/%E0%A4%A:generateContent"
        })
      }
    }
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Laws of requests
// ---------------------------------------------------------------------------------------------------------------------

const text = Schema.Literals(["", "a", "☀️", "{}"])
const id = Schema.Literals(["1", "2", "3"])
const name = Schema.Literals(["f", "g"])
const signature = Schema.optionalKey(Schema.Literals(["s", "t"]))
const Args = Schema.Record(Schema.Literals(["a", "b"]), Schema.Union([Schema.Literals([1, "x", true]), Schema.Null]))
const Base64 = (mediaType: ReadonlyArray<string>) =>
  Schema.Struct({ _tag: Schema.tag("Base64"), data: Schema.Literals(["YQ=="]), mediaType: Schema.Literals(mediaType) })
const Url = (mediaType: string) =>
  Schema.Struct({
    _tag: Schema.tag("Url"),
    url: Schema.Literals(["https://example.com/a"]),
    mediaType: Schema.Literal(mediaType)
  })
const Text = Schema.TaggedStruct("Text", { text, signature })
const Image = Schema.TaggedStruct("Image", { source: Schema.Union([Base64(["image/png"]), Url("image/png")]) })
const AssistantImage = Schema.TaggedStruct("Image", { ...Image.fields, signature })
const Document = Schema.TaggedStruct("Document", { source: Base64(["application/pdf", "text/plain"]) })
const Reasoning = Schema.TaggedStruct("Reasoning", {
  content: Schema.Array(Schema.Union([
    Schema.TaggedStruct("Text", { text, signature }),
    Schema.TaggedStruct("Summary", { text }),
    Schema.TaggedStruct("Encrypted", { data: text })
  ]))
})
const ToolCall = Schema.TaggedStruct("ToolCall", { id, name, arguments: Args, signature })
const Block = Schema.TaggedStruct("ProviderBlock", {
  provider: Schema.Literals(["gemini", "anthropic"]),
  block: Schema.Struct({ executableCode: Schema.Struct({ code: text }) })
})
const Assistant = Schema.TaggedStruct("Assistant", {
  provider: Schema.Literals(["gemini", "anthropic"]),
  content: Schema.Array(Schema.Union([Text, Reasoning, ToolCall, AssistantImage, Block]))
})
const ToolResult = Schema.TaggedStruct("ToolResult", {
  id,
  name,
  content: Schema.Array(Schema.Union([
    Schema.TaggedStruct("Text", { text }),
    Schema.TaggedStruct("Json", { value: Args }),
    Schema.TaggedStruct("Image", { source: Base64(["image/png"]) }),
    Document
  ])),
  isError: Schema.optionalKey(Schema.Literal(true))
})
const User = Schema.TaggedStruct("User", {
  content: Schema.NonEmptyArray(Schema.Union([
    Schema.TaggedStruct("Text", { text }),
    Image,
    Schema.TaggedStruct("Audio", { source: Base64(["audio/wav"]) }),
    Schema.TaggedStruct("Video", { source: Url("video/mp4") }),
    Document,
    ToolResult
  ]))
})
const System = Schema.TaggedStruct("System", { content: text })
const optional = Schema.optionalKey
const Request = Schema.Struct({
  messages: Schema.NonEmptyArray(Schema.Union([System, User, Assistant])),
  preamble: optional(text),
  tools: Schema.Array(Schema.Struct({
    name,
    description: text,
    parameters: Schema.Literals(["none", "some"])
  })),
  toolChoice: optional(Schema.Union([
    Schema.TaggedStruct("Auto", {}),
    Schema.TaggedStruct("None", {}),
    Schema.TaggedStruct("Required", {}),
    Schema.TaggedStruct("Specific", { names: Schema.NonEmptyArray(name) })
  ])),
  maxTokens: optional(Schema.Literals([1, 100])),
  temperature: optional(Schema.Literals([0, 1])),
  topP: optional(Schema.Literals([0, 0.5])),
  seed: optional(Schema.Literals([0, 7])),
  stopSequences: optional(Schema.Array(text)),
  outputSchema: optional(Schema.Struct({ type: Schema.Literals(["object"]) })),
  reasoning: optional(Schema.Struct({
    effort: optional(Schema.Literals(["low", "medium", "high"])),
    summary: optional(Schema.Boolean)
  }))
})

const some = { type: "object", properties: { a_b: { type: "string" } } }
const none = { type: "object", properties: {}, additionalProperties: false }

const completionOf = ({ messages, tools, ...rest }: typeof Request.Type): Completion.Completion =>
  Completion.make({
    ...rest as object,
    messages: messages as ReadonlyArray<Message.Message>,
    model,
    tools: tools.map((tool) => ({ ...tool, parameters: tool.parameters === "none" ? none : some }))
  })

const encode = (completion: Completion.Completion): JsonRecord =>
  JSON.parse(JSON.stringify((wire.request(completion, model, false) as WireRequest).body)) as JsonRecord

const isTextual = (content: { readonly _tag: string; readonly source?: { readonly mediaType?: string } }): boolean =>
  content._tag === "Document" && content.source?.mediaType === "text/plain"

/** A completion as the wire can say it. What it cannot say stands here, and nowhere else. */
const normal = (completion: Completion.Completion): unknown => {
  const all = Completion.messages(completion)
  const known = new Set(all.flatMap((message) =>
    message._tag === "Assistant" && message.provider === "gemini"
      ? message.content.flatMap((content) => content._tag === "ToolCall" ? [content.id] : [])
      : []
  ))
  // Documents of text are texts; a result is one value, or a list; it says no more of its id than its call's.
  const result = ({ content, id, isError, name }: Message.ToolResult): Message.UserContent => {
    const values = content.flatMap((one) =>
      one._tag === "Text" ? [one.text] : one._tag === "Json" ? [one.value] : isTextual(one as never) ? ["a"] : []
    )
    const value = values.length > 1 ? values : values[0] ?? (isError === true ? "the tool failed" : undefined)
    const media = content.filter((one) => one._tag === "Image" || (one._tag === "Document" && !isTextual(one as never)))
    return {
      _tag: "ToolResult",
      id: known.has(id) ? id : "",
      name,
      content: [
        ...(value === undefined
          ? []
          : [typeof value === "string" ? Message.text(value) : Message.json(value as never)]),
        ...media
      ],
      ...(isError && { isError })
    }
  }
  const userContent = (content: Message.UserContent): ReadonlyArray<Message.UserContent> =>
    content._tag === "Text"
      ? content.text === "" ? [] : [content]
      : content._tag === "ToolResult"
      ? [result(content)]
      : isTextual(content as never)
      ? [Message.text("a")]
      : [content]
  // Nothing of another provider's is kept but texts, calls and images.
  const assistantContent =
    (native: boolean) => (content: Message.AssistantContent): ReadonlyArray<Message.AssistantContent> => {
      const { signature: _, ...unsigned } = content as Message.Text
      const kept = (native ? content : unsigned) as Message.AssistantContent
      switch (kept._tag) {
        case "Text":
          return kept.text === "" && kept.signature === undefined ? [] : [kept]
        case "ToolCall":
          return [{ ...kept, id: native ? kept.id : known.has(kept.id) ? kept.id : "" }]
        case "Reasoning":
          // A thought is a part of its own, and a summary is a thought.
          return native
            ? kept.content.flatMap((part): ReadonlyArray<Message.Reasoning> =>
              part._tag === "Encrypted" || part._tag === "Redacted" ? [] : [{
                _tag: "Reasoning",
                content: [{ ...part, _tag: "Text" }]
              }]
            )
            : []
        case "ProviderBlock":
          return kept.provider === "gemini" ? [kept] : []
        default:
          return [kept]
      }
    }
  const turns: Array<{ role: string; content: Array<Message.UserContent | Message.AssistantContent> }> = []
  for (const message of all) {
    if (message._tag === "System") continue
    const content = message._tag === "User"
      ? message.content.flatMap(userContent)
      : message.content.flatMap(assistantContent(message.provider === "gemini"))
    const last = turns.at(-1)
    if (last?.role === message._tag) last.content.push(...content)
    else if (content.length > 0) turns.push({ role: message._tag, content })
  }
  for (const turn of turns) {
    // Results come first; the first call of a turn is signed.
    turn.content.sort((a, b) => Number(b._tag === "ToolResult") - Number(a._tag === "ToolResult"))
    const index = turn.content.findIndex((content) => content._tag === "ToolCall")
    if (index >= 0) {
      turn.content[index] = {
        signature: "skip_thought_signature_validator",
        ...turn.content[index] as Message.ToolCall
      }
    }
  }
  // System texts come first, and are all alike.
  const system = [completion.preamble, ...all.map((message) => message._tag === "System" ? message.content : "")]
    .filter((text) => text !== undefined && text !== "")
  const { history: _, prompt: __, ...rest } = completion
  const choice = completion.tools.length > 0 ? completion.toolChoice : undefined
  const { stopSequences = [], toolChoice: ___, ...others } = rest
  const reasoning = completion.reasoning && Object.keys(completion.reasoning).length > 0
    ? completion.reasoning
    : undefined
  return JSON.parse(JSON.stringify({
    ...others,
    preamble: undefined,
    reasoning,
    toolChoice: choice,
    stopSequences: stopSequences.length > 0 ? stopSequences : undefined,
    system,
    turns
  }))
}

/** A decoded completion in the same form, where ids that the wire has not said count as none. */
const seen = (completion: Completion.Completion): unknown => {
  const all = Completion.messages(completion)
  const system = [completion.preamble, ...all.map((message) => message._tag === "System" ? message.content : "")]
    .filter((text) => text !== undefined && text !== "")
  const turns = all.flatMap((message) =>
    message._tag === "System" ? [] : [{
      role: message._tag,
      content: (message.content as ReadonlyArray<Message.UserContent | Message.AssistantContent>).map((content) =>
        content._tag === "ToolCall" && Message.isMintedId(content.id)
          ? { ...content, id: "" }
          : content
      )
    }]
  )
  const { history: _, preamble: __, prompt: ___, ...rest } = completion
  return JSON.parse(JSON.stringify({ ...rest, system, turns }))
}

// A result without an id gets that of its call. Where results have ids, the law about bytes holds them.
const withoutResultIds = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value),
    (_, inner: unknown) =>
      typeof inner === "object" && inner !== null && (inner as JsonRecord)["_tag"] === "ToolResult"
        ? { ...inner, id: undefined }
        : inner
  )

const sendable = (completion: Completion.Completion): boolean =>
  Array.isArray(encode(completion)["contents"]) && (encode(completion)["contents"] as Array<unknown>).length > 0

describe("decode", () => {
  it.prop("loses nothing of what was encoded", { request: Request }, ({ request }) => {
    const completion = completionOf(request)
    if (!sendable(completion)) return
    const body = encode(completion)
    const { completion: decoded } = decode(body)
    assert.deepStrictEqual(withoutResultIds(seen(decoded)), withoutResultIds(normal(completion)))
    // What was read is sent as the same bytes, so that a prompt cache finds it: with the ids of results where each of
    // them is that of a call in the turn before, and no two are the same.
    const heads = (content: { readonly parts: ReadonlyArray<JsonRecord> } | undefined, kind: string) =>
      (content?.parts ?? []).flatMap((part) => {
        const { id, name } = (part[kind] ?? {}) as JsonRecord
        return part[kind] === undefined ? [] : [id === undefined ? `no id in ${kind}` : `${String(id)} ${String(name)}`]
      })
    const contents = body["contents"] as ReadonlyArray<{ readonly parts: ReadonlyArray<JsonRecord> }>
    const told = contents.every((content, index) => {
      const results = heads(content, "functionResponse")
      const calls = heads(contents[index - 1], "functionCall")
      return new Set(results).size === results.length && results.every((result) => calls.includes(result))
    })
    const bytes = (body: JsonRecord): string =>
      told ? JSON.stringify(body) : JSON.stringify(body).replaceAll(/("functionResponse":\{)"id":"\d",/g, "$1")
    assert.strictEqual(bytes(encode(decoded)), bytes(body))
  }, runs)
})

// ---------------------------------------------------------------------------------------------------------------------
// Answers
// ---------------------------------------------------------------------------------------------------------------------

const Tokens = Schema.Literals([0, 1, 50])
const Answer = Schema.Struct({
  choice: Schema.Array(Schema.Union([Text, Reasoning, ToolCall, AssistantImage, Block])),
  finish: Schema.Literals(["None", "Stop", "MaxTokens", "ToolUse", "ContentFilter", "LANGUAGE", "pause_turn"]),
  inputTokens: Tokens,
  outputTokens: Tokens,
  reasoningTokens: Tokens,
  cachedInputTokens: Tokens,
  id: optional(Schema.Literals(["r1"])),
  grounded: Schema.Boolean
})

const responseOf = ({ choice, finish, grounded, id, ...counts }: typeof Answer.Type) =>
  CompletionResponse.make({
    choice: choice as ReadonlyArray<Message.AssistantContent>,
    finishReason: finish === "LANGUAGE" || finish === "pause_turn"
      ? { _tag: "Other", reason: finish }
      : { _tag: finish },
    usage: TokenUsage.make(counts),
    provider: "gemini",
    model: "gemini-3-flash-001",
    id,
    metadata: grounded
      ? {
        gemini: {
          groundingMetadata: { webSearchQueries: ["q"] },
          usageMetadata: { serviceTier: "standard" },
          promptFeedback: { safetyRatings: [] },
          candidates: [{ index: 1, finishReason: "STOP", content: { parts: [{ text: "other" }] } }]
        }
      }
      : undefined
  })

/** A choice as the wire can say it: what it cannot say stands here, and nowhere else. */
const normalChoice = (choice: ReadonlyArray<Message.AssistantContent>, streamed: boolean) => {
  const said = choice.flatMap((content): ReadonlyArray<Message.AssistantContent> => {
    switch (content._tag) {
      case "Text":
        return content.text === "" && content.signature === undefined ? [] : [content]
      case "Reasoning": {
        // A thought is a part of its own, a summary is a thought, and other providers' forms are not said.
        const parts = content.content.flatMap((part) =>
          part._tag === "Text" ? [part] : part._tag === "Summary" ? [Message.text(part.text)] : []
        )
        const last = content.content.at(-1)
        const signature = last?._tag === "Text" ? last.signature : undefined
        // A stream says one signature for all of them.
        const whole = { text: parts.map(({ text }) => text).join(""), signature }
        const kept = !streamed ? parts : whole.text === "" && signature === undefined ? [] : [whole]
        return kept.map(({ signature, text }) => ({
          _tag: "Reasoning",
          content: [{ _tag: "Text", text, ...(signature !== undefined && { signature }) }]
        }))
      }
      case "ProviderBlock":
        return content.provider === "gemini" ? [content] : []
      default:
        return [content]
    }
  })
  if (!streamed) return said
  // Texts of one kind that stand beside each other are one in a stream, up to a signature.
  return said.reduce<Array<Message.AssistantContent>>((all, content) => {
    const last = all.at(-1)
    if (last?._tag === "Text" && content._tag === "Text" && last.signature === undefined) {
      return [...all.slice(0, -1), { ...content, text: last.text + content.text }]
    }
    if (last?._tag === "Reasoning" && content._tag === "Reasoning") {
      const [a, b] = [last.content[0]!, content.content[0]!]
      if (a._tag === "Text" && b._tag === "Text" && a.signature === undefined) {
        return [...all.slice(0, -1), { _tag: "Reasoning", content: [{ ...b, text: a.text + b.text }] }]
      }
    }
    return [...all, content]
  }, [])
}

const expected = (response: CompletionResponse.CompletionResponse, streamed: boolean): unknown => {
  const { finishReason } = response
  return {
    choice: normalChoice(response.choice, streamed),
    finishReason: finishReason._tag === "ToolUse"
      ? { _tag: "Stop" }
      : finishReason._tag === "Other" && finishReason.reason === "pause_turn"
      ? { _tag: "Other", reason: "OTHER" }
      : finishReason,
    usage: response.usage,
    id: response.id ?? "seed",
    model: response.model,
    metadata: response.metadata?.["gemini"]
  }
}

const received = (answer: ReturnType<ReturnType<typeof wire.stream>["answer"]>) => {
  assert.isDefined(answer)
  const { choice, finishReason, id, metadata, model, usage } = answer
  // The word for a filter is metadata.
  const { finishReason: _, ...more } = metadata ?? {}
  return { choice, finishReason, usage, id, model, metadata: Object.keys(more).length === 0 ? undefined : more }
}

const dataOf = (text: string): JsonRecord => {
  assert.match(text, /^data: .*\r\n\r\n$/)
  return JSON.parse(text.slice(6)) as JsonRecord
}

describe("an answer that is written", () => {
  it.prop("is read as the same whole", { answer: Answer }, ({ answer }) => {
    const response = responseOf(answer)
    const body = JSON.parse(JSON.stringify(server.encode({ response }, asked, stamp))) as JsonRecord
    assert.deepStrictEqual(received(wire.response(body, mintId)), expected(response, false))
  }, runs)

  it.prop("is read as the same stream", { answer: Answer }, ({ answer }) => {
    const response = responseOf(answer)
    const encoder = server.stream(asked, stamp)
    const decoder = wire.stream(mintId)
    for (const part of Part.fromResponse(response)) {
      for (const event of encoder.part(part)) decoder.event(dataOf(event), [])
    }
    assert.isTrue(decoder.complete())
    assert.deepStrictEqual(received(decoder.answer()), expected(response, true))
    assert.deepStrictEqual(decoder.head(), { id: response.id ?? "seed", model: response.model })
  }, runs)

  it("shows thoughts to those who ask, and signatures to all", () => {
    const choice: ReadonlyArray<Message.AssistantContent> = [
      { _tag: "Reasoning", content: [{ _tag: "Text", text: "hm" }, { _tag: "Text", text: "so", signature: "s" }] },
      Message.text("x")
    ]
    const response = CompletionResponse.make({
      choice,
      finishReason: { _tag: "Stop" },
      usage: TokenUsage.zero,
      provider: "gemini"
    })
    const unasked: Asked = { ...asked, thoughts: false }
    const candidates = server.encode({ response }, unasked, stamp)["candidates"] as ReadonlyArray<JsonRecord>
    assert.deepStrictEqual(candidates[0]?.["content"], {
      role: "model",
      parts: [{ text: "", thought: true, thoughtSignature: "s" }, { text: "x" }]
    })
    const encoder = server.stream(unasked, stamp)
    const events = Part.fromResponse(response).flatMap((part) => encoder.part(part)).map(dataOf)
    assert.notInclude(JSON.stringify(events), "hm")
    assert.include(JSON.stringify(events), '"thoughtSignature":"s"')
  })

  it("gives calls without an id of the provider's none, and what was cut is not shown", () => {
    const response = CompletionResponse.make({
      choice: [Message.toolCall({ id: Message.mintId("a", 0), name: "f", arguments: { a: 1 } })],
      finishReason: { _tag: "MaxTokens" },
      usage: TokenUsage.zero,
      provider: "anthropic",
      metadata: { anthropic: { stop_details: {} } }
    })
    const cutCall = { id: "2", name: "g", arguments: '{"a' }
    assert.deepStrictEqual(server.encode({ response, cutCall }, asked, stamp), {
      candidates: [{
        content: { role: "model", parts: [{ functionCall: { name: "f", args: { a: 1 } } }] },
        finishReason: "MAX_TOKENS",
        index: 0
      }],
      usageMetadata: { promptTokenCount: 0, candidatesTokenCount: 0, totalTokenCount: 0 },
      modelVersion: model,
      responseId: "seed"
    })
  })

  it("writes calls that come at once one after the other", () => {
    const encoder = server.stream(asked, stamp)
    const call = (index: number) => Message.toolCall({ id: `${index}`, name: "f", arguments: { n: index } })
    const events = [
      { _tag: "ToolCallStart", index: 0, id: "0", name: "f" },
      { _tag: "ToolCallStart", index: 1, id: "1", name: "f" },
      { _tag: "ToolCallDelta", index: 1, arguments: '{"n":1}' },
      { _tag: "ToolCallDelta", index: 0, arguments: '{"n":0}' },
      { _tag: "ContentEnd", index: 1, content: call(1) },
      { _tag: "ContentEnd", index: 0, content: call(0) }
    ] as const satisfies ReadonlyArray<Part.CompletionPart>
    const decoder = wire.stream(mintId)
    for (const event of events.flatMap((part) => encoder.part(part))) decoder.event(dataOf(event), [])
    assert.deepStrictEqual(decoder.answer()?.choice, [call(1), call(0)])
    assert.match(encoder.ping, /^:.*\r\n\r\n$/)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Failures
// ---------------------------------------------------------------------------------------------------------------------

const reasons = {
  RateLimit: LLMError.RateLimitReason.literals,
  Transient: LLMError.TransientReason.literals,
  EmptyResponse: LLMError.EmptyResponseReason.literals,
  ClientError: LLMError.ClientErrorReason.literals
} as const

/** What the wire has no word for, and what it is read as instead; in a stream, where no answer can be written, more. */
const unsayable: Readonly<Record<string, readonly [whole: string, streamed?: string]>> = {
  Capacity: ["RateLimit Unknown"],
  Network: ["Transient Server"],
  Timeout: ["Transient Server"],
  Truncated: ["Transient Server"],
  Malformed: ["Transient Server"],
  NoContent: ["Transient Server"],
  MalformedOutput: ["Transient Server"],
  Budget: ["ClientError Quota"],
  MalformedToolCall: ["EmptyResponse MalformedToolCall", "Transient Server"],
  OutputBudget: ["ClientError OutputBudget", "ClientError InvalidRequest"]
}

const failureOf = (tag: string, reason: string, more: object = {}): LLMError.LLMError =>
  LLMError.make(tag as "Transient", {
    reason: reason as "Server",
    provider: "anthropic",
    model,
    description: "it went wrong",
    ...more
  })

const judged = (status: number, headers: Readonly<Record<string, string>>, body: JsonRecord) => {
  const answer = status === 200 ? wire.response(body, mintId) : undefined
  const signal = answer && judge(wire.failures, answer, asked.completion)
  assert(status !== 200 || signal !== undefined)
  return classify(
    wire.failures,
    signal as never ?? { _tag: "Failed", text: JSON.stringify(body), body },
    { status, headers, now: 0 }
  )
}

describe("a failure that is written", () => {
  for (const [tag, all] of Object.entries(reasons)) {
    for (const reason of all) {
      const [whole = `${tag} ${reason}`, streamed = whole] = unsayable[reason] ?? []
      it(`as ${tag} · ${reason} is read as ${whole}, in a stream as ${streamed}`, () => {
        const error = failureOf(tag, reason)
        const { body, headers, status } = server.refuse(error, stamp)
        const read = judged(status, headers, body)
        assert.strictEqual(read.verdict.join(" "), whole)
        assert.include(read.description, reason === "OutputBudget" ? "maxTokens" : "it went wrong")
        const [event] = server.stream(asked, stamp).fail(error)
        const inStream = classify(wire.failures, { _tag: "Failed", text: "", body: dataOf(event!) }, {
          status: 200,
          now: 0
        })
        assert.strictEqual(inStream.verdict.join(" "), streamed)
      })
    }
  }

  it("says how long to wait, and that it is not to be sent again", () => {
    const error = failureOf("RateLimit", "Tokens", { retryAfter: Duration.millis(1500), retryable: false })
    const { body, headers, status } = server.refuse(error, stamp)
    const { retryAfter, retryable } = judged(status, {}, body)
    assert.deepStrictEqual([retryAfter && Duration.toMillis(retryAfter), retryable], [1500, undefined])
    assert.deepStrictEqual(headers, { "retry-after": "2", "x-should-retry": "false" })
    assert.isFalse(judged(status, headers, body).retryable)
    const forever = server.refuse(failureOf("RateLimit", "Unknown", { retryAfter: Duration.infinity }), stamp)
    assert.notInclude(JSON.stringify(forever), "Infinity")
  })
})
