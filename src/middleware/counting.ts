/**
 * Where a throttle counts: in this process, or in a store that may be slow or unreachable.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as RateLimiter from "effect/persistence/RateLimiter"
import * as Limits from "./keys.ts"
import * as Store from "./store.ts"

/** Where a throttle counts. */
export interface Counting {
  readonly limiter: Effect.Effect<RateLimiter.RateLimiter>
  /** Whether other processes count there too. */
  readonly shared: boolean
  readonly onStoreError: Limits.OnStoreError
  /** Runs an operation to its end even if its caller is interrupted; then it is undone. */
  readonly asking: <A, E>(self: Effect.Effect<A, E>, undo: Effect.Effect<void>) => Effect.Effect<A, E>
  /** Records the end of a call. */
  readonly writing: (self: Effect.Effect<void>, how: "awaited" | "left") => Effect.Effect<unknown>
}

// Each key has its own store, which is removed with the key: Effect's in-memory store never removes one.
const limiter = Effect.provide(RateLimiter.make, Layer.fresh(RateLimiter.layerStoreMemory))

/** Counting in this process, which never waits. */
export const inMemory: Counting = {
  limiter,
  shared: false,
  onStoreError: "open",
  asking: Effect.uninterruptible,
  writing: identity
}

/** Counting in a store that may be slow or unreachable: an interrupted caller does not wait for it. */
export const inStore = Effect.fnUntraced(function*({ onStoreError = "open", storeTimeout }: Limits.StoreOptions) {
  const scope = yield* Effect.scope
  const store = yield* RateLimiter.RateLimiterStore
  const ask = yield* Store.make({
    name: "the limit store",
    meanwhile: Limits.meanwhile[onStoreError],
    timeout: storeTimeout,
    gone: (message) => new RateLimiter.RateLimiterError({ reason: new RateLimiter.RateLimitStoreError({ message }) }),
    isGone: (error) => error instanceof RateLimiter.RateLimiterError && error.reason._tag === "RateLimitStoreError"
  })
  const limiter = yield* Effect.provideService(
    RateLimiter.make,
    RateLimiter.RateLimiterStore,
    RateLimiter.RateLimiterStore.of({
      fixedWindow: (options) => ask(store.fixedWindow(options)),
      tokenBucket: (options) => ask(store.tokenBucket(options)),
      adaptiveConsume: (options) => ask(store.adaptiveConsume(options)),
      adaptiveFeedback: (options) => ask(store.adaptiveFeedback(options))
    })
  )
  const fork = <A, E>(self: Effect.Effect<A, E>) => Effect.forkIn(self, scope, { startImmediately: true })
  return {
    limiter: Effect.succeed(limiter),
    shared: true,
    onStoreError,
    asking: (self, undo) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(
          fork(self),
          (fiber) =>
            Effect.onInterrupt(restore(Fiber.join(fiber)), () => fork(Effect.andThen(Fiber.await(fiber), undo)))
        )
      ),
    writing: (self, how) =>
      Effect.flatMap(fork(self), (fiber) => how === "left" ? Effect.void : Effect.interruptible(Fiber.await(fiber)))
  } satisfies Counting as Counting
})
