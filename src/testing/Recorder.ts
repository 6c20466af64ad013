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
 * - One file holds the exchanges of one test, in the order of their requests. JSON is kept as JSON and server-sent
 *   events as lines, so that a change is readable in a review. It is written whole, whenever a body has ended.
 * - What goes by is not held back: the caller sees chunks as they come. A body that its reader left is recorded as far
 *   as it was read, and so is one that broke; a request without any response is not recorded.
 * - Headers are left out but for a few that are known to be harmless. Values that are secrets by their name (`key`,
 *   `api_key`, `access_token`, …) are replaced in queries, in forms, and anywhere in JSON; in a path, what looks like a
 *   key. An exchange in which then still appears what was left out or replaced, escaped or in base64, or what looks like
 *   a key, is refused and not written. So is a body that is compressed, as it cannot be searched.
 * - Look at a recording before you commit it all the same. What stays open: a secret that no rule knows for one, as in a
 *   prompt or under a name of your own (see `redact`); the value of a named field that a stream spells out piece by
 *   piece; what is encrypted, hashed, or encoded otherwise; texts in UTF-16, multipart bodies but for known values; and
 *   secrets of fewer than four characters, or eight where nothing says that they are secrets.
 * - A request is matched by method, URL and body; JSON is compared by what it says, and kept in the order of its keys.
 *   What was replaced is not compared. Each recording is replayed once, unless `reuse` is set. A request that was not
 *   recorded is a defect, which no retry hides, and it fails the test at the end of the layer even if the code under
 *   test swallowed it, beside whatever the test died of in consequence.
 * - A file may be edited by hand. What cannot be read then fails the layer and names the field; pieces that do not add
 *   up to the body give what is left with the last of them.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
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
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import * as OptionChecks from "../middleware/options.ts"
import * as secrets from "../transport/secrets.ts"
import * as Cassette from "./recorder/cassette.ts"

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
// Headers
// ---------------------------------------------------------------------------------------------------------------------

// Names in lower case; those that end in "-" stand for all that begin so.
const harmless = [
  "accept",
  "anthropic-beta",
  "anthropic-ratelimit-",
  "anthropic-version",
  "content-type",
  "request-id",
  "retry-after",
  "retry-after-ms",
  "x-ratelimit-",
  "x-request-id",
  "x-should-retry"
]

const credentials = [
  "api-key",
  "authorization",
  "cookie",
  "ocp-apim-subscription-key",
  "proxy-authorization",
  "set-cookie",
  "x-amz-security-token",
  "x-api-key",
  "x-auth-token",
  "x-goog-api-key"
]

// Others are known by their last word.
const lastWord =
  /(?:^|-)(?:(?:access|api|functions|subscription)-?key|auth|authorization|cookie|credentials?|password|secret|token)$/

const isCredential = (name: string): boolean => credentials.includes(name) || lastWord.test(name)

// Of the transport's own making; they may hold anything, but no secret of the caller.
const technical = /^(?:b3|connection|content-length|host|traceparent|tracestate|transfer-encoding)$|^x-b3-/

// Of the server's own making, and of use to it in its bodies as well.
const descriptive = new RegExp(
  `^(?:${
    [
      "(?:access-control|cf|content|sec|x-envoy)-.*",
      "(?:anthropic|openai)-(?:model|organization|organization-id|processing-ms|project|version)",
      "accept-ranges|age|allow|alt-svc|cache-control|date|etag|expires|last-modified|link|nel|pragma|report-to|server",
      "server-timing|strict-transport-security|trailer|vary|via|x-(?:content-type|frame)-options|x-powered-by",
      "x-robots-tag|x-xss-protection",
      ".*-(?:deployment|model|name|region|tier|version)",
      ".*-(?:correlation|generation|request|response|trace)-?id"
    ].join("|")
  })$`
)

type Headers = Readonly<Record<string, string | undefined>>

