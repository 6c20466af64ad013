/**
 * Records real HTTP exchanges to a file, and replays them: an `HttpClient` around the real one. Tests that replay need
 * no keys and no network, and yet see what the provider really said, byte by byte and chunk by chunk.
 *
 * Reach for it when the provider's own words matter. `Simulator` needs no recording, `TestLLM` no HTTP.
 *
 * ```ts
 * import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
 * import * as NodeServices from "@effect/platform-node/NodeServices"
 * import { Layer } from "effect"
 * import { Anthropic } from "effect-llm"
 * import { Recorder } from "effect-llm/testing"
 *
 * // Asks the provider once, and from then on the file, which is to be committed.
 * const Recorded = Anthropic.layerConfig({}).pipe(
 *   Layer.provide(Recorder.layer({ file: "test/recordings/weather.json" })),
 *   Layer.provide([NodeHttpClient.layerUndici, NodeServices.layer])
 * )
 * ```
 *
 * One file holds the exchanges of one test. What goes by is not held back. Secrets are replaced or left out, and an
 * exchange in which one still appears is refused; look at a recording before you commit it all the same.
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
  /** The file of the recording; its folder is made if it is not there. One file belongs to one test. */
  readonly file: string
  /** Whether requests may come in any order (the default), or only in that of the recording. */
  readonly order?: "any" | "strict"
  /** Whether chunks are replayed at the pace at which they came, on Effect's clock; at once unless set. */
  readonly timing?: boolean
  /** Whether a recording may be replayed more than once, when there is no other left that matches. */
  readonly reuse?: boolean
  /**
   * Fields in which a request may differ from the recording: `origin`, `query.alt`, `body.metadata`,
   * `body.messages[*].id`.
   */
  readonly ignore?: ReadonlyArray<string>
  /** Further names of query parameters, and of fields of forms and JSON, whose values are not recorded. */
  readonly redact?: ReadonlyArray<string>
}

export interface Options extends ReplayOptions {
  /**
   * `auto`, the default, replays what is recorded, and records the rest; `record` begins a new recording. Where
   * nothing may be recorded, as in continuous integration, say `replay`, or take `layerReplay`.
   */
  readonly mode?: "auto" | "record" | "replay"
  /**
   * Further headers, of requests and responses, that are recorded: `x-deployment`, or `x-acme-` for all that begin so.
   * Those that hold credentials never are.
   */
  readonly headers?: ReadonlyArray<string>
}

/** A recording that cannot be read or written, a request that is not in it, or a secret that would have been. */
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
      return mode === "auto" ? [] : yield* failure("there is no such recording: record it first")()
    }
    const text = yield* fs.readFileString(file)
    // A name that is misspelt would be read as nothing, and be gone when the file is written again.
    const { exchanges } = yield* Schema.decodeEffect(Schema.fromJsonString(Cassette.Cassette))(text, {
      onExcessProperty: "error"
    }).pipe(
      Effect.mapError((error) => failure(`this is no recording: ${error.message}`)(error))
    )
    return exchanges
  }).pipe(
    Effect.catchTag("PlatformError", (cause: PlatformError) => Effect.fail(failure("the file cannot be read")(cause)))
  )
  const recorded = yield* load
  const { find, replayed } = finder(recorded, { ignore, order, reuse })
  const fresh: Array<{ exchange: Cassette.Exchange | undefined; readonly leave: Effect.Effect<void> }> = []

  // Written beside its place and moved there, so that nobody ever reads half a file.
  const save = Effect.gen(function*() {
    const directory = path.dirname(file)
    yield* fs.makeDirectory(directory, { recursive: true })
    const beside = yield* fs.makeTempDirectoryScoped({ directory, prefix: ".recording-" })
    const written = path.join(beside, path.basename(file))
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

      // Its place in the file is that of the request, whichever body ends first.
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

  // A body that can be read only once is read here, and sent on as what it was.
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
        // What the test dies of may follow from one that was swallowed.
        const known = new Set(
          Exit.isFailure(exit) ? exit.cause.reasons.filter(Cause.isDieReason).map(({ defect }) => defect) : []
        )
        const swallowed = problems.filter((problem) => !known.has(problem))
        return swallowed.length === 0
          ? Effect.void
          : Effect.failCause(Cause.fromReasons<never>(swallowed.map(Cause.makeDieReason)))
      })
    )
  )

  return HttpClient.makeWith<never, never, HttpClientError, never>(Effect.flatMap(handle), Effect.succeed)
})

/**
 * Replays what is recorded; in `auto` mode, the default, what is not is asked of the client below, and recorded. Fails
 * when the file is no recording, or in `replay` mode when it is missing. A request that cannot be replayed, and an
 * exchange that would write a secret, die with a `RecorderError`.
 */
export const layer = (
  options: Options
): Layer.Layer<HttpClient.HttpClient, RecorderError, HttpClient.HttpClient | FileSystem.FileSystem | Path.Path> =>
  Layer.effect(
    HttpClient.HttpClient,
    Effect.flatMap(HttpClient.HttpClient, (client) => make(options, client.execute))
  )

/** Replays what is recorded, and needs no client below: a request that is not recorded dies with a `RecorderError`. */
export const layerReplay = (
  options: ReplayOptions
): Layer.Layer<HttpClient.HttpClient, RecorderError, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(HttpClient.HttpClient, make({ ...options, mode: "replay" }, undefined))
