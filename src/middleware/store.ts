/**
 * Calls a store that may be unreachable. Each operation has a time limit, and an unreachable store is tried only now and
 * then, so that not every call has to wait for it.
 *
 * After an operation that failed or took too long, the store counts as unreachable for a second, and longer after every
 * further failure, up to 30 seconds. Meanwhile operations fail at once. Then one of them tries the store, and the others
 * fail at once until it has an answer.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Breaker from "effect/persistence/CircuitBreaker"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Steady from "./steady.ts"

export interface Options<E> {
  /** Its name in logs: "the limit store". */
  readonly name: string
  /** What happens to calls while it is unreachable, for logs: "calls go on without it". */
  readonly meanwhile: string
  /** How long it may take to answer; one second unless given. */
  readonly timeout?: Duration.Input | undefined
  /** The failure of an operation without an answer, or that was not tried. */
  readonly gone: (why: string) => E
  /** Whether a failure means that the store is unreachable, like those of `gone`. */
  readonly isGone: (error: unknown) => boolean
}

/**
 * Calls the store. An operation that takes too long keeps running, because the store may still execute it: `late`
 * receives its result. The caller may be interrupted at any time.
 */
export type Ask<E> = <A, E1, R, R2 = never>(
  operation: Effect.Effect<A, E1, R>,
  late?: (value: A) => Effect.Effect<unknown, unknown, R2>
) => Effect.Effect<A, E | E1, R | R2>

const depth = 5

/**
 * Whether Redis reported a wrong value under a key, or a script that failed on it: that is an error of this key, and the
 * store is reachable.
 */
export const isOfKey = (error: unknown): boolean => {
  let cause = error
  for (let level = 0; level < depth && typeof cause === "object" && cause !== null; level++) {
    if ("message" in cause && /^(?:WRONGTYPE|ERR)\b/.test(String(cause.message))) return true
    cause = "reason" in cause ? cause.reason : "cause" in cause ? cause.cause : undefined
  }
  return false
}

/** The log message for it, once for each key. */
export const keyIsTaken = "the store cannot use what it holds under this key"

const firstPause = Duration.seconds(1)
const longestPause = Duration.seconds(30)

/** Makes an `Ask`; logs once that the store is unreachable, and once that it is back. */
export const make = <E>(
  { gone, isGone, meanwhile, name, timeout = "1 second" }: Options<E>
): Effect.Effect<Ask<E>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const steady = Steady.make()
    const breaker = yield* Effect.provide(
      Breaker.make({
        tripPolicy: Breaker.consecutive(1),
        openDuration: Schedule.min([Schedule.exponential(firstPause), Schedule.spaced(longestPause)])
      }),
      Breaker.layerStoreMemory(),
      { local: true }
    )
    yield* Effect.forkScoped(
      Stream.runForEach(breaker.transitions, ({ from, to }) =>
        to === "Closed"
          ? Effect.logInfo(`${name} is back`)
          : from === "Closed"
          ? Effect.logWarning(`${name} cannot be reached, ${meanwhile}`)
          : Effect.void),
      { startImmediately: true }
    )

    const classify = <A, E1>(exit: Exit.Exit<Exit.Exit<A, E1>>): Breaker.Outcome => {
      if (Exit.isFailure(exit)) return Breaker.ignored
      if (Exit.isSuccess(exit.value)) return Breaker.success
      return Option.match(Exit.findErrorOption(exit.value), {
        onNone: () => Breaker.ignored,
        onSome: (error) => isGone(error) && !isOfKey(error) ? Breaker.failure() : Breaker.success
      })
    }

    return (operation, late) => {
      const inTime = Effect.gen(function*() {
        const fiber = yield* Effect.forkIn(operation, scope, { startImmediately: true })
        return yield* Effect.timeoutOrElse(Fiber.join(fiber), {
          duration: timeout,
          orElse: () =>
            Effect.andThen(
              late === undefined
                ? Effect.void
                : Effect.forkIn(Effect.ignore(Effect.flatMap(Fiber.join(fiber), late)), scope),
              Effect.fail(gone("it does not answer"))
            )
        })
      })
      const asking = Effect.exit(inTime).pipe(
        breaker.execute({ key: name, classify }),
        steady,
        Effect.orElseSucceed(() => Exit.fail(gone("it did not answer before")))
      )
      // In its own fiber, so that the result counts even if the caller has been interrupted.
      return Effect.forkIn(asking, scope, { startImmediately: true }).pipe(
        Effect.flatMap(Fiber.await),
        Effect.flatMap((exit) => Exit.isSuccess(exit) ? exit.value : Effect.fail(gone("it is closed")))
      )
    }
  })