const entries = (headers: Headers): Array<[string, string]> =>
  Object.entries(headers).flatMap(([name, value]): Array<[string, string]> =>
    value === undefined ? [] : [[name.toLowerCase(), value]]
  )

const isOf = (names: ReadonlyArray<string>, name: string): boolean =>
  names.some((kept) => kept === name || (kept.endsWith("-") && name.startsWith(kept)))

// What is shorter, in a header of a server's, says something about the answer.
const shortestOfServer = 16

// The two halves of `Basic`; whoever is called `user` is no secret.
const halves = (value: string): ReadonlyArray<string> => {
  const [, encoded = ""] = value.match(/^Basic\s+(\S+)$/i) ?? []
  const [user = "", ...password] = Result.getOrElse(Base64.decodeString(encoded), () => "").split(":")
  return [...(user.length >= Cassette.shortest ? [user] : []), password.join(":")]
}

// ---------------------------------------------------------------------------------------------------------------------
// Responses
// ---------------------------------------------------------------------------------------------------------------------

const isEmptyBody = (error: HttpClientError): boolean => error.reason._tag === "EmptyBodyError"

/** The response with another body, however it is read. */
const withBody = (
  response: HttpClientResponse.HttpClientResponse,
  stream: Stream.Stream<Uint8Array, HttpClientError>
): Effect.Effect<HttpClientResponse.HttpClientResponse> =>
  Effect.map(
    Effect.cached(Effect.map(Stream.runCollect(stream), (chunks) =>
      HttpClientResponse.fromWeb(
        response.request,
        new Response(Cassette.concat(chunks), { headers: { "content-type": response.headers["content-type"] ?? "" } })
      ))),
    (whole) => {
      const of = <A>(read: (whole: HttpClientResponse.HttpClientResponse) => Effect.Effect<A, HttpClientError>) => ({
        value: Effect.flatMap(whole, read)
      })
      return Object.create(response, {
        stream: { value: stream },
        arrayBuffer: of((whole) => whole.arrayBuffer),
        formData: of((whole) => whole.formData),
        json: of((whole) => whole.json),
        text: of((whole) => whole.text),
        urlParamsBody: of((whole) => whole.urlParamsBody)
      })
    }
  )

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
    const kept = name.toLowerCase()
    if (kept === "" || isCredential(kept) || credentials.some((credential) => isOf([kept], credential))) {
      refuse("headers", `names that hold no secret, not "${name}"`)
    }
  }
}

const show = (value: unknown): string => value === undefined ? "nothing" : JSON.stringify(value)

// Long texts from a little before where they begin to differ.
const excerpts = (...texts: readonly [string, string]): ReadonlyArray<string> => {
  const [one, other] = texts
  let same = 0
  while (same < one.length && one[same] === other[same]) same++
  const from = same > 80 ? same - 30 : 0
  return texts.map((text) =>
    `${from > 0 ? "…" : ""}${text.slice(from, from + 120)}${text.length > from + 120 ? "…" : ""}`
  )
}

// Secrets are taken out before anything is cut, as no half of one would be found.
const describe = (differences: ReadonlyArray<Cassette.Difference>, redact: (text: string) => string): string =>
  differences.slice(0, 5).map(({ field, recorded, sent }) => {
    const [from, to] = excerpts(redact(show(recorded)), redact(show(sent)))
    return `\n  ${redact(field)}: ${from} was recorded, ${to} was sent`
  }).join("") + (differences.length > 5 ? `\n  and ${differences.length - 5} more` : "")

/** A request as it goes into the file, and what of it must not. */
interface Sent {
  readonly request: Cassette.Exchange["request"]
  readonly secrets: ReadonlyArray<string>
  readonly contentEncoding: string | undefined
}

type Execute = (
  request: HttpClientRequest.HttpClientRequest
) => Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError>

