/**
 * The plain data of requests and responses.
 */
import type * as Duration from "effect/Duration"
import type { Json, JsonObject } from "./json.ts"

/** A simulated service. OpenAI has two: Chat Completions (`openai`) and Responses (`responses`). */
export type Provider = "anthropic" | "openai" | "responses" | "openrouter" | "gemini"

/** All services. */
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
  /** The body: the events of a stream as they are sent, or one text. */
  readonly body: ReadonlyArray<string>
  /** What follows the body: its end, a broken connection, or nothing. */
  readonly ending: "End" | "Reset" | "Stall"
  /** No status and headers are sent, only the ending happens. */
  readonly unanswered?: true
  /** Bytes of each chunk; by default they vary. */
  readonly chunkSize?: number
  /** Milliseconds before each chunk. */
  readonly pace?: number
  /** Milliseconds before the status. */
  readonly delay?: number
  /** Milliseconds before events of the body, by their index. */
  readonly waits?: { readonly [place: number]: number }
}

/** A request to a known service. */
export interface Call {
  readonly request: SimulatedRequest
  /** The body, which is a JSON object. */
  readonly body: JsonObject
  /** The model in the path; empty if it is in the body. */
  readonly pathModel: string
  /** The seed of ids. The same request has the same seed. */
  readonly seed: string
  readonly unknownFields: "reject" | "ignore"
  /** The output limit of one request, if it differs from the provider's. */
  readonly perRequest: number | undefined
}

/** A refusal, before it is written in the provider's words. */
export interface Rejection {
  readonly status: number
  readonly message: string
  /** The provider's error type. */
  readonly type?: string
  readonly code?: string | null
  /** The invalid field. */
  readonly param?: string | null
  readonly details?: ReadonlyArray<Json>
  /** Further fields of the error object. */
  readonly fields?: { readonly [name: string]: Json }
  /** The error of the upstream behind a router. */
  readonly upstream?: Json
  readonly headers?: { readonly [name: string]: string }
  /** An HTML page of a gateway in front of the provider, instead of JSON. */
  readonly html?: string
}

/** Any response, which no real provider needs to send. */
export interface Canned {
  readonly _tag?: undefined
  readonly status: number
  readonly headers?: { readonly [name: string]: string }
  /** A text to send unchanged, or a JSON value. */
  readonly body: Json
}

/**
 * A failure of one request. `afterEvents` is the number of stream events before it; an answer without streaming is one
 * event.
 */
export type Failure =
  | Canned
  | {
    /** A 429 in the provider's format. `retryAfter` is sent as the provider's own hint. */
    readonly _tag: "RateLimit"
    readonly retryAfter?: Duration.Input
  }
  | {
    /** The provider's own body for the status; 500 unless given. */
    readonly _tag: "ServerError"
    readonly status?: 500 | 502 | 503 | 504 | 529
  }
  | {
    /** Status 200 and a normal end, without text or tool calls. */
    readonly _tag: "Empty"
  }
  | {
    /** The provider's error event ends the stream. Without streaming, status 500. */
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
    /** Nothing follows, and the connection stays open. */
    readonly _tag: "Stall"
    readonly afterEvents: number
  }
  | {
    /** The next event's JSON lacks its last brace. */
    readonly _tag: "MalformedJson"
    readonly afterEvents: number
  }

/** A rule for a decoded body: what is wrong, or undefined. */
export type Rule<Body> = (body: Body) => Rejection | undefined

/** The first refusal among the rules. */
export const firstRejection = <Body>(rules: ReadonlyArray<Rule<Body>>, body: Body): Rejection | undefined => {
  for (const rule of rules) {
    const rejection = rule(body)
    if (rejection !== undefined) return rejection
  }
  return undefined
}

/** Every provider treats these names as unknown models. */
export const isUnknownModel = (model: string): boolean => /does-not-exist|nonexistent/.test(model)

export const bearer = (headers: Headers): string | undefined =>
  /^Bearer\s+(\S+)$/i.exec(headers.authorization ?? "")?.[1]

/** Whole seconds, rounded up, for `retry-after`. */
export const wholeSeconds = (millis: number): string => String(Math.ceil(millis / 1000))

export const gatewayPage = (status: number, title: string): string =>
  `<html>\r\n<head><title>${status} ${title}</title></head>\r\n<body>\r\n<center><h1>${status} ${title}</h1></center>\r\n</body>\r\n</html>\r\n`
