/**
 * The parts of every provider: a wire, an address and credentials. Use it to write your own provider, with the timeouts,
 * limits, redaction and typed failures of the others; retry and other middleware are layers above it.
 *
 * ```ts
 * import { OpenAi, Provider } from "effect-llm"
 *
 * // A definition becomes `layer` and `layerConfig`: see the guide "Your own provider".
 * type Definition = Provider.Definition<OpenAi.Options>
 * ```
 */

import * as ByteSize from "effect/ByteSize"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { HttpClient } from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { LLMClient } from "./LLMClient.ts"
import * as Check from "./middleware/options.ts"
import type * as Models from "./Models.ts"
import { withoutEnding } from "./transport/address.ts"
import * as transport from "./transport/completion.ts"
import { type Auth, type Endpoint, unfit } from "./transport/exchange.ts"
import { unsendable } from "./transport/headers.ts"
import * as secrets from "./transport/secrets.ts"
import type { Limits } from "./transport/sizes.ts"
import type { Given } from "./transport/timeouts.ts"
import type { Wire } from "./wire/Wire.ts"

export type { Auth } from "./transport/exchange.ts"
export { failures } from "./wire/failure.ts"
export { family as rateLimitFamily } from "./wire/hints.ts"
export type { JsonRecord } from "./wire/json.ts"
export { sse } from "./wire/sse.ts"
export type {
  Accepts,
  Answer,
  Failures,
  Frame,
  Framing,
  HeaderMap,
  Media,
  MessageRule,
  Refused,
  StreamDecoder,
  Verdict,
  Wire,
  WireRequest
} from "./wire/Wire.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Options
// ---------------------------------------------------------------------------------------------------------------------

/** The timeouts of one attempt; those that are left out keep their defaults. An infinite duration turns one off. */
export interface TimeoutOptions {
  /**
   * Until anything arrives, pings and comments included, counted from the headers. One minute if the provider sends pings
   * while a model thinks (Anthropic, OpenRouter), else the same as `progress`.
   */
  readonly bytes?: Duration.Input | undefined
  /** Until an event that changes the answer. 5 minutes, or 10 at effort high and above, unless given. */
  readonly progress?: Duration.Input | undefined
  /** Until the first part of the answer. The same as `progress` unless given. */
  readonly firstPart?: Duration.Input | undefined
  /** For the whole answer. 60 minutes, or 10 for one that is not read as a stream, unless given. */
  readonly total?: Duration.Input | undefined
}

/** How much of a response is read; limits that are left out keep their defaults. */
export interface LimitOptions {
  /** A whole body after decompression, streamed or not, in bytes; "64 MiB" unless given. */
  readonly body?: ByteSize.Input | undefined
  /** One event of a streamed answer, in characters, a number or a size such as "1 MiB"; "32 MiB" unless given. */
  readonly event?: ByteSize.Input | undefined
}

/** The options that every provider has. */
export interface CommonOptions {
  /** The API key; not needed when `baseUrl` is local. */
  readonly apiKey?: Redacted.Redacted | undefined
  /** The address of the API, for gateways and compatible servers; the provider's own unless given. */
  readonly baseUrl?: string | undefined
  /**
   * The name of this instance in answers, errors and the keys of limits and caches. Unless given, the vendor's name at the
   * vendor's own address, and the host elsewhere. Reasoning and ids in a history from another name are not sent.
   */
  readonly name?: string | undefined
  /** The default model. */
  readonly model?: string | undefined
  /** Facts about models that replace the built-in ones, by name or prefix: see `Models`. */
  readonly models?: Models.Overrides | undefined
  /** Additional HTTP headers of every request. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** The timeouts of one attempt; `false` turns them off. */
  readonly timeouts?: TimeoutOptions | false | undefined
  /** The size limits of an answer; a larger one fails as `Transient · Malformed`, and the connection closes. */
  readonly limits?: LimitOptions | undefined
  /**
   * Whether `completion` uses a stream internally, so that a whole answer has a stream's timeouts and partial output, and
   * survives idle proxies. `"auto"` (the default) does so at the vendor's own address and below a `Fallback`, unless
   * `maxTokens` is at most 1,024 and no fallback is ready. If a server refuses to stream, it is asked without, later too.
   */
  readonly whole?: "stream" | "unary" | "auto" | undefined
  /** Sends `traceparent` and `b3` headers to the provider and records a span of each HTTP request; off unless given. */
  readonly tracePropagation?: boolean | undefined
}

