import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import type * as ByteSize from "effect/ByteSize"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { spawnSync } from "node:child_process"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { fileURLToPath } from "node:url"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { gzipSync } from "node:zlib"
import { Anthropic, Completion, Gemini, LLMClient, type LLMError, OpenAi, OpenRouter } from "../../src/index.ts"
import type { LimitOptions } from "../../src/Provider.ts"
import { readText } from "../../src/transport/sizes.ts"
import { compiled } from "../compiled.ts"
import { sample } from "../effort.ts"

const baseUrl = "http://127.0.0.1:1"
const providers = {
  anthropic: (limits: LimitOptions) => Anthropic.layer({ baseUrl, model: "m", limits }),
  openai: (limits: LimitOptions) => OpenAi.layer({ baseUrl, model: "m", limits }),
  gemini: (limits: LimitOptions) => Gemini.layer({ baseUrl, model: "m", limits }),
  openrouter: (limits: LimitOptions) => OpenRouter.layer({ baseUrl, model: "m", limits })
}
type Provider = keyof typeof providers
const names = Object.keys(providers) as Array<Provider>

const question = Completion.make({ prompt: "Hi" })
const kind = (error: LLMError.LLMError): string => `${error._tag} ${error.reason}`
const event = (data: object): string => `data: ${JSON.stringify(data)}\n\n`

const KiB = 1024
const limits: LimitOptions = { body: "256 KiB", event: "64 KiB" }
const filler = "x".repeat(KiB)

/** A body that begins with a text and repeats another beyond every limit; counts what was taken, and whether it was given up. */
const endless = (first: string, rest: string, most = 4 << 20) => {
  const seen = { bytes: 0, closed: 0 }
  const utf8 = new TextEncoder()
  let next = utf8.encode(first)
  const again = utf8.encode(rest)
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      // Where no limit stops it, a test shall fail rather than hang.
      if (seen.bytes > most) return controller.close()
      seen.bytes += next.byteLength
      controller.enqueue(next)
      next = again
    },
    cancel: () => {
      seen.closed++
    }
  })
  return { body, seen }
}

const over = (
  provider: Provider,
  response: Response,
  options = limits
): Layer.Layer<LLMClient.LLMClient> =>
  Layer.provide(
    providers[provider](options),
    Layer.succeed(
      HttpClient.HttpClient,
      HttpClient.make((request) => Effect.succeed(HttpClientResponse.fromWeb(request, response)))
    )
  )

const streamFailure = Effect.flip(Stream.runDrain(LLMClient.stream(question)))
const failure = Effect.flip(LLMClient.completion(question))

const began = {
  anthropic: event({ type: "message_start", message: { id: "1", model: "m", usage: { input_tokens: 7 } } })
    + event({ type: "content_block_start", index: 0, content_block: { type: "text", text: "one" } }),
  openai: event({ choices: [{ delta: { content: "one" } }] }),
  openrouter: event({ choices: [{ delta: { content: "one" } }] }),
  gemini: event({ candidates: [{ content: { parts: [{ text: "one" }] } }] })
}

const delta = {
  anthropic: event({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: filler } }),
  openai: event({ choices: [{ delta: { content: filler } }] }),
  openrouter: event({ choices: [{ delta: { content: filler } }] }),
  gemini: event({ candidates: [{ content: { parts: [{ text: filler }] } }] })
}

const chatCall = event({
  choices: [{ delta: { tool_calls: [{ index: 0, id: "c", function: { name: "f", arguments: '{"a":"' } }] } }]
})
const chatPiece = event({ choices: [{ delta: { tool_calls: [{ index: 0, function: { arguments: filler } }] } }] })

/** A tool call whose arguments do not end; Gemini sends its calls whole. */
const call = {
  anthropic: [
    event({
      type: "content_block_start",
      index: 1,
      content_block: { type: "tool_use", id: "c", name: "f", input: {} }
    }),
    event({ type: "content_block_delta", index: 1, delta: { type: "input_json_delta", partial_json: filler } })
  ],
  openai: [chatCall, chatPiece],
  openrouter: [chatCall, chatPiece]
} as const

const eventLimit = "an event of the stream is larger than limits.event, 64 KiB"
const bodyLimit = "the body is larger than limits.body, 256 KiB"

