/** What holds for the requests of every provider. */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Anthropic, Completion, LLMClient, Message, Tool } from "../../src/index.ts"
import * as Simulator from "../../src/testing/Simulator.ts"
import {
  answers,
  at,
  bodyTo,
  exchange,
  type Json,
  layers,
  type Name,
  names,
  providerOf,
  refusal,
  sendTo,
  vendorOf
} from "./exchange.ts"

const question = Completion.make({ model: "m", prompt: "Hi" })

// ---------------------------------------------------------------------------------------------------------------------
// Contents
// ---------------------------------------------------------------------------------------------------------------------

const media = { Image: Message.image, Audio: Message.audio, Video: Message.video, Document: Message.document }

/** Sources of every kind; the media type of the data is one that many take. */
const sourcesOf = {
  Image: "image/png",
  Audio: "audio/wav",
  Video: "video/mp4",
  Document: "application/pdf"
} as const

const sources = (kind: keyof typeof media) => ({
  Url: Message.url("https://example.com/file", sourcesOf[kind]),
  Base64: Message.base64("AAAA", sourcesOf[kind]),
  FileId: Message.fileId("file-1")
})

const accepted: { readonly [N in Name]: ReadonlyArray<string> } = {
  anthropic: ["Image Url", "Image Base64", "Image FileId", "Document Url", "Document Base64", "Document FileId"],
  openai: ["Image Url", "Image Base64", "Audio Base64", "Document Base64", "Document FileId"],
  compatible: [
    "Image Url",
    "Image Base64",
    "Audio Base64",
    "Video Url",
    "Video Base64",
    "Document Base64",
    "Document FileId"
  ],
  openrouter: [
    "Image Url",
    "Image Base64",
    "Audio Base64",
    "Video Url",
    "Video Base64",
    "Document Url",
    "Document Base64"
  ],
  gemini: [
    "Image Url",
    "Image Base64",
    "Audio Url",
    "Audio Base64",
    "Video Url",
    "Video Base64",
    "Document Url",
    "Document Base64"
  ]
}

const spelled = { Url: "by URL", Base64: "as base64 data", FileId: "by file id" } as const

const unsupported = (name: Name, completion: Completion.Completion, ...words: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const error = yield* refusal(name)(completion)
    assert.strictEqual(error.reason, "Unsupported")
    assert.isTrue(error.isFallbackable)
    assert.strictEqual(error.provider, providerOf(name))
    for (const word of [providerOf(name), ...words]) assert.include(error.message, word)
  })

