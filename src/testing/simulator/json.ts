/**
 * JSON helpers that the simulated protocols share: guards, body parsing, token estimates, and ids.
 */
import * as Hash from "effect/Hash"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

export type Json = Schema.Json

export interface JsonObject {
  readonly [key: string]: unknown
}

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The date of all answers, so that they can be compared. */
export const created = 1_767_225_600

const decodeJson = Schema.decodeUnknownResult(Schema.fromJsonString(Schema.Unknown))

// No real request is nested more deeply, and deeper values could overflow the stack.
const deepest = 256

const isShallow = (value: unknown, depth = 0): boolean =>
  typeof value !== "object" || value === null ||
  (depth < deepest && Object.values(value).every((inner) => isShallow(inner, depth + 1)))

/** The JSON object in a text; undefined when it is not one, or is nested too deeply. */
export const parseObject = (text: string): JsonObject | undefined => {
  const parsed = decodeJson(text)
  return Result.isSuccess(parsed) && isObject(parsed.success) && isShallow(parsed.success) ? parsed.success : undefined
}

/** The text without percent-encoding; undefined when the encoding is invalid. */
export const decodePercent = (text: string): string | undefined =>
  Result.getOrUndefined(Result.try(() => decodeURIComponent(text)))

/** An estimate without a tokenizer: one token for four UTF-16 code units, rounded up. */
export const tokens = (text: string): number => Math.ceil(text.length / 4)

/** The estimated tokens of a value as JSON; 0 for an absent one. */
export const tokensOf = (value: unknown): number => value === undefined ? 0 : tokens(JSON.stringify(value))

/** At most `limit` tokens of a text, without splitting a surrogate pair. */
export const truncate = (text: string, limit: number): string =>
  text.slice(0, limit * 4).replace(/[\uD800-\uDBFF]$/, "")

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/** `length` letters and digits that only depend on the seed. */
export const idOf = (seed: string, length: number): string => {
  const letters: Array<string> = []
  let state = Hash.string(seed) >>> 0
  for (let index = 0; index < length; index++) {
    if (index % 4 === 0) state = Hash.string(`${seed}#${index}`) >>> 0
    letters.push(alphabet[state % alphabet.length] ?? "0")
    state = Math.floor(state / alphabet.length)
  }
  return letters.join("")
}

/** The texts of the parts, joined by newlines. A string is returned unchanged. */
export const textOf = (content: unknown): string => {
  if (typeof content === "string") return content
  if (!Array.isArray(content)) return ""
  return content.flatMap((part) => isObject(part) && typeof part.text === "string" ? [part.text] : []).join("\n")
}

/** The first value that occurs more than once. */
export const firstDuplicate = (values: ReadonlyArray<string>): string | undefined =>
  values.find((value, index) => values.indexOf(value) !== index)