describe.each(names)("%s cannot fill the memory of a caller", (provider) => {
  const streams: {
    readonly [what: string]: readonly [rest: string, described: string, most: number]
  } = {
    "a line that does not end": ["data: " + filler, eventLimit, 128 * KiB],
    "an event of lines that does not end": [`data: ${filler}\n`, eventLimit, 128 * KiB],
    "comments that do not end": [`: ${filler}\n\n`, bodyLimit, 300 * KiB],
    "fields that do not end": [`event: ${filler}\nid: ${filler}\nretry: 1\n`, bodyLimit, 300 * KiB],
    "an answer that does not end": [delta[provider], bodyLimit, 300 * KiB]
  }
  for (const [what, [rest, described, most]] of Object.entries(streams)) {
    it.effect(`with ${what}`, () =>
      Effect.gen(function*() {
        const { body, seen } = endless(began[provider], rest)
        const error = yield* Effect.provide(streamFailure, over(provider, new Response(body)))
        assert.strictEqual(kind(error), "Transient Malformed")
        assert.strictEqual(error.description, described)
        assert.match(error.partial?.text ?? "", /^onex*$/)
        assert.isAtMost(seen.bytes, most)
        assert.strictEqual(seen.closed, 1)
      }))
  }

  if (provider !== "gemini") {
    it.effect("with the arguments of a call that do not end", () =>
      Effect.gen(function*() {
        const [start, piece] = call[provider]
        const { body, seen } = endless(began[provider] + start, piece)
        const error = yield* Effect.provide(streamFailure, over(provider, new Response(body)))
        assert.strictEqual(error.description, bodyLimit)
        assert.strictEqual(error.partial?.text, "one")
        assert.deepStrictEqual(error.partial?.toolCalls, [])
        assert.strictEqual(seen.closed, 1)
      }))
  }

  it.effect("with a stream that never begins one", () =>
    Effect.gen(function*() {
      const { body, seen } = endless("", filler)
      const error = yield* Effect.provide(streamFailure, over(provider, new Response(body)))
      assert.strictEqual(kind(error), "Transient Malformed")
      assert.strictEqual(error.description, eventLimit)
      assert.isUndefined(error.partial)
      assert.strictEqual(seen.closed, 1)
    }))

  it.effect("with a whole answer that does not end", () =>
    Effect.gen(function*() {
      const { body, seen } = endless('{"content":"', filler)
      const error = yield* Effect.provide(failure, over(provider, new Response(body)))
      assert.strictEqual(kind(error), "Transient Malformed")
      assert.strictEqual(error.description, bodyLimit)
      assert.strictEqual(error.body?.length, 8 * KiB)
      assert.isAtMost(seen.bytes, 300 * KiB)
      assert.strictEqual(seen.closed, 1)
    }))

  it.effect("with an announced length: what is longer than the limit is not read because it is announced", () =>
    Effect.gen(function*() {
      const headers = { "content-length": String(3 << 20) }
      const answer = endless('{"content":"', filler)
      const error = yield* Effect.provide(failure, over(provider, new Response(answer.body, { headers })))
      assert.strictEqual(kind(error), "Transient Malformed")
      assert.strictEqual(error.description, bodyLimit)
      assert.isAtMost(answer.seen.bytes, 300 * KiB)
      assert.strictEqual(answer.seen.closed, 1)
      for (const run of [failure, streamFailure]) {
        const { body, seen } = endless('{"error":"', filler)
        const response = new Response(body, { status: 503, headers })
        const error = yield* Effect.provide(run, over(provider, response, {}))
        assert.strictEqual(kind(error), "Transient Overloaded")
        assert.isAtMost(seen.bytes, 1100 * KiB)
        assert.strictEqual(seen.closed, 1)
      }
    }))

  it.effect("with the body of a failure that does not end, whose status still counts", () =>
    Effect.gen(function*() {
      for (const [status, is] of [[401, "ClientError Authentication"], [503, "Transient Overloaded"]] as const) {
        for (const run of [failure, streamFailure]) {
          const { body, seen } = endless('{"error":"', filler)
          const error = yield* Effect.provide(run, over(provider, new Response(body, { status }), {}))
          assert.strictEqual(kind(error), is)
          assert.isAtMost(error.body?.length ?? 0, 8 * KiB)
          assert.isAtMost(seen.bytes, 1100 * KiB)
          assert.strictEqual(seen.closed, 1)
        }
      }
    }))

  it.effect("but may send as much as its limits allow", () =>
    Effect.gen(function*() {
      const text = "y".repeat(80 * KiB)
      const answer = {
        content: [{ type: "text", text }],
        stop_reason: "end_turn",
        ...(provider !== "anthropic" && { choices: [{ message: { content: text }, finish_reason: "stop" }] }),
        candidates: [{ content: { parts: [{ text }] }, finishReason: "STOP" }]
      }
      const whole = yield* Effect.provide(
        LLMClient.completion(question),
        over(provider, Response.json(answer))
      )
      assert.strictEqual(whole.text, text)
    }))

  for (
    const [name, value] of [
      ["body", 0],
      ["body", -1],
      ["body", Number.NaN],
      ["body", Number.POSITIVE_INFINITY],
      ["body", ""],
      ["body", "big"],
      ["body", null],
      ["event", 0.5],
      ["event", "1 parsec"],
      ["event", 2n ** 64n]
    ] as const
  ) {
    it.effect(`nor be given limits.${name} of ${JSON.stringify(String(value))}, which is a defect of the layer`, () =>
      Effect.gen(function*() {
        const bad = { [name]: value as ByteSize.Input }
        const exit = yield* Effect.exit(Effect.provide(failure, over(provider, new Response("{}"), bad)))
        assert(Exit.isFailure(exit) && Cause.hasDies(exit.cause) && !Cause.hasFails(exit.cause))
        assert.include(String(Cause.squash(exit.cause)), `limits.${name}: give a whole number above 0`)
      }))
  }
})

