/**
 * What the throttle and the circuit breaker share: whose calls belong together, and how long a store that holds what
 * they know may take to answer.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Completion } from "../Completion.ts"
import type { LLMError } from "../LLMError.ts"
import * as Options from "./options.ts"

/**
 * Calls with the same key share a limit or a circuit. By default that is the provider and the model; a text comes before
 * those, such as the tenant whose account is used; a function gives the whole key. Never put a secret into it: keys are
 * written to logs and to the store.
 */
export type Key = string | ((completion: Completion, provider: string) => string)

/** What a call does when the store cannot be reached: `"open"` lets it through, `"closed"` lets it fail. */
export type OnStoreError = "open" | "closed"

export interface StoreOptions {
  /**
   * Whether calls go on while the store cannot be reached: `"open"` lets them through as if nothing were known (the
   * default), `"closed"` fails them as `Transient · Overloaded`. Either way it ends when the store is back.
   */
  readonly onStoreError?: OnStoreError
  /** How long the store may take to answer before it counts as gone. One second unless set. */
  readonly storeTimeout?: Duration.Input
}

/** The `code` of a call that a throttle refused. */
export const throttled = "throttled"

/** The `code` of a call that a circuit breaker refused. */
export const circuitOpen = "circuit_open"

/** Whether a call failed before it was sent: then it used nothing, and says nothing of the provider. */
export const isUnsent = ({ _tag, code, status }: LLMError): boolean =>
  status === undefined && (_tag === "ClientError" || code === throttled || code === circuitOpen)

export const keyOf = (key: Key | undefined, provider: string) => (completion: Completion): string =>
  typeof key === "function"
    ? key(completion, provider)
    : [...(key === undefined ? [] : [key]), provider, completion.model ?? ""].join(":")

export const checkKey = (owner: string, key: Key | undefined): void => {
  if (key !== undefined && typeof key !== "function" && (typeof key !== "string" || key === "")) {
    Options.refuse(owner, "key", "a text that is not empty, or a function")
  }
}

export const checkStore = (owner: string, { onStoreError, storeTimeout }: StoreOptions): void => {
  if (onStoreError !== undefined && onStoreError !== "open" && onStoreError !== "closed") {
    Options.refuse(owner, "onStoreError", `"open" or "closed"`)
  }
  Options.duration(owner, "storeTimeout", storeTimeout)
}

/** Fails what a store does not answer in time. */
export const inTime =
  <E>(storeTimeout: Duration.Input | undefined, late: () => E) =>
  <A, E1, R>(self: Effect.Effect<A, E1, R>): Effect.Effect<A, E | E1, R> =>
    Effect.timeoutOrElse(self, { duration: storeTimeout ?? Duration.seconds(1), orElse: () => Effect.fail(late()) })

/** Says once that a store is gone, and once that it is back. */
export const watching = (store: string, onStoreError: OnStoreError): (reachable: boolean) => Effect.Effect<void> => {
  let was = true
  return (reachable) =>
    Effect.suspend(() => {
      if (reachable === was) return Effect.void
      was = reachable
      return reachable
        ? Effect.logInfo(`${store} is back`)
        : Effect.logWarning(
          `${store} cannot be reached, calls ${onStoreError === "open" ? "go on without it" : "fail"}`
        )
    })
}
