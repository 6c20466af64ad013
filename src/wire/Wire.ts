/**
 * The description of a provider's wire: pure functions from a `Completion` to a request, and from a body to an answer.
 * `transport` runs it, `failure` says what its failures are.
 */
import * as Result from "effect/Result"
import type { Completion } from "../Completion.ts"
import type { CompletionPart } from "../CompletionPart.ts"
import type { FinishReason } from "../CompletionResponse.ts"
import type * as Message from "../Message.ts"
import type { TokenUsage } from "../TokenUsage.ts"
import { type JsonRecord, survives } from "./json.ts"

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
  /** Images that a tool gives as its result. */
  readonly toolResult?: Media
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
}

/** What a body says, before it is judged: `failure` decides whether it is an answer. */
export interface Answer {
  readonly choice: Array<Message.AssistantContent>
  readonly finishReason: FinishReason
  readonly usage: TokenUsage
  readonly id?: string | undefined
  readonly model?: string | undefined
  readonly cost?: number | undefined
  /** The provider's own word for the end. */
  readonly finish?: string | undefined
  /** The stop sequence that ended the answer, where the provider says which. */
  readonly stopSequence?: string | undefined
  /** Whether the answer was cut at a limit. */
  readonly truncated?: boolean
  /** A tool call whose arguments are not JSON, though the answer was not cut. */
  readonly malformedCall?: string | undefined
  /** There was no turn at all: no choice, no candidate. */
  readonly absent?: boolean
  /** Why a filter took the answer, in the provider's words. */
  readonly filter?: string | undefined
}

/**
 * Puts the events of one stream together, step by step, to the body that the call without streaming gives, so that both
 * are decoded by the same function.
 */
export interface StreamDecoder {
  /** Takes in one event, and adds the parts that it brings. */
  readonly event: (event: JsonRecord, parts: Array<CompletionPart>) => void
  /** Takes in `[DONE]`. */
  readonly end?: () => void
  /** Whether the provider said that nothing comes any more. */
  readonly done: () => boolean
  /** Whether what came is an answer to its end. */
  readonly complete: () => boolean
  /** The body, as far as it came. */
  readonly body: () => JsonRecord
}

export interface Protocol {
  /** "anthropic", "openai", "gemini" or "openrouter". */
  readonly provider: string
  readonly accepts: Accepts
  /** The request for a completion; `model` is resolved, and the completion was found fit to be sent. */
  readonly request: (completion: Completion, model: string, streamed: boolean) => WireRequest
  /**
   * What a whole body says; undefined when it lacks what every answer has. `mintId` names the n-th tool call that came
   * without an id.
   */
  readonly response: (body: JsonRecord, mintId: (index: number) => string) => Answer | undefined
  /** A decoder for one stream. */
  readonly stream: (mintId: (index: number) => string) => StreamDecoder
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
    default:
      return true
  }
}

// Nobody should run a call on a number that nobody wrote. A text stays without what is said about it.
const sound = (answer: Answer): Answer => {
  const lost = answer.choice.filter((content) => !keeps(content))
  if (lost.length === 0) return answer
  const call = lost.find((content) => content._tag === "ToolCall")
  return {
    ...answer,
    choice: answer.choice.flatMap((content): Array<Message.AssistantContent> => {
      if (!lost.includes(content)) return [content]
      if (content._tag !== "Text") return []
      const { citations: _, ...text } = content
      return [text]
    }),
    malformedCall: answer.malformedCall ??
      (call && `the arguments of the call of ${call.name} hold a number too large to keep, or are nested too deeply`)
  }
}

/** What a whole body says; undefined when it is no answer, whatever it is instead. */
export const readAnswer = (
  protocol: Protocol,
  body: JsonRecord,
  mintId: (index: number) => string
): Answer | undefined =>
  Result.getOrUndefined(Result.try(() => {
    const answer = protocol.response(body, mintId)
    return answer && sound(answer)
  }))

/** A table of finish reasons, by the provider's words. */
export type FinishReasons = Readonly<Record<string, Exclude<FinishReason["_tag"], "Other">>>

/** Looks a word up; none is `None`, an unknown one is `Other`. */
export const finishReason = (table: FinishReasons, word: string | undefined): FinishReason => {
  if (word === undefined) return { _tag: "None" }
  const tag = Object.hasOwn(table, word) ? table[word] : undefined
  return tag === undefined ? { _tag: "Other", reason: word } : { _tag: tag }
}