const make = Effect.fnUntraced(function*(options: Options, inner: Execute | undefined) {
  check(options)
  const { file, ignore = [], mode = "auto", order = "any", reuse = false, timing = false } = options
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const kept = [...harmless, ...(options.headers ?? []).map((name) => name.toLowerCase())]
  const keeps = (name: string) => isOf(kept, name) && !isCredential(name)
  const redactor = Cassette.byName(options.redact ?? [])
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
  const replayed = new Set<number>()
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

  const headersOf = (headers: Headers): Record<string, string> =>
    Object.fromEntries(entries(headers).filter(([name]) => keeps(name)).sort(([a], [b]) => a < b ? -1 : 1))

  const secretsOf = (headers: Headers): ReadonlyArray<string> =>
    entries(headers).flatMap(([name, value]) => {
      if (keeps(name) || technical.test(name)) return []
      // Each cookie on its own, too.
      const cookies = name === "cookie" ? value.split(";").map((pair) => pair.slice(pair.indexOf("=") + 1)) : []
      return [...secrets.ofHeaders({ [name]: value }), ...cookies, ...halves(value)].filter((secret) =>
        isCredential(name) || secret.length >= Cassette.shortest
      )
    })

  // Cookies are all that a server sets so, and the rest of the header is not for them alone.
  const secretsOfAnswer = ({ cookies, headers }: HttpClientResponse.HttpClientResponse): ReadonlyArray<string> => [
    ...Object.values(cookies.cookies).flatMap(({ value, valueEncoded }) => [value, valueEncoded]).filter((value) =>
      value.length >= Cassette.shortest
    ),
    ...secretsOf(Object.fromEntries(
      entries(headers).filter(([name, value]) =>
        name !== "set-cookie" && (isCredential(name) || (value.length >= shortestOfServer && !descriptive.test(name)))
      )
    ))
  ]

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

  // The recording to replay; a miss when there is none, with its reason.
  const find = (
    { request, secrets: all }: Sent
  ): { readonly exchange: Cassette.Exchange } | { readonly miss: string } => {
    const redact = secrets.redactor(all)
    const candidates = recorded.map((exchange, index) => ({
      exchange,
      index,
      differences: Cassette.differences(exchange.request, request, ignore)
    }))
    const asked = redact(`${request.method} ${request.url}`)
    const matching = candidates.filter(({ differences }) => differences.length === 0)
    const unused = (strict: boolean) =>
      strict
        ? matching.find(({ index }) => index === replayed.size)
        : matching.find(({ index }) => !replayed.has(index))
    const found = unused(order === "strict") ??
      (reuse ? matching.findLast(({ index }) => replayed.has(index)) : undefined)
    if (found !== undefined) {
      replayed.add(found.index)
      return found
    }
    const next = order === "strict" ? candidates[replayed.size] : undefined
    if (next !== undefined) {
      return {
        miss: `${asked} is not what was recorded next (exchange ${next.index + 1}):${
          describe(next.differences, redact)
        }`
      }
    }
    const last = matching.at(-1)
    if (last !== undefined) {
      return {
        miss: `${asked} was recorded (exchange ${last.index + 1}), but is replayed already: see the option reuse`
      }
    }
    const [nearest] = candidates.sort((a, b) => a.differences.length - b.differences.length)
    return {
      miss: nearest === undefined
        ? `${asked} was not recorded: the recording is empty`
        : `${asked} was not recorded. The nearest is exchange ${nearest.index + 1}:${
          describe(nearest.differences, redact)
        }`
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
          const compressed = Cassette.isCompressed(body, headers["content-encoding"])
            ? "response.body"
            : Cassette.isCompressed(sent.request.body, sent.contentEncoding)
            ? "request.body"
            : undefined
          if (compressed !== undefined) {
            return refuse(
              `its ${compressed} is compressed and cannot be searched for secrets; use a client that decompresses`
            )
          }
          const field = Cassette.leak(exchange, [...sent.secrets, ...secretsOfAnswer(answered.response), ...secrets])
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
    const mayRecord = mode === "auto" && (order === "any" || replayed.size >= recorded.length)
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
