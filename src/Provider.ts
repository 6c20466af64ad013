/**
 * What the provider modules share: options, where they come from, and the layers made of them.
 */
import * as ByteSize from "effect/ByteSize"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { HttpClient } from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { LLMClient } from "./LLMClient.ts"
import { isWait } from "./middleware/options.ts"
import * as transport from "./transport/completion.ts"
import { unsendable } from "./transport/headers.ts"
import type { Limits } from "./transport/sizes.ts"
import type { Timeouts } from "./transport/timeouts.ts"
import type { Protocol } from "./wire/Wire.ts"

/** How long one attempt may take; what is left out keeps its default. */
export interface TimeoutOptions {
  /** Until the first part of a streamed answer; 5 minutes unless set. */
  readonly firstPart?: Duration.Input
  /** Between two parts of a streamed answer; 2 minutes unless set. */
  readonly idle?: Duration.Input
  /** For the whole answer, streamed or not; 30 minutes unless set. */
  readonly total?: Duration.Input
}

/** How much of what comes back for one request is taken in; what is left out keeps its default. */
export interface LimitOptions {
  /** A whole body, streamed or not, in bytes once it is decompressed; "128 MiB" unless set. */
  readonly body?: ByteSize.Input
  /** One event of a streamed answer, in characters, a number or a size such as "1 MiB"; "32 MiB" unless set. */
  readonly event?: ByteSize.Input
}

/** The options that every provider has. */
export interface CommonOptions {
  /** The API key; not needed when `baseUrl` is local. */
  readonly apiKey?: Redacted.Redacted
  /** Where the API is, for gateways and compatible servers; the provider's own address unless set. */
  readonly baseUrl?: string
  /** The model of completions that name none. */
  readonly model?: string
  /** Further HTTP headers of every request. */
  readonly headers?: Readonly<Record<string, string>>
  /** How long one attempt may take; `false` lets it take for ever. */
  readonly timeouts?: TimeoutOptions | false
  /** How large an answer may be; one that is larger fails as `Transient · Malformed`, and the connection closes. */
  readonly limits?: LimitOptions
  /** Sends `traceparent` and `b3` headers to the provider and records a span of each HTTP request; off unless set. */
  readonly tracePropagation?: boolean
}

/** What a provider is, besides its protocol. */
export interface Definition<Options extends CommonOptions> {
  readonly protocol: (baseUrl: URL) => Protocol
  readonly baseUrl: string
  /** What a base URL may end with that the path of a request brings along. */
  readonly suffix: RegExp
  /** The environment variables of the key; the first that is set counts. */
  readonly keyVariables: ReadonlyArray<string>
  readonly baseUrlVariable: string
  readonly auth: (key: string) => Readonly<Record<string, string>>
  readonly headers?: (options: Options) => Readonly<Record<string, string | undefined>>
}

const localHost = /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|\[::1\]|0\.0\.0\.0)$/

/** Whether a URL is of this machine, where servers need no key. */
export const isLocal = (url: URL): boolean => localHost.test(url.hostname)

const parseUrl = (text: string, suffix: RegExp): Result.Result<URL, string> => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url !== undefined) url.pathname = url.pathname.replace(suffix, "")
  return url === undefined || !/^https?:$/.test(url.protocol)
    ? Result.fail("baseUrl is malformed: give an absolute URL that begins with http:// or https://")
    : url.username !== "" || url.password !== ""
    ? Result.fail("baseUrl holds credentials: give them as apiKey or headers")
    : Result.succeed(url)
}

const defaults = { firstPart: "5 minutes", idle: "2 minutes", total: "30 minutes" } as const

const clocks = ["firstPart", "idle", "total"] as const

const toTimeouts = (options: TimeoutOptions | false | undefined): Timeouts | undefined =>
  options === false ? undefined : {
    firstPart: Duration.fromInputUnsafe(options?.firstPart ?? defaults.firstPart),
    idle: Duration.fromInputUnsafe(options?.idle ?? defaults.idle),
    total: Duration.fromInputUnsafe(options?.total ?? defaults.total)
  }

