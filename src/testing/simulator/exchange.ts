/**
 * The plain data that goes in and out of the simulated protocols, and what one protocol must say to be simulated.
 */
import type * as Duration from "effect/Duration"
import type * as Result from "effect/Result"
import type { Json, JsonObject } from "./json.ts"
import type { Ask, Reply } from "./reply.ts"

export type Provider = "anthropic" | "openai" | "openrouter" | "gemini"

export interface Headers {
  readonly [name: string]: string | undefined
}

/** An HTTP request as plain data. Header names are in lower case. */
export interface SimulatedRequest {
  readonly method: string
  readonly url: URL
  readonly headers: Headers
  readonly body: string
}

export interface SimulatedResponse {
  readonly status: number
  readonly headers: { readonly [name: string]: string }
  /** What the body is made of: the events of a stream as they stand on the wire, or one text. */
  readonly body: ReadonlyArray<string>
  /** What comes after the body: its end, a broken connection, or nothing for ever. */
  readonly ending: "End" | "Reset" | "Stall"
  /** Neither status nor headers come, only the ending. */
  readonly unanswered?: true
  /** Bytes of each chunk; by default they vary. */
  readonly chunkSize?: number
  /** Milliseconds that pass before each chunk. */
  readonly pace?: number
}

/** A request that found its protocol. */
export interface Call {
  readonly request: SimulatedRequest
  /** The body, which is a JSON object. */
  readonly body: JsonObject
  /** The model that the path names; the empty string where the body names it. */
  readonly pathModel: string
  /** What ids are made from: the same request has the same. */
  readonly seed: string
  readonly unknownFields: "reject" | "ignore"
}

/** What a provider says when it refuses, before it is put in that provider's words. */
export interface Rejection {
  readonly status: number
  readonly message: string
  /** The provider's own word for the kind of error. */
  readonly type?: string
  readonly code?: string | null
  /** The field that is to blame. */
  readonly param?: string | null
  readonly details?: ReadonlyArray<Json>
  /** Further fields of the error object. */
  readonly fields?: { readonly [name: string]: Json }
  /** What the upstream of a router answered. */
  readonly upstream?: Json
  readonly headers?: { readonly [name: string]: string }
  /** A page of the gateway in front of the provider, instead of JSON. */
  readonly html?: string
}

/**
 * A failure that the simulator is told to answer with, one for one request. `afterEvents` counts the events of the
 * stream that come before it; an answer that is not streamed is one event.
 */
export type Failure =
  | {
    /** 429 as the provider sends it; `retryAfter` is the provider's own hint. */
    readonly _tag: "RateLimit"
    readonly retryAfter?: Duration.Input
  }
  | {
    /** The provider's own body for the status; 500 unless given. */
    readonly _tag: "ServerError"
    readonly status?: 500 | 502 | 503 | 504 | 529
  }
  | {
    /** 200, stopped normally, without text or tool calls. */
    readonly _tag: "Empty"
  }
  | {
    /** The provider's own error event ends the stream; status 500 where the answer is not streamed. */
    readonly _tag: "StreamError"
    readonly afterEvents: number
  }
  | {
    /** The body ends. */
    readonly _tag: "Cut"
    readonly afterEvents: number
  }
  | {
    /** The connection breaks. */
    readonly _tag: "Reset"
    readonly afterEvents: number
  }
  | {
    /** Nothing comes any more, and the connection stays open. */
    readonly _tag: "Stall"
    readonly afterEvents: number
  }
  | {
    /** The next event's JSON lacks its last brace. */
    readonly _tag: "MalformedJson"
    readonly afterEvents: number
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
    readonly rejection: (dialect: Dialect, now: number) => Rejection
  }
  | {
    /** The model says something else. */
    readonly _tag: "Reply"
    readonly reply: (reply: Reply) => Reply
  }
  | {
    /** The answer has another body, whole and as the events of a stream. */
    readonly _tag: "Body"
    readonly whole: (reply: Reply, call: Call) => Json
    readonly events: (reply: Reply, call: Call) => ReadonlyArray<string>
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

export interface Streamed {
  readonly headers: { readonly [name: string]: string }
  /** Each as it stands on the wire, with the line ends that close it. */
  readonly events: ReadonlyArray<string>
}

export interface Rendered {
  readonly headers: { readonly [name: string]: string }
  readonly body: Json
}

/** One simulated protocol. All of it is pure. */
export interface Dialect {
  readonly provider: Provider
  /** Whether the request asks for a stream. */
  readonly streams: (call: Call) => boolean
  /** The key that was sent, or undefined. */
  readonly key: (request: SimulatedRequest) => string | undefined
  readonly missingKey: Rejection
  readonly invalidKey: Rejection
  /** For a body that is not a JSON object. */
  readonly invalid: (message: string) => Rejection
  readonly notFound: (request: SimulatedRequest) => Rejection
  /** Reads and validates a request as the provider would. */
  readonly read: (call: Call) => Result.Result<Ask, Rejection>
  readonly render: (reply: Reply, call: Call) => Rendered
  readonly stream: (reply: Reply, call: Call) => Streamed
  /** The event that says that the provider failed in the midst of a stream. */
  readonly streamError: (reply: Reply, call: Call) => string
  /** A refusal in the provider's words. */
  readonly refuse: (rejection: Rejection, seed: string) => Rendered
  /** 429, with the hint in milliseconds where there is one. */
  readonly rateLimit: (retryAfterMillis: number | undefined) => Rejection
  readonly serverError: (status: number) => Rejection
}

/** A rule over a decoded body: what is wrong, or undefined. */
export type Rule<Body> = (body: Body) => Rejection | undefined

/** The first refusal among the rules. */
export const firstRejection = <Body>(rules: ReadonlyArray<Rule<Body>>, body: Body): Rejection | undefined => {
  for (const rule of rules) {
    const rejection = rule(body)
    if (rejection !== undefined) return rejection
  }
  return undefined
}

/** A model by this name is unknown to every provider. */
export const isUnknownModel = (model: string): boolean => /does-not-exist|nonexistent/.test(model)

export const bearer = (headers: Headers): string | undefined =>
  /^Bearer\s+(\S+)$/i.exec(headers.authorization ?? "")?.[1]

/** Whole seconds, rounded up, as `retry-after` has them. */
export const wholeSeconds = (millis: number): string => String(Math.ceil(millis / 1000))

export const gatewayPage = (status: number, title: string): string =>
  `<html>\r\n<head><title>${status} ${title}</title></head>\r\n<body>\r\n<center><h1>${status} ${title}</h1></center>\r\n</body>\r\n</html>\r\n`
