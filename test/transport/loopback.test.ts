import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Queue, Scope, Stream } from "effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import type * as HttpClient from "effect/http/HttpClient"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { Anthropic, Completion, LLMClient, LLMError } from "../../src/index.ts"
import { runs } from "../effort.ts"

const encode = (event: object): string => `data: ${JSON.stringify(event)}\n\n`

const opening = encode({ type: "message_start", message: { id: "msg_1", model: "m", usage: { input_tokens: 7 } } })
  + encode({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } })

const delta = (text: string) => encode({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } })

const closing = encode({ type: "content_block_stop", index: 0 })
  + encode({ type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 2 } })
  + encode({ type: "message_stop" })

/** A server on a free loopback port that says when it is asked, and when the caller is gone. */
const serve = (handle: (response: Http.ServerResponse) => void) =>
  Effect.gen(function*() {
    const asked = yield* Queue.unbounded<void>()
    const gone = yield* Queue.unbounded<void>()
    const server = Http.createServer((request, response) => {
      request.resume()
      response.on("close", () => {
        if (!response.writableFinished) Queue.offerUnsafe(gone, undefined)
      })
      Queue.offerUnsafe(asked, undefined)
      handle(response)
    })
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.void))
      }),
      () =>
        Effect.sync(() => {
          server.closeAllConnections()
          server.close()
        })
    )
    const { port } = server.address() as AddressInfo
    return { server, baseUrl: `http://127.0.0.1:${port}`, asked: Queue.take(asked), gone: Queue.take(gone) }
  })

const client = (
  baseUrl: string,
  http: Layer.Layer<HttpClient.HttpClient>,
  timeouts?: { readonly [Clock in "bytes" | "firstPart" | "progress" | "total"]?: number }
) =>
  Effect.map(
    Layer.build(
      Layer.provide(Anthropic.layer({ baseUrl, model: "m", ...(timeouts && { timeouts }) }), http)
    ),
    (context) => LLMClient.LLMClient.pipe(Effect.provideContext(context), Effect.runSync)
  )

const streaming = (response: Http.ServerResponse) => {
  response.writeHead(200, { "content-type": "text/event-stream" })
  response.write(opening + delta("one"))
}

const hello = Completion.make({ prompt: "hello" })

const isText = (part: { readonly _tag: string }) => part._tag === "TextDelta"