const commonNames = {
  apiKey: true,
  baseUrl: true,
  name: true,
  model: true,
  models: true,
  headers: true,
  timeouts: true,
  limits: true,
  whole: true,
  tracePropagation: true
} satisfies Record<keyof CommonOptions, true>

/** The definition of a provider. */
export interface Definition<Options extends CommonOptions> {
  /** The key of its `providerParams`, and the name of an instance at its own address: "anthropic". */
  readonly vendor: string
  /** The fixed name of instances of a compatible server, whatever its address. */
  readonly preset?: string
  /** The wire for an address and the name of the instance. */
  readonly wire: (settings: { readonly name: string; readonly baseUrl: URL; readonly options: Options }) => Wire
  /** The vendor's own address. */
  readonly baseUrl: string
  /** Endings of a base URL that are also in the path of a request, and are removed; the first match is used. */
  readonly endings?: ReadonlyArray<string>
  /** The environment variables of the key; the first that is set is used. */
  readonly keyVariables: ReadonlyArray<string>
  readonly baseUrlVariable: string
  /** The headers that hold the key, or an effect that puts credentials on a request. */
  readonly auth: (key: string) => Readonly<Record<string, string>> | Auth
  /** Headers from the options. */
  readonly headers?: (options: Options) => Readonly<Record<string, string | undefined>>
  /** The names of the options besides the common ones. */
  readonly options?: ReadonlyArray<Exclude<keyof Options, keyof CommonOptions> & string>
  /** The problem with these options, if any. */
  readonly check?: (options: Options) => string | undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Addresses
// ---------------------------------------------------------------------------------------------------------------------

const localHost = /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|\[::1\]|0\.0\.0\.0)$/

/** Whether a URL is local, where servers need no key. */
export const isLocal = (url: URL): boolean => localHost.test(url.hostname)

/** Whether a URL is at the vendor's own address: the same host, or another one of its domain. */
export const isOwn = (own: string, url: URL): boolean => {
  const domain = new URL(own).hostname.split(".").slice(-2).join(".")
  return url.hostname === domain || url.hostname.endsWith(`.${domain}`)
}

const parseUrl = (text: string, endings: ReadonlyArray<string>): Result.Result<URL, string> => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url !== undefined) url.pathname = withoutEnding(url.pathname, endings)
  return url === undefined || !/^https?:$/.test(url.protocol)
    ? Result.fail("baseUrl: give an absolute URL that begins with http:// or https://")
    : url.username !== "" || url.password !== ""
    ? Result.fail("baseUrl: give a URL without credentials, which belong into apiKey or headers")
    : Result.succeed(url)
}

// ---------------------------------------------------------------------------------------------------------------------
// Endpoints
// ---------------------------------------------------------------------------------------------------------------------

const clocks = ["bytes", "progress", "firstPart", "total"] as const

const off: Given = { bytes: Infinity, progress: Infinity, firstPart: Infinity, total: Infinity }

const toTimeouts = (options: TimeoutOptions | false = {}): Given =>
  options === false ? off : Object.fromEntries(clocks.flatMap((name) => {
    const given = options[name]
    return given === undefined ? [] : [[name, Duration.toMillis(Duration.fromInputUnsafe(given))]]
  }))

const sizes = { body: 64 << 20, event: 32 << 20 } as const

const toSize = (input: ByteSize.Input): number | undefined =>
  Option.getOrUndefined(
    Option.filter(Option.flatMap(ByteSize.fromInput(input), ByteSize.toNumber), (size) => size > 0)
  )

const toLimits = ({ body = sizes.body, event = sizes.event }: LimitOptions): Result.Result<Limits, string> => {
  const bytes = toSize(body)
  const characters = toSize(event)
  if (bytes !== undefined && characters !== undefined) return Result.succeed({ body: bytes, event: characters })
  return Result.fail(
    `limits.${
      bytes === undefined ? "body" : "event"
    }: give a whole number above 0, or one with a unit, such as "64 MiB"`
  )
}

