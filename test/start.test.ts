import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as ChildProcess from "effect/process/ChildProcess"
import * as Stream from "effect/Stream"
import { fileURLToPath } from "node:url"
import { Simulator } from "../src/testing/index.ts"

const program = fileURLToPath(new URL("../examples/start.ts", import.meta.url))

/** Runs the example as a reader does, with nothing in the environment but what is given. */
const start = Effect.fnUntraced(function*(args: ReadonlyArray<string>, env: Record<string, string> = {}) {
  const handle = yield* ChildProcess.make(process.execPath, [program, ...args], { env, extendEnv: false })
  const [stdout, stderr, code] = yield* Effect.all([
    Stream.mkString(Stream.decodeText(handle.stdout)),
    Stream.mkString(Stream.decodeText(handle.stderr)),
    handle.exitCode
  ], { concurrency: "unbounded" })
  return { stdout, stderr, code, firstLine: stdout.split("\n")[0] ?? "" }
}, Effect.scoped)

/** The simulated provider behind a real server of this machine; gives its base URL. */
const server = Effect.gen(function*() {
  yield* HttpServer.serveEffect(Effect.gen(function*() {
    const { headers, method, text, url } = yield* HttpServerRequest.HttpServerRequest
    const answer = Simulator.respond({ method, url: new URL(url, "http://localhost"), headers, body: yield* text })
    return HttpServerResponse.text(answer.body.join(""), { status: answer.status, headers: answer.headers })
  }))
  return yield* HttpServer.addressFormattedWith((address) =>
    Effect.succeed(`http://127.0.0.1:${new URL(address).port}/v1`)
  )
})

describe("npm start", { timeout: 30_000 }, () => {
  it.live("without a key asks the simulated provider, retries its rate limit, prints answer and usage", () =>
    Effect.gen(function*() {
      const { code, firstLine, stderr, stdout } = yield* start([])
      assert.strictEqual(stderr, "")
      assert.strictEqual(code, 0)
      assert.match(firstLine, /^Asking a simulated anthropic, model .+: set ANTHROPIC_API_KEY to ask the real one$/)
      assert.match(stdout, /WARN .*retrying completion[^]*attempt: 1[^]*RateLimit: anthropic/)
      assert.match(stdout, /\nSimulated answer to: "Why is the sky blue\?"\n\d+ tokens in, \d+ out\n$/)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("asks the question, the provider and the model that it is given", () =>
    Effect.gen(function*() {
      const { firstLine, stdout } = yield* start(["Hello", "--provider", "gemini", "--model", "gemini-x"])
      assert.match(firstLine, /^Asking a simulated gemini, model gemini-x:/)
      assert.include(stdout, 'Simulated answer to: "Hello"')
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("with a base URL in the environment talks to that server, without a key", () =>
    Effect.gen(function*() {
      const url = yield* server
      const { code, firstLine, stdout } = yield* start(["Hello"], { OPENAI_BASE_URL: url })
      assert.strictEqual(code, 0)
      assert.match(firstLine, /^Asking openai, model /)
      assert.notInclude(stdout, "retrying")
      assert.match(stdout, /\nSimulated answer to: "Hello"\n\d+ tokens in, \d+ out\n$/)
    }).pipe(Effect.provide([NodeServices.layer, NodeHttpServer.layerTest])))

  it.live("prints what went wrong in one line, and exits with 1", () =>
    Effect.gen(function*() {
      const url = yield* server
      const refused = yield* start(["Hello", "--model", "does-not-exist"], { OPENAI_BASE_URL: url })
      assert.strictEqual(refused.code, 1)
      assert.match(refused.stderr, /^ClientError: openai does-not-exist 404 .+\n$/)
      const keyless = yield* start(["Hello"], { OPENAI_BASE_URL: "https://example.com" })
      assert.strictEqual(keyless.code, 1)
      assert.match(keyless.stderr, /^.*apiKey is missing: give the option apiKey, or set OPENAI_API_KEY\n$/)
    }).pipe(Effect.provide([NodeServices.layer, NodeHttpServer.layerTest])))

  it.live("names the providers there are when asked for another", () =>
    Effect.gen(function*() {
      const { code, stderr } = yield* start(["--provider", "acme"])
      assert.strictEqual(code, 1)
      assert.match(stderr, /"acme".*"anthropic" \| "openai" \| "gemini" \| "openrouter"/)
    }).pipe(Effect.provide(NodeServices.layer)))
})
