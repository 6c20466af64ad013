/**
 * Formats in which providers report how long to wait and how much of a limit remains. Each wire picks the ones that
 * apply. Sources: RFC 9110 "Retry-After"; Anthropic "Rate limits"; OpenAI "Rate limits" and the SDKs' `retry-after-ms`;
 * OpenRouter "Limits".
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Headers from "effect/http/Headers"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { RateLimits, Window } from "../RateLimits.ts"
import type { HeaderMap } from "./Wire.ts"

/** Longer texts are ignored, so that a provider's text cannot make parsing slow. */
const longest = 64

/** A hint in milliseconds; undefined unless it is finite and not negative. */
export const hint = (millis: number | undefined): number | undefined =>
  millis !== undefined && Number.isFinite(millis) && millis >= 0 ? millis : undefined

/** A decimal number in a header. */
export const decimal = (text: string | undefined): number | undefined => {
  const trimmed = text === undefined || text.length > longest ? "" : text.trim()
  return /^\d+(\.\d+)?$/.test(trimmed) && Number.isFinite(Number(trimmed)) ? Number(trimmed) : undefined
}

/** The milliseconds from now until an RFC 3339 instant. */
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

/** A duration in the format of Go and protobuf, such as `6m0s`, `12ms` or `34.4s`, in milliseconds. */
export const goDuration = (text: string | undefined): number | undefined => {
  if (text === undefined || text.length > longest) return undefined
  if (!/^(\d+(\.\d+)?(h|ms|us|µs|ns|m|s))+$/.test(text)) return undefined
  return [...text.matchAll(/(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)/g)]
    .reduce((sum, [, amount, unit]) => sum + Number(amount) * units[unit!]!, 0)
}

/** `retry-after-ms`, otherwise `retry-after` in seconds or as a date; in milliseconds. */
export const ofHeaders = (headers: HeaderMap, now: number): number | undefined => {
  const seconds = decimal(headers["retry-after"])
  return hint(decimal(headers["retry-after-ms"]))
    ?? hint(seconds === undefined ? undefined : seconds * 1000)
    ?? hint(httpDate(headers["retry-after"], now))
}

// ---------------------------------------------------------------------------------------------------------------------
// Rate-limit headers
// ---------------------------------------------------------------------------------------------------------------------

/** The names of the headers for one limit. */
export interface Names {
  readonly window: keyof RateLimits
  readonly limit: string
  readonly remaining: string
  readonly reset: string
}

/** A family of rate-limit headers: its windows, and the format of their reset. */
export interface Family {
  readonly windows: ReadonlyArray<Names>
  /** Milliseconds until the reset. */
  readonly reset: (text: string | undefined, now: number) => number | undefined
}

/**
 * A family, from the pattern of its names. The names are built once, because every answer is searched for all of them.
 */
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

/** The limits, what remains and the resets in the headers; undefined when there are none. */
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

/** The longest reset of the exhausted windows, in milliseconds. */
export const exhausted = ({ reset, windows }: Family, headers: HeaderMap, now: number): number | undefined => {
  const resets = windows.flatMap((names) =>
    decimal(headers[names.remaining]) === 0 ? hint(reset(headers[names.reset], now)) ?? [] : []
  )
  return resets.length === 0 ? undefined : Math.max(...resets)
}