describe.each([
  ["undici", NodeHttpClient.layerUndici],
  ["fetch", FetchHttpClient.layer]
])("over %s, a server on this machine", (_, http) => {
  it.live("sees the whole exchange of a stream that ends", () =>
    Effect.gen(function*() {
      const { baseUrl } = yield* serve((response) => {
        streaming(response)
        response.end(delta(" two") + closing)
      })
      const llm = yield* client(baseUrl, http)
      const parts = yield* Stream.runCollect(llm.stream(hello))
      assert.deepStrictEqual(parts.filter(isText).map((part) => part._tag === "TextDelta" ? part.text : ""), [
        "one",
        " two"
      ])
      const last = parts.at(-1)
      assert.strictEqual(last?._tag === "Finish" ? last.response.text : undefined, "one two")
    }))

  it.live("sees the caller go when it has taken enough", () =>
    Effect.gen(function*() {
      const { baseUrl, gone } = yield* serve(streaming)
      const llm = yield* client(baseUrl, http)
      const parts = yield* Stream.runCollect(Stream.take(llm.stream(hello), 2))
      assert.deepStrictEqual(parts, [
        { _tag: "Start", provider: new URL(baseUrl).host, model: "m", id: "msg_1" },
        { _tag: "TextDelta", index: 0, text: "one" }
      ])
      yield* gone
    }))

  it.live("sees the caller go when its fiber is interrupted, within a stream and before its first part", () =>
    Effect.gen(function*() {
      const within = yield* serve(streaming)
      const started = yield* Deferred.make<void>()
      const llm = yield* client(within.baseUrl, http)
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(llm.stream(hello), () => Deferred.succeed(started, undefined))
      )
      yield* Deferred.await(started)
      yield* Fiber.interrupt(fiber)
      yield* within.gone

      const before = yield* serve(() => {})
      const silent = yield* client(before.baseUrl, http)
      const waiting = yield* Effect.forkChild(Stream.runDrain(silent.stream(hello)))
      yield* before.asked
      yield* Fiber.interrupt(waiting)
      yield* before.gone
    }))

  it.live("sees the caller go when a call without streaming is interrupted, in its headers and in its body", () =>
    Effect.gen(function*() {
      const handlers = [() => {}, (response: Http.ServerResponse) => {
        response.writeHead(200, { "content-type": "application/json" })
        response.write('{"type":"message",')
      }]
      for (const handler of handlers) {
        const { asked, baseUrl, gone } = yield* serve(handler)
        const llm = yield* client(baseUrl, http)
        const fiber = yield* Effect.forkChild(llm.completion(hello))
        yield* asked
        yield* Effect.sleep("20 millis")
        yield* Fiber.interrupt(fiber)
        yield* gone
      }
    }))

  it.live("sees the caller go when the scope of the stream closes", () =>
    Effect.gen(function*() {
      const { baseUrl, gone } = yield* serve(streaming)
      const llm = yield* client(baseUrl, http)
      const scope = yield* Scope.make()
      const pull = yield* Effect.provideService(Stream.toPull(llm.stream(hello)), Scope.Scope, scope)
      yield* pull
      yield* Scope.close(scope, Exit.void)
      yield* gone
    }))

  it.live("cannot send the key elsewhere by a redirect", () =>
    Effect.gen(function*() {
      const requests: Array<string> = []
      const elsewhere = yield* serve((response) => {
        requests.push("elsewhere")
        response.end("{}")
      })
      for (const status of [301, 302, 303, 307, 308]) {
        const { baseUrl } = yield* serve((response) => {
          requests.push("here")
          response.writeHead(status, { location: `${elsewhere.baseUrl}/v1/messages` }).end()
        })
        const llm = yield* client(baseUrl, http)
        for (const run of [llm.completion(hello), Stream.runDrain(llm.stream(hello))]) {
          const error = yield* Effect.flip(run)
          assert.strictEqual(`${error._tag} ${error.status}`, `ClientError ${status}`)
        }
      }
      assert.deepStrictEqual(requests, Array.from({ length: 10 }, () => "here"))
    }))

  it.live("cannot make a caller hang by never answering", () =>
    Effect.gen(function*() {
      const { baseUrl, gone } = yield* serve(() => {})
      const llm = yield* client(baseUrl, http, { firstPart: 60 })
      const error = yield* Effect.flip(Stream.runDrain(llm.stream(hello)))
      assert.strictEqual(`${error._tag} ${error.reason}`, "Transient Timeout")
      assert.include(error.description, "firstPart timeout after 60ms")
      yield* gone
      const whole = yield* client(baseUrl, http, { total: 60 })
      const failed = yield* Effect.flip(whole.completion(hello))
      assert.strictEqual(`${failed._tag} ${failed.reason}`, "Transient Timeout")
      assert.include(failed.description, "total timeout after 60ms")
      yield* gone
    }))

  it.live("cannot make a caller hang by stopping in the middle", () =>
    Effect.gen(function*() {
      const { baseUrl, gone } = yield* serve(streaming)
      const llm = yield* client(baseUrl, http, { bytes: 60 })
      const error = yield* Effect.flip(Stream.runDrain(llm.stream(hello)))
      assert.include(error.description, "bytes timeout after 60ms")
      assert.strictEqual(error.partial?.text, "one")
      assert.strictEqual(error.partial?.usage.inputTokens, 7)
      yield* gone
    }))

  it.live("cannot make a caller hang by dripping comments for ever", () =>
    Effect.gen(function*() {
      const { baseUrl, gone } = yield* serve((response) => {
        streaming(response)
        const drip = setInterval(() => response.write(": still here\n\n"), 10)
        response.on("close", () => clearInterval(drip))
      })
      const llm = yield* client(baseUrl, http, { bytes: 1000, progress: 80 })
      const error = yield* Effect.flip(Stream.runDrain(llm.stream(hello)))
      assert.include(error.description, "progress timeout after 80ms")
      yield* gone
    }))

  it.live("cannot make a caller hang by dripping parts for ever", () =>
    Effect.gen(function*() {
      const { baseUrl, gone } = yield* serve((response) => {
        streaming(response)
        const drip = setInterval(() => response.write(delta(".")), 10)
        response.on("close", () => clearInterval(drip))
      })
      const llm = yield* client(baseUrl, http, { progress: 1000, total: 120 })
      const error = yield* Effect.flip(Stream.runDrain(llm.stream(hello)))
      assert.include(error.description, "total timeout after 120ms")
      assert.match(error.partial?.text ?? "", /^one\.+$/)
      yield* gone
    }))

  it.live("that breaks the connection gives a typed failure with the partial answer", () =>
    Effect.gen(function*() {
      const { baseUrl } = yield* serve((response) => {
        streaming(response)
        setTimeout(() => response.socket?.destroy(), 20)
      })
      const llm = yield* client(baseUrl, http)
      const error = yield* Effect.flip(Stream.runDrain(llm.stream(hello)))
      assert.isTrue(LLMError.isLLMError(error))
      assert.strictEqual(error._tag, "Transient")
      assert.include(["Network", "Truncated"], error.reason)
      assert.strictEqual(error.partial?.text, "one")
    }))

  it.live("keeps no connection of hundreds of interrupted streams", () =>
    Effect.gen(function*() {
      const { baseUrl, gone, server } = yield* serve(streaming)
      const llm = yield* client(baseUrl, http)
      const rejections: Array<unknown> = []
      const onRejection = (reason: unknown) => rejections.push(reason)
      process.on("unhandledRejection", onRejection)
      yield* Effect.forEach(
        Array.from({ length: runs(200, 1000) }),
        () => Effect.andThen(Stream.runDrain(Stream.take(llm.stream(hello), 1)), gone),
        { concurrency: 50, discard: true }
      )
      const open = yield* Effect.callback<number>((resume) => {
        server.getConnections((_, count) => resume(Effect.succeed(count)))
      })
      process.off("unhandledRejection", onRejection)
      assert.isAtMost(open, 50)
      assert.deepStrictEqual(rejections, [])
    }), 20_000)
})
