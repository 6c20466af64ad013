import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Anthropic from "../../src/Anthropic.ts"
import * as Completion from "../../src/Completion.ts"
import * as Gemini from "../../src/Gemini.ts"
import * as LLMClient from "../../src/LLMClient.ts"
import * as OpenAi from "../../src/OpenAi.ts"
import * as Retry from "../../src/Retry.ts"
import * as Recorder from "../../src/testing/Recorder.ts"
import * as Simulator from "../../src/testing/Simulator.ts"
import { hear, passing } from "./simulated.ts"

const encoder = new TextEncoder()

const temporary = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped()
  return (yield* Path.Path).join(directory, "recordings/weather.json")
})

const read = (file: string) => FileSystem.FileSystem.use((fs) => fs.readFileString(file))

/** A server that answers with these chunks, each after its wait; `asked` counts. */
interface Served {
  readonly status?: number
  readonly headers?: Record<string, string>
  readonly chunks: ReadonlyArray<Uint8Array | Duration.Duration>
}

const serving = (serve: (request: HttpClientRequest.HttpClientRequest, call: number) => Served) => {
  const state = { asked: 0 }
  const client = HttpClient.make((request) =>
    Effect.contextWith((context: Context.Context<never>) => {
      const { chunks, headers = {}, status = 200 } = serve(request, state.asked++)
      const body = Stream.fromIterable(chunks).pipe(
        Stream.mapEffect((chunk) =>
          Duration.isDuration(chunk) ? Effect.as(Effect.sleep(chunk), new Uint8Array()) : Effect.succeed(chunk)
        ),
        Stream.filter((chunk) => chunk.length > 0)
      )
      return Effect.succeed(HttpClientResponse.fromWeb(
        request,
        new Response(Stream.toReadableStreamWith(body, context), { status, headers })
      ))
    })
  )
  return { state, layer: Layer.succeed(HttpClient.HttpClient, client) }
}

const saying = (text: string, headers?: Record<string, string>) =>
  serving(() => ({ chunks: [encoder.encode(text)], ...(headers && { headers }) }))

const unreachable = serving(() => assert.fail("the client below was called"))

/** Runs what uses the client in a layer of its own, so that the recording is closed afterwards. */
const through = <A, E, E2, R>(
  recorder: Layer.Layer<HttpClient.HttpClient, E2, R>,
  use: (client: HttpClient.HttpClient) => Effect.Effect<A, E>
) => Effect.provide(Effect.flatMap(HttpClient.HttpClient, use), recorder)

const recording = (options: Recorder.Options, inner: Layer.Layer<HttpClient.HttpClient>) =>
  Layer.provide(Recorder.layer(options), inner)

const post = (body: unknown, url = "https://example.com/v1/messages", headers: Record<string, string> = {}) =>
  HttpClientRequest.post(url, { headers, body: HttpBody.text(JSON.stringify(body), "application/json") })

const textOf = (request: HttpClientRequest.HttpClientRequest) => (client: HttpClient.HttpClient) =>
  Effect.flatMap(client.execute(request), (response) => response.text)

const chunksOf = (request: HttpClientRequest.HttpClientRequest) => (client: HttpClient.HttpClient) =>
  Effect.flatMap(client.execute(request), (response) => Stream.runCollect(response.stream))

const failed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(effect), (exit) => {
    assert(Exit.isFailure(exit))
    return { dies: Cause.hasDies(exit.cause), message: Cause.pretty(exit.cause) }
  })

const key = "sk-ant-planted-0123456789abcdef"

const provider = {
  anthropic: Anthropic.layer({ apiKey: Redacted.make(key), model: "claude-sonnet-4-6" }),
  openai: OpenAi.layer({ apiKey: Redacted.make(key), api: "chat", model: "gpt-4.1-mini" }),
  gemini: Gemini.layer({ apiKey: Redacted.make(key), model: "gemini-2.5-flash" })
}

const over = (name: keyof typeof provider, http: Layer.Layer<HttpClient.HttpClient, Recorder.RecorderError, never>) =>
  Layer.provide(provider[name], http)

const test = (name: string, body: Effect.Effect<void, unknown, FileSystem.FileSystem | Path.Path | Scope.Scope>) =>
  it.effect(name, () => Effect.provide(body, NodeServices.layer))

