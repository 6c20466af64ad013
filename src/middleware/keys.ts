/**
 * What the throttle and the circuit breaker share: the keys of calls, the codes that distinguish their refusals from a
 * provider's, and what happens while their store cannot be reached.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Completion } from "../Completion.ts"
import type { Patience, Service } from "../LLMClient.ts"
import { type LLMError, make as makeError } from "../LLMError.ts"
import * as Attempts from "./attempts.ts"
import * as Options from "./options.ts"

/**
 * Calls with the same key share a limit or a circuit. The default is the provider and the model. A text is put before
 * them, for example the tenant whose account is used; a function returns the whole key. Never put a secret into it: keys
 * are written to logs and to the store.
 */
export type Key = string | ((completion: Completion, provider: string) => string)

/** What happens to a call while the store cannot be reached: `"open"` sends it, `"closed"` fails it. */
export type OnStoreError = "open" | "closed"

/** The same, for logs. */
export const meanwhile: Record<OnStoreError, string> = { open: "calls go on without it", closed: "calls fail" }

export interface StoreOptions {
  /**
   * What happens while the store cannot be reached: `"open"` (the default) sends calls without limits or circuits,
   * `"closed"` fails them as `Transient · Overloaded` with the code `store_unreachable`.
   */
  readonly onStoreError?: OnStoreError
  /**
   * How long the store may take to answer; one second unless given. After that it counts as unreachable: no call waits
   * for it for a second, and longer after every further failure, up to 30 seconds.
   */
  readonly storeTimeout?: Duration.Input
}

/** The names of those options. */
export const storeNames = { onStoreError: true, storeTimeout: true } satisfies Record<keyof StoreOptions, true>

/** The `code` of a call that a throttle refused. */
export const throttled = "throttled"

/** The `code` of a call that a circuit breaker refused. */
export const circuitOpen = "circuit_open"

/** The `code` of a call that failed because a store of limits or circuits could not be reached. */
export const storeUnreachable = "store_unreachable"

const ours: ReadonlySet<string | undefined> = new Set([throttled, circuitOpen, storeUnreachable])

/** Whether a call failed before it was sent: then it used no tokens, and is not evidence about the provider. */
export const isNotSent = ({ _tag, attempts = [], code, partial, status }: LLMError): boolean =>
  status === undefined && partial === undefined && (_tag === "ClientError" || ours.has(code)) &&
  attempts.every(isNotSent)

/** The model of a call: the layer's default if the call names none, so that both have the same key. */
export const modelOf = ({ model }: Completion, client: Service): string => model ?? client.model ?? ""

/** The longest name in a key. */
const longestName = 512

/** Fails a call whose model or key is too long: users may choose them. */
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

// A name that contains a colon must not look like two names.
const escaped = (name: string): string => name.replace(/[%:]/g, (letter) => letter === ":" ? "%3A" : "%25")

/** The key of a call's limits or circuit. Different inputs never give the same key. */
export const keyOf =
  (key: Key | undefined, client: Service) => (completion: Completion): Effect.Effect<string, LLMError> =>
    typeof key === "function"
      ? Effect.map(checkName(key(completion, client.provider), "key", client), escaped)
      : Effect.map(
        checkName(modelOf(completion, client), "model", client),
        (model) => [...(key === undefined ? [] : [key]), client.provider, model].map(escaped).join(":")
      )

/** The same failure, marked as not retryable. */
export const notRetryable = (error: LLMError): LLMError => Attempts.replace(error, { retryable: false })

/** Whether a Fallback above would pass the call to its next member after this failure. */
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
