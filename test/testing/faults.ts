/** What each fault of the simulator is to a caller, by ERRORS.md's tags and reasons: one row for each fault. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Completion from "../../src/Completion.ts"
import type * as LLMClient from "../../src/LLMClient.ts"
import type { LLMError } from "../../src/LLMError.ts"
import type * as Simulator from "../../src/testing/Simulator.ts"
import { hear, type Service, services } from "./simulated.ts"

/** What comes of a fault; a pair is without a stream, and with one. */
type Outcome = string | readonly [completion: string, stream: string]

type Row = Outcome | { readonly [P in Service]?: Outcome }

const requests = "RateLimit · Requests"
const unknown = "RateLimit · Unknown"
const server = "Transient · Server"
const overloaded = "Transient · Overloaded"
const malformed = "Transient · Malformed"
const truncated = "Transient · Truncated"
const noContent = "EmptyResponse · NoContent"
const malformedCall = "EmptyResponse · MalformedToolCall"
const stop = "Finish · Stop"

const limited = (hint: string) => ({
  anthropic: `${unknown}${hint}`,
  openai: `${requests}${hint}`,
  responses: `${requests}${hint}`,
  openrouter: `${unknown}${hint}`,
  gemini: `${requests}${hint}`
})

const { gemini: _, ...withoutGemini } = limited(", retry after 2s")

export const expected = {
  RateLimit: limited(""),
  RetryAfter: withoutGemini,
  RetryAfterMillis: {
    openai: `${requests}, retry after 1s 500ms`,
    responses: `${requests}, retry after 1s 500ms`
  },
  RetryAfterDate: limited(", retry after 3s"),
  RetryInfo: { gemini: `${requests}, retry after 1s 234ms` },
  RateLimitReset: {
    anthropic: `${unknown}, retry after 4s`,
    openai: `${requests}, retry after 1s 500ms`,
    responses: `${requests}, retry after 1s 500ms`,
    openrouter: `${unknown}, retry after 4s`
  },
  TokenLimit: {
    anthropic: unknown,
    openai: "RateLimit · Tokens, retry after 2s",
    responses: "RateLimit · Tokens, retry after 2s",
    gemini: "RateLimit · Tokens, retry after 2s 500ms"
  },
  UpstreamRateLimit: { openrouter: `${unknown}, retry after 5s` },
  CapacityExhausted: { openrouter: "RateLimit · Capacity" },
  InFlightBudget: { openrouter: "RateLimit · Capacity, retry after 3s" },
  Quota: "ClientError · Quota",
  SpendLimit: {
    anthropic: "ClientError · Quota",
    responses: "ClientError · Quota",
    openai: "ClientError · Quota",
    openrouter: "ClientError · Quota"
  },
  DailyQuota: { openrouter: "ClientError · DailyQuota", gemini: "ClientError · DailyQuota, retry after 22s" },
  Overloaded: overloaded,
  ServerError: server,
  BadGateway: server,
  GatewayPage: server,
  Unavailable: overloaded,
  GatewayTimeout: server,
  DoNotRetry: {
    anthropic: `${server}, never`,
    openai: `${server}, never`,
    responses: `${server}, never`,
    openrouter: `${server}, never`
  },
  InvalidRequest: "ClientError · InvalidRequest",
  InvalidKey: "ClientError · Authentication",
  Forbidden: "ClientError · Permission",
  UnknownModel: "ClientError · NotFound",
  TooLarge: "ClientError · TooLarge",
  ContextOverflow: "ClientError · ContextWindow",
  PromptBlocked: {
    responses: "ClientError · ContentFilter",
    openai: "ClientError · ContentFilter",
    openrouter: "ClientError · ContentFilter",
    gemini: "ClientError · ContentFilter"
  },
  Empty: noContent,
  // A stream of Gemini's that names no finish reason is one that was cut.
  NoChoices: { openai: noContent, openrouter: noContent, gemini: [noContent, truncated] },
  AnswerBlocked: "ClientError · ContentFilter",
  Refusal: {
    anthropic: "Finish · ContentFilter",
    openai: stop,
    responses: "Finish · ContentFilter",
    openrouter: stop
  },
  BlockedAfterText: {
    responses: "Finish · ContentFilter",
    openai: "Finish · ContentFilter",
    openrouter: "Finish · ContentFilter",
    gemini: "Finish · ContentFilter"
  },
  MalformedFunctionCall: {
    openai: [malformedCall, `${malformedCall}, after parts`],
    responses: [malformedCall, `${malformedCall}, after parts`],
    openrouter: [malformedCall, `${malformedCall}, after parts`],
    gemini: malformedCall
  },
  OutputBudget: "ClientError · OutputBudget",
  ContextFull: { anthropic: "ClientError · ContextWindow" },
  UnpairedItem: { responses: "ClientError · InvalidRequest" },
  ErrorInAnswer: { openai: "ClientError · Quota", responses: "ClientError · Quota", openrouter: unknown },
  BioPolicy: { responses: "ClientError · ContentFilter" },
  CyberPolicy: { responses: "ClientError · ContentFilter" },
  MisalignmentPolicy: { responses: "ClientError · ContentFilter" },
  ImagePolicy: { responses: "ClientError · ContentFilter" },
  InvalidPrompt: { responses: "ClientError · ContentFilter" },
  DataResidency: { responses: "ClientError · Permission" },
  ErrorFinish: { openrouter: server },
  ErrorBeforeContent: {
    responses: server,
    anthropic: [server, overloaded],
    openai: server,
    openrouter: server,
    gemini: [server, overloaded]
  },
  ErrorAfterContent: {
    anthropic: [server, `${overloaded}, after parts`],
    openai: [server, `${server}, after parts`],
    responses: [server, `${server}, after parts`],
    openrouter: [server, `${server}, after parts`],
    gemini: [server, `${overloaded}, after parts`]
  },
  ErrorAfterFinish: [server, stop],
  ConnectionReset: "Transient · Network",
  NoAnswer: "Transient · Timeout",
  NoBody: [malformed, truncated],
  Cut: [malformed, `${truncated}, after parts`],
  Reset: ["Transient · Network", "Transient · Network, after parts"],
  Stall: ["Transient · Timeout", "Transient · Timeout, after parts"],
  MalformedJson: [malformed, `${malformed}, after parts`],
  HtmlAnswer: malformed,
  SlowDrip: stop,
  SingleBytes: stop
} satisfies { readonly [F in Simulator.FaultName]: Row }