describe("Recorder", () => {
  for (const name of ["anthropic", "openai", "gemini"] as const) {
    test(
      `replays the answers and streams of ${name} without the client below`,
      Effect.gen(function*() {
        const file = yield* temporary
        const services = Layer.succeedContext(yield* Effect.context<FileSystem.FileSystem | Path.Path>())
        const use = Effect.gen(function*() {
          const client = yield* LLMClient.LLMClient
          const completion = Completion.make({ prompt: "Why? 空 🌌" })
          const response = yield* client.completion(completion)
          const heard = yield* hear(client, completion)
          return { response, heard }
        })
        const live = yield* (Effect.provide(
          use,
          over(name, Layer.provide(Recorder.layer({ file }), [Simulator.layer(), services]))
        ))
        assert.isUndefined(live.heard.error)
        const replayed = yield* (Effect.provide(
          use,
          over(name, Layer.provide(Recorder.layerReplay({ file }), services))
        ))
        assert.deepStrictEqual(replayed, live)
        const text = yield* read(file)
        assert.notInclude(text, key)
        assert.deepStrictEqual(text.match(/"ending": ".*"/g), ['"ending": "End"', '"ending": "End"'])
      })
    )
  }

  test(
    "writes a file that reads well: JSON as JSON, events as lines",
    Effect.gen(function*() {
      const file = yield* temporary
      const server = serving((_, call) =>
        call === 0
          ? { headers: { "content-type": "application/json", date: "today" }, chunks: [encoder.encode('{"a":[1]}')] }
          : {
            status: 429,
            headers: { "retry-after": "2" },
            chunks: [encoder.encode("data: {}\n\nda"), encoder.encode("ta: [DONE]\n")]
          }
      )
      yield* through(
        recording({ file }, server.layer),
        (client) =>
          Effect.andThen(
            textOf(post({ q: 1 }, "https://example.com/a?alt=sse"))(client),
            textOf(post({ q: 2 }, "https://example.com/b?key=secret-key"))(client)
          )
      )
      const request = { headers: { "content-type": "application/json" } }
      assert.strictEqual(
        yield* read(file),
        `${
          JSON.stringify(
            {
              version: 1,
              exchanges: [
                {
                  request: {
                    method: "POST",
                    url: "https://example.com/a?alt=sse",
                    ...request,
                    body: { json: { q: 1 } }
                  },
                  response: {
                    status: 200,
                    headers: { "content-type": "application/json" },
                    after: 0,
                    body: { json: { a: [1] } },
                    chunks: ["0 ms, 9 bytes"],
                    ending: "End"
                  }
                },
                {
                  request: {
                    method: "POST",
                    url: "https://example.com/b?key=%3Credacted%3E",
                    ...request,
                    body: { json: { q: 2 } }
                  },
                  response: {
                    status: 429,
                    headers: { "retry-after": "2" },
                    after: 0,
                    body: { lines: ["data: {}", "", "data: [DONE]", ""] },
                    chunks: ["0 ms, 12 bytes", "0 ms, 11 bytes"],
                    ending: "End"
                  }
                }
              ]
            },
            null,
            2
          )
        }\n`
      )
      const status = yield* through(
        Recorder.layerReplay({ file }),
        (client) => client.execute(post({ q: 2 }, "https://example.com/b?key=another"))
      )
      assert.strictEqual(status.status, 429)
      assert.strictEqual(status.headers["retry-after"], "2")
    })
  )

  it.effect.prop(
    "replays any body byte for byte, in the same chunks",
    {
      texts: Schema.Array(Schema.String),
      binary: Schema.Uint8Array,
      json: Schema.Json,
      indent: Schema.Literals([0, 2, 4])
    },
    ({ binary, indent, json, texts }) =>
      Effect.gen(function*() {
        const file = yield* temporary
        const bodies: ReadonlyArray<ReadonlyArray<Uint8Array>> = [
          texts.map((text) => encoder.encode(text)),
          // Every byte on its own, so that characters are split.
          Array.from(encoder.encode(texts.join("空🌌")), (byte) => Uint8Array.of(byte)),
          [binary, encoder.encode("\uFEFFx")],
          [encoder.encode(JSON.stringify(json, null, indent))]
        ].map((body) => body.filter((chunk) => chunk.length > 0))
        const server = serving((_, call) => ({ chunks: bodies[call]! }))
        const ask = (client: HttpClient.HttpClient) =>
          Effect.forEach(bodies, (_, index) => chunksOf(post({ index, json }))(client))
        const live = yield* through(recording({ file }, server.layer), ask)
        assert.deepStrictEqual(live, bodies)
        assert.deepStrictEqual(yield* through(Recorder.layerReplay({ file }), ask), bodies)
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    { arbitrary: { runs: 40 } }
  )

  test(
    "shows chunks as they come, and replays them at their pace or at once",
    Effect.gen(function*() {
      const file = yield* temporary
      const chunks = ["one", "two", "three"].map((text) => encoder.encode(text))
      const server = serving(() => ({
        chunks: [chunks[0]!, Duration.seconds(2), chunks[1]!, Duration.seconds(3), chunks[2]!]
      }))
      const paced = Effect.fnUntraced(function*(recorder: ReturnType<typeof Recorder.layerReplay>, fast: boolean) {
        const heard: Array<Uint8Array> = []
        const fiber = yield* Effect.forkChild(through(recorder, (client) =>
          Effect.flatMap(
            client.execute(post({})),
            ({ stream }) => Stream.runForEach(stream, (chunk) => Effect.sync(() => heard.push(chunk)))
          )))
        const settle = FileSystem.FileSystem.use((fs) => Effect.andThen(fs.exists(file), fs.exists(file)))
        const until = (count: number) =>
          Effect.gen(function*() {
            for (let round = 0; round < 200 && heard.length < count; round++) yield* settle
            assert.deepStrictEqual(heard, chunks.slice(0, count))
          })
        if (!fast) {
          yield* until(1)
          yield* TestClock.adjust("2 seconds")
          yield* until(2)
          yield* TestClock.adjust("2999 millis")
          yield* settle
          assert.strictEqual(heard.length, 2)
          yield* TestClock.adjust("1 millis")
        }
        yield* until(3)
        yield* Fiber.join(fiber)
      })
      yield* paced(recording({ file }, server.layer), false)
      assert.include(yield* read(file), "5000 ms, 5 bytes")
      yield* paced(Recorder.layerReplay({ file, timing: true }), false)
      yield* paced(Recorder.layerReplay({ file }), true)
    })
  )

  test(
    "replays the wait for the response",
    Effect.gen(function*() {
      const file = yield* temporary
      const slow = Layer.succeed(
        HttpClient.HttpClient,
        HttpClient.make((request) =>
          Effect.as(Effect.sleep("3 seconds"), HttpClientResponse.fromWeb(request, new Response("late")))
        )
      )
      const now = (
        recorder: Layer.Layer<HttpClient.HttpClient, Recorder.RecorderError, FileSystem.FileSystem | Path.Path>
      ) =>
        Effect.gen(function*() {
          const context = yield* Layer.build(recorder)
          const fiber = yield* Effect.forkChild(textOf(post({}))(Context.get(context, HttpClient.HttpClient)))
          yield* TestClock.adjust("2999 millis")
          assert.isUndefined(fiber.pollUnsafe())
          yield* TestClock.adjust("1 millis")
          assert.strictEqual(yield* Fiber.join(fiber), "late")
        })
      yield* now(recording({ file }, slow))
      yield* now(Recorder.layerReplay({ file, timing: true }))
    })
  )

  test(
    "records what came, whatever the caller does with it",
    Effect.gen(function*() {
      const file = yield* temporary
      yield* through(
        recording({ file }, saying("intact").layer),
        (client) =>
          Effect.flatMap(
            client.execute(post({})),
            ({ stream }) => Stream.runForEach(stream, (chunk) => Effect.sync(() => chunk.fill(0)))
          )
      )
      assert.strictEqual(yield* through(Recorder.layerReplay({ file }), textOf(post({}))), "intact")
    })
  )

  test(
    "puts files in their place whole, and one after the other",
    Effect.gen(function*() {
      const file = yield* temporary
      const fs = yield* FileSystem.FileSystem
      const writing = yield* Deferred.make<void>()
      let writes = 0
      // The first write takes longer than the second: in its own time it would undo that.
      const watched = Layer.succeed(FileSystem.FileSystem, {
        ...fs,
        writeFileString: (path, text) => {
          assert.notStrictEqual(path, file)
          return Deferred.done(writing, Exit.void).pipe(
            Effect.andThen(Effect.sleep(writes++ === 0 ? "1 hour" : 0)),
            Effect.andThen(fs.writeFileString(path, text))
          )
        },
        copyFile: () => assert.fail("copied")
      })
      const ask = (client: HttpClient.HttpClient) =>
        Effect.all([
          textOf(post({ q: 1 }))(client),
          Effect.andThen(Deferred.await(writing), textOf(post({ q: 2 }))(client))
        ], { concurrency: 2 })
      yield* passing(through(Layer.provide(recording({ file }, saying("ok").layer), watched), ask))
      assert.strictEqual(writes, 2)
      yield* through(Recorder.layerReplay({ file }), ask)
    })
  )

  test(
    "writes what was read to its end even if the caller goes meanwhile",
    Effect.gen(function*() {
      const file = yield* temporary
      const fs = yield* FileSystem.FileSystem
      const writing = yield* Deferred.make<void>()
      const slow = Layer.succeed(FileSystem.FileSystem, {
        ...fs,
        writeFileString: (path, text) =>
          Deferred.done(writing, Exit.void).pipe(
            Effect.andThen(Effect.sleep("10 seconds")),
            Effect.andThen(fs.writeFileString(path, text))
          )
      })
      const context = yield* Layer.build(Layer.provide(recording({ file }, saying("whole").layer), slow))
      const call = yield* Effect.forkChild(textOf(post({}))(Context.get(context, HttpClient.HttpClient)))
      yield* Deferred.await(writing)
      const interrupted = yield* Effect.forkChild(Fiber.interrupt(call))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(interrupted)
      assert.include(yield* read(file), "whole")
    })
  )

  test(
    "writes the JSON of requests in the order of its keys, and that of answers as it came",
    Effect.gen(function*() {
      const file = yield* temporary
      const answer = '{"z":1,"a":{"d":2,"c":3}}'
      const raw = (text: string) => HttpClientRequest.post("https://example.com/", { body: HttpBody.text(text) })
      yield* through(
        recording({ file }, saying(answer).layer),
        textOf(raw('{"b": [{"z": -0, "y": 2}], "__proto__": 1, "a": {}}'))
      )
      const text = yield* read(file)
      const [request = "", response = ""] = text.split('"response"')
      assert.deepStrictEqual(request.match(/"\w+"(?=: [-\d[{])/g)?.slice(-5), [
        '"__proto__"',
        '"a"',
        '"b"',
        '"y"',
        '"z"'
      ])
      assert.isBelow(response.indexOf('"z"'), response.indexOf('"a"'))
      const again = raw('{"a":{},"__proto__":1,"b":[{"y":2,"z":-0}]}')
      assert.strictEqual(yield* through(Recorder.layerReplay({ file }), textOf(again)), answer)
      // What JSON cannot write again is kept as it was.
      const large = raw('{"b":1e999,"a":1}')
      yield* through(recording({ file, mode: "record" }, saying(answer).layer), textOf(large))
      assert.strictEqual(yield* through(Recorder.layerReplay({ file }), textOf(large)), answer)
    })
  )

  test(
    "keeps JSON as JSON however it is laid out",
    Effect.gen(function*() {
      const file = yield* temporary
      for (const text of ['{\n  "a": [\n    1\n  ]\n}\n', "[\n    {}\n]", '"text"', "{}\n"]) {
        yield* through(recording({ file, mode: "record" }, saying(text).layer), textOf(post({})))
        assert.notInclude(yield* read(file), "lines")
        assert.strictEqual(yield* through(Recorder.layerReplay({ file }), textOf(post({}))), text)
      }
    })
  )

  test(
    "records a body as far as it was read, and replays it to who reads no further",
    Effect.gen(function*() {
      const file = yield* temporary
      const server = serving(() => ({ chunks: [encoder.encode("one"), Duration.infinity] }))
      const first = (client: HttpClient.HttpClient) =>
        Effect.flatMap(client.execute(post({})), ({ stream }) => Stream.runCollect(Stream.take(stream, 1)))
      const services = yield* Effect.context<FileSystem.FileSystem>()
      const live = yield* through(recording({ file }, server.layer), (client) =>
        Effect.gen(function*() {
          const chunks = yield* first(client)
          // Not only when the layer ends.
          assert.include(yield* read(file), '"ending": "Left"')
          return chunks
        }).pipe(Effect.provideContext(services)))
      assert.deepStrictEqual(yield* through(Recorder.layerReplay({ file }), first), live)
      const { dies, message } = yield* failed(through(Recorder.layerReplay({ file }), textOf(post({}))))
      assert.isTrue(dies)
      assert.include(message, "POST https://example.com/v1/messages: the recording ends where its reader left")
    })
  )

  test(
    "records a response that nobody reads",
    Effect.gen(function*() {
      const file = yield* temporary
      yield* through(recording({ file }, saying("never read").layer), (client) => client.execute(post({})))
      const { status } = yield* through(Recorder.layerReplay({ file }), (client) => client.execute(post({})))
      assert.strictEqual(status, 200)
    })
  )

  test(
    "records a connection that breaks, and breaks it again",
    Effect.gen(function*() {
      const file = yield* temporary
      const breaking = Layer.succeed(
        HttpClient.HttpClient,
        HttpClient.make((request) =>
          Effect.sync(() => {
            let sent = false
            const body = new ReadableStream<Uint8Array>({
              pull: (controller) => {
                if (sent) return controller.error(new TypeError("terminated"))
                sent = true
                controller.enqueue(encoder.encode("half"))
              }
            })
            return HttpClientResponse.fromWeb(request, new Response(body))
          })
        )
      )
      const heard: Array<Uint8Array> = []
      const ask = (client: HttpClient.HttpClient) =>
        Effect.flatMap(
          client.execute(post({})),
          ({ stream }) => Effect.flip(Stream.runForEach(stream, (chunk) => Effect.sync(() => heard.push(chunk))))
        )
      assert.strictEqual((yield* through(recording({ file }, breaking), ask)).reason._tag, "DecodeError")
      assert.strictEqual((yield* through(Recorder.layerReplay({ file }), ask)).reason._tag, "DecodeError")
      assert.deepStrictEqual(heard, [encoder.encode("half"), encoder.encode("half")])
    })
  )

  test(
    "asks only for what is not recorded, and keeps the rest",
    Effect.gen(function*() {
      const file = yield* temporary
      const server = serving((_, call) => ({ chunks: [encoder.encode(`answer ${call}`)] }))
      const ask = (...prompts: ReadonlyArray<string>) =>
        through(
          recording({ file }, server.layer),
          (client) => Effect.forEach(prompts, (prompt) => textOf(post({ prompt }))(client))
        )
      assert.deepStrictEqual(yield* ask("a"), ["answer 0"])
      assert.deepStrictEqual(yield* ask("a", "b"), ["answer 0", "answer 1"])
      assert.deepStrictEqual(yield* ask("b", "a"), ["answer 1", "answer 0"])
      assert.strictEqual(server.state.asked, 2)
      const again = recording({ file, mode: "record" }, server.layer)
      assert.strictEqual(yield* through(again, textOf(post({ prompt: "a" }))), "answer 2")
      assert.deepStrictEqual(yield* ask("a"), ["answer 2"])
      assert.strictEqual(server.state.asked, 3)
    })
  )

  test(
    "records concurrent requests in the order in which they were sent",
    Effect.gen(function*() {
      const file = yield* temporary
      const server = serving((_, call) => ({ chunks: [Duration.seconds(10 - call), encoder.encode(`answer ${call}`)] }))
      const prompts = [0, 1, 2, 3, 4, 5, 6, 7]
      const ask = (client: HttpClient.HttpClient) =>
        Effect.forEach(prompts, (prompt) => textOf(post({ prompt }))(client), { concurrency: "unbounded" })
      const live = yield* passing(through(recording({ file }, server.layer), ask))
      assert.deepStrictEqual(live, prompts.map((prompt) => `answer ${prompt}`))
      const text = yield* read(file)
      assert.deepStrictEqual(text.match(/(?<="prompt": )\d/g), prompts.map(String))
      assert.deepStrictEqual(yield* through(Recorder.layerReplay({ file }), ask), live)
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      assert.deepStrictEqual(yield* fs.readDirectory(path.dirname(file)), [path.basename(file)])
    })
  )

  test(
    "sends on a body that can be read only once",
    Effect.gen(function*() {
      const file = yield* temporary
      const sent: Array<string> = []
      const server = serving(({ body }) => {
        sent.push(body._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : body._tag)
        return { chunks: [encoder.encode("ok")] }
      })
      const request = HttpClientRequest.post("https://example.com/", {
        body: HttpBody.stream(Stream.make(encoder.encode('{"a"'), encoder.encode(":1}")), "application/json")
      })
      yield* through(recording({ file }, server.layer), textOf(request))
      assert.deepStrictEqual(sent, ['{"a":1}'])
      assert.strictEqual(yield* through(Recorder.layerReplay({ file }), textOf(request)), "ok")
    })
  )
})

describe("A request that was not recorded", () => {
  const recorded = Effect.fnUntraced(function*(...bodies: ReadonlyArray<unknown>) {
    const file = yield* temporary
    const server = serving((_, call) => ({ chunks: [encoder.encode(`answer ${call}`)] }))
    yield* through(
      recording({ file }, server.layer),
      (client) => Effect.forEach(bodies, (body) => textOf(post(body))(client), { discard: true })
    )
    return file
  })
  const say = (content: string, more: object = {}) => ({ messages: [{ role: "user", content }], ...more })

  test(
    "dies with the nearest recording and what differs",
    Effect.gen(function*() {
      const file = yield* recorded(say("far", { a: 1, b: 2 }), say("a"))
      const miss = (request: HttpClientRequest.HttpClientRequest) =>
        failed(through(Recorder.layerReplay({ file }), textOf(request)))
      const { dies, message } = yield* miss(post(say("b", { model: "m" })))
      assert.isTrue(dies)
      assert.include(
        message,
        [
          `Recorder ${file}: POST https://example.com/v1/messages was not recorded. The nearest is exchange 2:`,
          '  body.messages[0].content: "a" was recorded, "b" was sent',
          '  body.model: nothing was recorded, "m" was sent'
        ].join("\n")
      )
      assert.include((yield* miss(post(say("a"), "https://other.com/v1/messages"))).message, 'origin: "https://ex')
      assert.include((yield* miss(post(say("a"), "https://example.com/v2"))).message, 'path: "/v1/messages" was')
      assert.include(
        (yield* miss(post(say("a"), "https://example.com/v1/messages?alt=sse"))).message,
        'query.alt: nothing was recorded, ["sse"] was sent'
      )
      assert.include(
        (yield* miss(HttpClientRequest.get("https://example.com/v1/messages"))).message,
        'method: "POST" was recorded, "GET" was sent'
      )
    })
  )

  test(
    "is not retried, and fails the test in the end even if the defect was swallowed",
    Effect.gen(function*() {
      const file = yield* recorded({})
      const services = Layer.succeedContext(yield* Effect.context<FileSystem.FileSystem | Path.Path>())
      const http = Layer.provide(Recorder.layerReplay({ file }), services)
      const call = LLMClient.completion(Completion.make({ prompt: "Hello" }))
      const client = Layer.provide(Retry.layer(), over("anthropic", http))
      for (const effect of [Effect.asVoid(call), Effect.asVoid(Effect.exit(call))]) {
        const { dies, message } = yield* failed(Effect.provide(effect, client))
        assert.isTrue(dies)
        assert.include(message, "POST https://api.anthropic.com/v1/messages was not recorded")
      }
    })
  )

  test(
    "shows long texts from where they begin to differ, and no part of a secret",
    Effect.gen(function*() {
      const long = "word ".repeat(100)
      const file = yield* recorded(say(`${long}recorded ${long}`))
      const miss = (sent: HttpClientRequest.HttpClientRequest) =>
        Effect.map(failed(through(Recorder.layerReplay({ file }), textOf(sent))), ({ message }) => message)
      const message = yield* miss(post(say(`${long}sent ${long}`)))
      assert.match(
        message,
        /messages\[0\]\.content: …(?:word |ord )[word ]{20,40}recorded .{20,}… was recorded, ….{20,40}sent .*… was sent/
      )
      const headers = { "x-api-key": key }
      const cut = yield* miss(post(say(`${"x".repeat(110)}${key}`), undefined, headers))
      assert.include(cut, "was not recorded")
      assert.notInclude(cut, key.slice(0, 8))
    })
  )

  test(
    "is shown beside what the test died of in consequence",
    Effect.gen(function*() {
      const file = yield* recorded({})
      const asking = (client: HttpClient.HttpClient) => Effect.exit(textOf(post({ other: 1 }))(client))
      const consequence = new Error("no answer")
      const { message } = yield* failed(
        through(Recorder.layerReplay({ file }), (client) => Effect.andThen(asking(client), Effect.die(consequence)))
      )
      assert.include(message, "no answer")
      assert.include(message, "POST https://example.com/v1/messages was not recorded")
      const once = yield* failed(through(Recorder.layerReplay({ file }), textOf(post({ other: 1 }))))
      assert.strictEqual(once.message.split("was not recorded").length, 2)
      const both = yield* failed(
        through(
          Recorder.layerReplay({ file }),
          (client) => Effect.andThen(asking(client), textOf(post({ another: 1 }))(client))
        )
      )
      assert.include(both.message, "body.other")
      assert.include(both.message, "body.another")
    })
  )

  test(
    "may differ in what is ignored",
    Effect.gen(function*() {
      const file = yield* recorded({ list: [{ id: 1, text: "a" }, { id: 2, text: "b" }], meta: { user: "x" } })
      const sent = post(
        { list: [{ id: 3, text: "a" }, { id: 4, text: "b" }], meta: { user: "y" } },
        "http://localhost/v1/messages"
      )
      const ask = (ignore: ReadonlyArray<string>) => through(Recorder.layerReplay({ file, ignore }), textOf(sent))
      assert.strictEqual(yield* ask(["origin", "body.list[*].id", "body.meta"]), "answer 0")
      assert.include(
        (yield* failed(ask(["origin", "body.list[0].id", "body.meta.user"]))).message,
        "body.list[1].id: 2"
      )
      assert.include((yield* failed(ask(["origin", "body.list[*].id", "body.me"]))).message, 'body.meta.user: "x"')
    })
  )

  test(
    "may come in any order, unless the order is strict",
    Effect.gen(function*() {
      const file = yield* recorded({ q: 1 }, { q: 2 })
      const ask = (options: Omit<Recorder.ReplayOptions, "file">, ...numbers: ReadonlyArray<number>) =>
        through(
          Recorder.layerReplay({ file, ...options }),
          (client) => Effect.forEach(numbers, (q) => textOf(post({ q }))(client))
        )
      assert.deepStrictEqual(yield* ask({}, 2, 1), ["answer 1", "answer 0"])
      assert.deepStrictEqual(yield* ask({ order: "strict" }, 1, 2), ["answer 0", "answer 1"])
      assert.include(
        (yield* failed(ask({ order: "strict" }, 2))).message,
        "is not what was recorded next (exchange 1):\n  body.q: 1 was recorded, 2 was sent"
      )
      const more = recording({ file, order: "strict" }, unreachable.layer)
      assert.include((yield* failed(through(more, textOf(post({ q: 3 }))))).message, "is not what was recorded next")
      assert.include((yield* failed(ask({}, 1, 1))).message, "was recorded (exchange 1), but is replayed already")
      assert.deepStrictEqual(yield* ask({ reuse: true }, 1, 1, 2), ["answer 0", "answer 0", "answer 1"])
    })
  )

  test(
    "replays the same request twice when it was recorded twice",
    Effect.gen(function*() {
      const file = yield* temporary
      const server = serving((_, call) => ({ chunks: [encoder.encode(`answer ${call}`)] }))
      const twice = (client: HttpClient.HttpClient) =>
        Effect.all([textOf(post({ q: 1 }))(client), textOf(post({ q: 1 }))(client)])
      yield* through(recording({ file }, server.layer), twice)
      assert.deepStrictEqual(
        yield* through(recording({ file, mode: "replay" }, unreachable.layer), twice),
        ["answer 0", "answer 1"]
      )
    })
  )
})

describe("A secret", () => {
  const url = "https://example.com/v1/messages"
  const secrets = {
    bearer: "tok-planted-bearer-0001",
    cookie: "planted-cookie-0002",
    own: "planted-own-header-0003",
    query: "planted-query-0004",
    body: "planted-body-0005",
    answer: "planted-answer-0006",
    setCookie: "planted-set-cookie-0007",
    user: "planted-user-0008",
    nested: "planted-nested-0009",
    password: "planted-password-0010",
    fragment: "planted-fragment-0011"
  }
  const signedIn = url.replace("//", `//me:${secrets.password}@`)
  const request = HttpClientRequest.setBody(
    HttpClientRequest.post(`${signedIn}?key=${secrets.query}&user=${secrets.user}&alt=sse#${secrets.fragment}`, {
      headers: {
        authorization: `Bearer ${secrets.bearer}`,
        "x-api-key": secrets.bearer,
        cookie: `session=${secrets.cookie}`,
        "x-own": secrets.own
      }
    }),
    HttpBody.text(
      JSON.stringify({
        api_key: secrets.body,
        user: secrets.user,
        key: "kept",
        arguments: JSON.stringify({ password: secrets.nested })
      }),
      "application/json"
    )
  )

  test(
    "never reaches the file, wherever it is named as one",
    Effect.gen(function*() {
      const file = yield* temporary
      const server = serving(() => ({
        headers: { "set-cookie": `session=${secrets.setCookie}`, "x-own-answer": secrets.own, "x-request-id": "req_1" },
        chunks: [encoder.encode(`data: {"access_token" : "${secrets.answer}", "tokens": "kept too"}\n\n`)]
      }))
      yield* through(recording({ file, redact: ["user"] }, server.layer), textOf(request))
      const text = yield* read(file)
      for (const secret of Object.values(secrets)) assert.notInclude(text, secret)
      for (const kept of ["alt=sse", "kept", "kept too", "req_1"]) assert.include(text, kept)
      const again = yield* through(Recorder.layerReplay({ file, redact: ["user"] }), textOf(request))
      assert.strictEqual(again, 'data: {"access_token" : "<redacted>", "tokens": "kept too"}\n\n')
    })
  )

  const refusals: ReadonlyArray<readonly [string, string, string]> = [
    [
      "a key of a header, echoed by JSON",
      "response.body.json.error[0].message",
      `{"error":[{"message":"bad ${key}"}]}`
    ],
    ["a key of a header, echoed in an event", "response.body.lines[1]", `event: x\ndata: ${key}\n`],
    ["a key of a header, escaped", "response.body.json.text", JSON.stringify({ text: JSON.stringify(`"${key}/`) })],
    ["a key of a header, as the name of a field", `the name of response.body.json.${key}`, `{"${key}":1}`],
    ["another header of the caller's", "response.body.json", JSON.stringify("you are planted-own-header-0003")],
    [
      "what looks like a key",
      "response.body.json.text",
      JSON.stringify({ text: "use AIzaSyA1234567890abcdefghijklmnopqrstu" })
    ],
    ["a cookie on its own", "response.body.json.text", `{"text":"planted-cookie-0002"}`],
    [
      "a key that a stream spells out",
      "response.body, joined: delta.text",
      ["sk-ant-pl", "anted-01234", "56789abcdef"].map((text) => `data: ${JSON.stringify({ delta: { text } })}\n\n`)
        .join("")
    ],
    ["what looks like a token", "response.body.lines[0]", "Bearer abcdefghijklmnopqrstuvwxyz"]
  ]
  for (const [what, field, answer] of refusals) {
    test(
      `is refused when it is ${what}`,
      Effect.gen(function*() {
        const file = yield* temporary
        const sent = post({ prompt: "hello" }, url, {
          "x-api-key": key,
          "x-own": secrets.own,
          cookie: `a=1; session=${secrets.cookie}`
        })
        const { dies, message } = yield* failed(through(recording({ file }, saying(answer).layer), textOf(sent)))
        assert.isTrue(dies)
        assert.include(message, `POST ${url} is not written: there is a secret in its ${field}`)
        assert.isFalse(yield* FileSystem.FileSystem.use((fs) => fs.exists(file)))
        const swallowed = (client: HttpClient.HttpClient) => Effect.exit(textOf(sent)(client))
        assert.include((yield* failed(through(recording({ file }, saying(answer).layer), swallowed))).message, field)
      })
    )
  }

  test(
    "is refused in a request as well, and in bytes that are no text",
    Effect.gen(function*() {
      const file = yield* temporary
      const sent = (body: HttpBody.HttpBody) =>
        HttpClientRequest.post(url, { headers: { authorization: `Bearer ${key}` }, body })
      const refused = (body: HttpBody.HttpBody, server = saying("ok")) =>
        Effect.map(failed(through(recording({ file }, server.layer), textOf(sent(body)))), ({ message }) => message)
      assert.include(
        yield* refused(HttpBody.text(JSON.stringify({ prompt: key }))),
        "secret in its request.body.json.prompt"
      )
      const binary = Uint8Array.of(255, ...encoder.encode(key), 254)
      assert.include(yield* refused(HttpBody.uint8Array(binary)), "secret in its request.body")
      // As when its reader left in the middle of a character.
      const named = Uint8Array.of(...encoder.encode(`{"access_token":"${secrets.answer}","text":"`), 0xf0, 0x9f)
      const broken = serving(() => ({ chunks: [named] }))
      assert.include(yield* refused(HttpBody.text("hello"), broken), "secret in its response.body")
      const query = HttpClientRequest.post(`${url}?key=${secrets.query}`)
      assert.include(
        (yield* failed(through(recording({ file }, saying(`got ${secrets.query}`).layer), textOf(query)))).message,
        "secret in its response.body.lines[0]"
      )
      const { message } = yield* failed(
        through(recording({ file }, saying(`got ${secrets.query}`).layer), textOf(query))
      )
      assert.notInclude(message, secrets.query)
      yield* through(recording({ file }, saying("ok").layer), textOf(post({})))
      const missed = yield* failed(through(Recorder.layerReplay({ file }), textOf(sent(HttpBody.text(key)))))
      assert.include(missed.message, "was not recorded")
      assert.notInclude(missed.message, key)
      const form = new FormData()
      assert.include(yield* refused(HttpBody.formData(form)), "a body of this kind (FormData) cannot be recorded")
    })
  )

  const written = (
    sent: HttpClientRequest.HttpClientRequest,
    answer: string,
    headers?: Record<string, string>,
    options: Partial<Recorder.Options> = {}
  ) =>
    Effect.gen(function*() {
      const file = yield* temporary
      yield* through(recording({ file, ...options }, saying(answer, headers).layer), textOf(sent))
      return yield* read(file)
    })
  const refused = (sent: HttpClientRequest.HttpClientRequest, answer: string, headers?: Record<string, string>) =>
    Effect.gen(function*() {
      const file = yield* temporary
      const { message } = yield* failed(through(recording({ file }, saying(answer, headers).layer), textOf(sent)))
      assert.isFalse(yield* FileSystem.FileSystem.use((fs) => fs.exists(file)))
      return message
    })

  test(
    "is taken out of forms, those sent and those answered",
    Effect.gen(function*() {
      const [planted, refresh] = ["planted+client/secret 0012", "planted-refresh-0013"]
      const form = HttpClientRequest.post(url, {
        body: HttpBody.urlParams(
          new URLSearchParams({ grant_type: "refresh", client_secret: planted, refresh_token: refresh, code: "c0de-1" })
        )
      })
      const answer = "scope=read&access_token=planted-access-0014&token_type=bearer"
      const type = { "content-type": "application/x-www-form-urlencoded; charset=utf-8" }
      for (const headers of [type, { "content-type": "text/plain" }]) {
        const text = yield* written(form, answer, headers)
        assert.notMatch(text, /planted|c0de-1/)
        assert.include(text, "grant_type=refresh&client_secret=%3Credacted%3E&refresh_token=%3Credacted%3E")
        assert.include(text, "scope=read&access_token=%3Credacted%3E&token_type=bearer")
      }
      assert.include(
        yield* refused(form, JSON.stringify({ error: `bad ${planted}` })),
        "secret in its response.body.json.error"
      )
      assert.include(yield* refused(form, `bad ${refresh}`), "secret in its response.body.lines[0]")
    })
  )

  test(
    "is not kept by a prefix of headers that are",
    Effect.gen(function*() {
      const sent = post({}, url, { "x-acme-token": "planted-acme-0015", "x-acme-env": "testing" })
      const text = yield* written(sent, "ok", { "x-acme-auth": "planted-auth-0016" }, { headers: ["x-acme-"] })
      assert.include(text, '"x-acme-env": "testing"')
      assert.notInclude(text, "planted")
      assert.include(yield* refused(sent, "planted-acme-0015"), "secret in its response.body")
    })
  )

  test(
    "is taken out of JSON by its name, whatever it is, and what only looks like one stays",
    Effect.gen(function*() {
      const planted = {
        api_key: ["planted-list-0017"],
        password: 123456789,
        apiKey: { value: "planted-object-0018" },
        token: "planted-token-0019",
        secret: "planted-secret-0020",
        credentials: { user: "me", deep: [{ it: "planted-deep-0021" }] },
        OPENAI_API_KEY: "planted-env-0022",
        text: JSON.stringify({ inner: JSON.stringify({ secret: ["planted-inner-0024"] }) })
      }
      const kept = {
        usage: { prompt_tokens: 4, total_tokens: 123456, token_count: 7 },
        max_tokens: 100,
        logprobs: {
          content: [{ token: "kept-logprob", logprob: -0.1, top_logprobs: [{ token: "kept-top", logprob: 0 }] }]
        },
        logprobsResult: { chosenCandidates: [{ token: "kept-gemini", logProbability: -1 }] },
        tools: [{ properties: { password: { type: "string", description: "kept-schema" } } }],
        nextPageToken: "kept-page",
        session_token: null
      }
      for (const body of [planted, [planted]]) {
        for (const indent of [0, 2, 3]) {
          const text = yield* written(post(body), JSON.stringify(body, null, indent))
          assert.notMatch(text, /planted|123456789/)
        }
      }
      const events = `data: ${
        JSON.stringify(planted)
      }\n\ndata: {"api\\u005fkey":"planted-escaped-0023"}\n\ndata: {"token":"planted-cu`
      for (const end of ["", "\\", "\\u00"]) assert.notInclude(yield* written(post({}), events + end), "planted")
      const form = { "content-type": "application/x-www-form-urlencoded" }
      assert.notInclude(yield* written(post({}), JSON.stringify(planted), form), "planted")
      const text = yield* written(post(kept), JSON.stringify(kept))
      assert.notInclude(text, "redacted")
      assert.include(
        yield* refused(post({ apiKey: { value: "planted-object-0018" } }), "is planted-object-0018"),
        "secret in its response.body"
      )
      assert.include(
        yield* refused(post({}), `{"token":"planted-token-0019"}\nplanted-token-0019`),
        "secret in its response.body"
      )
    })
  )

  test(
    "is refused when a body repeats it: of a cookie, of a header of the answer, of either half of Basic, in base64",
    Effect.gen(function*() {
      const cookie = { "set-cookie": "session=planted%2Bcookie-0025; Path=/; HttpOnly" }
      assert.include(yield* refused(post({}), "it is planted+cookie-0025", cookie), "secret in its response.body")
      assert.include(
        yield* refused(post({}), "it is planted-answer-0026", { "x-own": "planted-answer-0026" }),
        "secret in its response.body"
      )
      const basic = { authorization: `Basic ${btoa("planted-user-0027:planted-pass-0028")}` }
      for (const half of ["planted-user-0027", "planted-pass-0028"]) {
        assert.include(yield* refused(post({}, url, basic), `it is ${half}`), "secret in its response.body")
      }
      const secret = "planted?~key~?>>>~0029"
      for (const around of ["", "a", "ab", "abc"]) {
        const encoded = btoa(`${around}${secret}${around}`)
        for (const text of [encoded, encoded.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")]) {
          for (const answer of [`it is ${text}.`, encodeURIComponent(text), JSON.stringify({ a: [text] })]) {
            assert.include(
              yield* refused(post({}, url, { "x-api-key": secret }), answer),
              "secret in its response.body"
            )
          }
        }
      }
      const said = {
        "x-service-tier": "a-tier-as-long-as-this",
        "x-generation-id": "gen-1763852400-abcdef",
        date: "Sun, 22 Nov 2026 23:00:00 GMT",
        "x-own": "standard"
      }
      assert.include(
        yield* written(post({}), JSON.stringify(Object.values(said)), said),
        "a-tier-as-long-as-this"
      )
    })
  )

  test(
    "is refused when the items of a list spell it out",
    Effect.gen(function*() {
      const parts = ["sk-ant-pl", "anted-01234", "56789abcdef"].map((text) => ({
        candidates: [{ content: { parts: [{ text }] } }]
      }))
      const headers = { "x-api-key": key }
      for (
        const answer of [
          JSON.stringify(parts),
          `[${parts.map((part) => JSON.stringify(part, null, 2)).join("\n,\r\n")}`
        ]
      ) {
        assert.include(
          yield* refused(post({}, url, headers), answer),
          "secret in its response.body, joined: candidates[0].content.parts[0].text"
        )
      }
      const inOne = { candidates: parts.flatMap(({ candidates }) => candidates) }
      assert.include(
        yield* refused(post({}, url, headers), JSON.stringify(inOne)),
        "secret in its response.body, joined: candidates[*].content.parts[*].text"
      )
      assert.include(yield* refused(post(parts, url, headers), "ok"), "secret in its request.body, joined: ")
    })
  )

  test(
    "is not looked for in what is compressed, which is refused",
    Effect.gen(function*() {
      const file = yield* temporary
      const zip = Effect.promise(() =>
        new Response(new Response(key).body!.pipeThrough(new CompressionStream("gzip"))).bytes()
      )
      const bytes = yield* zip
      const raw = Uint8Array.of(0x0b, 0x02, 0x80, 0x61, 0x03)
      const serve = (chunk: Uint8Array, headers: Record<string, string> = {}) =>
        recording({ file }, serving(() => ({ headers, chunks: [chunk] })).layer)
      for (
        const layer of [
          serve(bytes),
          serve(bytes, { "content-encoding": "gzip" }),
          serve(raw, { "content-encoding": "br" })
        ]
      ) {
        const { message } = yield* failed(through(layer, textOf(post({}))))
        assert.include(
          message,
          `POST ${url} is not written: its response.body is compressed and cannot be searched for secrets; ` +
            "use a client that decompresses"
        )
      }
      const sent = HttpClientRequest.post(url, { body: HttpBody.uint8Array(bytes) })
      assert.include(
        (yield* failed(through(recording({ file }, saying("ok").layer), textOf(sent)))).message,
        "its request.body is compressed"
      )
      // Clients that decompress leave the header as it was.
      assert.include(yield* written(post({}), '{"a":"plain"}', { "content-encoding": "gzip" }), "plain")
    })
  )

  for (
    const [what, planted] of Object.entries({
      "Google's": `AQ.${"Ab8R_".repeat(8)}`,
      "Perplexity's": `pplx-${"a1B2".repeat(12)}`,
      "NVIDIA's": `nvapi-${"a1_B-".repeat(12)}`,
      "GitLab's": `glpat-${"a1B2".repeat(5)}`,
      "Cerebras'": `csk-${"a1b2".repeat(12)}`,
      "Fireworks'": `fw_${"a1B2".repeat(6)}`,
      "Tavily's": `tvly-dev-${"a1B2".repeat(8)}`,
      "Bedrock's": `ABSK${"a1B2".repeat(20)}`,
      "Groq's": `gsk_${"a1B2".repeat(12)}`,
      "xAI's": `xai-${"a1B2".repeat(12)}`,
      "Hugging Face's": `hf_${"aBcD".repeat(8)}`,
      "GitHub's": `ghp_${"a1B2".repeat(9)}`,
      "Amazon's": `AKIA${"A1B2".repeat(4)}`,
      "a JWT": `eyJ${"a1B2".repeat(5)}.eyJ${"a1B2".repeat(9)}.${"a1B2".repeat(9)}`
    })
  ) {
    test(
      `is refused when it looks like a key: ${what}`,
      Effect.gen(function*() {
        assert.include(
          yield* refused(post({}), JSON.stringify({ text: `use ${planted} for it` })),
          "there is a secret in its response.body.json.text"
        )
      })
    )
  }

  test(
    "is taken out of a path that holds a key, but not the names of models and ids",
    Effect.gen(function*() {
      const planted = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
      const sent = (path: string) => post({}, `https://example.com/${path}`)
      const text = yield* written(sent(`v1/${planted}/gateway/messages`), "ok")
      assert.include(text, "https://example.com/v1/%3Credacted%3E/gateway/messages")
      assert.notInclude(text, planted)
      assert.include(yield* refused(sent(`v1/${planted}`), `no account ${planted}`), "secret in its response.body")
      for (
        const path of [
          "v1beta/models/gemini-2.5-flash-preview-05-20:streamGenerateContent",
          "openai/deployments/gpt-4.1-mini-2025-04-14/chat/completions",
          "v1/messages/batches/msgbatch_01HkcTjaV5uDC8jWR4ZsDV8d"
        ]
      ) {
        assert.include(yield* written(sent(path), path), `https://example.com/${path}`)
      }
    })
  )

  test(
    "leaves alone what is short, unless the header is known for secrets",
    Effect.gen(function*() {
      const file = yield* temporary
      const sent = (headers: Record<string, string>) => post({ a: "prod" }, url, headers)
      yield* through(recording({ file }, saying("prod").layer), textOf(sent({ "x-env": "prod" })))
      const { message } = yield* failed(
        through(recording({ file, mode: "record" }, saying("prod").layer), textOf(sent({ "x-api-key": "prod" })))
      )
      assert.include(message, "secret in its request.body.json.a")
      yield* through(
        recording({ file, mode: "record", headers: ["X-Deployment"] }, saying("ok").layer),
        textOf(sent({ "x-deployment": "production-west" }))
      )
      assert.include(yield* read(file), '"x-deployment": "production-west"')
    })
  )
})

describe("A recording that cannot be used", () => {
  test(
    "fails the layer when it is missing or is none",
    Effect.gen(function*() {
      const file = yield* temporary
      const fs = yield* FileSystem.FileSystem
      const open = Effect.flip(through(Recorder.layerReplay({ file }), textOf(post({}))))
      const missing = yield* open
      assert(missing._tag === "RecorderError")
      assert.include(missing.message, `Recorder ${file}: the recording does not exist: record it first`)
      yield* fs.makeDirectory((yield* Path.Path).dirname(file), { recursive: true })
      for (const text of ["", "{}", '{"version":2,"exchanges":[]}', '{"version":1,"exchanges":[{}]}']) {
        yield* fs.writeFileString(file, text)
        const broken = yield* open
        assert.include(broken.message, `Recorder ${file}: this is not a recording`)
      }
    })
  )

  const exchange = {
    request: { method: "POST", url: "https://example.com/v1/messages", headers: {}, body: { json: {} } },
    response: {
      status: 200,
      headers: {},
      after: 0,
      body: { lines: ["one", "two"] },
      chunks: ["0 ms, 4 bytes", "0 ms, 3 bytes"],
      ending: "End"
    }
  }
  const { request, response } = exchange
  const edits: ReadonlyArray<readonly [string, ReadonlyArray<string>, unknown]> = [
    ["base64 that is none", ["response", "body", "this is no base64"], {
      request,
      response: { ...response, body: { base64: "a_b" } }
    }],
    ["a URL that is none", ["request", "url", "this is no URL"], { request: { ...request, url: "/v1" }, response }],
    ["a header in two lines", ["response", "headers", "x-a", "this is no value of a header"], {
      request,
      response: { ...response, headers: { "x-a": "1\r\nx-b: 2" } }
    }],
    ["a name that no header has", ["response", "headers", "x a", "this is not the name of a header"], {
      request,
      response: { ...response, headers: { "x a": "1" } }
    }],
    ["a misspelt ending", ["response", "endng"], { request, response: { ...response, endng: "Left" } }],
    ["a misspelt body", ["request", "bdy"], { request: { ...request, bdy: request.body }, response }],
    ["a misspelt layout", ["response", "body", "ident"], {
      request,
      response: { ...response, body: { json: {}, ident: 2 } }
    }],
    ["a wait that is negative", ["response", "after"], { request, response: { ...response, after: -1 } }]
  ]
  for (const [what, fields, edited] of edits) {
    test(
      `fails the layer, and names the field, when it was edited to ${what}`,
      Effect.gen(function*() {
        const file = yield* temporary
        const fs = yield* FileSystem.FileSystem
        yield* fs.makeDirectory((yield* Path.Path).dirname(file), { recursive: true })
        yield* fs.writeFileString(file, JSON.stringify({ version: 1, exchanges: [exchange, edited] }))
        const { message } = yield* Effect.flip(through(Recorder.layerReplay({ file }), () => Effect.void))
        assert.include(message, `Recorder ${file}: this is not a recording`)
        for (const field of ["exchanges", "1", ...fields]) assert.include(message, field)
      })
    )
  }

  test(
    "gives the whole body, whatever pieces it was edited to have",
    Effect.gen(function*() {
      const file = yield* temporary
      const fs = yield* FileSystem.FileSystem
      yield* fs.makeDirectory((yield* Path.Path).dirname(file), { recursive: true })
      for (const chunks of [[], ["0 ms, 1 bytes"], ["0 ms, 99 bytes", "1 ms, 1 bytes"]]) {
        const edited = { request, response: { ...response, chunks } }
        yield* fs.writeFileString(file, JSON.stringify({ version: 1, exchanges: [edited] }))
        assert.strictEqual(yield* through(Recorder.layerReplay({ file }), textOf(post({}))), "one\ntwo")
      }
    })
  )

  test(
    "dies when it cannot be written",
    Effect.gen(function*() {
      const file = yield* temporary
      const fs = yield* FileSystem.FileSystem
      yield* fs.writeFileString((yield* Path.Path).dirname(file), "a file where the folder should be")
      const { dies, message } = yield* failed(
        through(recording({ file, mode: "record" }, saying("ok").layer), textOf(post({})))
      )
      assert.isTrue(dies)
      assert.include(message, "the file cannot be written")
    })
  )

  test(
    "is refused when its options cannot be kept",
    Effect.gen(function*() {
      const file = "unused.json"
      const bad: ReadonlyArray<readonly [string, Recorder.Options]> = [
        ["file: give the path of a file", { file: " " }],
        ["mode: give auto, record or replay", { file, mode: "play" as "auto" }],
        ["order: give any or strict", { file, order: "none" as "any" }],
        ["ignore: give fields", { file, ignore: [""] }],
        ...["metadata", "bodyx", "headers.date", "path.a", "body."].map((rule): readonly [string, Recorder.Options] => [
          `ignore: give fields such as method, origin, path, query.alt or body.metadata, not "${rule}"`,
          { file, ignore: ["body.id", rule] }
        ]),
        ["redact: give names of fields", { file, redact: [""] }],
        ...["X-Api-Key", "x-", "set-", "api-", "X-Goog-", "x-own-token"].map((
          name
        ): readonly [string, Recorder.Options] => [
          `headers: give names that hold no secret, not "${name}"`,
          { file, headers: ["x-fine", name] }
        ])
      ]
      for (const [message, options] of bad) {
        const refused = yield* failed(through(recording(options, unreachable.layer), () => Effect.void))
        assert.isTrue(refused.dies)
        assert.include(refused.message, `Recorder ${message}`)
      }
    })
  )
})
