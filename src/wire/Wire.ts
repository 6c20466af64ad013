/**
 * A provider's wire format, in both directions, as pure functions. The client half turns a `Completion` into a request
 * and a body into an answer; `transport` runs it over HTTP. The server half does the reverse, for simulators and
 * gateways.
 */
import type * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import type { Completion } from "../Completion.ts"
import type { CompletionPart } from "../CompletionPart.ts"
import type { CompletionResponse, FinishReason, Pass, Warning } from "../CompletionResponse.ts"
import type * as LLMError from "../LLMError.ts"
import type * as Message from "../Message.ts"
import type { RateLimits } from "../RateLimits.ts"
import type { TokenUsage } from "../TokenUsage.ts"
import type { Embeddings } from "./embeddings.ts"
import { type JsonRecord, survives } from "./json.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Requests
// ---------------------------------------------------------------------------------------------------------------------

/** The sources of media that a provider supports: all media types (`true`), or those listed. */
export interface Media {
  readonly Url?: true
  readonly Base64?: true | ReadonlyArray<string>
  readonly FileId?: true
}

export type MediaTag = "Image" | "Audio" | "Video" | "Document"

/** The contents that a provider supports. Anything else is refused before the request is sent. */
export interface Accepts {
  readonly user: { readonly [Tag in MediaTag]?: Media }
  /** Images and documents in tool results. */
  readonly toolResult?: { readonly Image?: Media; readonly Document?: Media }
  /** Images in earlier answers. */
  readonly assistant?: Media
  /** Several names in `ToolChoice.Specific`. */
  readonly severalToolNames?: true
  /** The provider requires the media type of URLs, except of those with one of these prefixes. */
  readonly urlWithoutMediaType?: ReadonlyArray<string>
}

/** A request: a path below the base URL, headers, and the JSON body. */
export interface WireRequest {
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body: JsonRecord
  /** What was left out or changed because the model does not support it. */
  readonly warnings?: ReadonlyArray<Warning>
}

/** The model does not support the completion, and nothing can be left out of it without changing its meaning. */
export interface Refused {
  readonly _tag: "Refused"
  readonly reason: "InvalidRequest" | "Unsupported"
  /** What is wrong, with the name of the field, and what to do. */
  readonly description: string
}

// ---------------------------------------------------------------------------------------------------------------------
// Answers
// ---------------------------------------------------------------------------------------------------------------------

/** The contents of a body. Whether they make a valid answer is decided later. */
export interface Answer {
  readonly choice: Array<Message.AssistantContent>
  readonly finishReason: FinishReason
  readonly usage: TokenUsage
  readonly passes?: ReadonlyArray<Pass> | undefined
  readonly id?: string | undefined
  readonly model?: string | undefined
  readonly cost?: number | undefined
  /** The provider's own finish reason. */
  readonly finish?: string | undefined
  /** The stop sequence that ended the answer, when the provider reports it. */
  readonly stopSequence?: string | undefined
  /** Other fields of the answer, without a counterpart in the vocabulary. */
  readonly metadata?: JsonRecord | undefined
  /** What the provider reports that it dropped from the request. */
  readonly warnings?: ReadonlyArray<Warning> | undefined
  /** Why a tool call cannot be read, although the answer was not cut. */
  readonly malformedCall?: string | undefined
  /** The body has no turn at all: no choice, no candidate. */
  readonly absent?: boolean
  /** Why a filter blocked the answer, in the provider's words. */
  readonly filter?: string | undefined
}

/**
 * Assembles the events of a stream, one by one, into the answer that the call without streaming returns. It emits all
 * parts except `Start` and `Finish`, which the session adds from `head` and `answer`. By the end, every content has its
 * `ContentEnd`.
 */
