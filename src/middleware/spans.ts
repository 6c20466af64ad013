/**
 * The attributes of a call's span, by OpenTelemetry's conventions for generative AI.
 */
import * as Exit from "effect/Exit"
import type * as Tracer from "effect/Tracer"
import type { Completion } from "../Completion.ts"
import type { CompletionResponse } from "../CompletionResponse.ts"
import { type LLMError, make as makeError, total } from "../LLMError.ts"
import type { TokenUsage } from "../TokenUsage.ts"
import type { Ended } from "./around.ts"
import { attributes, type Convention, finishReason, operation, ownAttributes, providerName } from "./conventions.ts"
import type { Address } from "./instruments.ts"
import * as Transcript from "./transcript.ts"

/** What may be recorded, and under which names. */
export interface Settings {
  readonly content: Transcript.Content | undefined
  readonly words: boolean
  readonly names: ReadonlyArray<Convention>
}

type Attributes = Readonly<Record<string, unknown>>

/** Sets the attributes that are defined. */
export const annotate = (span: Tracer.Span, all: Attributes): void => {
  for (const key in all) if (all[key] !== undefined) span.attribute(key, all[key])
}

export const nameOf = (model: string | undefined): string => model === undefined ? operation : `${operation} ${model}`

/** The attributes for samplers, which are set when a span begins. */
export const ofClient = (
  provider: string,
  model: string | undefined,
  server: Address | undefined
): Record<string, unknown> => ({
  [attributes.operation]: operation,
  [attributes.provider]: providerName(provider),
  ...(model !== undefined && { [attributes.requestModel]: model }),
  ...(server !== undefined && { [attributes.address]: server.address, [attributes.port]: server.port })
})

export const ofRequest = (completion: Completion, { content }: Settings): Attributes => ({
  [attributes.outputType]: completion.outputSchema && "json",
  [attributes.maxTokens]: completion.maxTokens,
  [attributes.temperature]: completion.temperature,
  [attributes.topP]: completion.topP,
  [attributes.seed]: completion.seed,
  [attributes.stopSequences]: completion.stopSequences,
  [attributes.effort]: completion.reasoning?.effort,
  [attributes.instructions]: content && Transcript.instructions(completion, content),
  [attributes.inputMessages]: content && Transcript.input(completion, content)
})

const ofUsage = (usage: TokenUsage, { names }: Settings): Attributes => ({
  [attributes.input]: usage.inputTokens,
  [attributes.output]: usage.outputTokens,
  [attributes.cacheRead]: usage.cachedInputTokens,
  ...(names.includes("current") && { [attributes.cacheWrite]: usage.cacheWriteTokens }),
  ...(names.includes("earlier") && { [attributes.cacheWriteEarlier]: usage.cacheWriteTokens }),
  [attributes.reasoning]: usage.reasoningTokens
})

const ofAnswer = (response: CompletionResponse, settings: Settings): Attributes => ({
  [attributes.responseId]: response.id,
  [attributes.responseModel]: response.model,
  [attributes.finishReasons]: [finishReason(response.finishReason)],
  ...ofUsage(response.usage, settings)
})

// The number of all calls, including those that were left out of the list of attempts.
const attemptsOf = (before: ReadonlyArray<LLMError>): number | undefined =>
  before.length === 0 ? undefined : total(before).count + 1

const ofResponse = (response: CompletionResponse, settings: Settings): Attributes => ({
  [attributes.provider]: providerName(response.provider),
  ...ofAnswer(response, settings),
  [ownAttributes.cached]: response.cached,
  [ownAttributes.cost]: response.cost,
  [ownAttributes.warnings]: response.warnings?.map(({ field }) => field),
  [ownAttributes.attempts]: attemptsOf(response.attempts ?? []),
  [attributes.outputMessages]: settings.content && Transcript.output(response.message, settings.content)
})

/** An error type with few values, for metrics: for example `RateLimit.Tokens` or `Transient.Timeout`. */
export const errorType = (error: LLMError): string => `${error._tag}.${error.reason}`

const ofError = (error: LLMError, settings: Settings): Attributes => {
  const { count } = total([error])
  return {
    [attributes.provider]: providerName(error.provider),
    [attributes.errorType]: errorType(error),
    [attributes.status]: error.status,
    ...(error.partial && ofAnswer(error.partial, settings)),
    [ownAttributes.attempts]: count > 1 ? count : undefined
  }
}

/** The attributes of a call's end. */
export const ofEnd = (ended: Ended, settings: Settings): Attributes => {
  switch (ended._tag) {
    case "Answered":
      return ofResponse(ended.response, settings)
    case "Failed":
      return ofError(ended.error, settings)
    case "Left":
      return {}
  }
}

// Only the kind of a failure: its description may repeat the request, and its partial answer does not belong in a span.
const withoutWords = (error: LLMError): LLMError => {
  const { _tag, code, model, provider, reason, requestId, retryAfter, status } = error
  const kind = { reason: reason as never, provider, model, status, code, requestId, retryAfter }
  return makeError(_tag, { ...kind, description: "" })
}

/** How the span ends. */
export const exitOf = (ended: Ended, { words }: Settings): Exit.Exit<unknown, LLMError> => {
  switch (ended._tag) {
    case "Answered":
      return Exit.void
    case "Failed":
      return Exit.fail(words ? ended.error : withoutWords(ended.error))
    case "Left":
      return ended.died ? Exit.die(new Error("the call died")) : Exit.interrupt()
  }
}

/**
 * Removes errors from a span's events. Everything logged inside a span becomes an event, for example the failure that
 * Retry is about to send again.
 */
export const mute = (span: Tracer.Span): void => {
  const event = span.event.bind(span)
  span.event = (name, time, attributes) => {
    if (attributes === undefined || !("error" in attributes)) return event(name, time, attributes)
    const { error: _, ...rest } = attributes
    event(name, time, rest)
  }
}
