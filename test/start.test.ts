import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as ChildProcess from "effect/process/ChildProcess"
import * as Stream from "effect/Stream"
import { fileURLToPath } from "node:url"
import { Simulator } from "../src/testing/index.ts"
import { compiled } from "./compiled.ts"
import { sample } from "./effort.ts"

const program = fileURLToPath(new URL("../examples/start.ts", import.meta.url))

/**
 * Runs the example as a reader does, with nothing in the environment but what is given. `onOutput` sees all that it has
 * printed up to now.
 */
const start = Effect.fnUntraced(function*(
  args: ReadonlyArray<string>,
  env: Record<string, string> = {},
  onOutput: (printed: string) => Effect.Effect<unknown> = () => Effect.void
) {
  const handle = yield* ChildProcess.make(process.execPath, [program, ...args], {
    env: { ...compiled, ...env },
    extendEnv: false
  })
  const [stdout, stderr, code] = yield* Effect.all([
    Stream.decodeText(handle.stdout).pipe(
      Stream.scan(() => "", (printed, text) => printed + text),
      Stream.tap(onOutput),
      Stream.runLast,
      Effect.map(Option.getOrElse(() => ""))
    ),
    Stream.mkString(Stream.decodeText(handle.stderr)),
    handle.exitCode
  ], { concurrency: "unbounded" })
  return { stdout, stderr, code, firstLine: stdout.split("\n")[0] ?? "" }
}, Effect.scoped)

/**
 * The simulated provider behind a real server of this machine, which waits in the middle of a stream; gives its base URL
 * and what it was asked.
 */
const serve = Effect.fnUntraced(function*(
  { failure, pause = Effect.void }: { readonly failure?: Simulator.Failure; readonly pause?: Effect.Effect<void> } = {}
) {
  const asked: Array<string> = []
  yield* HttpServer.serveEffect(Effect.gen(function*() {
    const { headers, method, text, url } = yield* HttpServerRequest.HttpServerRequest
    const body = yield* text
    asked.push(body)
    const answer = Simulator.respond({ method, url: new URL(url, "http://localhost"), headers, body }, { failure })
    const events = Stream.fromIterable(answer.body.slice(0, 3)).pipe(
      Stream.concat(Stream.fromEffectDrain(pause)),
      Stream.concat(Stream.fromIterable(answer.body.slice(3)))
    )
    return HttpServerResponse.stream(Stream.encodeText(events), { status: answer.status, headers: answer.headers })
  }))
  const baseUrl = yield* HttpServer.addressFormattedWith((address) =>
    Effect.succeed(`http://127.0.0.1:${new URL(address).port}/v1`)
  )
  return { baseUrl, asked }
})

describe("npm start", { timeout: 30_000 }, () => {
  it.live("without a key asks the simulated provider, retries its rate limit, prints answer and usage", () =>
    Effect.gen(function*() {
      for (const args of sample<ReadonlyArray<string>>(2, [[], ["--no-stream"]])) {
        const { code, firstLine, stderr, stdout } = yield* start(args)
        assert.strictEqual(stderr, "")
        assert.strictEqual(code, 0)
        assert.match(firstLine, /^Asking a simulated anthropic, model .+: set ANTHROPIC_API_KEY to ask the real one$/)
        assert.match(stdout, /WARN .*retrying completion[^]*attempt: 1[^]*RateLimit: anthropic/)
        assert.match(stdout, /\nSimulated answer to: "Why is the sky blue\?"\n\d+ tokens in, \d+ out\n$/)
      }
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("asks the question, the provider and the model that it is given", () =>
    Effect.gen(function*() {
      const { firstLine, stdout } = yield* start(["Hello", "--provider", "gemini", "--model", "gemini-x"])
      assert.match(firstLine, /^Asking a simulated gemini, model gemini-x:/)
      assert.include(stdout, 'Simulated answer to: "Hello"')
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("with a base URL in the environment talks to that server, without a key, and prints while the answer arrives", () =>
    Effect.gen(function*() {
      // The server sends the rest when the beginning is on the terminal, and not before.
      const seen = yield* Deferred.make<void>()
      const { asked, baseUrl } = yield* serve({ pause: Deferred.await(seen) })
      const { code, firstLine, stdout } = yield* start(
        ["Hello"],
        { OPENAI_BASE_URL: baseUrl },
        (printed) => printed.includes("\nSimulated") ? Deferred.succeed(seen, undefined) : Effect.void
      )
      assert.strictEqual(code, 0)
      assert.match(firstLine, /^Asking openai, model /)
      assert.notInclude(stdout, "retrying")
      assert.match(stdout, /\nSimulated answer to: "Hello"\n\d+ tokens in, \d+ out\n$/)
      assert.include(asked[0], '"stream":true')
    }).pipe(Effect.provide([NodeServices.layer, NodeHttpServer.layerTest])))

  it.live("with --no-stream asks for the whole answer", () =>
    Effect.gen(function*() {
      const { asked, baseUrl } = yield* serve()
      const { code, stdout } = yield* start(["Hello", "--no-stream"], { OPENAI_BASE_URL: baseUrl })
      assert.strictEqual(code, 0)
      assert.match(stdout, /\nSimulated answer to: "Hello"\n\d+ tokens in, \d+ out\n$/)
      assert.notInclude(asked[0], '"stream"')
    }).pipe(Effect.provide([NodeServices.layer, NodeHttpServer.layerTest])))

  it.live("prints a failure in the middle of a stream in one line, below the partial answer, and asks once", () =>
    Effect.gen(function*() {
      const { asked, baseUrl } = yield* serve({ failure: { _tag: "StreamError", afterEvents: 3 } })
      const { code, stderr, stdout } = yield* start(["Hello"], { OPENAI_BASE_URL: baseUrl })
      assert.strictEqual(code, 1)
      assert.match(stdout, /\nSimulated a\n$/)
      assert.match(stderr, /^Transient: 127\.0\.0\.1:\d+ .+\n$/)
      assert.strictEqual(asked.length, 1)
    }).pipe(Effect.provide([NodeServices.layer, NodeHttpServer.layerTest])))

  it.live("prints what went wrong in one line, and exits with 1", () =>
    Effect.gen(function*() {
      const { baseUrl } = yield* serve()
      const refused = yield* start(["Hello", "--model", "does-not-exist"], { OPENAI_BASE_URL: baseUrl })
      assert.strictEqual(refused.code, 1)
      assert.match(refused.stderr, /^ClientError: 127\.0\.0\.1:\d+ does-not-exist 404 .+\n$/)
      const keyless = yield* start(["Hello"], { OPENAI_BASE_URL: "https://example.com" })
      assert.strictEqual(keyless.code, 1)
      assert.match(keyless.stderr, /^apiKey is missing: give the option apiKey, or set OPENAI_API_KEY\n$/)
    }).pipe(Effect.provide([NodeServices.layer, NodeHttpServer.layerTest])))

  it.live("names the known providers for an unknown one", () =>
    Effect.gen(function*() {
      const { code, stderr } = yield* start(["--provider", "acme"])
      assert.strictEqual(code, 1)
      assert.match(stderr, /"acme".*"anthropic" \| "openai" \| "gemini" \| "openrouter"/)
    }).pipe(Effect.provide(NodeServices.layer)))
})
