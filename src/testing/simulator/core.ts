/**
 * The simulator without its transport: chooses failures, answers, and keeps the requests.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import { refuse, wait, wholeNumber } from "../../middleware/options.ts"
import { type Answerer, completed } from "./answer.ts"
import { type Failure, type Provider, providers, type SimulatedRequest, type SimulatedResponse } from "./exchange.ts"
import { type FaultName, faultsOf, isFaultName } from "./faults/faults.ts"
import { parseObject } from "./json.ts"
import { begin, type Pending } from "./respond.ts"
import { providerOf } from "./routes.ts"

export interface Options {
  /**
   * Replaces the simulated model's answer: a text, or the fields of an answer, which may contain reasoning, images,
   * signatures and calls. With undefined, the simulated model answers. An effect may wait, and its failure is written
   * in the provider's words. An exception is a defect.
   */
  readonly answer?: Answerer
  /**
   * Whether a request without a key is refused. By default it is, except on local hosts (`localhost`, `*.localhost`,
   * `127.0.0.0/8`, `[::1]`, `0.0.0.0`).
   */
  readonly requireKey?: boolean
  /**
   * Whether unknown fields are refused, as by Anthropic, OpenAI and Gemini (the default), or ignored, as by many
   * compatible servers. OpenRouter always ignores them.
   */
  readonly unknownFields?: "reject" | "ignore"
  /**
   * How long models that can think do so before every answer. Only pings arrive meanwhile, if the provider sends them.
   * The answers then contain thinking as the provider returns it: signed, encrypted, or bound to the preceding
   * conversation. By default models do not think.
   */
  readonly think?: Duration.Input
  /**
   * The output limit of one request to Gemini 4. The client gets the rest by sending the request again with the
   * continuation token. By default it is the provider's own limit, which simulated answers do not reach.
   */
  readonly perRequest?: number
  /**
   * The failures of the first requests, in order: a name, a failure with its fields, or any status and body. A failure
   * that the requested service cannot have is a defect.
   */
  readonly failures?: ReadonlyArray<Failure | FaultName>
  /** Random failures of the later requests. */
  readonly faults?: Faults
  /**
   * Bytes of each chunk of a body. By default they vary, and chunks end within characters and line ends. Large chunks
   * make many calls cheaper.
   */
  readonly chunkSize?: number
  /** How many of the last requests are history for `requests`; 1000 unless given. */
  readonly keep?: number
}

export interface Faults {
  /** The share of requests that fail, from 0 to 1. */
  readonly rate: number
  /** The faults to choose from; all that the service can have unless given. */
  readonly only?: ReadonlyArray<FaultName>
  /** The same seed gives the same faults for the same sequence of requests. Without a seed, `Random` decides. */
  readonly seed?: string | number
}

/** A request, without the keys in its headers and query. */
export interface RecordedRequest {
  readonly provider: Provider
  readonly url: string
  /** Names in lower case. Headers with keys, tokens or cookies are left out. */
  readonly headers: { readonly [name: string]: string | undefined }
  /** The parsed JSON object, if it is one. */
  readonly body: { readonly [key: string]: unknown } | undefined
}

/** What a simulator was asked. */
export interface Asked {
  /** The last `keep` requests, in order. */
  readonly requests: Effect.Effect<ReadonlyArray<RecordedRequest>>
  /** How many answers the client gave up before their end, by interruption or by not reading them further. */
  readonly cancelled: Effect.Effect<number>
}

// Gateways have their own names for keys, so no list would be complete.
const holdsSecret = (name: string): boolean => /auth|key|token|secret|cookie|password|credential|signature/i.test(name)

const withoutSecrets = (url: URL): string => {
  const bare = new URL(url)
  bare.username = ""
  bare.password = ""
  for (const name of [...bare.searchParams.keys()].filter(holdsSecret)) bare.searchParams.delete(name)
  return bare.href
}

const recorded = (request: SimulatedRequest): RecordedRequest => ({
  provider: providerOf(request),
  url: withoutSecrets(request.url),
  headers: Object.fromEntries(Object.entries(request.headers).filter(([name]) => !holdsSecret(name))),
  body: parseObject(request.body)
})