export interface Case {
  readonly provider: Service
  readonly fault: Simulator.FaultName
  readonly streamed: boolean
  readonly outcome: string
}

const isPair = (row: Row): row is readonly [string, string] => Array.isArray(row)

const outcomeOf = (row: Row, provider: Service): Outcome | undefined =>
  typeof row === "string" || isPair(row) ? row : row[provider]

const names = Object.keys(expected) as ReadonlyArray<Simulator.FaultName>

export const cases: ReadonlyArray<Case> = names.flatMap((fault) =>
  services.flatMap((provider) => {
    const outcome = outcomeOf(expected[fault], provider)
    if (outcome === undefined) return []
    const [completion, stream] = typeof outcome === "string" ? [outcome, outcome] : outcome
    return [
      { provider, fault, streamed: false, outcome: completion },
      { provider, fault, streamed: true, outcome: stream }
    ]
  })
)

/** The faults that the table knows of a provider. */
export const expectedOf = (provider: Service): ReadonlyArray<Simulator.FaultName> =>
  names.filter((name) => outcomeOf(expected[name], provider) !== undefined)

const described = (error: LLMError, parts: number): string =>
  [
    `${error._tag} · ${error.reason}`,
    ...error.retryAfter === undefined ? [] : [`retry after ${Duration.format(error.retryAfter)}`],
    // What no retry helps is not told so twice.
    ...error.retryable === false && error._tag !== "ClientError" ? ["never"] : [],
    ...parts > 0 ? ["after parts"] : []
  ].join(", ")

const question = Completion.make({ prompt: "Why is the sky blue? Naïve — Ω 空気 🌌" })

/** What comes of one call, in the words of the table. */
export const outcome = (client: LLMClient.Service, streamed: boolean): Effect.Effect<string> =>
  streamed
    ? Effect.map(hear(client, question), ({ error, parts }) => {
      const last = parts.at(-1)
      return error !== undefined
        ? described(error, parts.length)
        : last?._tag === "Finish"
        ? `Finish · ${last.response.finishReason._tag}`
        : "nothing"
    })
    : Effect.map(
      Effect.result(client.completion(question)),
      Result.match({
        onFailure: (error) => described(error, 0),
        onSuccess: ({ finishReason }) => `Finish · ${finishReason._tag}`
      })
    )
