/**
 * The earlier failures of an answer or an error, kept with it as one flat list.
 */
import type { CompletionPart } from "../CompletionPart.ts"
import * as CompletionResponse from "../CompletionResponse.ts"
import { type LLMError, make } from "../LLMError.ts"

// A spread of an error would lose its class, so its fields are named.
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

/** The failures as one list in their order. An error's own `attempts` come before it and are removed from it. */
export const flatten = (failures: ReadonlyArray<LLMError>): Array<LLMError> =>
  failures.flatMap((failure) =>
    failure.attempts === undefined
      ? [failure]
      : [...flatten(failure.attempts), replace(failure, { attempts: undefined })]
  )

/** The error with earlier failures, added before those that it has. */
export const ofError = (self: LLMError, before: ReadonlyArray<LLMError>): LLMError =>
  before.length === 0 ? self : replace(self, { attempts: flatten([...before, ...(self.attempts ?? [])]) })

/** The answer with earlier failures, added before those that it has. */
export const ofResponse = (
  self: CompletionResponse.CompletionResponse,
  before: ReadonlyArray<LLMError>
): CompletionResponse.CompletionResponse =>
  before.length === 0
    ? self
    : CompletionResponse.make({ ...self, attempts: flatten([...before, ...(self.attempts ?? [])]) })

/** The part with earlier failures: only `Finish` has them, in its answer. */
export const ofPart = (self: CompletionPart, before: ReadonlyArray<LLMError>): CompletionPart =>
  self._tag === "Finish" && before.length > 0
    ? { ...self, response: ofResponse(self.response, before) }
    : self
