/**
 * `around` for those who must also know when a stream began to answer.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Completion } from "../Completion.ts"
import type { Service } from "../LLMClient.ts"
import type { LLMError } from "../LLMError.ts"
import { around, type Ended, type Restore } from "./around.ts"

export interface Surrounding<A> {
  readonly before: (completion: Completion, restore: Restore) => Effect.Effect<A, LLMError>
  /** Gets what `before` took with the first part of a stream, ahead of whoever reads it; not run for completions. */
  readonly began: (taken: A) => Effect.Effect<void>
  readonly after: (taken: A, ended: Ended) => Effect.Effect<void>
}

/** Surrounds every call of a client, as `around` does. */
export const aroundBeginning = <A>(
  client: Service,
  { after, began, before }: Surrounding<A>
): Pick<Service, "completion" | "stream"> => ({
  completion: around(client, before, after).completion,
  stream: (completion) =>
    Stream.suspend(() => {
      let waiting: { readonly taken: A } | undefined
      const below: Service = {
        ...client,
        stream: (completion) =>
          Stream.mapArrayEffect(client.stream(completion), (parts) => {
            if (waiting === undefined) return Effect.succeed(parts)
            const { taken } = waiting
            waiting = undefined
            return Effect.as(began(taken), parts)
          })
      }
      return around(
        below,
        (completion, restore) =>
          Effect.map(before(completion, restore), (taken) => {
            waiting = { taken }
            return taken
          }),
        after
      ).stream(completion)
    })
})
