/**
 * Removes secrets from a recording by the names of fields and parameters. Pure.
 */
import * as Result from "effect/Result"
import { parseJson } from "../../wire/json.ts"
import { pieces, stringOf, type Written, writtenIn } from "./written.ts"

/** The formats of keys and tokens, long enough not to match words. */
export const keys = new RegExp(
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

// These names have other meanings too, so short values under them are not secrets.
const looseNames = ["credentials?", "secret", "token"]

// Secrets in queries and forms; in JSON these are ordinary words.
const secretInQuery = ["assertion", "auth", "client_assertion", "code", "key", "sig", "signature", "x-(?:amz|goog)-.*"]

const literally = (name: string): string => name.replace(/[^\w-]/g, "\\$&")

const oneOf = (names: ReadonlyArray<string>): RegExp => new RegExp(`^(?:${names.join("|")})$`, "i")

// Shorter values are words that may appear anywhere, unless they are in a field for secrets.
export const shortest = 8

// A token of a model, with its log probability.
const probability = /^(?:log_?)?prob(?:ability)?$/i

const isLikely = (values: ReadonlyArray<Written> | undefined): boolean =>
  values?.some(({ name }) => name !== undefined && probability.test(name)) ?? false

const formType = /^application\/x-www-form-urlencoded/i
const formShape = /^[^\s=&?"{}<>]+=[^\s=&"{}<>]*(?:&[^\s=&"{}<>]+=[^\s=&"{}<>]*)+$/

const unescaped = (text: string): string =>
  Result.getOrElse(Result.try(() => decodeURIComponent(text.replaceAll("+", " "))), () => text)

// Ids and names of models begin with a word, and contain hyphens. Other mixtures of letters and digits are keys or
// accounts.
const keyInPath = /^(?=.*\d.*\d)(?=.*[a-z])\w{16,}$|^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i
const idInPath = /^[a-z]+[-_]/i

const isKeyInPath = (segment: string): boolean =>
  keys.test(segment) || (keyInPath.test(segment) && !idInPath.test(segment))

const placeholder = "<redacted>"

/** The redacted text, and the secrets that were removed. */
export interface Redaction {
  readonly text: string
  readonly secrets: ReadonlyArray<string>
}

export interface Redactor {
  readonly url: (url: URL) => Redaction
  readonly body: (text: string, contentType: string | undefined) => Redaction
}

/** Removes the values of secret fields and query parameters; `names` are additional names. */
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
          // A schema for such a field, and a model's token, are not secrets.
          !(holder === "properties" && items !== undefined) &&
          !(/^token$/i.test(name) && (isLikely(values) || isLikely(items)))
        if (items !== undefined) {
          walk(items, name, inSecret || isNamed)
          continue
        }
        const token = text.slice(start, end)
        const says = stringOf(token)
        if (inSecret || isNamed) {
          const secret = says ?? (/^-?\d/.test(token) ? token : undefined)
          if (secret === undefined) continue
          if (secret.length >= shortest || (isNamed && isStrict.test(name))) secrets.push(secret)
          put(value, placeholder)
        } else if (says?.includes('"')) {
          // A JSON text inside JSON.
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
