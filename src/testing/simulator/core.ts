/**
 * What every simulator does, wherever its requests come from: decides what goes wrong, answers, and remembers what it
 * was asked.
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
   * What is answered in place of what the simulated model says: a text, or the fields of an answer, with reasoning,
   * images, signatures and calls as they are given; undefined leaves it to the simulated model. An effect may wait, and
   * a failure of it is written in the provider's words. What it throws is a defect.
   */
  readonly answer?: Answerer
  /**
   * Whether a request without a key is refused. By default it is everywhere but on local hosts (`localhost`,
   * `*.localhost`, `127.0.0.0/8`, `[::1]`, `0.0.0.0`).
   */
  readonly requireKey?: boolean
  /**
   * Whether fields that the provider does not know are refused, as Anthropic, OpenAI and Gemini do (the default), or
   * passed over, as many compatible servers do. OpenRouter always passes them over.
   */
  readonly unknownFields?: "reject" | "ignore"
  /**
   * How long models that think do so, silently but for the pings that their provider sends, before every answer. Their
   * answers then hold what was thought, as the provider shows it: signed, encrypted, or bound to what stood before it.
   * By default nobody thinks.
   */
  readonly think?: Duration.Input
  /**
   * The most tokens that one request to Gemini 4 gives: what is left of an answer comes when the request is sent again
   * with the token that it ended with. The provider's own number unless given, which no simulated answer reaches.
   */
  readonly perRequest?: number
  /**
   * What the first requests fail with, one for one, in their order: a name, a failure of your own making, or any status
   * and body. One that the provider asked cannot have is a defect.
   */
  readonly failures?: ReadonlyArray<Failure | FaultName>
  /** What any of the requests after those fail with, by chance. */
  readonly faults?: Faults
  /**
   * Bytes of each chunk of a body. By default they vary and end within characters and line ends; large ones make many
   * calls cheap.
   */
  readonly chunkSize?: number
  /** How many of the last requests are kept for `requests`; 1000 unless given. */
  readonly keep?: number
}

export interface Faults {
  /** The share of requests that meet a fault, from 0 to 1. */
  readonly rate: number
  /** Which ones to choose from; all that the provider can have unless given. */
  readonly only?: ReadonlyArray<FaultName>
  /** The same seed has the same faults for the same requests in the same order. Without one, `Random` decides. */
  readonly seed?: string | number
}

/** A request as it came in, without what its headers and its query have of keys, by their names. */
export interface RecordedRequest {
  readonly provider: Provider
  readonly url: string
  /** Names in lower case; those that hold keys, tokens or cookies are left out. */
  readonly headers: { readonly [name: string]: string | undefined }
  /** The parsed JSON object, or undefined when it was none. */
  readonly body: { readonly [key: string]: unknown } | undefined
}

/** What a simulator was asked. */
export interface Asked {
  /** The last requests, in order: as many as `keep` says. */
  readonly requests: Effect.Effect<ReadonlyArray<RecordedRequest>>
  /** How many answers the client gave up before their end: what it reads no further, and what it interrupts. */
  readonly cancelled: Effect.Effect<number>
}

// Gateways have their own names for keys, so that no list of them is whole.
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

/** What a request meets by chance. */
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

/** What a client in another process gets to see of a defect: nothing that it would try again. */
export const defective = (defect: unknown): SimulatedResponse => ({
  status: 501,
  headers: { "content-type": "application/json", "x-should-retry": "false" },
  body: [JSON.stringify({ error: { message: String(defect), type: "simulator_error", code: "simulator_error" } })],
  ending: "End"
})

/** A simulator without a way in. */
export interface Core extends Asked {
  readonly answer: (request: SimulatedRequest) => Effect.Effect<SimulatedResponse>
  readonly onCancel: () => void
}

export const make = Effect.fnUntraced(function*(options: Options): Effect.fn.Return<Core> {
  yield* Effect.sync(() => check(options))
  const { answer, chunkSize, failures = [], faults, keep = 1000, perRequest, requireKey, unknownFields } = options
  const think = options.think === undefined ? undefined : Duration.toMillis(options.think)
  const drawn = faults === undefined ? undefined : yield* chance(faults)
  const kept: Array<RecordedRequest> = []
  let asked = 0
  let cancelled = 0

  const answered = (provider: Provider, pending: Pending): Effect.Effect<SimulatedResponse> => {
    if (answer === undefined) return Effect.sync(() => pending.answer(pending.usual))
    const { asked: { completion, streamed }, callId, usual } = pending
    return Effect.suspend(() => {
      const given = answer(completion, { provider, streamed })
      return Effect.match(Effect.isEffect(given) ? given : Effect.succeed(given), {
        onFailure: pending.fail,
        onSuccess: (given) => pending.answer(completed(given, usual, callId))
      })
    })
  }

  return {
    answer: Effect.fnUntraced(function*(request) {
      const now = yield* Clock.currentTimeMillis
      const provider = providerOf(request)
      if (keep > 0) kept.push(recorded(request))
      if (kept.length > keep) kept.shift()
      const failure = asked < failures.length ? failures[asked] : drawn?.(provider)
      asked++
      const begun = begin(request, { requireKey, unknownFields, failure, now, think, perRequest })
      const response = Result.isFailure(begun) ? begun.failure : yield* answered(provider, begun.success)
      return chunkSize === undefined ? response : { chunkSize, ...response }
    }),
    onCancel: () => cancelled++,
    requests: Effect.sync(() => [...kept]),
    cancelled: Effect.sync(() => cancelled)
  }
})