describe("contents", () => {
  for (const name of names) {
    for (const kind of Object.keys(media) as ReadonlyArray<keyof typeof media>) {
      for (const [tag, source] of Object.entries(sources(kind))) {
        const completion = Completion.prompt(Message.user(media[kind](source)))(question)
        if (accepted[name].includes(`${kind} ${tag}`)) {
          it.effect(`${name} takes ${kind} ${tag}`, () => sendTo(name)(completion))
        } else {
          it.effect(`${name} refuses ${kind} ${tag}, by name`, () =>
            unsupported(name, completion, kind.toLowerCase(), spelled[tag as keyof typeof spelled]))
        }
      }
    }
  }

  for (
    const [name, content] of [
      ["anthropic", Message.image(Message.base64("AAAA", "image/heic"))],
      ["anthropic", Message.document(Message.base64("AAAA", "text/csv"))],
      ["openai", Message.audio(Message.base64("AAAA", "audio/flac"))],
      ["openai", Message.document(Message.base64("AAAA", "application/zip"))],
      ["gemini", Message.image(Message.base64("AAAA", "image/gif"))],
      ["gemini", Message.document(Message.base64("AAAA", "application/zip"))]
    ] as const
  ) {
    const { mediaType } = content.source as Message.Base64
    it.effect(`${name} refuses ${mediaType}, and says what it takes`, () =>
      unsupported(name, Completion.prompt(Message.user(content))(question), mediaType, ": use "))
  }

  const withResult = (image: Message.Image): Completion.Completion =>
    question.pipe(
      Completion.history([
        Message.user("a"),
        Message.assistant(Message.toolCall({ id: "1", name: "look", arguments: {} }))
      ]),
      Completion.prompt(Message.user(Message.toolResult({ id: "1", name: "look", content: image })))
    )

  const data = Message.image(Message.base64("AAAA", "image/png"))
  const linked = Message.image(Message.url("https://example.com/a.png", "image/png"))

  for (const name of names) {
    const takes = name === "anthropic" ? [data, linked] : name === "gemini" ? [data] : []
    for (const image of [data, linked]) {
      if (takes.includes(image)) {
        it.effect(`${name} takes an image ${image.source._tag} in a tool result`, () => sendTo(name)(withResult(image)))
      } else {
        it.effect(`${name} refuses an image ${image.source._tag} in a tool result`, () =>
          unsupported(name, withResult(image), "image content in a tool result"))
      }
    }

    const answered = question.pipe(Completion.history([Message.user("a"), Message.assistant(data)]))
    if (name === "gemini" || name === "openrouter") {
      it.effect(`${name} takes an image in an assistant message`, () => sendTo(name)(answered))
    } else {
      it.effect(`${name} refuses an image in an assistant message`, () =>
        unsupported(name, answered, "an image in an assistant message"))
    }
  }

  for (const name of ["anthropic", "compatible", "openrouter"] as const) {
    it.effect(`${name} cannot be made to call one of several tools`, () =>
      unsupported(
        name,
        question.pipe(
          Completion.tools(["a", "b"].map((name) => Tool.make(name, { description: "", parameters: {} }))),
          Completion.toolChoice(Tool.specific("a", "b"))
        ),
        "Required"
      ))
  }
})

// ---------------------------------------------------------------------------------------------------------------------
// Parameters
// ---------------------------------------------------------------------------------------------------------------------

describe("parameters of the caller's own", () => {
  const tool = Tool.make("weather", { description: "The weather.", parameters: Schema.Struct({ city: Schema.String }) })

  for (const name of names) {
    const provider = vendorOf(name)

    it.effect(`are merged deeply over the body of ${name}, and win`, () =>
      Effect.gen(function*() {
        const sent = yield* bodyTo(name)(question.pipe(
          Completion.temperature(0),
          Completion.outputSchema({ type: "object" }),
          Completion.additionalParams({ temperature: 1, deep: { a: { b: 1 }, list: [1, 2] }, nothing: null }),
          Completion.providerParams({
            [provider]: { deep: { a: { c: 2 }, list: [3] }, nothing: 1 },
            other: { wrong: true }
          })
        ))
        assert.strictEqual(sent["temperature"], 1)
        assert.deepStrictEqual(sent["deep"], { a: { b: 1, c: 2 }, list: [3] })
        assert.strictEqual(sent["nothing"], 1)
        assert.notProperty(sent, "wrong")
      }))

    it.effect(`add their tools to those of a completion for ${name}`, () =>
      Effect.gen(function*() {
        const plain = (yield* bodyTo(name)(Completion.tools([tool])(question)))["tools"] as ReadonlyArray<unknown>
        const sent = yield* bodyTo(name)(question.pipe(
          Completion.tools([tool]),
          Completion.additionalParams({ tools: [{ first: {} }] }),
          Completion.providerParams({ [provider]: { tools: [{ second: {} }] } })
        ))
        assert.deepStrictEqual(sent["tools"], [...plain, { first: {} }, { second: {} }])
        const alone = yield* bodyTo(name)(Completion.additionalParams({ tools: [{ first: {} }] })(question))
        assert.deepStrictEqual(alone["tools"], [{ first: {} }])
      }))

    it.effect(`may be named as what every object has, for ${name}`, () =>
      Effect.gen(function*() {
        const additionalParams = JSON.parse('{"__proto__":{"polluted":1},"constructor":{"a":1}}')
        const { text } = yield* sendTo(name)(Completion.additionalParams(additionalParams)(question))
        assert.include(text, '"__proto__":{"polluted":1}')
        assert.include(text, '"constructor":{"a":1}')
        assert.notProperty({}, "polluted")
      }))
  }

  it.effect("reach inside of what is sent anyway", () =>
    Effect.gen(function*() {
      const asked = question.pipe(
        Completion.outputSchema({ type: "object" }),
        Completion.additionalParams({ output_config: { effort: "low" } })
      )
      const sent = yield* bodyTo("anthropic")(asked)
      assert.strictEqual(at(sent, "output_config", "effort"), "low")
      assert.strictEqual(at(sent, "output_config", "format", "type"), "json_schema")
    }))

  it.effect("for a compatible server are those of openai", () =>
    Effect.gen(function*() {
      const asked = Completion.providerParams({ openai: { top_k: 1 } })(question)
      assert.strictEqual((yield* bodyTo("compatible")(asked))["top_k"], 1)
    }))
})

