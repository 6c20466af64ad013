/**
 * What a recording of HTTP exchanges looks like in its file, how two requests differ, and what may not be in it. Pure.
 */
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { redactor } from "../../transport/secrets.ts"
import { isObject, parseJson, survives } from "../../wire/json.ts"

// ---------------------------------------------------------------------------------------------------------------------
// The file
// ---------------------------------------------------------------------------------------------------------------------

const readable = (what: string, isReadable: (text: string) => boolean) =>
  Schema.String.check(Schema.makeFilter((text) => isReadable(text) || `this is no ${what}`))

/** A body in the form that reads best and still gives back every byte: JSON, lines of text, or base64. */
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
      issue: "this is no name of a header"
    }))
  )
)

/** A piece of a body as it came: milliseconds since the request, and its length: `"120 ms, 57 bytes"`. */
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

const latin = (bytes: Uint8Array): string => Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")

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

/** A body for the file, without the secrets that it names, and these. */
export const encodeBody = (
  bytes: Uint8Array,
  contentType: string | undefined,
  redactor: Redactor
): { readonly body: Body; readonly secrets: ReadonlyArray<string> } => {
  const text = textOf(bytes)
  if (text === undefined) {
    // Nothing can be replaced in it. Where it is known to hold a secret, it will be refused.
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

/** JSON that is compared by what it says, in the order of its keys, so that a change shows nothing else. */
export const inOrder = (body: Body): Body => {
  const value = bodyValue(body)
  return typeof value === "object" && value !== body && survives(value) ? { json: sorted(value) } : body
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
// JSON as it is written
// ---------------------------------------------------------------------------------------------------------------------

/** A value in a text of JSON, and where it is written there. */
interface Written {
  readonly name: string | undefined
  readonly start: number
  readonly end: number
  /** Of a list or an object. */
  readonly items: Array<Written> | undefined
}

const marks = /[^\s]/g
const words = /["\s{}[\],:]/g

// Where a text ends that begins here. By hand, since an expression would need a stack as deep as an image is long.
const endOfText = (text: string, start: number): number => {
  for (let at = start + 1; at < text.length; at++) {
    const character = text[at]
    if (character === "\\") at++
    else if (character === '"') return at + 1
    else if (character === "\n") return at
  }
  return text.length
}

const tokens = function*(text: string): Generator<readonly [token: string, start: number]> {
  let end = 0
  while (true) {
    marks.lastIndex = end
    const start = marks.exec(text)?.index
    if (start === undefined) return
    const first = text.charAt(start)
    words.lastIndex = start
    end = first === '"'
      ? endOfText(text, start)
      : "{}[],:".includes(first)
      ? start + 1
      : words.exec(text)?.index ?? text.length
    yield [text.slice(start, end), start]
  }
}

// What a text says; what was cut, too, even within an escaped character.
const said = (token: string): string | undefined => {
  if (!token.startsWith('"')) return undefined
  const value = parseJson(token) ?? parseJson(`${token}"`)
  return typeof value === "string" ? value : token.slice(1)
}

/** Reads the values of whatever JSON is in a text, be it cut or among other words. */
const writtenIn = (text: string): ReadonlyArray<Written> => {
  const all: Array<Written> = []
  const open = [all]
  let name: string | undefined
  for (const [token, index] of tokens(text)) {
    const items = open.at(-1) ?? all
    if (token === ":") {
      const before = items.pop()
      name = before && said(text.slice(before.start, before.end))
      continue
    }
    if (token === "{" || token === "[") {
      const value = { name, start: index, end: index, items: [] }
      items.push(value)
      open.push(value.items)
    } else if (token === "}" || token === "]") {
      if (open.length > 1) open.pop()
    } else if (token !== ",") {
      items.push({ name, start: index, end: index + token.length, items: undefined })
    }
    name = undefined
  }
  return all
}

// A text that is no JSON as a whole may hold some, as events or lines; each begins anew.
const pieces = (text: string): ReadonlyArray<string> =>
  parseJson(text) === undefined ? text.split(/(?<=\n)(?=[{a-z])/i) : [text]

// ---------------------------------------------------------------------------------------------------------------------
// Secrets by name
// ---------------------------------------------------------------------------------------------------------------------

const secretNames = [
  "access[-_]?token",
  "[\\w-]*api[-_]?key",
  "auth(?:entication|orization)?[-_]?token",
  "authorization",
  "client[-_]?secret",
  "id[-_]?token",
  "password",
  "private[-_]?key",
  "refresh[-_]?token",
  "secret[-_]?key",
  "session[-_]?token"
]

// These name other things as well, so that what is short under them is none.
const looseNames = ["credentials?", "secret", "token"]

// In a query and in a form these are secrets too; in JSON they are words like others.
const secretInQuery = ["assertion", "auth", "client_assertion", "code", "key", "sig", "signature", "x-(?:amz|goog)-.*"]

const literally = (name: string): string => name.replace(/[^\w-]/g, "\\$&")

const oneOf = (names: ReadonlyArray<string>): RegExp => new RegExp(`^(?:${names.join("|")})$`, "i")

// What is shorter is a word that may be anywhere, unless its place is known for secrets.
export const shortest = 8

// A token of a model's, with its probability.
const probability = /^(?:log_?)?prob(?:ability)?$/i

const isLikely = (values: ReadonlyArray<Written> | undefined): boolean =>
  values?.some(({ name }) => name !== undefined && probability.test(name)) ?? false

const formType = /^application\/x-www-form-urlencoded/i
const formShape = /^[^\s=&?"{}<>]+=[^\s=&"{}<>]*(?:&[^\s=&"{}<>]+=[^\s=&"{}<>]*)+$/

const unescaped = (text: string): string =>
  Result.getOrElse(Result.try(() => decodeURIComponent(text.replaceAll("+", " "))), () => text)

// Ids and names of models are words with numbers; what no word begins and no hyphen breaks is a key or an account.
const keyInPath = /^(?=.*\d.*\d)(?=.*[a-z])\w{16,}$|^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i
const idInPath = /^[a-z]+[-_]/i

const isKeyInPath = (segment: string): boolean =>
  keys.test(segment) || (keyInPath.test(segment) && !idInPath.test(segment))

const placeholder = "<redacted>"

/** What may be written, and the secrets that were taken out of it. */
export interface Redaction {
  readonly text: string
  readonly secrets: ReadonlyArray<string>
}

export interface Redactor {
  readonly url: (url: URL) => Redaction
  readonly body: (text: string, contentType: string | undefined) => Redaction
}

/** Takes out the values of fields and query parameters that hold secrets, by their names and those given. */
export const byName = (further: ReadonlyArray<string>): Redactor => {
  const strict = [...secretNames, ...further.map(literally)]
  const [isStrict, isSecret, isQuerySecret] = [
    oneOf(strict),
    oneOf([...strict, ...looseNames]),
    oneOf([...strict, ...looseNames, ...secretInQuery])
  ]

  const ofJson = (text: string): Redaction => {
    const secrets: Array<string> = []
    let written = ""
    let rest = 0
    const put = ({ end, start }: Written, value: string) => {
      written += text.slice(rest, start) + JSON.stringify(value)
      rest = end
    }
    const walk = (values: ReadonlyArray<Written>, holder: string | undefined, inSecret: boolean): void => {
      for (const value of values) {
        const { end, items, name = "", start } = value
        const isNamed = isSecret.test(name) &&
          // A schema that describes such a field, and a token of a model's, are none.
          !(holder === "properties" && items !== undefined) &&
          !(/^token$/i.test(name) && (isLikely(values) || isLikely(items)))
        if (items !== undefined) {
          walk(items, name, inSecret || isNamed)
          continue
        }
        const token = text.slice(start, end)
        const says = said(token)
        if (inSecret || isNamed) {
          const secret = says ?? (/^-?\d/.test(token) ? token : undefined)
          if (secret === undefined) continue
          if (secret.length >= shortest || (isNamed && isStrict.test(name))) secrets.push(secret)
          put(value, placeholder)
        } else if (says?.includes('"')) {
          // JSON that is itself a text in JSON.
          const inner = ofJson(says)
          if (inner.text === says) continue
          secrets.push(...inner.secrets)
          put(value, inner.text)
        }
      }
    }
    walk(writtenIn(text), undefined, false)
    return { text: written + text.slice(rest), secrets }
  }

  const ofForm = (text: string): Redaction => {
    const secrets: Array<string> = []
    const pairs = text.split("&").map((pair) => {
      const [name = "", ...rest] = pair.split("=")
      const value = rest.join("=")
      if (!isQuerySecret.test(unescaped(name.trim()))) return pair
      secrets.push(value, unescaped(value))
      return `${name}=${encodeURIComponent(placeholder)}`
    })
    return { text: pairs.join("&"), secrets }
  }

  return {
    url: (url) => {
      const bare = new URL(url)
      bare.hash = ""
      bare.username = ""
      bare.password = ""
      const segments = bare.pathname.split("/")
      bare.pathname = segments.map((segment) => isKeyInPath(segment) ? placeholder : segment).join("/")
      const parameters = [...url.searchParams].filter(([name]) => isQuerySecret.test(name))
      for (const [name] of parameters) bare.searchParams.set(name, placeholder)
      return {
        text: bare.href,
        secrets: [
          url.username,
          url.password,
          ...segments.filter(isKeyInPath),
          ...parameters.map(([, value]) => value)
        ].flatMap((secret) => [secret, unescaped(secret)])
      }
    },
    body: (text, contentType = "") => {
      const isForm = formType.test(contentType) || formShape.test(text.trim())
      if (isForm && parseJson(text) === undefined) return ofForm(text)
      const all = pieces(text).map(ofJson)
      return { text: all.map(({ text }) => text).join(""), secrets: all.flatMap(({ secrets }) => secrets) }
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Secrets by value
// ---------------------------------------------------------------------------------------------------------------------

// What keys and tokens look like; as long as to be no word.
const keys = new RegExp(
  [
    "\\b(?:sk|pk|rk)[-_][\\w-]{16,}",
    "\\bAIza[\\w-]{30,}",
    "\\bAQ\\.[\\w-]{30,}",
    "\\bya29\\.[\\w-]{16,}",
    "\\bBearer\\s+[\\w.~+/-]{16,}",
    "\\bBasic\\s+[A-Za-z0-9+/]{16,}",
    "\\bgh[pousr]_\\w{30,}",
    "\\bgithub_pat_\\w{30,}",
    "\\bglpat-[\\w-]{20,}",
    "\\b(?:gsk|hf|r8)_\\w{20,}",
    "\\bfw_[A-Za-z0-9]{20,}",
    "\\b(?:csk|pplx|xai)-\\w{20,}",
    "\\bnvapi-[\\w-]{30,}",
    "\\btvly-[\\w-]{20,}",
    "\\bABSK[A-Za-z0-9+/]{40,}",
    "\\bxox[abprs]-[\\w-]{10,}",
    "\\b(?:AKIA|ASIA)[A-Z0-9]{16}\\b",
    "\\beyJ[\\w-]{8,}\\.eyJ[\\w-]{8,}\\.[\\w-]*",
    "-----BEGIN [A-Z ]*PRIVATE KEY-----"
  ].join("|")
)

// Reads a value as every text that is in it, with the field it is in.
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

// What the values of a body say together, one after the other: those of each field of all events of a stream, and those
// of each field of all items of a list.
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
        const text = said(source.slice(start, end)) ?? ""
        add(byPlace, at[0], text)
        add(byField, at[1], text)
      }
    }
  }
  for (const piece of pieces(text)) {
    // A list may be a stream as well: its items are events.
    const events = writtenIn(piece).flatMap((value) => piece[value.start] === "[" ? value.items ?? [] : [value])
    walk(events.filter(({ items }) => items === undefined), piece, "", "")
    for (const { items = [] } of events) walk(items, piece, "", "")
  }
  for (const all of [byPlace, byField]) for (const [field, text] of all) yield [`${whose}, joined: ${field}`, text]
}

// A secret in base64, wherever in the encoded text it begins: what its neighbours change is left out.
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
  text.replace(/%2B|\\+u002b/gi, "+").replace(/%2F|\\+u002f|\\+\//gi, "/")

/** The field of an exchange that holds one of the secrets, in whatever spelling, or what looks like a key. */
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

// gzip, and zstd.
const compressed = ["\x1f\x8b", "\x28\xb5\x2f\xfd"]

/** Whether a body is compressed, so that it cannot be searched; clients leave the header when they decompress. */
export const isCompressed = (body: Body | undefined, contentEncoding: string | undefined): boolean =>
  body !== undefined && "base64" in body &&
  ((contentEncoding ?? "identity").trim().toLowerCase() !== "identity" ||
    compressed.some((magic) => latin(decodeBody(body).subarray(0, 4)).startsWith(magic)))
