/**
 * A simulated service: the server half of a wire, and what the real service adds: authentication, refusals, additional
 * fields of answers, and failures.
 */
import type * as Result from "effect/Result"
import type * as Message from "../../Message.ts"
import type { Outgoing, Server } from "../../wire/Wire.ts"
import type { Call, Provider, Rejection, SimulatedRequest, SimulatedResponse } from "./exchange.ts"
import type { Json, JsonObject } from "./json.ts"

/** Facts about a request that a completion does not contain. */
export interface Facts {
  /** Estimated tokens of the prompt. */
  readonly inputTokens: number
  /** How many of them are marked to be cached. */
  readonly cacheWriteTokens?: number
  /** Whether the answer must be JSON without a schema. */
  readonly json?: boolean
}

/** A refusal as it is sent. */
export interface Rendered {
  readonly headers: { readonly [name: string]: string }
  readonly body: JsonObject
}

/** One simulated service. Pure. */
export interface Service {
  readonly provider: Provider
  readonly server: Server
  /** The key in the request, if any. */
  readonly key: (request: SimulatedRequest) => string | undefined
  readonly missingKey: Rejection
  readonly invalidKey: Rejection
  /** The refusal of a body that is not a JSON object. */
  readonly invalid: (message: string) => Rejection
  readonly notFound: (request: SimulatedRequest) => Rejection
  /** Whether the provider would accept the request. */
  readonly check: (call: Call) => Result.Result<Facts, Rejection>
  /** The body with only the fields that the wire's server half reads. */
  readonly readable?: (body: JsonObject) => JsonObject
  /** The ids of an answer and of its calls, in the provider's format. */
  readonly answerId: (seed: string) => string
  readonly callId: (seed: string, index: number) => string
  /** The headers of an answer. */
  readonly headers: (seed: string) => SimulatedResponse["headers"]
  readonly streamType: string
  /** The answer with the additional fields of this provider. */
  readonly dress?: (answer: Outgoing, call: Call) => Outgoing
  /** The body with the fields that only this provider has. */
  readonly body?: (body: JsonObject, answer: Outgoing, call: Call) => JsonObject
  /** The events of a stream as this provider sends them. */
  readonly events?: (
    events: ReadonlyArray<string>,
    answer: Outgoing,
    call: Call,
    ping: string
  ) => ReadonlyArray<string>
  /** The visible thinking for this request; undefined if the model does not think. */
  readonly thought: (call: Call, text: string, seed: string) => Message.Reasoning | undefined
  /** The events before the thinking, and the interval of pings, if there are any. */
  readonly silence: {
    readonly after: number
    readonly every?: number
  }
  /** The error event inside a stream. */
  readonly streamError: (answer: Outgoing, call: Call) => string
  /** A refusal in the provider's words. */
  readonly refuse: (rejection: Rejection, seed: string) => Rendered
  /** A 429, with a hint in milliseconds if there is one. */
  readonly rateLimit: (retryAfterMillis: number | undefined) => Rejection
  readonly serverError: (status: number) => Rejection
}

/** What a provider does instead of its answer, or to its answer. */
export type Fault =
  | {
    /** A refusal. With status 200, the error is the body of the answer, and the only event of a stream. */
    readonly _tag: "Refusal"
    /** `now` is in epoch milliseconds, for hints that are instants. */
    readonly rejection: (service: Service, now: number) => Rejection
  }
  | {
    /** Another answer of the model. */
    readonly _tag: "Answer"
    readonly answer: (answer: Outgoing) => Outgoing
  }
  | {
    /** Another body of the answer, whole and as stream events. */
    readonly _tag: "Body"
    readonly whole: (answer: Outgoing, call: Call) => Json
    readonly events: (answer: Outgoing, call: Call) => ReadonlyArray<string>
  }
  | {
    /** The provider's error event ends the stream. Without streaming, status 500. */
    readonly _tag: "ErrorEvent"
    /** The number of stream events before it. */
    readonly after: (events: number) => number
  }
  | {
    /** The answer is damaged on its way. */
    readonly _tag: "Damage"
    readonly damage: (answer: SimulatedResponse) => SimulatedResponse
  }
