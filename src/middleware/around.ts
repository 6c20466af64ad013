/**
 * What limits, budgets and circuit breakers share: each call acquires something before it is sent, and releases or
 * settles it exactly once when it ends, streamed or not, whatever the outcome.
 */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Completion } from "../Completion.ts"
import type { CompletionPart } from "../CompletionPart.ts"
import type { CompletionResponse } from "../CompletionResponse.ts"
import { charactersOf } from "../Estimate.ts"
import { Reported, type Service } from "../LLMClient.ts"
import type { LLMError } from "../LLMError.ts"
import type { TokenUsage } from "../TokenUsage.ts"

/** How a call ended, streamed or not. */
export type Ended =
  & (
    | { readonly _tag: "Answered"; readonly response: CompletionResponse }
    | { readonly _tag: "Failed"; readonly error: LLMError }
    /**
     * The caller left, or a defect ended the call; `characters` is how much of a stream had arrived. `reported` is the usage
     * that the provider had reported.
     */
    | {
      readonly _tag: "Left"
      readonly characters: number
      readonly reported?: TokenUsage | undefined
      readonly died?: true
    }
  )
  & { readonly streamed: boolean }

/** The end of a call without an answer or a failure. */
export const left = (
  exit: Exit.Exit<unknown, unknown>,
  streamed: boolean,
  characters: number,
  reported?: Reported
): Ended => {
  const usage = reported?.usage()
  return {
    _tag: "Left",
    streamed,
    characters,
    ...(usage !== undefined && { reported: usage }),
    ...(Exit.isFailure(exit) && Cause.hasDies(exit.cause) && { died: true })
  }
}

/** The end of a completion. */
export const ended = (exit: Exit.Exit<CompletionResponse, LLMError>, reported?: Reported): Ended => {
  if (Exit.isSuccess(exit)) return { _tag: "Answered", response: exit.value, streamed: false }
  return Option.match(Cause.findErrorOption(exit.cause), {
    onNone: () => left(exit, false, 0, reported),
    onSome: (error) => ({ _tag: "Failed", error, streamed: false })
  })
}

const nothing = () => undefined

// Everything around a call shares one `Reported`; each call begins with an empty one.
const reporting: Effect.Effect<Reported> = Effect.map(Reported, (outer) => {
  if (outer === undefined) return { usage: nothing }
  outer.usage = nothing
  return outer
})

/** Makes an effect interruptible inside an uninterruptible one. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** The two ways to call a client. */
export type Calls = Pick<Service, "completion" | "stream">

/** The steps around a call. */
export interface Surrounding<A> {
  /**
   * May refuse the call, or wait. It can be interrupted only inside `restore`, and then releases itself what it had
   * acquired by then.
   */
  readonly before: (completion: Completion, restore: Restore) => Effect.Effect<A, LLMError>
  /** The client to call, if it depends on what was acquired. */
  readonly through?: (taken: A) => Calls
  /** Runs with the first part of a stream, before its reader; not for completions. */
  readonly began?: (taken: A) => Effect.Effect<void>
  /** Runs once with the end of the call. A stream ends with its last part, its failure, or when its reader leaves. */
  readonly after: (taken: A, ended: Ended) => Effect.Effect<void>
  /** The failure that the caller receives, after `after` has run. */
  readonly mapError?: (taken: A, error: LLMError) => Effect.Effect<LLMError>
}

/** Surrounds every call of a client; each step receives what `before` acquired. */
export const around = <A>(
  client: Calls,
  { after, began, before, through = () => client, mapError = (_, error) => Effect.succeed(error) }: Surrounding<A>
): Calls => ({
  completion: (completion) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(before(completion, restore), (taken) =>
        Effect.flatMap(reporting, (reported) =>
          // A client that throws has been called too.
          restore(Effect.suspend(() => through(taken).completion(completion))).pipe(
            Effect.provideService(Reported, reported),
            Effect.onExit((exit) => after(taken, ended(exit, reported))),
            Effect.catch((error) => Effect.flatMap(mapError(taken, error), Effect.fail))
          )))
    ),
  stream: (completion) =>
    Stream.unwrap(Effect.gen(function*() {
      let characters = 0
      let open = true
      let beginning = began !== undefined
      const settle = (taken: A, how: Ended): Effect.Effect<void> =>
        Effect.suspend(() => {
          if (!open) return Effect.void
          open = false
          return after(taken, how)
        })
      const reported = yield* reporting
      const taken = yield* Effect.uninterruptibleMask((restore) =>
        Effect.acquireRelease(
          before(completion, restore),
          (taken, exit) => Effect.suspend(() => settle(taken, left(exit, true, characters, reported)))
        )
      )
      const see = (parts: Arr.NonEmptyReadonlyArray<CompletionPart>) => {
        const last = parts[parts.length - 1]!
        if (last._tag === "Finish") {
          return Effect.as(
            Effect.uninterruptible(settle(taken, { _tag: "Answered", response: last.response, streamed: true })),
            parts
          )
        }
        for (const part of parts) characters += charactersOf(part)
        return Effect.succeed(parts)
      }
      return through(taken).stream(completion).pipe(
        Stream.provideService(Reported, reported),
        Stream.mapArrayEffect((parts) => {
          if (began === undefined || !beginning) return see(parts)
          beginning = false
          return Effect.flatMap(began(taken), () => see(parts))
        }),
        Stream.catch((error) =>
          Stream.unwrap(
            Effect.uninterruptible(settle(taken, { _tag: "Failed", error, streamed: true })).pipe(
              Effect.andThen(mapError(taken, error)),
              Effect.map(Stream.fail)
            )
          )
        )
      )
    }))
})