const present = (headers: Readonly<Record<string, string | undefined>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).flatMap(([name, value]) => value === undefined ? [] : [[name, value]]))

const or = (names: ReadonlyArray<string>): string => names.join(" or ")

// Why a provider cannot be called: a missing key, or an invalid option.
interface Problem {
  readonly _tag: "Key" | "Option"
  readonly description: string
}

const problem = (_tag: Problem["_tag"]) => (description: string): Problem => ({ _tag, description })

const wrongKey =
  "apiKey contains characters that no key has, such as a space or a line break: check where it comes from"

// Keys from files and shells often end in a newline.
const keyOf = ({ apiKey }: CommonOptions): string => apiKey === undefined ? "" : Redacted.value(apiKey).trim()

const checkKey = (key: string, baseUrl: URL, keyVariables: ReadonlyArray<string>): string | undefined =>
  key === "" && !isLocal(baseUrl)
    ? `apiKey is missing: give the option apiKey, or set ${or(keyVariables)}`
    : /^[\x21-\x7e]*$/.test(key)
    ? undefined
    : wrongKey

const none: Auth = Effect.succeed

// The caller's headers win over those that hold the key.
const toAuth = (auth: Readonly<Record<string, string>> | Auth): Auth =>
  typeof auth === "function"
    ? auth
    : (request) => Effect.succeed(HttpClientRequest.setHeaders(request, { ...auth, ...request.headers }))

const toWire = <Options extends CommonOptions>(definition: Definition<Options>, baseUrl: URL, options: Options): Wire =>
  definition.wire({
    name: options.name ?? definition.preset
      ?? (isOwn(definition.baseUrl, baseUrl) ? definition.vendor : baseUrl.host),
    baseUrl,
    options
  })

const toEndpoint = <Options extends CommonOptions>(
  definition: Definition<Options>,
  options: Options,
  keyVariables: ReadonlyArray<string>
): Result.Result<Endpoint, Problem & { readonly wire?: Wire }> =>
  Result.gen(function*() {
    const parsed = parseUrl(options.baseUrl ?? definition.baseUrl, definition.endings ?? [])
    const baseUrl = yield* Result.mapError(parsed, problem("Option"))
    const headers = { ...present(definition.headers?.(options) ?? {}), ...options.headers }
    const wrong = unsendable(headers)
    if (wrong !== undefined) return yield* Result.fail(problem("Option")(`headers: ${unfit(wrong)}`))
    if (options.whole !== undefined && !["stream", "unary", "auto"].includes(options.whole)) {
      return yield* Result.fail(problem("Option")(`whole: give "stream", "unary" or "auto"`))
    }
    const own = definition.check?.(options)
    if (own !== undefined) return yield* Result.fail(problem("Option")(own))
    if (options.name === "") return yield* Result.fail(problem("Option")("name: give a text that is not empty"))
    const given = options.timeouts === false ? {} : options.timeouts ?? {}
    const clock = clocks.find((name) => given[name] !== undefined && !Check.isWait(given[name]))
    if (clock !== undefined) {
      return yield* Result.fail(problem("Option")(`timeouts.${clock}: give a duration that is not negative`))
    }
    const limits = yield* Result.mapError(toLimits(options.limits ?? {}), problem("Option"))
    const wire = toWire(definition, baseUrl, options)
    const key = keyOf(options)
    const unusable = checkKey(key, baseUrl, keyVariables)
    if (unusable !== undefined) return yield* Result.fail({ ...problem("Key")(unusable), wire })
    const auth = key === "" ? none : definition.auth(key)
    return {
      wire,
      baseUrl,
      model: options.model,
      models: options.models,
      headers,
      auth: toAuth(auth),
      secrets: [
        ...(key === "" ? [] : [key]),
        ...(typeof auth === "function" ? [] : secrets.ofValues(Object.values(auth)))
      ],
      timeouts: toTimeouts(options.timeouts),
      limits,
      whole: options.whole ?? "auto",
      own: definition.preset === undefined && isOwn(definition.baseUrl, baseUrl),
      tracePropagation: options.tracePropagation ?? false
    }
  })

