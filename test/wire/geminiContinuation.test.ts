/** Answers of Gemini 4 that take several requests, over an `HttpClient` that answers them one after the other. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import {
  Completion,
  type CompletionPart,
  type CompletionResponse,
  ConversationUsageWindow,
  Gemini,
  LLMClient,
  type LLMError,
  Message
} from "../../src/index.ts"
import { runs } from "../effort.ts"

type Json = { readonly [key: string]: unknown }

const question = Completion.make({ model: "gemini-4-argon", prompt: "Count.", maxTokens: 200_000 })

const usage = (prompt: number, candidates: number, thoughts = 0, cached = 0): Json => ({
  promptTokenCount: prompt,
  candidatesTokenCount: candidates,
  thoughtsTokenCount: thoughts,
  cachedContentTokenCount: cached,
  totalTokenCount: prompt + candidates + thoughts
})

const piece = (part: Json, fields: Json = {}, rest: Json = {}): Json => ({
  candidates: [{ content: { role: "model", parts: [part] }, index: 0, ...fields }],
  modelVersion: "gemini-4-argon",
  responseId: "r",
  ...rest
})

const more = (token: string): Json => ({ finishReason: "CONTINUATION", continuationToken: token })
const stop = { finishReason: "STOP" }

/** What a server answers one request with: events or a body, a failure, or nothing at all. */
type Reply =
  | { readonly events: ReadonlyArray<Json>; readonly breaks?: true }
  | { readonly body: unknown; readonly status?: number }
  | "dead"
  | "silent"

const bytes = (events: ReadonlyArray<Json>, breaks = false): ReadableStream<Uint8Array> => {
  const chunks = events.map((event) => new TextEncoder().encode(`data: ${JSON.stringify(event)}\r\n\r\n`))
  return new ReadableStream({
    pull(controller) {
      const chunk = chunks.shift()
      if (chunk !== undefined) controller.enqueue(chunk)
      else if (breaks) controller.error(new Error("reset"))
      else controller.close()
    }
  })
}

interface Sent {
  readonly path: string
  readonly body: Json
}

const serve = (replies: ReadonlyArray<Reply>) => {
  const sent: Array<Sent> = []
  const client = HttpClient.make((request, url) =>
    Effect.suspend(() => {
      const { body } = request
      sent.push({
        path: url.pathname,
        body: JSON.parse(body._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : "{}") as Json
      })
      const reply = replies[sent.length - 1]
      assert.isDefined(reply, "more requests than replies")
      if (reply === "silent") return Effect.never
      if (reply === "dead") {
        return Effect.fail(
          new HttpClientError.HttpClientError({
            reason: new HttpClientError.TransportError({ request, cause: new Error("refused") })
          })
        )
      }
      return Effect.succeed(HttpClientResponse.fromWeb(
        request,
        "events" in reply
          ? new Response(bytes(reply.events, reply.breaks), { headers: { "content-type": "text/event-stream" } })
          : Response.json(reply.body, { status: reply.status ?? 200 })
      ))
    })
  )
  return { sent, http: Layer.succeed(HttpClient.HttpClient, client) }
}

interface Ran {
  readonly sent: ReadonlyArray<Sent>
  readonly parts: ReadonlyArray<CompletionPart.CompletionPart>
  readonly result: Result.Result<CompletionResponse.CompletionResponse, LLMError.LLMError>
}

const run = (
  whole: "stream" | "unary",
  replies: ReadonlyArray<Reply>,
  completion = question,
  options: Partial<Gemini.Options> = {}
): Effect.Effect<Ran> => {
  const { http, sent } = serve(replies)
  const layer = Gemini.layer({ apiKey: Redacted.make("key"), whole, ...options }).pipe(Layer.provide(http))
  const parts: Array<CompletionPart.CompletionPart> = []
  const streamed = Stream.runForEach(LLMClient.stream(completion), (part) => Effect.sync(() => parts.push(part))).pipe(
    Effect.map(() => {
      const last = parts.at(-1)
      assert(last?._tag === "Finish")
      return last.response
    })
  )
  return (whole === "stream" ? streamed : LLMClient.completion(completion)).pipe(
    Effect.result,
    Effect.provide(layer),
    Effect.map((result) => ({ sent, parts, result }))
  )
}

const success = ({ result }: Ran): CompletionResponse.CompletionResponse => Result.getOrThrow(result)
const failure = ({ result }: Ran): LLMError.LLMError => Result.getOrThrow(Result.flip(result))

