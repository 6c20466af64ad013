/**
 * The forms in which providers say how long to wait and what is left of their limits. A wire says which of them it knows.
 *
 * Sources: RFC 9110 "Retry-After"; Anthropic "Rate limits"; OpenAI "Rate limits" and the SDKs' `retry-after-ms`;
 * OpenRouter "Limits".
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Headers from "effect/http/Headers"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { RateLimits, Window } from "../RateLimits.ts"
import type { HeaderMap } from "./Wire.ts"

/** Longer texts are no hints: what reads them must not be made to work for what a provider sends. */
const longest = 64

/** A hint in milliseconds; absent unless it is a finite number that is not negative. */
export const hint = (millis: number | undefined): number | undefined =>
  millis !== undefined && Number.isFinite(millis) && millis >= 0 ? millis : undefined

/** A decimal number, as headers write it. */
export const decimal = (text: string | undefined): number | undefined => {
  const trimmed = text === undefined || text.length > longest ? "" : text.trim()
  return /^\d+(\.\d+)?$/.test(trimmed) && Number.isFinite(Number(trimmed)) ? Number(trimmed) : undefined
}

/** An RFC 3339 instant, as the milliseconds from now until then. */
export const instant = (text: string | undefined, now: number): number | undefined =>
  text === undefined || text.length > longest
    ? undefined
    : Option.getOrUndefined(Option.map(DateTime.make(text), (date) => DateTime.toEpochMillis(date) - now))

const httpDate = (text: string | undefined, now: number): number | undefined => {
  if (text === undefined || text.length > longest) return undefined
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
  if (text === undefined || text.length > longest) return undefined
  if (!/^(\d+(\.\d+)?(h|ms|us|µs|ns|m|s))+$/.test(text)) return undefined
  return [...text.matchAll(/(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)/g)]
    .reduce((sum, [, amount, unit]) => sum + Number(amount) * units[unit!]!, 0)
}

/** `retry-after-ms`, else `retry-after` in seconds or as a date; in milliseconds. */
export const ofHeaders = (headers: HeaderMap, now: number): number | undefined => {
  const seconds = decimal(headers["retry-after"])
  return hint(decimal(headers["retry-after-ms"]))
    ?? hint(seconds === undefined ? undefined : seconds * 1000)
    ?? hint(httpDate(headers["retry-after"], now))
}

// ---------------------------------------------------------------------------------------------------------------------
// Rate-limit headers
// ---------------------------------------------------------------------------------------------------------------------

/** Where the figures of one limit stand. */
export interface Names {
  readonly window: keyof RateLimits
  readonly limit: string
  readonly remaining: string
  readonly reset: string
}

/** One family of rate-limit headers: its windows, and how their reset is written. */
export interface Family {
  readonly windows: ReadonlyArray<Names>
  /** Milliseconds until the reset. */
  readonly reset: (text: string | undefined, now: number) => number | undefined
}

/** A family by the form of its names. They are put together once: every answer is searched for all of them. */
export const family = (
  header: (window: string, figure: "limit" | "remaining" | "reset") => string,
  windows: Readonly<Record<string, keyof RateLimits>>,
  reset: Family["reset"]
): Family => ({
  windows: Object.entries(windows).map(([name, window]) => ({
    window,
    limit: header(name, "limit"),
    remaining: header(name, "remaining"),
    reset: header(name, "reset")
  })),
  reset
})

/** What the headers say of limits, remaining and resets; undefined when they say nothing. */
export const rateLimits = (families: ReadonlyArray<Family>) => (headers: HeaderMap, now: number) => {
  let found: { -readonly [K in keyof RateLimits]: Window } | undefined
  for (const { reset: read, windows } of families) {
    for (const names of windows) {
      const limit = decimal(headers[names.limit])
      const remaining = decimal(headers[names.remaining])
      const reset = hint(read(headers[names.reset], now))
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

/** The longest reset of the windows that have nothing left, in milliseconds. */
export const exhausted = ({ reset, windows }: Family, headers: HeaderMap, now: number): number | undefined => {
  const resets = windows.flatMap((names) =>
    decimal(headers[names.remaining]) === 0 ? hint(reset(headers[names.reset], now)) ?? [] : []
  )
  return resets.length === 0 ? undefined : Math.max(...resets)
}
