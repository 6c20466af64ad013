/**
 * Searches an exchange for secrets before it is recorded, by their values and by the formats of keys. Pure.
 */
import * as Base64 from "effect/encoding/Base64"
import { redactor } from "../../transport/secrets.ts"
import { isObject } from "../../wire/json.ts"
import { keys, shortest } from "./byName.ts"
import { type Body, bodyText, concat, decodeBody, type Exchange, latin } from "./cassette.ts"
import { pieces, stringOf, type Written, writtenIn } from "./written.ts"

const encoder = new TextEncoder()

// All texts inside a value, with their fields.
const textsIn = function*(field: string, value: unknown): Generator<readonly [field: string, text: string]> {
  if (typeof value === "string") yield [field, value]
  else if (typeof value === "number") yield [field, String(value)]
  else if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) yield* textsIn(`${field}[${index}]`, item)
  } else if (isObject(value)) {
    for (const [key, item] of Object.entries(value)) {
      if (key === "base64" && typeof item === "string") yield [field, latin(decodeBody({ base64: item }))]
      yield [`the name of ${field}.${key}`, key]
      yield* textsIn(field === "" ? key : `${field}.${key}`, item)
    }
  }
}

// Texts that are spread over several events or list items: the values of each field, joined.
const joined = function*(whose: string, body: Body | undefined): Generator<readonly [field: string, text: string]> {
  const text = body && bodyText(body)
  if (text === undefined) return
  const byPlace = new Map<string, string>()
  const byField = new Map<string, string>()
  const add = (all: Map<string, string>, field: string, text: string) => all.set(field, (all.get(field) ?? "") + text)
  const walk = (values: ReadonlyArray<Written>, source: string, place: string, field: string): void => {
    for (const [index, { end, items, name, start }] of values.entries()) {
      const at = name === undefined ? [`${place}[${index}]`, `${field}[*]`] as const : [
        place === "" ? name : `${place}.${name}`,
        field === "" ? name : `${field}.${name}`
      ] as const
      if (items !== undefined) walk(items, source, ...at)
      else {
        const text = stringOf(source.slice(start, end)) ?? ""
        add(byPlace, at[0], text)
        add(byField, at[1], text)
      }
    }
  }
  for (const piece of pieces(text)) {
    // A list may also be a stream of events.
    const events = writtenIn(piece).flatMap((value) => piece[value.start] === "[" ? value.items ?? [] : [value])
    walk(events.filter(({ items }) => items === undefined), piece, "", "")
    for (const { items = [] } of events) walk(items, piece, "", "")
  }
  for (const all of [byPlace, byField]) for (const [field, text] of all) yield [`${whose}, joined: ${field}`, text]
}

// A secret in base64 at any of the three offsets, without the characters that depend on its neighbours.
const encoded = (secret: string): ReadonlyArray<string> => {
  const bytes = encoder.encode(secret)
  return [0, 1, 2].flatMap((offset) => {
    const before = new Uint8Array(offset)
    const [begin, end] = [Math.ceil(offset * 8 / 6), Math.floor((offset + bytes.length) * 8 / 6)]
    const text = Base64.encode(concat([before, bytes])).slice(begin, end)
    return [text, text.replaceAll("+", "-").replaceAll("/", "_")]
  })
}

const unescapedBase64 = (text: string): string =>
  text.replace(/%2B|\\{1,8}u002b/gi, "+").replace(/%2F|\\{1,8}u002f|\\{1,8}\//gi, "/")

/** The field of an exchange that contains one of the secrets, in any encoding, or something that looks like a key. */
export const leak = ({ request, response }: Exchange, secrets: ReadonlyArray<string>): string | undefined => {
  const redact = redactor(secrets)
  const inBase64 = [...new Set(secrets)].filter((secret) => secret.length >= shortest).flatMap(encoded)
  const searched = { request, response: { headers: response.headers, body: response.body } }
  const texts = [
    ...textsIn("", searched),
    ...joined("request.body", request.body),
    ...joined("response.body", response.body)
  ]
  for (const [field, text] of texts) {
    if (redact(text) !== text || keys.test(text)) return field
    const plain = unescapedBase64(text)
    if (inBase64.some((secret) => plain.includes(secret))) return field
  }
  return undefined
}

// The magic numbers of gzip and zstd.
const compressed = ["\x1f\x8b", "\x28\xb5\x2f\xfd"]

/** Whether a body is compressed and cannot be searched. Clients that decompress may leave the header unchanged. */
export const isCompressed = (body: Body | undefined, contentEncoding: string | undefined): boolean =>
  body !== undefined && "base64" in body &&
  ((contentEncoding ?? "identity").trim().toLowerCase() !== "identity" ||
    compressed.some((magic) => latin(decodeBody(body).subarray(0, 4)).startsWith(magic)))