/** The same requests' answers, streamed and whole. */
const threeHops = {
  stream: [
    {
      events: [
        piece({ text: "One, " }),
        // A token in the middle is no end.
        piece({ text: "two" }, { continuationToken: "early" }),
        piece({ text: "" }, more("t1"), { usageMetadata: usage(10, 40, 5, 4) })
      ]
    },
    { events: [piece({ text: ", three" }), piece({ text: "" }, more("t2"), { usageMetadata: usage(55, 60, 3, 50) })] },
    { events: [piece({ text: "." }, stop, { usageMetadata: usage(118, 25, 2, 110) })] }
  ],
  unary: [
    { body: piece({ text: "One, two" }, more("t1"), { usageMetadata: usage(10, 40, 5, 4) }) },
    { body: piece({ text: ", three" }, more("t2"), { usageMetadata: usage(55, 60, 3, 50) }) },
    { body: piece({ text: "." }, stop, { usageMetadata: usage(118, 25, 2, 110) }) }
  ]
} as const satisfies { readonly [mode: string]: ReadonlyArray<Reply> }

const modes = ["stream", "unary"] as const

describe("an answer that takes several requests", () => {
  for (const mode of modes) {
    it.effect(`is one answer (${mode}): the same request again, with the token`, () =>
      Effect.gen(function*() {
        const ran = yield* run(mode, threeHops[mode])
        const response = success(ran)
        assert.deepStrictEqual(response.choice, [{ _tag: "Text", text: "One, two, three." }])
        assert.deepStrictEqual(response.finishReason, { _tag: "Stop" })
        assert.strictEqual(response.id, "r")
        const [first, second, third] = ran.sent
        assert.lengthOf(ran.sent, 3)
        assert.deepStrictEqual(ran.sent.map(({ path }) => path), Array(3).fill(first?.path))
        assert.notProperty(first?.body, "continuationToken")
        const config = { maxOutputTokens: 200_000 }
        for (const [{ body }, continuationToken] of [[second!, "t1"], [third!, "t2"]] as const) {
          assert.deepStrictEqual(body, { ...first?.body, generationConfig: config, continuationToken })
        }
      }))

    it.effect(`counts what every request was billed for (${mode}), and lists it`, () =>
      Effect.gen(function*() {
        const response = success(yield* run(mode, threeHops[mode]))
        assert.deepStrictEqual({ ...response.usage }, {
          inputTokens: 183,
          outputTokens: 135,
          totalTokens: 318,
          cachedInputTokens: 164,
          cacheWriteTokens: 0,
          longCacheWriteTokens: 0,
          reasoningTokens: 10
        })
        assert.deepStrictEqual(
          response.passes?.map(({ kind, usage }) => [kind, usage.inputTokens, usage.totalTokens]),
          [
            ["hop", 10, 55],
            ["hop", 55, 118],
            ["hop", 118, 145]
          ]
        )
        // The window holds the prompt and all of the answer, once.
        const window = yield* ConversationUsageWindow.make()
        yield* window.record(response)
        assert.strictEqual(yield* window.context, 145)
        assert.strictEqual(response.metadata?.["gemini"]?.["initialPromptTokenCount"], 10)
        assert.notProperty(response.metadata?.["gemini"], "continuationToken")
      }))

    it.effect(`may take many (${mode}), and thoughts alone in some of them`, () =>
      Effect.gen(function*() {
        const hops = Array.from({ length: 30 }, (_, index) =>
          piece({ text: index % 2 === 0 ? "" : "x", thoughtSignature: "" }, more(`t${index}`), {
            usageMetadata: usage(1, 1)
          }))
        const all = [...hops, piece({ text: "end" }, stop, { usageMetadata: usage(1, 1) })]
        const ran = yield* run(
          mode,
          mode === "stream" ? all.map((event) => ({ events: [event] })) : all.map((body) => ({ body }))
        )
        assert.strictEqual(success(ran).text, `${"x".repeat(15)}end`)
        assert.strictEqual(success(ran).usage.totalTokens, 62)
        assert.lengthOf(ran.sent, 31)
      }))

    it.effect(`ends where a request brings nothing, or its own token again (${mode})`, () =>
      Effect.gen(function*() {
        const as = (event: Json): Reply => mode === "stream" ? { events: [event] } : { body: event }
        const nothing = yield* run(mode, [
          as(piece({ text: "x" }, more("t1"))),
          as(piece({ text: "" }, more("t2")))
        ])
        const again = yield* run(mode, [
          as(piece({ text: "x" }, more("t1"))),
          as(piece({ text: "y" }, more("t1")))
        ])
        const none = yield* run(mode, [as(piece({ text: "x" }, { finishReason: "CONTINUATION" }))])
        for (const [ran, text] of [[nothing, "x"], [again, "xy"], [none, "x"]] as const) {
          assert.strictEqual(success(ran).text, text)
          assert.deepStrictEqual(success(ran).finishReason, { _tag: "MaxTokens" })
        }
      }))

    it.effect(`is not gone on with at MAX_TOKENS (${mode}): the token is the caller's`, () =>
      Effect.gen(function*() {
        const cut = piece({ text: "One" }, { finishReason: "MAX_TOKENS", continuationToken: "t1" })
        const short = Completion.maxTokens(100)(question)
        const as = (event: Json): Reply => mode === "stream" ? { events: [event] } : { body: event }
        const ran = yield* run(mode, [as(cut)], short)
        const response = success(ran)
        assert.deepStrictEqual(response.finishReason, { _tag: "MaxTokens" })
        assert.deepStrictEqual(response.metadata?.["gemini"], { continuationToken: "t1" })
        const { continuationToken } = response.metadata?.["gemini"] ?? {}
        const next = yield* run(
          mode,
          [as(piece({ text: ", two" }, stop))],
          short.pipe(
            Completion.maxTokens(1000),
            Completion.providerParams({ gemini: { continuationToken: continuationToken! } })
          )
        )
        assert.strictEqual(success(next).text, ", two")
        assert.strictEqual(next.sent[0]?.body["continuationToken"], "t1")
      }))
  }

  it.effect("streams its parts as one: one Start, one text, one Finish", () =>
    Effect.gen(function*() {
      const { parts } = yield* run("stream", threeHops.stream)
      assert.deepStrictEqual(parts.slice(0, -1), [
        { _tag: "Start", provider: "gemini", model: "gemini-4-argon", id: "r" },
        { _tag: "TextDelta", index: 0, text: "One, " },
        { _tag: "TextDelta", index: 0, text: "two" },
        { _tag: "TextDelta", index: 0, text: ", three" },
        { _tag: "TextDelta", index: 0, text: "." },
        { _tag: "ContentEnd", index: 0, content: { _tag: "Text", text: "One, two, three." } }
      ])
    }))

  it.effect("goes on where the network breaks after the request's end", () =>
    Effect.gen(function*() {
      const ran = yield* run("stream", [
        { events: [piece({ text: "One" }, more("t1"))], breaks: true },
        { events: [piece({ text: ", two" }, stop)] }
      ])
      assert.strictEqual(success(ran).text, "One, two")
    }))

  it.effect("names a limit that the first request takes where it is not streamed, and then the whole", () =>
    Effect.gen(function*() {
      const ran = yield* run("unary", [
        { body: piece({ text: "One" }, { finishReason: "MAX_TOKENS", continuationToken: "t1" }) },
        { body: piece({ text: ", two" }, { finishReason: "MAX_TOKENS", continuationToken: "t2" }) }
      ])
      assert.strictEqual(success(ran).text, "One, two")
      assert.deepStrictEqual(success(ran).finishReason, { _tag: "MaxTokens" })
      assert.strictEqual(success(ran).metadata?.["gemini"]?.["continuationToken"], "t2")
      assert.deepStrictEqual(ran.sent.map(({ body }) => body["generationConfig"]), [
        { maxOutputTokens: 32_768 },
        { maxOutputTokens: 200_000 }
      ])
      // Of other models, and in streams, it is as the caller wants it.
      const other = yield* run(
        "unary",
        [{ body: piece({ text: "x" }, stop) }],
        Completion.model("gemini-3.8-flash")(question)
      )
      const streamed = yield* run("stream", [{ events: [piece({ text: "x" }, stop)] }])
      for (const { sent } of [other, streamed]) {
        assert.deepStrictEqual(sent[0]?.body["generationConfig"], { maxOutputTokens: 200_000 })
      }
    }))
})

