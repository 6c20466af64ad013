/**
 * Asks a store that may be gone: waits for an answer only so long, and asks a store that gave none only now and then,
 * so that calls need not find out one by one.
 *
 * After an operation that failed or took too long the store counts as gone for a second, and longer each time that it is
 * found to be gone still, up to 30 seconds. Meanwhile operations fail at once; then one of them asks, and the others
 * still fail at once until it knows.
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
  /** What logs call it: "the store of limits". */
  readonly name: string
  /** What logs say of the calls while it is gone: "calls go on without it". */
  readonly meanwhile: string
  /** How long it may take to answer. One second unless set. */
  readonly timeout?: Duration.Input | undefined
  /** The failure of an operation that got no answer, or was not asked. */
  readonly gone: (why: string) => E
  /** Whether a failure says that the store is gone, as those of `gone` do. */
  readonly isGone: (error: unknown) => boolean
}

/**
 * Asks the store. An operation that takes too long goes on by itself, since it may have been done there: `late` gets
 * what it says in the end. Whoever asks may be interrupted at any time.
 */
export type Ask<E> = <A, E1, R, R2 = never>(
  operation: Effect.Effect<A, E1, R>,
  late?: (value: A) => Effect.Effect<unknown, unknown, R2>
) => Effect.Effect<A, E | E1, R | R2>

const depth = 5

/**
 * Whether a Redis answered that what it holds under a key is something else, or that a script failed on it: that is an
 * error of this key, and the store is not gone.
 */
export const isOfKey = (error: unknown): boolean => {
  let cause = error
  for (let level = 0; level < depth && typeof cause === "object" && cause !== null; level++) {
    if ("message" in cause && /^(?:WRONGTYPE|ERR)\b/.test(String(cause.message))) return true
    cause = "reason" in cause ? cause.reason : "cause" in cause ? cause.cause : undefined
  }
  return false
}

/** What the logs say then, once for each key. */
export const keyIsTaken = "the store cannot use what it holds under this key"

const firstPause = Duration.seconds(1)
const longestPause = Duration.seconds(30)

/** Makes what asks a store; says once that it is gone, and once that it is back. */
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
      // In a fiber of its own, so that an answer is waited for, and counts, also when nobody waits for it any more.
      return Effect.forkIn(asking, scope, { startImmediately: true }).pipe(
        Effect.flatMap(Fiber.await),
        Effect.flatMap((exit) => Exit.isSuccess(exit) ? exit.value : Effect.fail(gone("it is closed")))
      )
    }
  })