export interface StreamDecoder {
  /** Reads one event and appends its parts. */
  readonly event: (event: JsonRecord, parts: Array<CompletionPart>) => void
  /** Reads the marker of the end of the stream (`[DONE]`). */
  readonly end?: () => void
  /** Whether the provider has ended the stream. */
  readonly done: () => boolean
  /** Whether the answer is complete. */
  readonly complete: () => boolean
  /** Emits the `ContentEnd` of the complete contents that have none yet. Called once, when the answer is complete. */
  readonly close: (parts: Array<CompletionPart>) => void
  /**
   * The extra fields of a follow-up request, when the body ended before the answer did. Called at the end of a body,
   * whose answer is not complete then. The decoder reads the events of the follow-up request next.
   */
  readonly continues?: () => JsonRecord | undefined
  /** How many events changed the answer without a part, such as a signature or the beginning of hidden reasoning. */
  readonly changes?: () => number
  /** The id and the model of the answer, as far as they are known. */
  readonly head: () => { readonly id?: string | undefined; readonly model?: string | undefined }
  /** The answer so far; undefined when it lacks a field that every answer has. */
  readonly answer: () => Answer | undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Framing
// ---------------------------------------------------------------------------------------------------------------------

/** One frame of a streamed body: the event's name, if the framing has names, and its data as text. */
export interface Frame {
  readonly name: string
  readonly data: string
}

/** How the body of a stream is split into events. */
export interface Framing {
  /** The media type for the `accept` header. */
  readonly accept: string
  /** The data that marks the end of the stream. */
  readonly last?: string
  /** The name of error events. */
  readonly error?: string
  /** Whether the beginning of a body looks like this framing, and not like plain JSON. */
  readonly recognizes: (text: string) => boolean
  /**
   * Reads one body. `feed` and `end` return `false` when a frame is longer than `limit` characters; the partial frame
   * is discarded.
   */
  readonly reader: (limit: number, onFrame: (frame: Frame) => void) => {
    readonly feed: (text: string) => boolean
    readonly end: () => boolean
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Failures
// ---------------------------------------------------------------------------------------------------------------------

/** A tag and its reason. */
export type Verdict =
  | readonly ["RateLimit", LLMError.RateLimitReason]
  | readonly ["Transient", LLMError.TransientReason]
  | readonly ["EmptyResponse", LLMError.EmptyResponseReason]
  | readonly ["ClientError", LLMError.ClientErrorReason]

/** Response headers under lower-cased names. */
export type HeaderMap = Readonly<Record<string, string | undefined>>

/**
 * A failure that a provider reports only in its message. The pattern sees at most 8 KiB, and must not contain an
 * unbounded gap.
 */
export interface MessageRule {
  readonly pattern: RegExp
  readonly verdict: Verdict
  /** The statuses to which the rule applies; undefined stands for a failure without status, code and type. */
  readonly statuses: ReadonlyArray<number | undefined>
  readonly holds?: (match: RegExpExecArray) => boolean
}

/** The facts of a failure that decide its tag and reason. */
export interface Reading {
  /** Codes and types, the most specific first. */
  readonly words: ReadonlyArray<string>
  readonly status: number | undefined
  readonly description: string
}

/** The failures of a wire: tables and small functions for the classifier, which all wires share. */
export interface Failures {
  /** The wire's own codes, types and status words. The shared ones are in the classifier. */
  readonly words: Readonly<Record<string, Verdict>>
  /** The same by prefix. */
  readonly prefixes?: ReadonlyArray<readonly [prefix: string, verdict: Verdict]>
  /** The wire's own message rules. The shared ones are in the classifier. */
  readonly messages?: ReadonlyArray<MessageRule>
  /** Finish reasons that are failures, whatever the answer contains. */
  readonly finishes?: Readonly<Record<string, Verdict>>
  /** The error object in a body, if there is one. */
  readonly errorIn: (body: unknown) => JsonRecord | undefined
  /** Further codes and types of an error, the most specific first. */
  readonly candidates?: (error: JsonRecord) => ReadonlyArray<unknown>
  /** The message of an error that is not in `message`. */
  readonly message?: (error: JsonRecord) => string | undefined
  /** Cases that no table can express. They are decided first. */
  readonly decide?: (error: JsonRecord, reading: Reading) => Verdict | undefined
  /** The limit that a rate limit is about, or a quota. */
  readonly limit?: (error: JsonRecord, headers: HeaderMap) => Verdict | undefined
  /** Whether the provider says that the request may be retried. */
  readonly retryable?: (error: JsonRecord, headers: HeaderMap) => boolean | undefined
  /** How long the provider asks to wait, when it is not in `retry-after` or `retry-after-ms`. */
  readonly retryAfter?: (headers: HeaderMap, error: JsonRecord, now: number) => Duration.Duration | undefined
  /** The rate limits in the headers. */
  readonly rateLimits: (headers: HeaderMap, now: number) => RateLimits | undefined
  /** The provider's id of the request. */
  readonly requestId: (headers: HeaderMap, body: unknown) => string | undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// The two halves
// ---------------------------------------------------------------------------------------------------------------------

/** How a provider counts the tokens of a request before it is sent. */
export interface CountTokens {
  /** The request for the count, made from the request to send. */
  readonly request: (sent: WireRequest, model: string) => WireRequest
  /** The count in a body; undefined if it is not there. */
  readonly response: (body: JsonRecord) => number | undefined
}

/** The client half, from which a provider is made. */
export interface Wire {
  /** The key of `providerParams`: "anthropic", "openai", "gemini", "openrouter", or a vendor of your own. */
  readonly vendor: string
  /** The name of this instance, in answers, errors and histories. */
  readonly name: string
  readonly accepts: Accepts
  readonly framing: Framing
  readonly failures: Failures
  /** The provider sends something at least every minute while a model thinks. Without it, silence tells nothing. */
  readonly pings?: true
  /**
   * How a model thinks at the effort of a request, or at its default effort. `long` is effort high and above; `silent`
   * means that no byte may arrive while the model thinks.
   */
  readonly thinking?: (completion: Completion, model: string) => { readonly long: boolean; readonly silent: boolean }
  /** The request for a completion, adapted to its model. `model` is resolved, and `accepts` was checked. */
  readonly request: (completion: Completion, model: string, streamed: boolean) => WireRequest | Refused
  /**
   * The answer in a body; undefined when it lacks a field that every answer has. `mintId` makes an id for the n-th tool
   * call that has none. `earlier` are the bodies that this one continues, oldest first.
   */
  readonly response: (
    body: JsonRecord,
    mintId: (index: number) => string,
    earlier?: ReadonlyArray<JsonRecord>
  ) => Answer | undefined
  /** The extra fields of a follow-up request, when the last of these bodies ended before the answer did. */
  readonly continues?: (
    bodies: ReadonlyArray<JsonRecord>,
    completion: Completion,
    model: string
  ) => JsonRecord | undefined
  /** A decoder for one stream. */
  readonly stream: (mintId: (index: number) => string) => StreamDecoder
  /** Missing if the provider cannot count. */
  readonly countTokens?: CountTokens
  /** Missing if the provider has no embeddings. */
  readonly embeddings?: Embeddings
}

/** An incoming request. */
export interface Incoming {
  readonly body: JsonRecord
  readonly headers: HeaderMap
  /** The path below the base URL, without the query. */
  readonly path: string
}

/** A decoded request. */
export interface Asked {
  readonly completion: Completion
  readonly model: string
  readonly streamed: boolean
  /** Chat Completions: whether the client wants a chunk with usage at the end of a stream. */
  readonly usage?: boolean
  /** Gemini: whether the client wants to see thoughts. */
  readonly thoughts?: boolean
}

/** Ids and times for answers without their own. The same stamp gives the same bytes. */
export interface Stamp {
  readonly seed: string
  /** Unix time in seconds. */
  readonly created: number
}

/** An answer to write. If `MaxTokens` cut it, the arguments of its last call may be incomplete JSON. */
export interface Outgoing {
  readonly response: CompletionResponse
  /** The call whose arguments were cut. It comes last. */
  readonly cutCall?: { readonly id: string; readonly name: string; readonly arguments: string } | undefined
}

/** Writes one streamed answer, part by part, as the text of events. */
export interface StreamEncoder {
  /** The events of a part; empty when there are none. */
  readonly part: (part: CompletionPart) => ReadonlyArray<string>
  /** The event of a failure after the first part. It ends the stream. */
  readonly fail: (error: LLMError.LLMError) => ReadonlyArray<string>
  /** Keeps the connection alive. */
  readonly ping: string
}

/** A failure as status, headers and body. */
export interface Refusal {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: JsonRecord
}

/** The server half: the same wire as the provider writes it. Pure. */
export interface Server {
  readonly vendor: string
  /** Reads a request leniently. Fails with what is wrong. */
  readonly decode: (incoming: Incoming) => Result.Result<Asked, Refused>
  /** The body of a whole answer. */
  readonly encode: (answer: Outgoing, asked: Asked, stamp: Stamp) => JsonRecord
  /** Writes one stream. */
  readonly stream: (asked: Asked, stamp: Stamp) => StreamEncoder
  /** A failure as the provider writes it, so that the client half reads the same tag and reason. */
  readonly refuse: (error: LLMError.LLMError, stamp: Stamp) => Refusal
}

// Whether a content can be stored and sent back: JSON can contain numbers and depths that do not survive a round trip.
const keeps = (content: Message.AssistantContent): boolean => {
  switch (content._tag) {
    case "Text":
      return content.citations === undefined || survives(content.citations)
    case "ToolCall":
      return survives(content.arguments)
    case "ProviderBlock":
      return survives(content.block)
    case "Reasoning":
    case "Image":
      return true
  }
}

/** The content, if it can be stored. A text loses citations that cannot; a call or a block is dropped. */
export const sound = (content: Message.AssistantContent): Message.AssistantContent | undefined => {
  if (keeps(content)) return content
  if (content._tag !== "Text") return undefined
  const { citations: _, ...text } = content
  return text
}

// A call must not run with arguments that the model did not write.
const storable = (answer: Answer): Answer => {
  if (answer.choice.every(keeps)) return answer
  const call = answer.choice.find((content) => content._tag === "ToolCall" && !keeps(content)) as
    | Message.ToolCall
    | undefined
  return {
    ...answer,
    choice: answer.choice.flatMap((content) => sound(content) ?? []),
    malformedCall: answer.malformedCall ??
      (call && `the arguments of the call of ${call.name} contain a number that is too large, or are nested too deeply`)
  }
}

/** The answer that `read` returns, if it can be stored; undefined when the body is not an answer. */
export const readAnswer = (read: () => Answer | undefined): Answer | undefined =>
  Result.getOrUndefined(Result.try(() => {
    const answer = read()
    return answer && storable(answer)
  }))

/** A table of finish reasons, by the provider's words. */
export type FinishReasons = Readonly<Record<string, Exclude<FinishReason["_tag"], "Other">>>

/** Looks up a finish reason: `None` without a word, `Other` for an unknown one. */
export const finishReason = (table: FinishReasons, word: string | undefined): FinishReason => {
  if (word === undefined) return { _tag: "None" }
  const tag = Object.hasOwn(table, word) ? table[word] : undefined
  return tag === undefined ? { _tag: "Other", reason: word } : { _tag: tag }
}