describe("a further request that fails", () => {
  const kinds = [
    [
      "with a status",
      { body: { error: { code: 503, status: "UNAVAILABLE", message: "busy" } }, status: 503 },
      "Overloaded"
    ],
    ["on its way", "dead", "Network"],
    ["with an error in its body", { body: { error: { code: 429, status: "RESOURCE_EXHAUSTED" } } }, "Unknown"]
  ] as const satisfies ReadonlyArray<readonly [string, Reply, string]>

  for (const mode of modes) {
    for (const [what, reply, reason] of kinds) {
      it.effect(`${what} gives what had come, with its usage (${mode})`, () =>
        Effect.gen(function*() {
          const ran = yield* run(mode, [...threeHops[mode].slice(0, 2), reply])
          const error = failure(ran)
          assert.strictEqual(error.reason, reason)
          assert.strictEqual(error.partial?.text, "One, two, three")
          assert.deepStrictEqual(error.partial?.finishReason, { _tag: "MaxTokens" })
          assert.strictEqual(error.partial?.usage.totalTokens, 173)
          assert.strictEqual(error.partial?.metadata?.["gemini"]?.["continuationToken"], "t2")
          assert.notInclude(ran.parts.map(({ _tag }) => _tag), "Finish")
        }))
    }

    it.effect(`with an invalid body, returns the partial answer (${mode})`, () =>
      Effect.gen(function*() {
        const broken = mode === "stream"
          ? { events: [piece({ text: " and" })], breaks: true } as const
          : { body: "x" }
        const error = failure(yield* run(mode, [...threeHops[mode].slice(0, 2), broken]))
        assert.strictEqual(error._tag, "Transient")
        assert.strictEqual(error.partial?.text, mode === "stream" ? "One, two, three and" : "One, two, three")
        assert.deepStrictEqual(error.partial?.finishReason, { _tag: "MaxTokens" })
      }))

    it.effect(`by our own clock gives what had come (${mode})`, () =>
      Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(
          run(mode, [threeHops[mode][0], "silent"], question, { timeouts: { total: "2 minutes" } })
        )
        yield* TestClock.adjust("3 minutes")
        const error = failure(yield* Fiber.join(fiber))
        assert.strictEqual(error.reason, "Timeout")
        assert.strictEqual(error.partial?.text, "One, two")
        assert.strictEqual(error.partial?.usage.totalTokens, 55)
      }))
  }

  it.effect("by a filter that takes the rest ends the answer with it", () =>
    Effect.gen(function*() {
      const ran = yield* run("stream", [threeHops.stream[0], {
        events: [piece({ text: "" }, { finishReason: "SAFETY" })]
      }])
      assert.deepStrictEqual(success(ran).finishReason, { _tag: "ContentFilter" })
      assert.strictEqual(success(ran).text, "One, two")
    }))
})

