/**
 * What is known of a provider's wire, read from both sides: pure functions from a `Completion` to a request and from a
 * body to an answer, and the same back again for simulators and gateways. `transport` runs the client half over HTTP.
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

/** Which media a provider takes: by kind of source, all media types (`true`) or those listed. */
export interface Media {
  readonly Url?: true
  readonly Base64?: true | ReadonlyArray<string>
  readonly FileId?: true
}

export type MediaTag = "Image" | "Audio" | "Video" | "Document"

/** What a provider takes; what is not listed is refused before anything is sent. */
export interface Accepts {
  readonly user: { readonly [Tag in MediaTag]?: Media }
  /** Images and documents that a tool gives as its result. */
  readonly toolResult?: { readonly Image?: Media; readonly Document?: Media }
  /** Images of earlier answers. */
  readonly assistant?: Media
  /** Several names in `ToolChoice.Specific`. */
  readonly severalToolNames?: true
  /** URLs must come with their media type, except those that begin with one of these. */
  readonly urlWithoutMediaType?: ReadonlyArray<string>
}

/** What is sent: a path below the base URL, headers, and the JSON body. */
export interface WireRequest {
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body: JsonRecord
  /** What of the completion was left out or changed, since the model does not take it as it was. */
  readonly warnings?: ReadonlyArray<Warning>
}

/** A completion that this model would not take, and of which nothing may be left out. */
export interface Refused {
  readonly _tag: "Refused"
  readonly reason: "InvalidRequest" | "Unsupported"
  /** What is wrong, with the name of the field, and what to do. */
  readonly description: string
}

// ---------------------------------------------------------------------------------------------------------------------
// Answers
// ---------------------------------------------------------------------------------------------------------------------

/** What a body says, before it is judged whether that is an answer. */
export interface Answer {
  readonly choice: Array<Message.AssistantContent>
  readonly finishReason: FinishReason
  readonly usage: TokenUsage
  readonly passes?: ReadonlyArray<Pass> | undefined
  readonly id?: string | undefined
  readonly model?: string | undefined
  readonly cost?: number | undefined
  /** The provider's own word for the end. */
  readonly finish?: string | undefined
  /** The stop sequence that ended the answer, where the provider says which. */
  readonly stopSequence?: string | undefined
  /** What else the provider said that the vocabulary has no place for. */
  readonly metadata?: JsonRecord | undefined
  /** What the provider says that it left out of the request. */
  readonly warnings?: ReadonlyArray<Warning> | undefined
  /** A tool call whose arguments are not JSON, though the answer was not cut. */
  readonly malformedCall?: string | undefined
  /** There was no turn at all: no choice, no candidate. */
  readonly absent?: boolean
  /** Why a filter took the answer, in the provider's words. */
  readonly filter?: string | undefined
}

/**
 * Puts the events of one stream together, step by step, to what the body of the call without streaming says.
 *
 * It adds the parts of the answer but two: who answers (`Start`, from `head`) and the end (`Finish`, from `answer`) are
 * added by the session that runs it. Every content of the answer gets a `ContentEnd` by then.
 */
