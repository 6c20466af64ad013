/**
 * Removes secrets from texts before they become part of an error.
 */
import * as Base64 from "effect/encoding/Base64"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Hex from "effect/encoding/Hex"
import { isObject } from "../wire/json.ts"

/** The names of headers that hold secrets; not those of authors, of counts of tokens, or of a gateway named Portkey. */
export const secretName = /auth(?!or(?!i))|(?<!port)key|token(?!s)|secret|cookie|password|credential|signature/i

// Shorter texts are not secrets, and removing them would only garble the rest.
const shortest = 4

/** The values of headers as secrets, with and without their scheme. */
export const ofValues = (values: Iterable<string>): Array<string> =>
  [...values].flatMap((value) => [value.trim(), value.trim().replace(/^\S+\s+/, "")])

/** The secrets among headers, recognized by their names. */
export const ofHeaders = (headers: Readonly<Record<string, string>>): Array<string> =>
  ofValues(Object.entries(headers).flatMap(([name, value]) => secretName.test(name) ? [value] : []))

// Some gateways have the key in the path. Shorter segments are names.
const shortestInPath = 16

// Parameters that are not secrets, such as `api-version=preview`.
const plainParameter = /version$/i

/** The secrets in a URL: the values of its query except for versions, and the long segments of its path. */
export const ofUrl = (url: URL): Array<string> => [
  ...url.pathname.split("/").filter((segment) => segment.length >= shortestInPath),
  ...[...url.searchParams].flatMap(([name, value]) => plainParameter.test(name) ? [] : [value]),
  ...url.search.slice(1).split("&").flatMap((pair) => {
    const at = pair.indexOf("=")
    return plainParameter.test(pair.slice(0, Math.max(0, at))) ? [] : [pair.slice(at + 1)]
  })
]

const entities: Readonly<Record<string, string>> = { '"': "quot", "&": "amp", "'": "apos", "<": "lt", ">": "gt" }

const hex = (code: number, digits = 2): string => code.toString(16).padStart(digits, "0")

// The ways to write a character: as it is, or escaped for JSON, URLs or HTML, even repeatedly. Every repetition is
// bounded, so that the time to search is linear in the length of the text.
const spellings = (character: string): Array<RegExp> => {
  const code = character.charCodeAt(0)
  const plain = `\\u${hex(code, 4)}`
  const bytes = [...new TextEncoder().encode(character)]
  const entity = entities[character]
  return [
    ...(character === "\\" ? [1, 2, 4, 8].map((times) => `${plain}{${times}}`) : [`\\\\{0,8}${plain}`]),
    `\\\\{0,8}u${hex(code, 4)}`,
    bytes.map((byte) => `%(?:25){0,3}${hex(byte)}`).join(""),
    `&(?:amp;){0,3}(?:#0{0,4}${code}|#x0{0,4}${hex(code)}${entity === undefined ? "" : `|${entity}`});`,
    ...(character === " " ? ["\\+"] : [])
  ].map((source) => new RegExp(source, "iy"))
}

// Cached, because many errors may come at once.
const cachedSpellings = new Map<string, ReadonlyArray<RegExp>>()

const spellingsOf = (character: string): ReadonlyArray<RegExp> => {
  const found = cachedSpellings.get(character) ?? spellings(character)
  cachedSpellings.set(character, found)
  return found
}

// A shorter secret, once encoded, could match unrelated text.
const shortestEncoded = 8

const base64 = [Base64.encode, Base64Url.encode]

// A secret in base64 and in hex. Inside a longer encoded text, it begins at the first, second or third byte of a group.
// Its first and last digit may belong partly to its neighbours and are left out: they reveal almost nothing.
const encoded = (secret: string): ReadonlyArray<string> => {
  if (secret.length < shortestEncoded) return []
  const bytes = new TextEncoder().encode(secret)
  return [
    Hex.encode(bytes),
    ...[0, 1, 2].flatMap((before) => {
      const shifted = new Uint8Array(before + bytes.length)
      shifted.set(bytes, before)
      return base64.map((encode) =>
        encode(shifted).slice(Math.ceil(before * 8 / 6), Math.floor(shifted.length * 8 / 6))
      )
    })
  ]
}

