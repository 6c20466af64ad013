/**
 * The failures that went before an answer or another failure, kept with it as one flat list.
 */
import type { CompletionPart } from "../CompletionPart.ts"
import * as CompletionResponse from "../CompletionResponse.ts"
import { type LLMError, make } from "../LLMError.ts"

// An error is no plain object: its fields are named, since a spread of it would lose its class.
const names = [
  "reason",
  "provider",
  "model",
  "description",
  "status",
  "code",
  "requestId",
  "retryAfter",
  "retryable",
  "rateLimits",
  "body",
  "partial",
  "omitted",
  "cause"
] as const satisfies ReadonlyArray<keyof LLMError>

/** The same error with other fields. */
export const replace = (
  self: LLMError,
  fields: { readonly [K in keyof LLMError]?: LLMError[K] | undefined }
): LLMError =>
  make(
    self._tag,
    {
      ...Object.fromEntries(names.map((name) => [name, self[name]])),
      attempts: self.attempts,
      ...fields
    } as unknown as Parameters<typeof make>[1]
  )

/** The failures as one list, in their order: each that has some before it follows them, and has none itself. */
export const flatten = (failures: ReadonlyArray<LLMError>): Array<LLMError> =>
  failures.flatMap((failure) =>
    failure.attempts === undefined
      ? [failure]
      : [...flatten(failure.attempts), replace(failure, { attempts: undefined })]
  )

/** The error with the failures that went before it, ahead of those it has. */
export const ofError = (self: LLMError, before: ReadonlyArray<LLMError>): LLMError =>
  before.length === 0 ? self : replace(self, { attempts: flatten([...before, ...(self.attempts ?? [])]) })

/** The answer with the failures that went before it, ahead of those it has. */
export const ofResponse = (
  self: CompletionResponse.CompletionResponse,
  before: ReadonlyArray<LLMError>
): CompletionResponse.CompletionResponse =>
  before.length === 0
    ? self
    : CompletionResponse.make({ ...self, attempts: flatten([...before, ...(self.attempts ?? [])]) })

/** The part with the failures that went before its stream: the last part of a stream carries them in its answer. */
export const ofPart = (self: CompletionPart, before: ReadonlyArray<LLMError>): CompletionPart =>
  self._tag === "Finish" && before.length > 0
    ? { ...self, response: ofResponse(self.response, before) }
    : self