describe("headers", () => {
  it.effect("of the options and of the completion, which wins", () =>
    Effect.gen(function*() {
      const layer = Anthropic.layer({
        apiKey: Redacted.make("key"),
        betas: ["a", "b"],
        headers: { "X-One": "1", "X-Two": "2" }
      })
      const asked = Completion.headers({ "x-two": "mine", "anthropic-beta": "b,c", "X-API-Key": "other" })(question)
      const { sent: [sent] } = yield* exchange(layer, asked, answers.anthropic)
      assert.strictEqual(sent?.headers["x-one"], "1")
      assert.strictEqual(sent?.headers["x-two"], "mine")
      assert.strictEqual(sent?.headers["anthropic-beta"], "a,b,c")
      assert.strictEqual(sent?.headers["x-api-key"], "other")
    }))

  for (const name of names) {
    it.effect(`of a trace do not go to ${name}`, () =>
      Effect.gen(function*() {
        const sent = yield* sendTo(name)(question).pipe(Effect.withSpan("test"))
        assert.notProperty(sent.headers, "traceparent")
        assert.notProperty(sent.headers, "b3")
      }))
  }
})

// ---------------------------------------------------------------------------------------------------------------------
// Laws
// ---------------------------------------------------------------------------------------------------------------------

// Contents that every provider takes, in place of those that only some do.
const image = Message.image(Message.base64("AAAA", "image/png"))

const everywhere = (message: Message.Message): Message.Message => {
  switch (message._tag) {
    case "System":
      return message
    case "User":
      return Message.user(message.content.map((content) =>
        content._tag === "ToolResult"
          ? {
            ...content,
            id: `${content.id}1`,
            content: content.content.filter((item) => item._tag !== "Image" && item._tag !== "Document")
          }
          : content._tag === "Text"
          ? content
          : image
      ))
    case "Assistant":
      return {
        ...message,
        content: message.content.flatMap((content) =>
          content._tag === "Image"
            ? []
            : [content._tag === "ToolCall" ? { ...content, id: `${content.id}1`, name: `${content.name}1` } : content]
        )
      }
  }
}