describe("limits that are not set", () => {
  for (
    const [what, MiB, rest] of [
      ["a body", 64, `: ${filler.repeat(1000)}\n`],
      ["an event", 32, `data: ${filler.repeat(1000)}\n`]
    ] as const
  ) {
    it.effect(`are ${MiB} MiB for ${what}`, () =>
      Effect.gen(function*() {
        const { body, seen } = endless(began.openai, rest, (MiB + 4) << 20)
        const error = yield* Effect.provide(streamFailure, over("openai", new Response(body), {}))
        assert.include(error.description, `limits.${what.replace(/an? /, "")}, ${MiB} MiB`)
        assert.isAbove(seen.bytes, MiB << 20)
        assert.isBelow(seen.bytes, (MiB + 4) << 20)
      }))
  }
})

describe("a heap of 512 MB survives a body of as much as the limits allow", () => {
  // That of keys takes ten seconds.
  const all = [
    ["objects", "answered 1"],
    ["keys", "answered 1"],
    ["more objects", "the answer holds more than 1,000,000 JSON values"]
  ] as const
  for (const [what, is] of sample(2, all)) {
    it(`of ${what}`, () => {
      const script = fileURLToPath(new URL("memory.ts", import.meta.url))
      const { status, stderr, stdout } = spawnSync(process.execPath, ["--max-old-space-size=512", script, what], {
        encoding: "utf8",
        env: { ...process.env, ...compiled }
      })
      assert.strictEqual(status, 0, stderr)
      assert.include(stdout, is)
    }, 60_000)
  }
})

describe("an event after which the answer is whole", () => {
  it.effect("may be followed by what is too large", () =>
    Effect.gen(function*() {
      const done = event({ choices: [{ delta: {}, finish_reason: "stop" }] })
      const { body } = endless(began.openai + done, `: ${filler}\n`)
      const parts = yield* Effect.provide(
        Stream.runCollect(LLMClient.stream(question)),
        over("openai", new Response(body))
      )
      assert.deepStrictEqual(parts.map((part) => part._tag), ["Start", "TextDelta", "ContentEnd", "Finish"])
    }))
})

/** Lets a server listen on this machine; gives where. */
const listening = (server: Http.Server) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<void>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.void))
      }),
      () =>
        Effect.sync(() => {
          server.closeAllConnections()
          server.close()
        })
    ),
    () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  )