const sizes = { body: 128 << 20, event: 32 << 20 } as const

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
    } is no size: give a whole number above 0, or one with a unit, such as "64 MiB"`
  )
}

const present = (headers: Readonly<Record<string, string | undefined>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).flatMap(([name, value]) => value === undefined ? [] : [[name, value]]))

// Keys from files and shells often end in a newline.
const keyOf = (options: CommonOptions): string =>
  options.apiKey === undefined ? "" : Redacted.value(options.apiKey).trim()

const or = (names: ReadonlyArray<string>): string => names.join(" or ")

const toEndpoint = <Options extends CommonOptions>(
  definition: Definition<Options>,
  options: Options,
  keyVariables: ReadonlyArray<string>
): Result.Result<transport.Endpoint, string> =>
  Result.flatMap(parseUrl(options.baseUrl ?? definition.baseUrl, definition.suffix), (baseUrl) => {
    const key = keyOf(options)
    if (key === "" && !isLocal(baseUrl)) {
      return Result.fail(`apiKey is missing: give the option apiKey, or set ${or(keyVariables)}`)
    }
    if (!/^[\x21-\x7e]*$/.test(key)) {
      return Result.fail(
        "apiKey holds characters that no key has, such as a space or a line break: check where it comes from"
      )
    }
    const headers = {
      ...(key !== "" && definition.auth(key)),
      ...present(definition.headers?.(options) ?? {}),
      ...options.headers
    }
    const unfit = unsendable(headers)
    if (unfit !== undefined) {
      return Result.fail(`the header ${unfit} cannot be sent: HTTP does not allow its characters`)
    }
    const given = options.timeouts === false ? {} : options.timeouts ?? {}
    const clock = clocks.find((name) => given[name] !== undefined && !isWait(given[name]))
    if (clock !== undefined) return Result.fail(`timeouts.${clock} is no duration: give one that is not negative`)
    return Result.map(toLimits(options.limits ?? {}), (limits) => ({
      protocol: definition.protocol(baseUrl),
      baseUrl,
      model: options.model,
      headers,
      timeouts: toTimeouts(options.timeouts),
      limits,
      tracePropagation: options.tracePropagation ?? false
    }))
  })

const client = (endpoint: Effect.Effect<transport.Endpoint, Config.ConfigError>) =>
  Layer.effect(LLMClient, Effect.flatMap(endpoint, transport.make))

const configError = (message: string) => new Config.ConfigError(new ConfigProvider.SourceError({ message }))

// The first of the variables that holds more than blanks.
const firstOf = (names: ReadonlyArray<string>): Effect.Effect<string | undefined, Config.ConfigError> =>
  Effect.map(
    Effect.forEach(names, (name) => Config.withDefault(Config.String(name), "")),
    (values) => values.find((value) => value.trim() !== "")
  )

const fromEnvironment = <Options extends CommonOptions>(
  definition: Definition<Options>,
  given: Partial<Options>,
  keyVariables: ReadonlyArray<string>
): Effect.Effect<transport.Endpoint, Config.ConfigError> =>
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

/** Where `layerConfig` looks besides its options. */
export interface Variables {
  /** The environment variable that holds the key, in place of the provider's usual one. */
  readonly apiKeyEnv?: string
}

/** The two layers of a provider. */
export interface Layers<Options extends CommonOptions> {
  readonly layer: (options: Options) => Layer.Layer<LLMClient, never, HttpClient>
  readonly layerConfig: (
    options?: Config.Wrap<Partial<Options>>,
    variables?: Variables
  ) => Layer.Layer<LLMClient, Config.ConfigError, HttpClient>
}

/** Makes the layers of a provider from its definition. */
export const layers = <Options extends CommonOptions>(
  definition: Definition<Options>,
  keyVariables: (variables: Variables) => ReadonlyArray<string> = ({ apiKeyEnv }) =>
    apiKeyEnv === undefined ? definition.keyVariables : [apiKeyEnv]
): Layers<Options> => ({
  layer: (options) =>
    Layer.effect(
      LLMClient,
      Result.match(toEndpoint(definition, options, definition.keyVariables), {
        onSuccess: transport.make,
        onFailure: (problem) =>
          Effect.succeed(transport.refusing(definition.protocol(new URL(definition.baseUrl)), problem))
      })
    ),
  layerConfig: (options, variables = {}) =>
    client(Effect.flatMap(
      Config.unwrap((options ?? {}) as Config.Wrap<Partial<Options>>),
      (given) => fromEnvironment(definition, given, keyVariables(variables))
    ))
})
