/**
 * What limits, budgets and breakers have in common: something is taken before a call, and given back or settled exactly
 * once when the call ends, however it ends, streamed or not.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Completion } from "../Completion.ts"
import type { CompletionPart } from "../CompletionPart.ts"
import type { CompletionResponse } from "../CompletionResponse.ts"
import type { Service } from "../LLMClient.ts"
import type { LLMError } from "../LLMError.ts"

/** How a call ended, streamed or not. */
export type Ended =
  & (
    | { readonly _tag: "Answered"; readonly response: CompletionResponse }
    | { readonly _tag: "Failed"; readonly error: LLMError }
    /** The caller went, or something died; of a stream, this many characters had come by then. */
    | { readonly _tag: "Left"; readonly characters: number }
  )
  & { readonly streamed: boolean }

const ended = (exit: Exit.Exit<CompletionResponse, LLMError>): Ended => {
  if (Exit.isSuccess(exit)) return { _tag: "Answered", response: exit.value, streamed: false }
  return Option.match(Cause.findErrorOption(exit.cause), {
    onNone: () => ({ _tag: "Left", streamed: false, characters: 0 }),
    onSome: (error) => ({ _tag: "Failed", error, streamed: false })
  })
}

const length = (part: CompletionPart): number => {
  switch (part._tag) {
    case "TextDelta":
    case "ReasoningDelta":
      return part.text.length
    case "ToolCallDelta":
      return part.arguments.length
    default:
      return 0
  }
}

/** Makes an effect interruptible within one that is not. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** The two ways to call a client. */
export type Calls = Pick<Service, "completion" | "stream">

/**
 * Surrounds every call of a client. `before` may refuse the call, or wait: it can be interrupted within `restore` alone,
 * since what it took would be lost otherwise, and what it had taken by then it gives back itself. `after` gets what it
 * took and how the call ended. A stream ends for `after` with its last part, its failure, or its reader's leaving. With
 * `sentBy`, what was taken says how the call is made: with another completion, or with a service that tells more of it.
 */
export const around = <A>(
  client: Calls,
  before: (completion: Completion, restore: Restore) => Effect.Effect<A, LLMError>,
  after: (taken: A, ended: Ended) => Effect.Effect<void>,
  sentBy: (taken: A) => Calls = () => client
): Calls => ({
  completion: (completion) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(
        before(completion, restore),
        (taken) =>
          Effect.onExit(
            // A client that throws instead of failing has been called all the same.
            restore(Effect.suspend(() => sentBy(taken).completion(completion))),
            (exit) => after(taken, ended(exit))
          )
      )
    ),
  stream: (completion) =>
    Stream.unwrap(Effect.gen(function*() {
      let characters = 0
      let open = true
      const settle = (taken: A, how: Ended): Effect.Effect<void> =>
        Effect.suspend(() => {
          if (!open) return Effect.void
          open = false
          return after(taken, how)
        })
      const taken = yield* Effect.uninterruptibleMask((restore) =>
        Effect.acquireRelease(
          before(completion, restore),
          (taken) => settle(taken, { _tag: "Left", streamed: true, characters })
        )
      )
      return sentBy(taken).stream(completion).pipe(
        Stream.mapArrayEffect((parts) => {
          const last = parts[parts.length - 1]!
          if (last._tag === "Finish") {
            return Effect.as(
              Effect.uninterruptible(settle(taken, { _tag: "Answered", response: last.response, streamed: true })),
              parts
            )
          }
          for (const part of parts) characters += length(part)
          return Effect.succeed(parts)
        }),
        Stream.tapError((error) => Effect.uninterruptible(settle(taken, { _tag: "Failed", error, streamed: true })))
      )
    }))
})
