/**
 * Records real HTTP exchanges to a file, and replays them: an `HttpClient` around a real one. Tests that replay need
 * neither keys nor a network, and still see what the provider really sent, byte by byte and chunk by chunk.
 *
 * Use it when the provider's own words matter. `Simulator` needs no recording, and `TestLLM` no HTTP. See
 * docs/testing.md.
 *
 * ```ts
 * import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
 * import * as NodeServices from "@effect/platform-node/NodeServices"
 * import { Layer } from "effect"
 * import { Anthropic } from "effect-llm"
 * import { Recorder } from "effect-llm/testing"
 *
 * // Asks the provider once, and the file from then on. Commit the file.
 * const Recorded = Anthropic.layerConfig({}).pipe(
 *   Layer.provide(Recorder.layer({ file: "test/recordings/weather.json" })),
 *   Layer.provide([NodeHttpClient.layerUndici, NodeServices.layer])
 * )
 * ```
 *
 * One file contains the exchanges of one test. Secrets are replaced or left out, and an exchange that still contains
 * one is not written. Still look at a recording before you commit it.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import { DecodeError, EncodeError, HttpClientError, InvalidUrlError } from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import * as OptionChecks from "../middleware/options.ts"
import { byName } from "./recorder/byName.ts"
import * as Cassette from "./recorder/cassette.ts"
import { keeping, mayKeep } from "./recorder/headers.ts"
import { isCompressed, leak } from "./recorder/leak.ts"
import { finder, type Sent } from "./recorder/match.ts"
import { isEmptyBody, withBody } from "./recorder/response.ts"

export interface ReplayOptions {
  /** The file of the recording. Its folder is created if needed. One file belongs to one test. */
  readonly file: string
  /** Whether requests may come in any order (the default), or only in the recorded one. */
  readonly order?: "any" | "strict"
  /** Whether chunks are replayed at their recorded pace, on Effect's clock. By default they arrive at once. */
  readonly timing?: boolean
  /** Whether an exchange can be replayed again when no other one matches. */
  readonly reuse?: boolean
  /**
   * Fields in which a request may differ from the recording: `origin`, `query.alt`, `body.metadata`,
   * `body.messages[*].id`.
   */
  readonly ignore?: ReadonlyArray<string>
  /** Further names of query parameters, and of fields in forms and JSON, whose values are not recorded. */
  readonly redact?: ReadonlyArray<string>
}

export interface Options extends ReplayOptions {
  /**
   * `auto`, the default, replays recorded requests and records the others; `record` starts a new recording. Use
   * `replay`, or `layerReplay`, where nothing may be recorded, as in continuous integration.
   */
  readonly mode?: "auto" | "record" | "replay"
  /**
   * Further headers to record, of requests and responses: `x-deployment`, or `x-acme-` as a prefix. Headers with
   * credentials are refused.
   */
  readonly headers?: ReadonlyArray<string>
}

