/**
 * Takes secrets out of texts before they become part of an error.
 */
import { isObject } from "./json.ts"

// What a request sends besides secrets; every other header of the user's is taken for one.
const harmless = new Set([
  "accept",
  "accept-encoding",
  "accept-language",
  "anthropic-beta",
  "anthropic-version",
  "content-type",
  "http-referer",
  "openai-organization",
  "openai-project",
  "referer",
  "user-agent",
  "x-openrouter-categories",
  "x-openrouter-title",
  "x-title"
])

// Shorter texts are no secrets, and taking them out would only garble the rest.
const shortest = 4

/** The secrets among headers: every value that is not known to be harmless, with and without its scheme. */
export const ofHeaders = (headers: Readonly<Record<string, string>>): Array<string> =>
  Object.entries(headers).flatMap(([name, value]) =>
    harmless.has(name.toLowerCase()) ? [] : [value, value.replace(/^(basic|bearer|token)\s+/i, "")]
  )

/** The secrets in a URL: the values of its query. */
export const ofUrl = (url: URL): Array<string> => [
  ...url.searchParams.values(),
  ...url.search.slice(1).split("&").map((pair) => pair.slice(pair.indexOf("=") + 1))
]

const spellings = (secret: string): Array<string> => [
  secret,
  JSON.stringify(secret).slice(1, -1),
  // The percent encoding of URLs; unlike `encodeURIComponent` it takes every string.
  new URLSearchParams({ "": secret }).toString().slice(1),
  new URLSearchParams({ "": secret }).toString().slice(1).replaceAll("+", "%20")
]

/** A function that replaces every spelling of every secret in a text. */
export const redactor = (secrets: Iterable<string>): (text: string) => string => {
  const found = [...new Set([...secrets].filter((secret) => secret.length >= shortest).flatMap(spellings))]
    // Longer ones first, so that none is hidden by a part of it having been replaced.
    .sort((a, b) => b.length - a.length)
  return (text) => found.reduce((text, secret) => text.replaceAll(secret, "<redacted>"), text)
}

/** Redacts every text of a JSON value, its keys included. */
export const redactJson = (value: unknown, redact: (text: string) => string): unknown =>
  typeof value === "string"
    ? redact(value)
    : Array.isArray(value)
    ? value.map((item) => redactJson(item, redact))
    : isObject(value)
    ? Object.fromEntries(Object.entries(value).map(([key, item]) => [redact(key), redactJson(item, redact)]))
    : value