const checkNames = <Options extends CommonOptions>(
  { options = [], vendor }: Definition<Options>,
  given: Partial<CommonOptions>
): void => {
  Check.known(vendor, given, [...Object.keys(commonNames), ...options])
  Check.known(`${vendor} timeouts`, given.timeouts || {}, clocks)
  Check.known(`${vendor} limits`, given.limits ?? {}, Object.keys(sizes))
  Check.object(vendor, "models", given.models)
}

// ---------------------------------------------------------------------------------------------------------------------
// Layers
// ---------------------------------------------------------------------------------------------------------------------

const configError = ({ description }: Problem) =>
  new Config.ConfigError(new ConfigProvider.SourceError({ message: description }))

// The first variable that is not blank.
const firstOf = (names: ReadonlyArray<string>): Effect.Effect<string | undefined, Config.ConfigError> =>
  Effect.map(
    Effect.forEach(names, (name) => Config.withDefault(Config.String(name), "")),
    (values) => values.find((value) => value.trim() !== "")
  )

const fromEnvironment = <Options extends CommonOptions>(
  definition: Definition<Options>,
  given: Partial<Options>,
  keyVariables: ReadonlyArray<string>
): Effect.Effect<Endpoint, Config.ConfigError> =>
  Effect.gen(function*() {
    const baseUrl = given.baseUrl ?? (yield* firstOf([definition.baseUrlVariable]))
    const key = given.apiKey === undefined ? yield* firstOf(keyVariables) : undefined
    const options = {
      ...given,
      ...(baseUrl !== undefined && { baseUrl }),
      ...(key !== undefined && { apiKey: Redacted.make(key) })
    } as Options
    return yield* Effect.mapError(Effect.fromResult(toEndpoint(definition, options, keyVariables)), configError)
  })

/** The settings of `layerConfig` besides the options. */
export interface Variables {
  /** The environment variable of the key, instead of the provider's usual one. */
  readonly apiKeyEnv?: string
}

/** Builds a provider's layer from its options. */
export interface FromOptions<Options extends CommonOptions> {
  (options: Options): Layer.Layer<LLMClient, never, HttpClient>
}

/** Builds a provider's layer from configuration; `options` win over the environment. */
export interface FromConfig<Options extends CommonOptions> {
  (
    options?: Config.Wrap<Partial<Options>>,
    variables?: Variables
  ): Layer.Layer<LLMClient, Config.ConfigError, HttpClient>
}

/** The two layers of a provider. */
export interface Layers<Options extends CommonOptions> {
  readonly layer: FromOptions<Options>
  readonly layerConfig: FromConfig<Options>
}

/**
 * Makes the layers of a provider from its definition.
 *
 * `layer` can always be built: without a key each call fails as `ClientError · Authentication`, because another provider
 * may have one. An invalid option, for example a negative size or a misspelt name, is a defect when the layer is built.
 * `layerConfig` fails with a `ConfigError` if the configuration is incomplete or invalid.
 */
export const layers = <Options extends CommonOptions>(
  definition: Definition<Options>,
  keyVariables: (variables: Variables) => ReadonlyArray<string> = ({ apiKeyEnv }) =>
    apiKeyEnv === undefined ? definition.keyVariables : [apiKeyEnv]
): Layers<Options> => ({
  layer: (options) =>
    Layer.effect(
      LLMClient,
      Effect.suspend(() => {
        checkNames(definition, options)
        const endpoint = toEndpoint(definition, options, definition.keyVariables)
        if (Result.isSuccess(endpoint)) return transport.make(endpoint.success)
        const { description, wire } = endpoint.failure
        if (wire !== undefined) {
          return Effect.succeed(transport.refusing(wire, { _tag: "Unauthenticated", description }))
        }
        throw new Error(`${definition.vendor} ${description}`)
      })
    ),
  layerConfig: (options, variables = {}) =>
    Layer.effect(
      LLMClient,
      Effect.suspend(() => Check.configured<Partial<Options>>(`${definition.vendor} layerConfig`, options)).pipe(
        Effect.tap((given) => Effect.sync(() => checkNames(definition, given))),
        Effect.flatMap((given) => fromEnvironment(definition, given, keyVariables(variables))),
        Effect.flatMap(transport.make)
      )
    )
})
