/**
 * What the throttle and the circuit breaker share: whose calls belong together, how their refusals are told from a
 * provider's, and what is to happen when the store that holds what they know is gone.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Completion } from "../Completion.ts"
import type { Patience, Service } from "../LLMClient.ts"
import { type LLMError, make as makeError } from "../LLMError.ts"
import * as Attempts from "./attempts.ts"
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

/** The longest name that something is kept under. */
const longestName = 512

/** Fails a call whose model or key is too long to be kept: users may choose them. */
export const checkName = (
  name: string,
  what: "model" | "key",
  client: Pick<Service, "provider">
): Effect.Effect<string, LLMError> =>
  name.length <= longestName ? Effect.succeed(name) : Effect.fail(makeError("ClientError", {
    provider: client.provider,
    model: what === "model" ? name.slice(0, 64) : "",
    reason: "InvalidRequest",
    description: `the ${what} has ${name.length} characters: at most ${longestName} are allowed`
  }))

// A name with a colon in it must not be read as two.
const escaped = (name: string): string => name.replace(/[%:]/g, (letter) => letter === ":" ? "%3A" : "%25")

/** What the limits or the circuit of a call are kept under. No two that differ give the same. */
export const keyOf =
  (key: Key | undefined, client: Service) => (completion: Completion): Effect.Effect<string, LLMError> =>
    typeof key === "function"
      ? Effect.map(checkName(key(completion, client.provider), "key", client), escaped)
      : Effect.map(
        checkName(modelOf(completion, client), "model", client),
        (model) => [...(key === undefined ? [] : [key]), client.provider, model].map(escaped).join(":")
      )

/** The same failure, which is not worth a retry. */
export const notRetryable = (error: LLMError): LLMError => Attempts.replace(error, { retryable: false })

/** Whether another member of a Fallback is ready, and takes the call after this failure. */
export const isFallbackReady = (patience: Patience | undefined, error: LLMError): patience is Patience =>
  patience !== undefined && Number.isFinite(patience.waiting) && (patience.when?.(error) ?? error.isFallbackable)

export const checkKey = (owner: string, key: Key | undefined): void => {
  if (key === undefined || typeof key === "function") return
  if (typeof key !== "string" || key === "" || key.length > longestName) {
    Options.refuse(owner, "key", `a text of 1 to ${longestName} characters, or a function`)
  }
}

export const checkStore = (owner: string, { onStoreError, storeTimeout }: StoreOptions): void => {
  if (onStoreError !== undefined && onStoreError !== "open" && onStoreError !== "closed") {
    Options.refuse(owner, "onStoreError", `"open" or "closed"`)
  }
  Options.duration(owner, "storeTimeout", storeTimeout)
}
