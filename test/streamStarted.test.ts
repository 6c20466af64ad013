import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Redacted, Scope, Stream } from "effect"
import { HttpClient, HttpServer, HttpServerResponse } from "effect/http"
import * as NetAddress from "effect/net/NetAddress"
import { createServer } from "node:http"
import {
  Completion,
  type CompletionPart,
  CompletionResponse,
  LLMClient,
  LLMError,
  Message,
  OpenAi,
  TokenUsage
} from "../src/index.ts"
import { Simulator } from "../src/testing/index.ts"

const delta = (text: string): CompletionPart.CompletionPart => ({ _tag: "TextDelta", index: 0, text })

const finish: CompletionPart.CompletionPart = {
  _tag: "Finish",
  response: CompletionResponse.make({
    choice: [Message.text("Hello")],
    finishReason: { _tag: "Stop" },
    usage: TokenUsage.zero,
    provider: "test"
  })
}

const failure = LLMError.make("Transient", { provider: "test", model: "", reason: "Server", description: "" })

const completion = Completion.make({ prompt: "Hi" })

const streaming = (stream: Stream.Stream<CompletionPart.CompletionPart, LLMError.LLMError>) =>
  Layer.succeed(LLMClient.LLMClient, { provider: "test", completion: () => Effect.never, stream: () => stream })

const started = (stream: Stream.Stream<CompletionPart.CompletionPart, LLMError.LLMError>) =>
  Effect.provide(LLMClient.streamStarted(completion), streaming(stream))

describe("streamStarted", () => {
  it.effect("gives every part once, the first ones included", () =>
    Effect.gen(function*() {
      let pulled = 0
      const parts = [delta("He"), delta("llo"), finish]
      const source = Stream.fromIterable(parts).pipe(Stream.rechunk(1), Stream.tap(() => Effect.sync(() => pulled++)))
      const stream = yield* started(source)
      assert.strictEqual(pulled, 1)
      assert.deepStrictEqual(yield* Stream.runCollect(stream), parts)
      assert.strictEqual(pulled, 3)
    }))

  it.effect("fails with what fails before the first part, and leaves later failures to the stream", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* Effect.flip(started(Stream.fail(failure))), failure)
      const stream = yield* started(Stream.concat(Stream.make(delta("He")), Stream.fail(failure)))
      const seen: Array<CompletionPart.CompletionPart> = []
      const error = yield* Effect.flip(Stream.runForEach(stream, (part) => Effect.sync(() => seen.push(part))))
      assert.strictEqual(error, failure)
      assert.deepStrictEqual(seen, [delta("He")])
    }))

  it.effect("a stream without a part is empty", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Stream.runCollect(yield* started(Stream.empty)), [])
    }))

  it.effect("ends with its scope, read or not", () =>
    Effect.gen(function*() {
      let closed = 0
      const source = Stream.concat(Stream.make(delta("He")), Stream.never).pipe(
        Stream.ensuring(Effect.sync(() => closed++))
      )
      const scope = yield* Scope.make()
      const unread = yield* Scope.provide(started(source), scope)
      assert.isTrue(Stream.isStream(unread))
      assert.strictEqual(closed, 0)
      yield* Effect.scoped(Effect.flatMap(started(source), (stream) => Stream.runHead(stream)))
      assert.strictEqual(closed, 1)
      yield* Scope.close(scope, yield* Effect.exit(Effect.void))
      assert.strictEqual(closed, 2)
    }))
})

// A server as in the guide: the status by the error's tag, until the first part.
const statuses = { RateLimit: 429, Transient: 503, EmptyResponse: 502, ClientError: 400 }

const handler = LLMClient.streamStarted(completion).pipe(
  Effect.map((parts) =>
    HttpServerResponse.stream(
      parts.pipe(
        Stream.filter((part) => part._tag === "TextDelta"),
        Stream.map(({ text }) => `data: ${JSON.stringify(text)}\n\n`),
        Stream.encodeText
      ),
      { contentType: "text/event-stream" }
    )
  ),
  Effect.catch(({ _tag, reason }) => Effect.succeed(HttpServerResponse.text(reason, { status: statuses[_tag] })))
)

const serving = Effect.fnUntraced(function*(options: Simulator.Options) {
  const simulator = yield* Simulator.make(options)
  const stopped = yield* Deferred.make<void>()
  const noting = LLMClient.middleware(({ stream }) => ({
    stream: (completion) => Stream.ensuring(stream(completion), Deferred.succeed(stopped, undefined))
  }))
  const client = noting.pipe(
    Layer.provide(OpenAi.layer({ apiKey: Redacted.make("sk-test"), model: "gpt-4.1-mini" })),
    Layer.provide(Layer.succeed(HttpClient.HttpClient, simulator.client))
  )
  const server = yield* HttpServer.HttpServer
  yield* server.serve(Effect.provide(handler, yield* Layer.build(client)))
  const url = yield* Effect.fromResult(NetAddress.toUrl(server.address as NetAddress.InetAddress))
  return { simulator, stopped: Deferred.await(stopped), url: url.origin }
})

const node = () =>
  NodeHttpServer.layerServer(createServer, { port: 0, host: "127.0.0.1", gracefulShutdownTimeout: "1 second" })

describe("a server of streams", () => {
  it.live("answers with the status of a failure before the first part", () =>
    Effect.gen(function*() {
      const failures: Simulator.Options["failures"] = [{ _tag: "RateLimit" }, { _tag: "ServerError", status: 500 }]
      const { url } = yield* serving({ failures })
      const fetched = Effect.promise(() =>
        fetch(url).then(async (response) => [response.status, await response.text()])
      )
      assert.deepStrictEqual(yield* fetched, [429, "Requests"])
      assert.deepStrictEqual(yield* fetched, [503, "Server"])
      const [status, text] = yield* fetched
      assert.strictEqual(status, 200)
      assert.match(String(text), /^data: "/)
    }).pipe(Effect.provide(node()), Effect.scoped))

  it.live("stops the provider when the browser leaves", () =>
    Effect.gen(function*() {
      const { simulator, stopped, url } = yield* serving({ failures: [{ _tag: "Stall", afterEvents: 8 }] })
      yield* Effect.promise(async () => {
        const leaving = new AbortController()
        const response = await fetch(url, { signal: leaving.signal })
        assert.strictEqual(response.status, 200)
        await response.body!.getReader().read()
        leaving.abort()
      })
      yield* stopped
      assert.strictEqual(yield* simulator.cancelled, 1)
    }).pipe(Effect.provide(node()), Effect.scoped))
})