/** Completions that every provider can be sent. */
const completions = Arbitrary.map(Arbitrary.schema(Completion.Completion), (completion) => {
  const {
    headers: _,
    maxTokens,
    outputSchema,
    prompt,
    reasoning,
    seed,
    stopSequences,
    temperature,
    toolChoice,
    topP,
    ...rest
  } = completion
  return Completion.make({
    ...rest,
    model: "m",
    history: [...completion.history.map(everywhere), ...(prompt._tag === "User" ? [everywhere(prompt)] : [])],
    prompt: "and?",
    tools: completion.tools.map((tool, index) => ({ ...tool, name: `tool_${index}` })),
    ...(outputSchema && { outputSchema: { type: "object", properties: { a: outputSchema } } }),
    ...(stopSequences && { stopSequences: stopSequences.filter((text) => text !== "") }),
    ...(toolChoice !== undefined && toolChoice._tag !== "Specific" && completion.tools.length > 0 && { toolChoice }),
    ...(maxTokens !== undefined && { maxTokens: Math.abs(Math.trunc(maxTokens)) % 1000 + 1 }),
    ...(temperature !== undefined && { temperature: Math.abs(temperature) }),
    ...(topP !== undefined && { topP: 1 / (1 + Math.abs(topP)) }),
    ...(seed !== undefined && { seed: Math.trunc(seed) % 1000 }),
    ...(reasoning !== undefined && {
      reasoning: {
        ...reasoning,
        ...(reasoning.budgetTokens !== undefined &&
          { budgetTokens: Math.abs(Math.trunc(reasoning.budgetTokens)) % 1000 })
      }
    })
  })
})

const roundTrip = (completion: Completion.Completion) =>
  Effect.gen(function*() {
    const codec = Schema.fromJsonString(Completion.Completion)
    return yield* Schema.decodeEffect(codec)(yield* Schema.encodeEffect(codec)(completion))
  })

