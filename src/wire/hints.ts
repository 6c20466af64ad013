/**
 * Reads every dialect of "try again later" and of rate-limit headers.
 *
 * Sources: Anthropic "Rate limits", OpenAI "Rate limits" and the SDKs' `retry-after-ms`, Google `google.rpc.RetryInfo`,
 * OpenRouter "Errors and debugging" and "Limits".
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Headers from "effect/http/Headers"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { RateLimits, Window } from "../RateLimits.ts"
import { array, number, object, string } from "./json.ts"

type HeaderMap = Readonly<Record<string, string | undefined>>

// A hint in milliseconds: absent unless it is a finite number that is not negative.
const hint = (millis: number | undefined): number | undefined =>
  millis !== undefined && Number.isFinite(millis) && millis >= 0 ? millis : undefined

const decimal = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d+(\.\d+)?$/.test(text.trim()) && Number.isFinite(Number(text)) ? Number(text) : undefined

const scaled = (value: number | undefined, factor: number): number | undefined =>
  value === undefined ? undefined : value * factor

const instant = (text: string | undefined, now: number): number | undefined =>
  text === undefined
    ? undefined
    : Option.getOrUndefined(Option.map(DateTime.make(text), (date) => DateTime.toEpochMillis(date) - now))

const httpDate = (text: string | undefined, now: number): number | undefined => {
  if (text === undefined) return undefined
  const date = Headers.parseHttpDate(text)
  return Result.isSuccess(date) ? DateTime.toEpochMillis(date.success) - now : undefined
}

const units: Readonly<Record<string, number>> = {
  h: 3_600_000,
  m: 60_000,
  s: 1000,
  ms: 1,
  us: 1e-3,
  "µs": 1e-3,
  ns: 1e-6
}

/** A duration as Go and protobuf write it, such as `6m0s`, `12ms` or `34.4s`, in milliseconds. */
export const goDuration = (text: string | undefined): number | undefined => {
  if (text === undefined || !/^(\d+(\.\d+)?(h|ms|us|µs|ns|m|s))+$/.test(text)) return undefined
  return [...text.matchAll(/(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)/g)]
    .reduce((sum, [, amount, unit]) => sum + Number(amount) * units[unit!]!, 0)
}

// Where the figures of one window stand.
interface Names {
  readonly window: keyof RateLimits
  readonly limit: string
  readonly remaining: string
  readonly reset: string
}

// One family of rate-limit headers: its windows, and how their reset is written.
interface Family {
  readonly windows: ReadonlyArray<Names>
  readonly reset: (text: string | undefined, now: number) => number | undefined
}

// The names are put together once: every answer is searched for all of them.
const windows = (
  header: (window: string, figure: "limit" | "remaining" | "reset") => string,
  names: Readonly<Record<string, keyof RateLimits>>
): ReadonlyArray<Names> =>
  Object.entries(names).map(([name, window]) => ({
    window,
    limit: header(name, "limit"),
    remaining: header(name, "remaining"),
    reset: header(name, "reset")
  }))

const anthropic: Family = {
  windows: windows((window, figure) => `anthropic-ratelimit-${window}-${figure}`, {
    requests: "requests",
    tokens: "tokens",
    "input-tokens": "inputTokens",
    "output-tokens": "outputTokens"
  }),
  reset: instant
}

const openai: Family = {
  windows: windows((window, figure) => `x-ratelimit-${figure}-${window}`, { requests: "requests", tokens: "tokens" }),
  reset: goDuration
}

const epoch: Family = {
  windows: windows((_, figure) => `x-ratelimit-${figure}`, { requests: "requests" }),
  reset: (text, now) => {
    const at = decimal(text)
    return at === undefined ? undefined : at - now
  }
}

const families = [anthropic, openai, epoch]

/** What the headers say of limits, remaining and resets; undefined when they say nothing. */
export const rateLimits = (headers: HeaderMap, now: number): RateLimits | undefined => {
  let found: Partial<Record<keyof RateLimits, Window>> | undefined
  for (const family of families) {
    for (const names of family.windows) {
      const limit = decimal(headers[names.limit])
      const remaining = decimal(headers[names.remaining])
      const reset = hint(family.reset(headers[names.reset], now))
      if (limit === undefined && remaining === undefined && reset === undefined) continue
      found ??= {}
      found[names.window] ??= {
        ...(limit !== undefined && { limit }),
        ...(remaining !== undefined && { remaining }),
        ...(reset !== undefined && { resetAfter: Duration.millis(reset) })
      }
    }
  }
  return found
}

const ofHeaders = (headers: HeaderMap, now: number): number | undefined =>
  hint(decimal(headers["retry-after-ms"]))
    ?? hint(scaled(decimal(headers["retry-after"]), 1000))
    ?? hint(httpDate(headers["retry-after"], now))

// The longest reset of the windows of a family that have nothing left.
const exhausted = (family: Family, headers: HeaderMap, now: number): number | undefined => {
  const resets = family.windows.flatMap((names) =>
    decimal(headers[names.remaining]) === 0 ? hint(family.reset(headers[names.reset], now)) ?? [] : []
  )
  return resets.length === 0 ? undefined : Math.max(...resets)
}

const retryInfo = (error: Readonly<Record<string, unknown>>): number | undefined =>
  array(error["details"])
    .map(object)
    .filter((detail) => string(detail["@type"])?.endsWith("google.rpc.RetryInfo"))
    .map((detail) => goDuration(string(detail["retryDelay"])))
    .find((delay) => delay !== undefined)

// Other values are no headers, and an object may have a `toString` that is no function.
const lowerCased = (headers: Readonly<Record<string, unknown>>): HeaderMap =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      typeof value === "string" || typeof value === "number" ? [[name.toLowerCase(), String(value)]] : []
    )
  )

const seconds = (value: unknown): number | undefined => scaled(number(value) ?? decimal(string(value)), 1000)

/**
 * The delay that a failure asks for, from its headers and its `error` object. The first hint that parses wins; `now` is
 * in epoch milliseconds. A hint of 0 means now; one that is negative or not a number is none.
 */
export const retryHint = (
  headers: HeaderMap,
  error: Readonly<Record<string, unknown>>,
  now: number
): Duration.Duration | undefined => {
  const metadata = object(error["metadata"])
  const upstream = lowerCased(object(metadata["headers"]))
  const availability = { ...object(metadata["availability"]), ...object(error["availability"]) }
  const millis = ofHeaders(headers, now)
    ?? hint(retryInfo(error))
    ?? hint(seconds(availability["retry_after"]))
    ?? hint(seconds(metadata["retry_after_seconds"]))
    ?? ofHeaders(upstream, now)
    ?? exhausted(anthropic, headers, now)
    ?? exhausted(openai, headers, now)
    ?? hint(epoch.reset(headers["x-ratelimit-reset"], now))
    ?? hint(epoch.reset(upstream["x-ratelimit-reset"], now))
  return millis === undefined ? undefined : Duration.millis(millis)
}
