/**
 * The file format of a recording, and the differences between two requests. Pure.
 */
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { isObject, parseJson, survives } from "../../wire/json.ts"
import type { Redactor } from "./byName.ts"

// ---------------------------------------------------------------------------------------------------------------------
// The file
// ---------------------------------------------------------------------------------------------------------------------

const readable = (what: string, isReadable: (text: string) => boolean) =>
  Schema.String.check(Schema.makeFilter((text) => isReadable(text) || `this is no ${what}`))

/** A body in the most readable form that preserves every byte: JSON, lines of text, or base64. */
export const Body = Schema.Union([
  Schema.Struct({
    json: Schema.Unknown,
    indent: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 10 }))),
    end: Schema.optionalKey(Schema.String)
  }),
  Schema.Struct({ lines: Schema.Array(Schema.String) }),
  Schema.Struct({ base64: readable("base64", (text) => Result.isSuccess(Base64.decode(text))) })
])
export type Body = typeof Body.Type

const Headers = Schema.Record(
  Schema.String,
  readable("value of a header", (text) => /^[\t\x20-\x7e\x80-\xff]*$/.test(text))
).check(
  Schema.makeFilter((headers) =>
    Object.keys(headers).filter((name) => !/^[!#$%&'*+.^_`|~\w-]+$/.test(name)).map((name) => ({
      path: [name],
      issue: "this is not the name of a header"
    }))
  )
)

/** A chunk of a body: the milliseconds since the request, and its length: `"120 ms, 57 bytes"`. */
const Chunk = Schema.String.check(Schema.isPattern(/^\d+ ms, \d+ bytes$/))

export const Exchange = Schema.Struct({
  request: Schema.Struct({
    method: Schema.String,
    url: readable("URL", URL.canParse),
    headers: Headers,
    body: Schema.optionalKey(Body)
  }),
  response: Schema.Struct({
    status: Schema.Int.check(Schema.isBetween({ minimum: 200, maximum: 599 })),
    headers: Headers,
    /** Milliseconds since the request. */
    after: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)),
    body: Body,
    chunks: Schema.Array(Chunk),
    /** How the body ended: completely, with a broken connection, or because the reader left. */
    ending: Schema.Literals(["End", "Broken", "Left"])
  })
})
export type Exchange = typeof Exchange.Type

export const Cassette = Schema.Struct({ version: Schema.Literal(1), exchanges: Schema.Array(Exchange) })

export interface Chunk {
  readonly at: number
  readonly bytes: Uint8Array
}

/** The text of the file. Keys keep the order in which exchanges are built. */
export const print = (exchanges: ReadonlyArray<Exchange>): string =>
  `${JSON.stringify({ version: 1, exchanges }, null, 2)}\n`

// ---------------------------------------------------------------------------------------------------------------------
// Bodies
// ---------------------------------------------------------------------------------------------------------------------

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The bytes as text; undefined when they are not UTF-8. */
export const textOf = (bytes: Uint8Array): string | undefined =>
  Result.getOrUndefined(Result.try(() => decoder.decode(bytes)))

/** One character for each byte. */
export const latin = (bytes: Uint8Array): string => Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")

const layouts = [0, 2, 4].flatMap((indent) => ["", "\n"].map((end) => ({ indent, end })))

const encodeText = (text: string): Body => {
  const json = parseJson(text)
  if (json !== undefined) {
    const layout = layouts.find(({ end, indent }) => JSON.stringify(json, null, indent) + end === text)
    if (layout !== undefined) {
      const { end, indent } = layout
      return { json, ...(indent > 0 && { indent }), ...(end !== "" && { end }) }
    }
  }
  return { lines: text.split("\n") }
}

/** A body for the file without its secrets, and these secrets. */
export const encodeBody = (
  bytes: Uint8Array,
  contentType: string | undefined,
  redactor: Redactor
): { readonly body: Body; readonly secrets: ReadonlyArray<string> } => {
  const text = textOf(bytes)
  if (text === undefined) {
    // Nothing can be replaced inside base64. If it contains a known secret, it is refused later.
    return { body: { base64: Base64.encode(bytes) }, secrets: redactor.body(latin(bytes), contentType).secrets }
  }
  const redacted = redactor.body(text, contentType)
  return { body: encodeText(redacted.text), secrets: redacted.secrets }
}

const sorted = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(sorted)
    : isObject(value)
    ? Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]))
    : value

