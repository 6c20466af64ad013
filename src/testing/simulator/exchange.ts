/**
 * The plain data that goes in and out of the simulated services.
 */
import type * as Duration from "effect/Duration"
import type { Json, JsonObject } from "./json.ts"

/** A simulated service: OpenAI has two, Chat Completions (`openai`) and Responses (`responses`). */
export type Provider = "anthropic" | "openai" | "responses" | "openrouter" | "gemini"

/** All of them. */
export const providers: ReadonlyArray<Provider> = ["anthropic", "openai", "responses", "openrouter", "gemini"]

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
  /** Milliseconds that pass before the status. */
  readonly delay?: number
  /** Milliseconds that pass before events of the body, by their place. */
  readonly waits?: { readonly [place: number]: number }
}

/** A request that found its service. */
export interface Call {
  readonly request: SimulatedRequest
  /** The body, which is a JSON object. */
  readonly body: JsonObject
  /** The model that the path names; the empty string where the body names it. */
  readonly pathModel: string
  /** What ids are made from: the same request has the same. */
  readonly seed: string
  readonly unknownFields: "reject" | "ignore"
  /** The most tokens that one request gives, where that is not the provider's own number. */
  readonly perRequest: number | undefined
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

/** Any answer at all: a status and a body that no provider needs to have. */
export interface Canned {
  readonly _tag?: undefined
  readonly status: number
  readonly headers?: { readonly [name: string]: string }
  /** A text as it is, or a JSON value. */
  readonly body: Json
}

/**
 * A failure that the simulator is told to answer with, one for one request. `afterEvents` counts the events of the
 * stream that come before it; an answer that is not streamed is one event.
 */
export type Failure =
  | Canned
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
