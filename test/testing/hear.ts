import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Completion } from "../../src/Completion.ts"
import type { CompletionPart } from "../../src/CompletionPart.ts"
import type * as LLMClient from "../../src/LLMClient.ts"
import type { LLMError } from "../../src/LLMError.ts"

/** What a stream emitted, and what it failed with. */
export interface Heard {
  readonly parts: ReadonlyArray<CompletionPart>
  readonly error: LLMError | undefined
}

export const hear = (client: LLMClient.Service, completion: Completion): Effect.Effect<Heard> =>
  Effect.suspend(() => {
    const parts: Array<CompletionPart> = []
    return client.stream(completion).pipe(
      Stream.runForEach((part) => Effect.sync(() => parts.push(part))),
      Effect.match({
        onFailure: (error): Heard => ({ parts, error }),
        onSuccess: (): Heard => ({ parts, error: undefined })
      })
    )
  })
