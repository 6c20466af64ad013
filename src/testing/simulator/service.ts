/**
 * What a simulated service is: a wire's server half, and what the real service has besides: whom it lets in, what it
 * refuses, how it dresses its answers, and how it fails.
 */
import type * as Result from "effect/Result"
import type * as Message from "../../Message.ts"
import type { Outgoing, Server } from "../../wire/Wire.ts"
import type { Call, Provider, Rejection, SimulatedRequest, SimulatedResponse } from "./exchange.ts"
import type { Json, JsonObject } from "./json.ts"

/** What the service counts in a request, and what it sees there that a completion does not say. */
export interface Facts {
  /** Estimated tokens of the prompt. */
  readonly inputTokens: number
  /** The part of them that is marked to be cached. */
  readonly cacheWriteTokens?: number
  /** Whether the answer must be JSON, of no schema in particular. */
  readonly json?: boolean
}

/** A refusal as it is sent. */
export interface Rendered {
  readonly headers: { readonly [name: string]: string }
  readonly body: JsonObject
}

/** One simulated service. All of it is pure. */
export interface Service {
  readonly provider: Provider
  readonly server: Server
  /** The key that was sent, or undefined. */
  readonly key: (request: SimulatedRequest) => string | undefined
  readonly missingKey: Rejection
  readonly invalidKey: Rejection
  /** For a body that is not a JSON object. */
  readonly invalid: (message: string) => Rejection
  readonly notFound: (request: SimulatedRequest) => Rejection
  /** Whether the provider would take the request. */
  readonly check: (call: Call) => Result.Result<Facts, Rejection>
  /** The body with nothing but what the wire's server half reads. */
  readonly readable?: (body: JsonObject) => JsonObject
  /** The ids of an answer and of its calls, in the provider's style. */
  readonly answerId: (seed: string) => string
  readonly callId: (seed: string, index: number) => string
  /** The headers of an answer. */
  readonly headers: (seed: string) => SimulatedResponse["headers"]
  readonly streamType: string
  /** The answer with what this provider says of each of its own. */
  readonly dress?: (answer: Outgoing, call: Call) => Outgoing
  /** The body with the fields that only this provider has. */
  readonly body?: (body: JsonObject, answer: Outgoing, call: Call) => JsonObject
  /** The events of a stream as only this provider sends them. */
  readonly events?: (
    events: ReadonlyArray<string>,
    answer: Outgoing,
    call: Call,
    ping: string
  ) => ReadonlyArray<string>
  /** What a model that thinks shows of it in answer to this request; undefined where it does not think. */
  readonly thought: (call: Call, text: string, seed: string) => Message.Reasoning | undefined
  /** What stands in a stream before the model thinks, and whether something comes every so many milliseconds. */
  readonly silence: {
    readonly after: number
    readonly every?: number
  }
  /** The event that says that the provider failed in the midst of a stream. */
  readonly streamError: (answer: Outgoing, call: Call) => string
  /** A refusal in the provider's words. */
  readonly refuse: (rejection: Rejection, seed: string) => Rendered
  /** 429, with the hint in milliseconds where there is one. */
  readonly rateLimit: (retryAfterMillis: number | undefined) => Rejection
  readonly serverError: (status: number) => Rejection
}

/** What a provider does instead of giving its answer, or to that answer. */
export type Fault =
  | {
    /**
     * It refuses. With status 200 the error is the body of the answer, and a streamed request gets it as the only
     * event.
     */
    readonly _tag: "Refusal"
    /** `now` is in epoch milliseconds, for hints that are instants. */
    readonly rejection: (service: Service, now: number) => Rejection
  }
  | {
    /** The model says something else. */
    readonly _tag: "Answer"
    readonly answer: (answer: Outgoing) => Outgoing
  }
  | {
    /** The answer has another body, whole and as the events of a stream. */
    readonly _tag: "Body"
    readonly whole: (answer: Outgoing, call: Call) => Json
    readonly events: (answer: Outgoing, call: Call) => ReadonlyArray<string>
  }
  | {
    /** The provider's own error event ends the stream; status 500 where the answer is not streamed. */
    readonly _tag: "ErrorEvent"
    /** How many of the stream's events come before it. */
    readonly after: (events: number) => number
  }
  | {
    /** The answer is damaged on its way. */
    readonly _tag: "Damage"
    readonly damage: (answer: SimulatedResponse) => SimulatedResponse
  }
