/**
 * What a recording of HTTP exchanges looks like in its file, how two requests differ, and what may not be in it. Pure.
 */
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { isObject, parseJson } from "../protocol/json.ts"
import { redactor } from "../protocol/secrets.ts"

// ---------------------------------------------------------------------------------------------------------------------
// The file
// ---------------------------------------------------------------------------------------------------------------------

/** A body in the form that reads best and still gives back every byte: JSON, lines of text, or base64. */
export const Body = Schema.Union([
  Schema.Struct({
    json: Schema.Unknown,
    indent: Schema.optionalKey(Schema.Int),
    end: Schema.optionalKey(Schema.String)
  }),
  Schema.Struct({ lines: Schema.Array(Schema.String) }),
  Schema.Struct({ base64: Schema.String })
])
export type Body = typeof Body.Type

const Headers = Schema.Record(Schema.String, Schema.String)

/** A piece of a body as it came: milliseconds since the request, and its length: `"120 ms, 57 bytes"`. */
const Chunk = Schema.String.check(Schema.isPattern(/^\d+ ms, \d+ bytes$/))

export const Exchange = Schema.Struct({
  request: Schema.Struct({
    method: Schema.String,
    url: Schema.String,
    headers: Headers,
    body: Schema.optionalKey(Body)
  }),
  response: Schema.Struct({
    status: Schema.Int.check(Schema.isBetween({ minimum: 200, maximum: 599 })),
    headers: Headers,
    /** Milliseconds since the request. */
    after: Schema.Int,
    body: Body,
    chunks: Schema.Array(Chunk),
    /** How the body ended: with its end, by a failure of the connection, or because its reader left. */
    ending: Schema.Literals(["End", "Broken", "Left"])
  })
})
export type Exchange = typeof Exchange.Type

export const Cassette = Schema.Struct({ version: Schema.Literal(1), exchanges: Schema.Array(Exchange) })

export interface Chunk {
  readonly at: number
  readonly bytes: Uint8Array
}

/** The file's text; its keys are in the order in which exchanges are built here. */
export const print = (exchanges: ReadonlyArray<Exchange>): string =>
  `${JSON.stringify({ version: 1, exchanges }, null, 2)}\n`

// ---------------------------------------------------------------------------------------------------------------------
// Bodies
// ---------------------------------------------------------------------------------------------------------------------

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The text that these bytes are; undefined when they are no UTF-8. */
export const textOf = (bytes: Uint8Array): string | undefined =>
  Result.getOrUndefined(Result.try(() => decoder.decode(bytes)))

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

/** A body for the file; `redact` takes out what shall not be there. */
export const encodeBody = (bytes: Uint8Array, redact: (text: string) => string): Body => {
  const text = textOf(bytes)
  return text === undefined ? { base64: Base64.encode(bytes) } : encodeText(redact(text))
}

const bodyText = (body: Body): string | undefined => {
  if ("json" in body) return JSON.stringify(body.json, null, body.indent) + (body.end ?? "")
  return "lines" in body ? body.lines.join("\n") : undefined
}

const decodeBody = (body: Body): Uint8Array =>
  "base64" in body
    ? Result.getOrThrow(Base64.decode(body.base64))
    : encoder.encode(bodyText(body))

/** One after the other. */
export const concat = (all: ReadonlyArray<Uint8Array>): Uint8Array<ArrayBuffer> => {
  const whole = new Uint8Array(all.reduce((length, bytes) => length + bytes.length, 0))
  let offset = 0
  for (const bytes of all) {
    whole.set(bytes, offset)
    offset += bytes.length
  }
  return whole
}

/** How a body came, for the file. */
export const encodeChunks = (chunks: ReadonlyArray<Chunk>): Array<string> =>
  chunks.map(({ at, bytes }) => `${at} ms, ${bytes.length} bytes`)