describe("over fetch, what is small on the wire and large once it is decompressed", () => {
  // Read whole, it would say so.
  const packed = gzipSync(`{"a":"${"x".repeat(8 << 20)}","error":{"message":"it was read whole"}}`)

  for (
    const [what, status, run, is] of [
      ["a whole answer", 200, failure, "the body is larger than limits.body, 4 MiB"],
      ["the body of a failure", 500, failure, "HTTP 500 without a message"],
      ["the body of a failure of a stream", 500, streamFailure, "HTTP 500 without a message"]
    ] as const
  ) {
    it.live(`is read up to its limit: ${what}`, () =>
      Effect.gen(function*() {
        assert.isBelow(packed.byteLength, 64 * KiB)
        const baseUrl = yield* listening(Http.createServer((request, response) => {
          request.resume()
          response.writeHead(status, {
            "content-type": "application/json",
            "content-encoding": "gzip",
            "content-length": packed.byteLength
          })
          response.end(packed)
        }))
        const layer = OpenAi.layer({ baseUrl, model: "m", limits: { body: "4 MiB" } })
        const error = yield* Effect.provide(run, Layer.provide(layer, FetchHttpClient.layer))
        assert.strictEqual(error.description, is)
      }))
  }
})

describe("a body in pieces of one byte each", () => {
  const utf8 = new TextEncoder()

  const inBytes = (bytes: Uint8Array) => {
    const pieces = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte))
    return {
      headers: {},
      stream: Stream.fromIterable((function*() {
        for (const byte of bytes) yield pieces[byte]!
      })())
    } as unknown as HttpClientResponse.HttpClientResponse
  }

  it.effect("is read as it was written", () =>
    Effect.gen(function*() {
      const text = "Zürich, 東京, 🙂. ".repeat(2000)
      const bytes = utf8.encode(text)
      assert.deepStrictEqual(yield* readText(inBytes(bytes), bytes.byteLength), { text, whole: true })
      const cut = yield* readText(inBytes(bytes), bytes.byteLength - 1)
      assert.isFalse(cut.whole)
      assert.isTrue(text.startsWith(cut.text.slice(0, -1)))
      assert.isAbove(cut.text.length, text.length - 3)
    }))

  it.effect("takes no more memory than its text", () =>
    Effect.gen(function*() {
      setFlagsFromString("--expose-gc")
      const collect = runInNewContext("gc") as () => void
      const bytes = new Uint8Array(2 << 20).fill(0x78)
      collect()
      const before = process.memoryUsage().heapUsed
      const { text } = yield* readText(inBytes(bytes), 2 << 20)
      collect()
      assert.isBelow(process.memoryUsage().heapUsed - before, 8 << 20)
      assert.strictEqual(text.length, 2 << 20)
    }))
})

describe.each([
  ["undici", NodeHttpClient.layerUndici],
  ["fetch", FetchHttpClient.layer]
])("over %s, a server on this machine that sends without end", (_, http) => {
  const serve = (status: number, first: string, rest: string) =>
    Effect.gen(function*() {
      const gone = yield* Queue.unbounded<number>()
      const server = Http.createServer((request, response) => {
        request.resume()
        let bytes = 0
        response.writeHead(status, { "content-type": "text/event-stream" })
        response.write(first)
        const write = () => {
          while (!response.destroyed && bytes < 512 << 20) {
            bytes += rest.length
            if (!response.write(rest)) return
          }
        }
        response.on("drain", write)
        response.on("close", () => Queue.offerUnsafe(gone, bytes))
        write()
      })
      return { baseUrl: yield* listening(server), gone: Queue.take(gone) }
    })

  const block = "x".repeat(64 * KiB)

  for (
    const [what, status, first, rest, run, is] of [
      ["a line", 200, began.openai, block, streamFailure, "limits.event, 1 MiB"],
      ["comments", 200, began.openai, `: ${block}\n`, streamFailure, "limits.body, 4 MiB"],
      ["a whole answer", 200, '{"a":"', block, failure, "limits.body, 4 MiB"],
      ["the body of a failure", 500, '{"a":"', block, failure, "HTTP 500 without a message"]
    ] as const
  ) {
    it.live(`sees the caller go: ${what}`, () =>
      Effect.gen(function*() {
        const { baseUrl, gone } = yield* serve(status, first, rest)
        const layer = OpenAi.layer({ baseUrl, model: "m", limits: { body: "4 MiB", event: "1 MiB" } })
        const before = process.memoryUsage().rss
        const error = yield* Effect.provide(run, Layer.provide(layer, http))
        assert.include(error.description, is)
        // What the server wrote is what was read, and what buffers on the way hold.
        assert.isAtMost(yield* gone, 64 << 20)
        assert.isAtMost(process.memoryUsage().rss - before, 192 << 20)
      }), 20_000)
  }
})