const checkNames = (option: string, names: ReadonlyArray<unknown>): void => {
  for (const name of names) {
    if (typeof name === "string" && !isFaultName(name)) refuse("Simulator", option, `faults that exist, not "${name}"`)
  }
}

const check = ({ chunkSize, failures = [], faults, keep, perRequest, think }: Options): void => {
  wholeNumber("Simulator", "chunkSize", chunkSize)
  wholeNumber("Simulator", "keep", keep, 0)
  wholeNumber("Simulator", "perRequest", perRequest)
  wait("Simulator", "think", think)
  checkNames("failures", failures)
  if (faults === undefined) return
  if (!(faults.rate >= 0 && faults.rate <= 1)) refuse("Simulator", "faults.rate", "a number from 0 to 1")
  if (faults.only?.length === 0) refuse("Simulator", "faults.only", "at least one fault")
  checkNames("faults.only", faults.only ?? [])
}

/** The random fault of a request. */
const chance = Effect.fnUntraced(function*({ only, rate, seed }: Faults) {
  const random = yield* seed === undefined ? Random.Random : Random.withSeed(Random.Random, seed)
  const allowed = only === undefined ? undefined : new Set(only)
  const choices = new Map(
    providers.map((provider) => [provider, faultsOf(provider).filter((name) => allowed?.has(name) ?? true)])
  )
  return (provider: Provider): FaultName | undefined => {
    const names = choices.get(provider) ?? []
    return random.nextDoubleUnsafe() < rate ? names[Math.floor(random.nextDoubleUnsafe() * names.length)] : undefined
  }
})

/** The response to a defect for a client in another process. Clients do not retry it. */
export const defective = (defect: unknown): SimulatedResponse => ({
  status: 501,
  headers: { "content-type": "application/json", "x-should-retry": "false" },
  body: [JSON.stringify({ error: { message: String(defect), type: "simulator_error", code: "simulator_error" } })],
  ending: "End"
})

/** A simulator without a transport. */
export interface Core extends Asked {
  readonly answer: (request: SimulatedRequest) => Effect.Effect<SimulatedResponse>
  readonly onCancel: () => void
}

export const make = Effect.fnUntraced(function*(options: Options): Effect.fn.Return<Core> {
  yield* Effect.sync(() => check(options))
  const { answer, chunkSize, failures = [], faults, keep = 1000, perRequest, requireKey, unknownFields } = options
  const think = options.think === undefined ? undefined : Duration.toMillis(options.think)
  const drawn = faults === undefined ? undefined : yield* chance(faults)
  const history: Array<RecordedRequest> = []
  let asked = 0
  let cancelled = 0

  const answered = (provider: Provider, pending: Pending): Effect.Effect<SimulatedResponse> => {
    if (answer === undefined) return Effect.sync(() => pending.answer(pending.usual))
    const { asked: { completion, streamed }, callId, usual } = pending
    return Effect.suspend(() => {
      const reply = answer(completion, { provider, streamed })
      return Effect.match(Effect.isEffect(reply) ? reply : Effect.succeed(reply), {
        onFailure: pending.fail,
        onSuccess: (reply) => pending.answer(completed(reply, usual, callId))
      })
    })
  }

  return {
    answer: Effect.fnUntraced(function*(request) {
      const now = yield* Clock.currentTimeMillis
      const provider = providerOf(request)
      if (keep > 0) history.push(recorded(request))
      if (history.length > keep) history.shift()
      const failure = asked < failures.length ? failures[asked] : drawn?.(provider)
      asked++
      const begun = begin(request, { requireKey, unknownFields, failure, now, think, perRequest })
      const response = Result.isFailure(begun) ? begun.failure : yield* answered(provider, begun.success)
      return chunkSize === undefined ? response : { chunkSize, ...response }
    }),
    onCancel: () => cancelled++,
    requests: Effect.sync(() => [...history]),
    cancelled: Effect.sync(() => cancelled)
  }
})