describe("any completion", () => {
  for (const name of names) {
    it.effect.prop(
      `gives ${name} the same bytes each time, also after a round trip through JSON`,
      [completions],
      ([completion]) =>
        Effect.gen(function*() {
          const { text } = yield* sendTo(name)(completion)
          assert.strictEqual((yield* sendTo(name)(completion)).text, text)
          // V8 13.6 reads an escaped key as another that it has seen: {"":0,"\\u0001":0} after {"":0,"\\\\":0}.
          if (/\\[^"]*":/.test(text)) return
          assert.strictEqual((yield* sendTo(name)(yield* roundTrip(completion))).text, text)
        }),
      { arbitrary: { runs: 30, seed: name } }
    )

    it.effect.prop(
      `is sent to ${name} or refused, and leaves itself as it was`,
      [Arbitrary.schema(Completion.Completion)],
      ([completion]) =>
        Effect.gen(function*() {
          const before = JSON.stringify(completion)
          const { result, sent } = yield* exchange(layers[name], completion, answers[name])
          assert.strictEqual(JSON.stringify(completion), before)
          if (sent.length === 0) {
            assert(Result.isFailure(result) && result.failure._tag === "ClientError")
            assert.include(["InvalidRequest", "Unsupported"], result.failure.reason)
          }
        }),
      { arbitrary: { runs: 30, seed: name } }
    )

    it.effect.prop(
      `has no empty texts, no empty turns and all its calls answered where it had, for ${name}`,
      [Schema.Array(Schema.Literals(["", "a", "b"])), Schema.Array(Schema.Literals(["1", "2", "3"]))],
      ([texts, ids]) =>
        Effect.gen(function*() {
          const unique = [...new Set(ids)]
          const sent = yield* sendTo(name)(Completion.make({
            model: "m",
            history: [
              ...texts.flatMap((text) => [Message.user(text), Message.assistant(text)]),
              Message.user("go"),
              Message.assistant(unique.map((id) => Message.toolCall({ id, name: "t", arguments: {} }))),
              ...unique.map((id) => Message.user(Message.toolResult({ id, name: "t", content: "r" })))
            ],
            prompt: "end"
          }))
          assert.notMatch(sent.text, /"text":""|"content":(""|\[\])|"parts":\[\]/)
          const answers = [...sent.text.matchAll(/"tool_result"|"role":"tool"|"functionResponse"/g)]
          assert.lengthOf(answers, unique.length)
        }),
      { arbitrary: { runs: 20, seed: name } }
    )
  }
})

describe("a long conversation", () => {
  const tools = [
    Tool.make("weather", {
      description: "The weather of a city.",
      parameters: Schema.Struct({
        city: Schema.NonEmptyString,
        days: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 7 }))),
        unit: Schema.NullOr(Schema.Literals(["celsius", "fahrenheit"])),
        points: Schema.Array(Schema.Tuple([Schema.Finite, Schema.Finite]))
      })
    }),
    Tool.make("now", { description: "The time.", parameters: Schema.Struct({}) })
  ]
  const call = (id: string, name: string) => Message.toolCall({ id, name, arguments: { city: "Rome" } })
  const history = [
    Message.system("Be brief."),
    Message.user(["What is this?", image]),
    Message.assistant([
      {
        _tag: "Reasoning",
        content: [{ _tag: "Text", text: "hm", signature: "c2ln" }, { _tag: "Summary", text: "so" }]
      },
      "\n",
      Message.text("A cat.", { signature: "c2ln" })
    ], { provider: "anthropic" }),
    Message.user("And the weather, and the time?"),
    Message.assistant(["Let me see.", call("call_1", "weather"), call("call_2", "now")], { provider: "gemini" }),
    Message.user(Message.toolResult({ id: "call_1", name: "weather", content: Message.json({ sky: "blue" }) })),
    Message.user(Message.toolResult({ id: "call_2", name: "now", content: "no clock", isError: true })),
    Message.assistant([], { provider: "anthropic" }),
    Message.user("Go on."),
    Message.assistant(call("call_3", "now"), { provider: "openai" }),
    Message.user(Message.toolResult({ id: "call_3", name: "now", content: "" })),
    Message.assistant("Noon.", { provider: "openrouter" })
  ]
  const completion = Completion.make({
    preamble: "You are a clock.",
    history,
    prompt: Message.user([Message.text("Thanks. And now?", { cache: {} })]),
    tools,
    toolChoice: Tool.required,
    maxTokens: 200,
    temperature: 0.5,
    stopSequences: ["END"]
  })

  for (
    const [name, model] of [
      ["anthropic", "claude-sonnet-4-6"],
      ["openai", "gpt-4.1"],
      ["openai", "gpt-4o"],
      ["gemini", "gemini-2.5-flash"],
      ["openrouter", "anthropic/claude-sonnet-4.6"]
    ] as const
  ) {
    it.effect(`that several providers wrote is taken by ${name}, as ${model}`, () =>
      Effect.gen(function*() {
        const response = yield* LLMClient.completion(Completion.model(model)(completion))
        assert.deepStrictEqual(response.finishReason, { _tag: "ToolUse" })
      }).pipe(Effect.provide(Layer.provide(layers[name], Simulator.layer()))))
  }
})

describe("keys", () => {
  it.effect("keep their order, whatever the order in which a completion was built", () =>
    Effect.gen(function*() {
      const one = question.pipe(Completion.temperature(0), Completion.maxTokens(1), Completion.preamble("p"))
      const other = question.pipe(Completion.preamble("p"), Completion.maxTokens(1), Completion.temperature(0))
      for (const name of names) {
        assert.strictEqual((yield* sendTo(name)(one)).text, (yield* sendTo(name)(other)).text)
      }
    }))

  it.effect("of schemas keep the order that they have", () =>
    Effect.gen(function*() {
      const properties: Json = { z: { type: "string" }, a: { type: "string" }, m: { type: "string" } }
      const parameters = { type: "object", properties, required: ["z", "a", "m"] } as Schema.JsonObject
      const asked = Completion.tools([{ name: "t", description: "d", parameters }])(question)
      for (const name of names) {
        const { text } = yield* sendTo(name)(asked)
        assert.isBelow(text.indexOf('"z":{'), text.indexOf('"a":{'))
        assert.isBelow(text.indexOf('"a":{'), text.indexOf('"m":{'))
      }
    }))
})