/** A recording cannot be read or written, a request is not in it, or an exchange contains a secret. */
export class RecorderError extends Data.TaggedError("RecorderError")<{
  readonly file: string
  readonly description: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return `Recorder ${this.file}: ${this.description}`
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// The client
// ---------------------------------------------------------------------------------------------------------------------

const check = ({ file, headers = [], ignore = [], mode = "auto", order = "any", redact = [] }: Options): void => {
  const refuse = (option: string, give: string) => OptionChecks.refuse("Recorder", option, give)
  if (file.trim() === "") refuse("file", "the path of a file")
  if (!["auto", "record", "replay"].includes(mode)) refuse("mode", "auto, record or replay")
  if (!["any", "strict"].includes(order)) refuse("order", "any or strict")
  for (const rule of ignore) {
    if (!/^(?:method|origin|path|(?:query|body)(?:[.[].+)?)$/.test(rule)) {
      refuse("ignore", `fields such as method, origin, path, query.alt or body.metadata, not "${rule}"`)
    }
  }
  if (redact.includes("")) refuse("redact", "names of fields")
  for (const name of headers) {
    if (!mayKeep(name.toLowerCase())) refuse("headers", `names that hold no secret, not "${name}"`)
  }
}

type Execute = (
  request: HttpClientRequest.HttpClientRequest
) => Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError>

const make = Effect.fnUntraced(function*(options: Options, inner: Execute | undefined) {
  check(options)
  const { file, ignore = [], mode = "auto", order = "any", reuse = false, timing = false } = options
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const { headersOf, secretsOf, secretsOfAnswer } = keeping(options.headers ?? [])
  const redactor = byName(options.redact ?? [])
  const writing = yield* Semaphore.make(1)

  const problems: Array<RecorderError> = []
  const failure = (description: string) => (cause?: unknown) =>
    new RecorderError({ file, description, ...(cause !== undefined && { cause }) })
  const die = (error: RecorderError): Effect.Effect<never> =>
    Effect.suspend(() => {
      problems.push(error)
      return Effect.die(error)
    })

  const load = Effect.gen(function*() {
    if (mode === "record") return []
    if (!(yield* fs.exists(file))) {
      return mode === "auto" ? [] : yield* failure("the recording does not exist: record it first")()
    }
    const text = yield* fs.readFileString(file)
    // A misspelt field would otherwise be ignored, and lost when the file is written again.
    const { exchanges } = yield* Schema.decodeEffect(Schema.fromJsonString(Cassette.Cassette))(text, {
      onExcessProperty: "error"
    }).pipe(
      Effect.mapError((error) => failure(`this is not a recording: ${error.message}`)(error))
    )
    return exchanges
  }).pipe(
    Effect.catchTag("PlatformError", (cause: PlatformError) => Effect.fail(failure("the file cannot be read")(cause)))
  )
  const recorded = yield* load
  const { find, replayed } = finder(recorded, { ignore, order, reuse })
  const fresh: Array<{ exchange: Cassette.Exchange | undefined; readonly leave: Effect.Effect<void> }> = []

  // Written to a temporary file and moved, so that nobody reads an incomplete file.
  const save = Effect.gen(function*() {
    const directory = path.dirname(file)
    yield* fs.makeDirectory(directory, { recursive: true })
    const temporary = yield* fs.makeTempDirectoryScoped({ directory, prefix: ".recording-" })
    const written = path.join(temporary, path.basename(file))
    const all = [...recorded, ...fresh.flatMap(({ exchange }) => exchange === undefined ? [] : [exchange])]
    yield* fs.writeFileString(written, Cassette.print(all))
    yield* fs.rename(written, file)
  }).pipe(
    Effect.scoped,
    writing.withPermits(1),
    Effect.catch((cause) => die(failure("the file cannot be written")(cause)))
  )

  const describeSent = (
    request: HttpClientRequest.HttpClientRequest,
    url: URL,
    bytes: Uint8Array | undefined
  ): Sent => {
    const written = redactor.url(url)
    const encoded = bytes && Cassette.encodeBody(bytes, request.headers["content-type"], redactor)
    return {
      request: {
        method: request.method,
        url: written.text,
        headers: headersOf(request.headers),
        ...(encoded !== undefined && { body: Cassette.inOrder(encoded.body) })
      },
      secrets: [...secretsOf(request.headers), ...written.secrets, ...encoded?.secrets ?? []],
      contentEncoding: request.headers["content-encoding"]
    }
  }

  const replay = Effect.fnUntraced(
    function*(request: HttpClientRequest.HttpClientRequest, exchange: Cassette.Exchange) {
      const { after, ending, headers, status } = exchange.response
      const response = HttpClientResponse.fromWeb(request, new Response(null, { status, headers }))
      const pause = (millis: number) => timing && millis > 0 ? Effect.sleep(millis) : Effect.void
      const end = {
        End: Stream.empty,
        Broken: Stream.fail(
          new HttpClientError({
            reason: new DecodeError({ request, response, description: "the connection broke, as it was recorded" })
          })
        ),
        Left: Stream.fromEffect(
          die(failure(`${request.method} ${exchange.request.url}: the recording ends where its reader left`)())
        )
      }[ending]
      let before = after
      const body = Stream.fromIterable(Cassette.decodeChunks(exchange)).pipe(
        Stream.mapEffect(({ at, bytes }) => {
          const wait = at - before
          before = at
          return Effect.as(pause(wait), bytes)
        }),
        Stream.concat(end)
      )
      yield* pause(after)
      return yield* withBody(response, body)
    }
  )

  const record = Effect.fnUntraced(
    function*(execute: Execute, request: HttpClientRequest.HttpClientRequest, sent: Sent) {
      const clock = yield* Clock.Clock
      const began = clock.currentTimeMillisUnsafe()
      const since = () => Math.max(0, Math.round(clock.currentTimeMillisUnsafe() - began))
      const chunks: Array<Cassette.Chunk> = []
      const place = fresh.length
      let ended = false
      let answered: { readonly after: number; readonly response: HttpClientResponse.HttpClientResponse } | undefined

      const end = (ending: Cassette.Exchange["response"]["ending"]): Effect.Effect<void> =>
        Effect.uninterruptible(Effect.suspend(() => {
          if (ended || answered === undefined) return Effect.void
          ended = true
          const { after, response: { headers, status } } = answered
          const whole = Cassette.concat(chunks.map(({ bytes }) => bytes))
          const { body, secrets } = Cassette.encodeBody(whole, headers["content-type"], redactor)
          const exchange: Cassette.Exchange = {
            request: sent.request,
            response: {
              status,
              headers: headersOf(headers),
              after,
              body,
              chunks: Cassette.encodeChunks(chunks),
              ending
            }
          }
          const refuse = (why: string) => {
            const { method, url } = sent.request
            return die(failure(`${method} ${url} is not written: ${why}`)())
          }
          const compressed = isCompressed(body, headers["content-encoding"])
            ? "response.body"
            : isCompressed(sent.request.body, sent.contentEncoding)
            ? "request.body"
            : undefined
          if (compressed !== undefined) {
            return refuse(
              `its ${compressed} is compressed and cannot be searched for secrets; use a client that decompresses`
            )
          }
          const field = leak(exchange, [...sent.secrets, ...secretsOfAnswer(answered.response), ...secrets])
          if (field !== undefined) return refuse(`there is a secret in its ${field}`)
          fresh[place]!.exchange = exchange
          return save
        }))

      // Exchanges are written in the order of their requests, whichever body ends first.
      fresh.push({ exchange: undefined, leave: end("Left") })
      const response = yield* execute(request)
      answered = { after: since(), response }
      const body = response.stream.pipe(
        Stream.catchIf(isEmptyBody, () => Stream.empty),
        Stream.map((bytes) => {
          chunks.push({ at: since(), bytes: bytes.slice() })
          return bytes
        }),
        Stream.tapError(() => end("Broken")),
        Stream.concat(Stream.drain(Stream.fromEffect(Effect.suspend(() => end("End"))))),
        Stream.ensuring(Effect.suspend(() => end("Left")))
      )
      return yield* withBody(response, body)
    }
  )

  // A stream can only be read once, so it is read here and sent as bytes.
  const bytesOf = (
    request: HttpClientRequest.HttpClientRequest,
    url: URL
  ): Effect.Effect<Uint8Array | undefined, HttpClientError> => {
    const { body } = request
    switch (body._tag) {
      case "Empty":
        return Effect.undefined
      case "Uint8Array":
        return Effect.succeed(body.body)
      case "Stream":
        return Effect.mapBoth(Stream.runCollect(body.stream), {
          onFailure: (cause) => new HttpClientError({ reason: new EncodeError({ request, cause }) }),
          onSuccess: Cassette.concat
        })
      case "Raw":
        if (typeof body.body === "string") return Effect.succeed(new TextEncoder().encode(body.body))
        if (body.body instanceof Uint8Array) return Effect.succeed(body.body)
    }
    return die(
      failure(`${request.method} ${redactor.url(url).text}: a body of this kind (${body._tag}) cannot be recorded`)()
    )
  }

  const handle: Execute = Effect.fnUntraced(function*(request) {
    const url = Option.getOrUndefined(HttpClientRequest.toUrl(request))
    if (url === undefined) return yield* new HttpClientError({ reason: new InvalidUrlError({ request }) })
    const bytes = yield* bytesOf(request, url)
    const sent = describeSent(request, url, bytes)
    const sendable = request.body._tag === "Stream"
      ? HttpClientRequest.setBody(request, HttpBody.uint8Array(bytes!, request.body.contentType))
      : request
    if (mode === "record") return yield* record(inner!, sendable, sent)
    const found = find(sent)
    if ("exchange" in found) return yield* replay(request, found.exchange)
    const mayRecord = mode === "auto" && (order === "any" || replayed() >= recorded.length)
    return yield* mayRecord
      ? record(inner!, sendable, sent)
      : die(failure(found.miss)())
  })

  yield* Effect.addFinalizer((exit) =>
    Effect.andThen(
      Effect.suspend(() => Effect.forEach(fresh, ({ leave }) => leave, { discard: true })),
      Effect.suspend(() => {
        // The test may have died as a consequence of a swallowed problem.
        const reported = new Set(
          Exit.isFailure(exit) ? exit.cause.reasons.filter(Cause.isDieReason).map(({ defect }) => defect) : []
        )
        const swallowed = problems.filter((problem) => !reported.has(problem))
        return swallowed.length === 0
          ? Effect.void
          : Effect.failCause(Cause.fromReasons<never>(swallowed.map(Cause.makeDieReason)))
      })
    )
  )

  return HttpClient.makeWith<never, never, HttpClientError, never>(Effect.flatMap(handle), Effect.succeed)
})

/**
 * Replays recorded requests. In `auto` mode, the default, other requests are sent to the client below and recorded.
 * Fails when the file is not a recording, or in `replay` mode when it does not exist. A request that cannot be
 * replayed, and an exchange with a secret, die with a `RecorderError`.
 */
export const layer = (
  options: Options
): Layer.Layer<HttpClient.HttpClient, RecorderError, HttpClient.HttpClient | FileSystem.FileSystem | Path.Path> =>
  Layer.effect(
    HttpClient.HttpClient,
    Effect.flatMap(HttpClient.HttpClient, (client) => make(options, client.execute))
  )

/** Replays recorded requests without a client below. Any other request dies with a `RecorderError`. */
export const layerReplay = (
  options: ReplayOptions
): Layer.Layer<HttpClient.HttpClient, RecorderError, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(HttpClient.HttpClient, make({ ...options, mode: "replay" }, undefined))