// Where a secret that begins at `start` ends: all ways to read the text are followed at once.
const endOf = (secret: ReadonlyArray<ReadonlyArray<RegExp>>, text: string, start: number): number | undefined => {
  let ends = [start]
  for (const character of secret) {
    const next = new Set<number>()
    for (const end of ends) {
      for (const spelling of character) {
        spelling.lastIndex = end
        if (spelling.test(text)) next.add(spelling.lastIndex)
      }
    }
    if (next.size === 0) return undefined
    ends = [...next]
  }
  return Math.max(...ends)
}

// How many characters one regular expression searches for, before the whole secret is compared.
const prefix = 3

/** A function that replaces every secret in a text, also if it is escaped, capitalized, or in base64 or hex. */
export const redactor = (secrets: Iterable<string>): (text: string) => string => {
  const plain = [...secrets].filter((secret) => secret.length >= shortest)
  const found = [...new Set([...plain, ...plain.flatMap(encoded)])]
    // Longer ones first: a secret may contain another one.
    .sort((a, b) => b.length - a.length)
    .map((secret) => secret.split("").map(spellingsOf))
  if (found.length === 0) return (text) => text
  const oneOf = (spellings: ReadonlyArray<RegExp>) => `(?:${spellings.map(({ source }) => source).join("|")})`
  const begin = new RegExp(found.map((secret) => secret.slice(0, prefix).map(oneOf).join("")).join("|"), "gi")
  const scan = (text: string): string => {
    let redacted = ""
    let rest = 0
    begin.lastIndex = 0
    for (let match = begin.exec(text); match !== null; match = begin.exec(text)) {
      const start = match.index
      const end = found.map((secret) => endOf(secret, text, start)).find((end) => end !== undefined)
      if (end !== undefined) {
        redacted += `${text.slice(rest, start)}<redacted>`
        rest = end
      }
      begin.lastIndex = end ?? start + 1
    }
    return redacted + text.slice(rest)
  }
  return (text) => withoutRuns(text, scan)
}

// No escape has this many backslashes, and each of them would be compared with every secret.
const run = 32

// Scans a text without what of its long runs of backslashes cannot belong to a secret. A regular expression would
// overflow its stack at a run of some megabytes.
const withoutRuns = (text: string, scan: (text: string) => string): string => {
  const long = "\\".repeat(run)
  const pieces: Array<string> = []
  let rest = 0
  for (let start = text.indexOf(long); start !== -1; start = text.indexOf(long, rest)) {
    let end = start + run
    while (text[end] === "\\") end++
    pieces.push(scan(text.slice(rest, start)))
    // The end of the run may belong to the secret after it.
    rest = end - run / 2
    pieces.push(text.slice(start, rest))
  }
  return pieces.join("") + scan(text.slice(rest))
}

// Real errors are not nested this deeply, and deeper ones could overflow the stack.
const deepest = 100

/** Redacts every text of a JSON value, keys included, and leaves out what is nested too deeply. */
export const redactJson = (value: unknown, redact: (text: string) => string, depth = 0): unknown =>
  typeof value === "string"
    ? redact(value)
    : depth > deepest && typeof value === "object" && value !== null
    ? "<too deep>"
    : Array.isArray(value)
    ? value.map((item) => redactJson(item, redact, depth + 1))
    : isObject(value)
    ? Object.fromEntries(Object.entries(value).map(([key, item]) => [redact(key), redactJson(item, redact, depth + 1)]))
    : value

// The fields of an answer that hold the provider's JSON, and those that hold our own words.
const providerFields = new Set(["arguments", "block", "citations", "metadata"])
const ourFields = new Set(["_tag", "provider", "field"])

/** Redacts an answer and keeps its shape: only what the provider wrote is searched for secrets. */
export const redactAnswer = <A>(value: A, redact: (text: string) => string): A => {
  const walk = (value: unknown, name: string): unknown =>
    ourFields.has(name)
      ? value
      : providerFields.has(name) || typeof value === "string"
      ? redactJson(value, redact)
      : Array.isArray(value)
      ? value.map((item) => walk(item, ""))
      : isObject(value)
      ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, walk(item, key)]))
      : value
  return walk(value, "") as A
}