/** A body in the pieces in which it came. Where something was taken out of it, the last piece is shorter or longer. */
export const decodeChunks = ({ response: { body, chunks } }: Exchange): Array<Chunk> => {
  const whole = decodeBody(body)
  let offset = 0
  return chunks.flatMap((chunk, index) => {
    const [at = 0, length = 0] = (chunk.match(/\d+/g) ?? []).map(Number)
    const bytes = whole.subarray(offset, index === chunks.length - 1 ? whole.length : offset + length)
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
  return Object.is(recorded, sent) ? [] : [{ field, recorded, sent }]
}

const bodyValue = (body: Body | undefined): unknown => {
  if (body === undefined) return undefined
  if ("json" in body) return body.json
  const text = bodyText(body)
  return text === undefined ? body : parseJson(text) ?? text
}

const queryOf = ({ searchParams }: URL): Record<string, ReadonlyArray<string>> =>
  Object.fromEntries([...new Set(searchParams.keys())].map((name) => [name, searchParams.getAll(name)]))

// A rule covers a field and all that lies in it; `[*]` stands for every index.
const covers = (rule: string, field: string): boolean =>
  [field, field.replace(/\[\d+\]/g, "[*]")].some((name) =>
    name === rule || name.startsWith(`${rule}.`) || name.startsWith(`${rule}[`)
  )

/** In what a request differs from the recorded one, but for the fields to be ignored. */
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

// ---------------------------------------------------------------------------------------------------------------------
// Secrets
// ---------------------------------------------------------------------------------------------------------------------

const secretNames = [
  "access[-_]?token",
  "api[-_]?key",
  "auth(?:entication|orization)?[-_]?token",
  "authorization",
  "client[-_]?secret",
  "id[-_]?token",
  "password",
  "private[-_]?key",
  "refresh[-_]?token",
  "secret[-_]?key",
  "session[-_]?token",
  "x-api-key",
  "x-goog-api-key"
]

// In a query these are secrets too; in a body they are words like others.
const secretInQuery = ["auth", "code", "key", "secret", "sig", "signature", "token", "x-(?:amz|goog)-.*"]

const literally = (name: string): string => name.replace(/[^\w-]/g, "\\$&")

export interface Redactor {
  readonly url: (url: URL) => string
  readonly text: (text: string) => string
  /** The values that were taken out of a URL and a text. */
  readonly removed: (url: URL, text: string) => ReadonlyArray<string>
}

const placeholder = "<redacted>"

/** Takes out the values of fields and query parameters that hold secrets, by their names and those given. */
export const byName = (further: ReadonlyArray<string>): Redactor => {
  const names = [...secretNames, ...further.map(literally)]
  const inQuery = new RegExp(`^(?:${[...names, ...secretInQuery].join("|")})$`, "i")
  // In JSON, and in JSON that is itself a text in JSON.
  const inText = [
    new RegExp(`("(?:${names.join("|")})"\\s*:\\s*")((?:[^"\\\\]|\\\\.)*)(?=")`, "gi"),
    new RegExp(`(\\\\+"(?:${names.join("|")})\\\\+"\\s*:\\s*\\\\+")([^"\\\\]*)(?=\\\\)`, "gi")
  ]
  const parameters = (url: URL) => [...url.searchParams].filter(([name]) => inQuery.test(name))
  return {
    url: (url) => {
      const bare = new URL(url)
      bare.hash = ""
      bare.username = ""
      bare.password = ""
      for (const [name] of parameters(url)) bare.searchParams.set(name, placeholder)
      return bare.href
    },
    text: (text) => inText.reduce((text, named) => text.replace(named, (_, name: string) => name + placeholder), text),
    removed: (url, text) => [
      url.username,
      url.password,
      ...parameters(url).map(([, value]) => value),
      ...inText.flatMap((named) => [...text.matchAll(named)].map(([, , value]) => value ?? ""))
    ]
  }
}

// What keys and tokens look like.
const keys = new RegExp(
  [
    "\\b(?:sk|pk|rk)[-_][\\w-]{16,}",
    "\\bAIza[\\w-]{30,}",
    "\\bya29\\.[\\w-]{16,}",
    "\\bBearer\\s+[\\w.~+/-]{16,}",
    "\\bBasic\\s+[A-Za-z0-9+/]{16,}",
    "\\bgh[pousr]_\\w{30,}",
    "\\bgithub_pat_\\w{30,}",
    "\\b(?:gsk|hf|r8)_\\w{20,}",
    "\\bxai-\\w{20,}",
    "\\bxox[abprs]-[\\w-]{10,}",
    "\\b(?:AKIA|ASIA)[A-Z0-9]{16}\\b",
    "\\beyJ[\\w-]{8,}\\.eyJ[\\w-]{8,}\\.[\\w-]*",
    "-----BEGIN [A-Z ]*PRIVATE KEY-----"
  ].join("|")
)

// Reads a value as every text that is in it, with the field it is in.
const textsIn = function*(field: string, value: unknown): Generator<readonly [field: string, text: string]> {
  if (typeof value === "string") yield [field, value]
  else if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) yield* textsIn(`${field}[${index}]`, item)
  } else if (isObject(value)) {
    for (const [key, item] of Object.entries(value)) {
      if (key === "base64" && typeof item === "string") {
        yield [field, Array.from(decodeBody({ base64: item }), (byte) => String.fromCharCode(byte)).join("")]
      }
      yield [`the name of ${field}.${key}`, key]
      yield* textsIn(field === "" ? key : `${field}.${key}`, item)
    }
  }
}

// What the events of a stream say together: the texts of each of their fields, one after the other.
const joined = ({ response: { body } }: Exchange): Iterable<readonly [field: string, text: string]> => {
  const all = new Map<string, string>()
  for (const line of "lines" in body ? body.lines : []) {
    for (const [field, text] of textsIn("", parseJson(line.replace(/^data:/, "")))) {
      all.set(field, (all.get(field) ?? "") + text)
    }
  }
  return Array.from(all, ([field, text]) => [`response.body, joined: ${field}`, text])
}

/** The field of an exchange that holds one of the secrets, in whatever spelling, or what looks like a key. */
export const leak = (exchange: Exchange, secrets: ReadonlyArray<string>): string | undefined => {
  const redact = redactor(secrets)
  for (const [field, text] of [...textsIn("", exchange), ...joined(exchange)]) {
    if (redact(text) !== text || keys.test(text)) return field
  }
  return undefined
}
