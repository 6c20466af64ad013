/**
 * The error details of google.rpc, which Gemini sends, and servers in front of it that speak another wire. Source:
 * googleapis, google/rpc/error_details.proto; Gemini API, "Rate limits".
 */
import { client, objects, requests, tokens } from "./failure.ts"
import { goDuration, hint } from "./hints.ts"
import { type JsonRecord, number, string } from "./json.ts"
import type { Verdict } from "./Wire.ts"

const isZero = (value: unknown): boolean => number(value) === 0 || value === "0"

/** The verdict of a quota failure. The violated quota decides, not the delay that comes with it. */
export const quota = (error: JsonRecord): Verdict | undefined => {
  const violations = objects(error["details"]).flatMap((detail) => objects(detail["violations"]))
  const ids = violations.map((violation) => string(violation["quotaId"]) ?? "")
  if (ids.some((id) => id.includes("PerDay")) || violations.some(({ quotaValue }) => isZero(quotaValue))) {
    return client("DailyQuota")
  }
  return ids.some((id) => id.includes("Token"))
    ? tokens
    : ids.some((id) => id.includes("Request"))
    ? requests
    : undefined
}

/** How long to wait, in milliseconds. */
export const retryDelay = (error: JsonRecord): number | undefined =>
  hint(
    objects(error["details"])
      .filter((detail) => string(detail["@type"])?.endsWith("google.rpc.RetryInfo"))
      .map((detail) => goDuration(string(detail["retryDelay"])))
      .find((delay) => delay !== undefined)
  )

/** The reasons in the details. */
export const reasons = (error: JsonRecord): ReadonlyArray<unknown> =>
  objects(error["details"]).map((detail) => detail["reason"])