describe("whatever the cut", () => {
  const Hop = Schema.Struct({ texts: Schema.Array(Schema.Literals(["a", "b ", "☀️"])), call: Schema.Boolean })

  it.effect.prop(
    "an answer of several requests is the answer of one",
    { hops: Schema.NonEmptyArray(Hop) },
    ({ hops }) =>
      Effect.gen(function*() {
        const parts = hops.map(({ call, texts }, hop) => [
          ...texts.map((text) => ({ text })),
          ...(call ? [{ functionCall: { name: "f", id: `${hop}`, args: { hop } } }] : [])
        ])
        const fields = (hop: number) => hop === hops.length - 1 ? stop : more(`t${hop}`)
        const streamed = parts.map((own, hop) => ({
          events: [...own.map((part) => piece(part)), piece({ text: "" }, fields(hop), { usageMetadata: usage(5, 1) })]
        }))
        const one = [{ events: [...parts.flat().map((part) => piece(part)), piece({ text: "" }, stop)] }]
        const many = yield* run("stream", streamed)
        const single = yield* run("stream", one)
        const contents = ({ result }: Ran) => Result.isSuccess(result) ? result.success.choice : result.failure.reason
        assert.deepStrictEqual(contents(many), contents(single))
        const body = (own: ReadonlyArray<Json>, hop: number): Reply => ({
          body: {
            candidates: [{ content: { parts: own }, ...fields(hop) }],
            usageMetadata: usage(5, 1)
          }
        })
        const unary = yield* run("unary", parts.map(body))
        if (Result.isSuccess(many.result)) {
          assert.strictEqual(success(unary).text, success(many).text)
          assert.deepStrictEqual(success(unary).toolCalls, success(many).toolCalls)
          assert.deepStrictEqual(success(unary).usage, success(many).usage)
        }
      }),
    { arbitrary: { runs: runs(60, 200) } }
  )
})

describe("a conversation", () => {
  it.effect("that holds such an answer goes on as any other", () =>
    Effect.gen(function*() {
      const response = success(yield* run("stream", threeHops.stream))
      const ran = yield* run(
        "stream",
        [{ events: [piece({ text: "x" }, stop)] }],
        Completion.make({
          model: "gemini-4-argon",
          messages: ["Count.", response.message, Message.user("Again.")]
        })
      )
      assert.deepStrictEqual(ran.sent[0]?.body["contents"], [
        { role: "user", parts: [{ text: "Count." }] },
        { role: "model", parts: [{ text: "One, two, three." }] },
        { role: "user", parts: [{ text: "Again." }] }
      ])
    }))
})