export interface StreamDecoder {
  /** Takes in one event, and adds the parts that it brings. */
  readonly event: (event: JsonRecord, parts: Array<CompletionPart>) => void
  /** Takes in the word that nothing comes any more (`[DONE]`). */
  readonly end?: () => void
  /** Whether the provider said that nothing comes any more. */
  readonly done: () => boolean
  /** Whether what came is an answer to its end. */
  readonly complete: () => boolean
  /** Ends the contents that are whole and have not ended yet; called once, when the answer is complete. */
  readonly close: (parts: Array<CompletionPart>) => void
  /**
   * What a further request has in its body besides, where this one ended before its answer did; asked at the end of a
   * body, which is not complete then. The events that follow are those of the further request.
   */
  readonly continues?: () => JsonRecord | undefined
  /** How many events have changed the answer without a part, such as a signature, or the beginning of hidden reasoning. */
  readonly changes?: () => number
  /** Who answers, as far as that is known. */
  readonly head: () => { readonly id?: string | undefined; readonly model?: string | undefined }
  /** What the answer says as far as it came; undefined when it lacks what every answer has. */
  readonly answer: () => Answer | undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Framing
// ---------------------------------------------------------------------------------------------------------------------

/** One frame of a streamed body: the name of an event, where the framing has names, and its data as text. */
export interface Frame {
  readonly name: string
  readonly data: string
}

/** How the body of a stream is cut into events. */
export interface Framing {
  /** The media type that is asked for. */
  readonly accept: string
  /** The data that says that nothing comes any more. */
  readonly last?: string
  /** The name of events that hold an error. */
  readonly error?: string
  /** Whether the beginning of a body is of this framing, and no plain JSON. */
  readonly recognizes: (text: string) => boolean
  /**
   * Reads one body. `feed` and `end` give `false` when a frame is longer than `limit` characters; what has come of it by
   * then is given up.
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

/** A case in which a provider gives nothing but words. The pattern sees at most 8 KiB, and may hold no unbounded gap. */
export interface MessageRule {
  readonly pattern: RegExp
  readonly verdict: Verdict
  /** The statuses at which the words are read; undefined is a failure without status, code and type. */
  readonly statuses: ReadonlyArray<number | undefined>
  readonly holds?: (match: RegExpExecArray) => boolean
}

/** What a failure says of itself. */
export interface Reading {
  /** Its codes and types, the most telling first. */
  readonly words: ReadonlyArray<string>
  readonly status: number | undefined
  readonly description: string
}

/** What a wire's failures mean: tables and small functions that the one classifier is fed with. */
export interface Failures {
  /** What its own codes, types and status words mean, besides those that all wires share. */
  readonly words: Readonly<Record<string, Verdict>>
  /** The same for all words that begin so. */
  readonly prefixes?: ReadonlyArray<readonly [prefix: string, verdict: Verdict]>
  /** Its own cases of words alone, besides those that all wires share. */
  readonly messages?: ReadonlyArray<MessageRule>
  /** Finish words that are failures, whatever came with them. */
  readonly finishes?: Readonly<Record<string, Verdict>>
  /** The error object in a body; undefined when the body holds none. */
  readonly errorIn: (body: unknown) => JsonRecord | undefined
  /** Codes and types of an error besides the usual ones, the most telling first. */
  readonly candidates?: (error: JsonRecord) => ReadonlyArray<unknown>
  /** The message of an error, where it stands elsewhere than in `message`. */
  readonly message?: (error: JsonRecord) => string | undefined
  /** What no table can say; decided first. */
  readonly decide?: (error: JsonRecord, reading: Reading) => Verdict | undefined
  /** Which limit a rate limit is about, or that it is a quota. */
  readonly limit?: (error: JsonRecord, headers: HeaderMap) => Verdict | undefined
  /** Whether the provider says that the request may be sent again. */
  readonly retryable?: (error: JsonRecord, headers: HeaderMap) => boolean | undefined
  /** How long the provider asks to wait, besides `retry-after` and `retry-after-ms`. */
  readonly retryAfter?: (headers: HeaderMap, error: JsonRecord, now: number) => Duration.Duration | undefined
  /** What the headers say of limits. */
  readonly rateLimits: (headers: HeaderMap, now: number) => RateLimits | undefined
  /** The header that holds the provider's id of the request. */
  readonly requestId: (headers: HeaderMap, body: unknown) => string | undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// The two halves
// ---------------------------------------------------------------------------------------------------------------------

/** How a provider counts the tokens of a request before it is sent. */
export interface CountTokens {
  /** The request that asks for the count, made of the one that would be sent. */
  readonly request: (sent: WireRequest, model: string) => WireRequest
  /** The count that a body says; undefined when it says none. */
  readonly response: (body: JsonRecord) => number | undefined
}

/** The client half: what a provider is made of. */
export interface Wire {
  /** Whose `providerParams` apply: "anthropic", "openai", "gemini", "openrouter", or a vendor of your own. */
  readonly vendor: string
  /** The name of this instance, which answers, errors and histories carry. */
  readonly name: string
  readonly accepts: Accepts
  readonly framing: Framing
  readonly failures: Failures
  /** The provider sends something at least every minute while a model thinks; elsewhere silence says nothing. */
  readonly pings?: true
  /**
   * How a model thinks at the effort of a request, its default effort included: `long` at effort high and above;
   * `silent` when nothing may come for as long as it thinks.
   */
  readonly thinking?: (completion: Completion, model: string) => { readonly long: boolean; readonly silent: boolean }
  /**
   * The request for a completion, made to fit its model. `model` is resolved, and the completion was found fit to be
   * sent as far as `accepts` says.
   */
  readonly request: (completion: Completion, model: string, streamed: boolean) => WireRequest | Refused
  /**
   * What a whole body says; undefined when it lacks what every answer has. `mintId` names the n-th tool call that came
   * without an id. `earlier` are the bodies that this one goes on from, oldest first.
   */
  readonly response: (
    body: JsonRecord,
    mintId: (index: number) => string,
    earlier?: ReadonlyArray<JsonRecord>
  ) => Answer | undefined
  /** What a further request has in its body besides, where the last of these bodies ended before its answer did. */
  readonly continues?: (
    bodies: ReadonlyArray<JsonRecord>,
    completion: Completion,
    model: string
  ) => JsonRecord | undefined
  /** A decoder for one stream. */
  readonly stream: (mintId: (index: number) => string) => StreamDecoder
  /** Absent where the provider does not count. */
  readonly countTokens?: CountTokens
  /** Absent where the provider has no embeddings. */
  readonly embeddings?: Embeddings
}

/** A request as it came in. */
export interface Incoming {
  readonly body: JsonRecord
  readonly headers: HeaderMap
  /** The path below the base URL, without the query. */
  readonly path: string
}

/** What a client asks for. */
export interface Asked {
  readonly completion: Completion
  readonly model: string
  readonly streamed: boolean
  /** Chat Completions: whether a stream ends with a chunk of usage. */
  readonly usage?: boolean
  /** Gemini: whether thoughts are shown. */
  readonly thoughts?: boolean
}

/** What ids and times of an answer are made from where the provider gave none: the same ones give the same bytes. */
export interface Stamp {
  readonly seed: string
  /** Unix time in seconds. */
  readonly created: number
}

/** An answer to be written: one that `MaxTokens` cut may hold a call whose arguments are no JSON yet. */
export interface Outgoing {
  readonly response: CompletionResponse
  /** The call in whose arguments the answer was cut; comes last. */
  readonly cutCall?: { readonly id: string; readonly name: string; readonly arguments: string } | undefined
}

/** Writes one streamed answer: the parts of the answer as events of the wire, as they stand in the body. */
export interface StreamEncoder {
  /** The events of a part; empty when there is nothing to say. */
  readonly part: (part: CompletionPart) => ReadonlyArray<string>
  /** The event of a failure after the first part; ends the stream. */
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

/** The server half: the same wire, written by whoever stands in for the provider. Pure. */
export interface Server {
  readonly vendor: string
  /** What a request asks for; lenient, as the client half is in reading answers. Fails with what is wrong. */
  readonly decode: (incoming: Incoming) => Result.Result<Asked, Refused>
  /** The body of a whole answer. */
  readonly encode: (answer: Outgoing, asked: Asked, stamp: Stamp) => JsonRecord
  /** Writes one stream. */
  readonly stream: (asked: Asked, stamp: Stamp) => StreamEncoder
  /** A failure in the words of this wire: the body from which the client half reads the same tag and reason. */
  readonly refuse: (error: LLMError.LLMError, stamp: Stamp) => Refusal
}

// Whether a content can be stored and sent back: what a provider wrote as JSON may hold what JSON cannot keep.
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

/** The content as it can be kept: a text without citations that JSON cannot keep; nothing of a call or a block. */
export const sound = (content: Message.AssistantContent): Message.AssistantContent | undefined => {
  if (keeps(content)) return content
  if (content._tag !== "Text") return undefined
  const { citations: _, ...text } = content
  return text
}

// Nobody should run a call on a number that nobody wrote.
const kept = (answer: Answer): Answer => {
  if (answer.choice.every(keeps)) return answer
  const call = answer.choice.find((content) => content._tag === "ToolCall" && !keeps(content)) as
    | Message.ToolCall
    | undefined
  return {
    ...answer,
    choice: answer.choice.flatMap((content) => sound(content) ?? []),
    malformedCall: answer.malformedCall ??
      (call && `the arguments of the call of ${call.name} hold a number too large to keep, or are nested too deeply`)
  }
}

/** The answer that `read` gives, as it can be kept; undefined when it is no answer, whatever it is instead. */
export const readAnswer = (read: () => Answer | undefined): Answer | undefined =>
  Result.getOrUndefined(Result.try(() => {
    const answer = read()
    return answer && kept(answer)
  }))

/** A table of finish reasons, by the provider's words. */
export type FinishReasons = Readonly<Record<string, Exclude<FinishReason["_tag"], "Other">>>

/** Looks a word up; none is `None`, an unknown one is `Other`. */
export const finishReason = (table: FinishReasons, word: string | undefined): FinishReason => {
  if (word === undefined) return { _tag: "None" }
  const tag = Object.hasOwn(table, word) ? table[word] : undefined
  return tag === undefined ? { _tag: "Other", reason: word } : { _tag: tag }
}
