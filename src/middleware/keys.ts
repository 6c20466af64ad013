/**
 * What the throttle and the circuit breaker share: whose calls belong together, how their refusals are told from a
 * provider's, and what is to happen when the store that holds what they know is gone.
 */
import type * as Duration from "effect/Duration"
import type { Completion } from "../Completion.ts"
import type { Service } from "../LLMClient.ts"
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

/** The same, for logs. */
export const meanwhile: Record<OnStoreError, string> = { open: "calls go on without it", closed: "calls fail" }

export interface StoreOptions {
  /**
   * Whether calls go on while the store cannot be reached: `"open"` lets them through as if nothing were known (the
   * default), `"closed"` fails them as `Transient · Overloaded` with the code `store_unreachable`. Either way it ends
   * when the store is back.
   */
  readonly onStoreError?: OnStoreError
  /**
   * How long the store may take to answer before it counts as gone. One second unless set. Then no call waits for it for
   * a second, and longer each time that it is found to be gone still, up to 30 seconds.
   */
  readonly storeTimeout?: Duration.Input
}

/** The names of those options. */
export const storeNames = { onStoreError: true, storeTimeout: true } satisfies Record<keyof StoreOptions, true>

/** The `code` of a call that a throttle refused. */
export const throttled = "throttled"

/** The `code` of a call that a circuit breaker refused. */
export const circuitOpen = "circuit_open"

/** The `code` of a call that failed since a store of limits or circuits could not be reached. */
export const storeUnreachable = "store_unreachable"

const ours: ReadonlySet<string | undefined> = new Set([throttled, circuitOpen, storeUnreachable])

/** Whether a call failed before it was sent: then it used nothing, and says nothing of the provider. */
export const isUnsent = ({ _tag, attempts = [], code, partial, status }: LLMError): boolean =>
  status === undefined && partial === undefined && (_tag === "ClientError" || ours.has(code)) &&
  attempts.every(isUnsent)

/** The model that a call is for: a layer's own where the call names none, so that both mean the same. */
export const modelOf = ({ model }: Completion, client: Service): string => model ?? client.model ?? ""

export const keyOf = (key: Key | undefined, client: Service) => (completion: Completion): string =>
  typeof key === "function"
    ? key(completion, client.provider)
    : [...(key === undefined ? [] : [key]), client.provider, modelOf(completion, client)].join(":")

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