/** JSON with sorted keys, so that a diff only shows changes of values. */
export const inOrder = (body: Body): Body => {
  const value = bodyValue(body)
  return typeof value === "object" && value !== body && survives(value) ? { json: sorted(value) } : body
}

/** The text of a body; undefined for binary data. */
export const bodyText = (body: Body): string | undefined => {
  if ("json" in body) return JSON.stringify(body.json, null, body.indent) + (body.end ?? "")
  return "lines" in body ? body.lines.join("\n") : undefined
}

/** The bytes of a body. */
export const decodeBody = (body: Body): Uint8Array =>
  "base64" in body
    ? Result.getOrThrow(Base64.decode(body.base64))
    : encoder.encode(bodyText(body))

export const concat = (all: ReadonlyArray<Uint8Array>): Uint8Array<ArrayBuffer> => {
  const whole = new Uint8Array(all.reduce((length, bytes) => length + bytes.length, 0))
  let offset = 0
  for (const bytes of all) {
    whole.set(bytes, offset)
    offset += bytes.length
  }
  return whole
}

/** The chunks of a body, for the file. */
export const encodeChunks = (chunks: ReadonlyArray<Chunk>): Array<string> =>
  chunks.map(({ at, bytes }) => `${at} ms, ${bytes.length} bytes`)

/** A body in its recorded chunks. If something was removed from it, the last chunk has another length. */
export const decodeChunks = ({ response: { after, body, chunks } }: Exchange): Array<Chunk> => {
  const whole = decodeBody(body)
  let offset = 0
  const all = chunks.length === 0 ? [`${after} ms, ${whole.length} bytes`] : chunks
  return all.flatMap((chunk, index) => {
    const [at = 0, length = 0] = (chunk.match(/\d+/g) ?? []).map(Number)
    const bytes = whole.subarray(offset, index === all.length - 1 ? whole.length : offset + length)
    offset += length
    return bytes.length === 0 ? [] : [{ at, bytes }]
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// Differences
// ---------------------------------------------------------------------------------------------------------------------

export interface Difference {
  /** Such as `body.messages[0].content`. */
  readonly field: string
  readonly recorded: unknown
  readonly sent: unknown
}

const compare = (field: string, recorded: unknown, sent: unknown): ReadonlyArray<Difference> => {
  if (Array.isArray(recorded) && Array.isArray(sent)) {
    return Array.from(
      { length: Math.max(recorded.length, sent.length) },
      (_, index) => compare(`${field}[${index}]`, recorded[index], sent[index])
    ).flat()
  }
  if (isObject(recorded) && isObject(sent)) {
    const keys = [...new Set([...Object.keys(recorded), ...Object.keys(sent)])]
    const own = (value: object, key: string): unknown => Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined
    return keys.flatMap((key) => compare(`${field}.${key}`, own(recorded, key), own(sent, key)))
  }
  return recorded === sent ? [] : [{ field, recorded, sent }]
}

const bodyValue = (body: Body | undefined): unknown => {
  if (body === undefined) return undefined
  if ("json" in body) return body.json
  const text = bodyText(body)
  return text === undefined ? body : parseJson(text) ?? text
}

const queryOf = ({ searchParams }: URL): Record<string, ReadonlyArray<string>> =>
  Object.fromEntries([...new Set(searchParams.keys())].map((name) => [name, searchParams.getAll(name)]))

// A rule covers a field and everything inside it. `[*]` matches every index.
const covers = (rule: string, field: string): boolean =>
  [field, field.replace(/\[\d+\]/g, "[*]")].some((name) =>
    name === rule || name.startsWith(`${rule}.`) || name.startsWith(`${rule}[`)
  )

/** The fields in which a request differs from the recorded one, without the ignored ones. */
export const differences = (
  recorded: Exchange["request"],
  sent: Exchange["request"],
  ignore: ReadonlyArray<string>
): ReadonlyArray<Difference> => {
  const [from, to] = [new URL(recorded.url), new URL(sent.url)]
  return [
    ...compare("method", recorded.method, sent.method),
    ...compare("origin", from.origin, to.origin),
    ...compare("path", from.pathname, to.pathname),
    ...compare("query", queryOf(from), queryOf(to)),
    ...compare("body", bodyValue(recorded.body), bodyValue(sent.body))
  ].filter(({ field }) => !ignore.some((rule) => covers(rule, field)))
}
