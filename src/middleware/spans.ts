/**
 * What the span of a call says, in the attributes of OpenTelemetry's conventions for generative AI.
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

/** What may be said, and in which names. */
export interface Settings {
  readonly content: Transcript.Content | undefined
  readonly words: boolean
  readonly names: ReadonlyArray<Convention>
}

type Attributes = Readonly<Record<string, unknown>>

/** Sets the attributes that are known. */
export const annotate = (span: Tracer.Span, all: Attributes): void => {
  for (const key in all) if (all[key] !== undefined) span.attribute(key, all[key])
}

export const nameOf = (model: string | undefined): string => model === undefined ? operation : `${operation} ${model}`

/** What samplers decide by, and therefore is there from the beginning of a span. */
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

// The calls in all, with those that a list of attempts had no room for.
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

/** Few enough for a metric: `RateLimit.Tokens`, `Transient.Timeout` and the like. */
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

/** What the end of a call says. */
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

// What kind of failure it was: its words may repeat the request, and its answer is nothing to be kept in a span.
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
 * Leaves the words of failures out of a span's events: whatever is logged within a span becomes one, such as the failure
 * that Retry is about to send again.
 */
export const mute = (span: Tracer.Span): void => {
  const event = span.event.bind(span)
  span.event = (name, time, attributes) => {
    if (attributes === undefined || !("error" in attributes)) return event(name, time, attributes)
    const { error: _, ...rest } = attributes
    event(name, time, rest)
  }
}
