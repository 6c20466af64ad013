/**
 * The headers to record, and those that hold secrets.
 */
import * as Base64 from "effect/encoding/Base64"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Result from "effect/Result"
import * as secrets from "../../transport/secrets.ts"
import { shortest } from "./byName.ts"

// Names in lower case. A name that ends in "-" is a prefix.
const harmless = [
  "accept",
  "anthropic-beta",
  "anthropic-ratelimit-",
  "anthropic-version",
  "content-type",
  "request-id",
  "retry-after",
  "retry-after-ms",
  "x-ratelimit-",
  "x-request-id",
  "x-should-retry"
]

const credentials = [
  "api-key",
  "authorization",
  "cookie",
  "ocp-apim-subscription-key",
  "proxy-authorization",
  "set-cookie",
  "x-amz-security-token",
  "x-api-key",
  "x-auth-token",
  "x-goog-api-key"
]

// Other headers are recognized by their last word.
const lastWord =
  /(?:^|-)(?:(?:access|api|functions|subscription)-?key|auth|authorization|cookie|credentials?|password|secret|token)$/

/** Whether a header holds a key, by its name. */
const isCredential = (name: string): boolean => credentials.includes(name) || lastWord.test(name)

// Set by the transport, with arbitrary values, but never with the caller's secrets.
const technical = /^(?:b3|connection|content-length|host|traceparent|tracestate|transfer-encoding)$|^x-b3-/

// Set by the server, which may repeat the values in its bodies.
const descriptive = new RegExp(
  `^(?:${
    [
      "(?:access-control|cf|content|sec|x-envoy)-.*",
      "(?:anthropic|openai)-(?:model|organization|organization-id|processing-ms|project|version)",
      "accept-ranges|age|allow|alt-svc|cache-control|date|etag|expires|last-modified|link|nel|pragma|report-to|server",
      "server-timing|strict-transport-security|trailer|vary|via|x-(?:content-type|frame)-options|x-powered-by",
      "x-robots-tag|x-xss-protection",
      ".*-(?:deployment|model|name|region|tier|version)",
      ".*-(?:correlation|generation|request|response|trace)-?id"
    ].join("|")
  })$`
)

type Headers = Readonly<Record<string, string | undefined>>

const entries = (headers: Headers): Array<[string, string]> =>
  Object.entries(headers).flatMap(([name, value]): Array<[string, string]> =>
    value === undefined ? [] : [[name.toLowerCase(), value]]
  )

const isOf = (names: ReadonlyArray<string>, name: string): boolean =>
  names.some((other) => other === name || (other.endsWith("-") && name.startsWith(other)))

// Shorter values in response headers are descriptions, not secrets.
const shortestOfServer = 16

// The two halves of `Basic` credentials. A short user name is not a secret.
const halves = (value: string): ReadonlyArray<string> => {
  const [, encoded = ""] = value.match(/^Basic\s+(\S+)$/i) ?? []
  const [user = "", ...password] = Result.getOrElse(Base64.decodeString(encoded), () => "").split(":")
  return [...(user.length >= shortest ? [user] : []), password.join(":")]
}

/** Whether headers with this name may be recorded. A prefix must not cover a credential either. */
export const mayKeep = (name: string): boolean =>
  name !== "" && !isCredential(name) && !credentials.some((credential) => isOf([name], credential))

export interface Kept {
  /** The headers for the file. */
  readonly headersOf: (headers: Headers) => Record<string, string>
  /** The values of request headers that must not be in the file. */
  readonly secretsOf: (headers: Headers) => ReadonlyArray<string>
  /** The values of response headers that must not be in the file. */
  readonly secretsOfAnswer: (response: HttpClientResponse.HttpClientResponse) => ReadonlyArray<string>
}

/** Decides which headers are recorded: the harmless ones, and those given. */
export const keeping = (further: ReadonlyArray<string>): Kept => {
  const names = [...harmless, ...further.map((name) => name.toLowerCase())]
  const keeps = (name: string) => isOf(names, name) && !isCredential(name)

  const headersOf = (headers: Headers): Record<string, string> =>
    Object.fromEntries(entries(headers).filter(([name]) => keeps(name)).sort(([a], [b]) => a < b ? -1 : 1))

  const secretsOf = (headers: Headers): ReadonlyArray<string> =>
    entries(headers).flatMap(([name, value]) => {
      if (keeps(name) || technical.test(name)) return []
      // Each cookie is a secret of its own.
      const cookies = name === "cookie" ? value.split(";").map((pair) => pair.slice(pair.indexOf("=") + 1)) : []
      return [...secrets.ofValues([value]), ...cookies, ...halves(value)].filter((secret) =>
        isCredential(name) || secret.length >= shortest
      )
    })

  // Only the cookies themselves are secret, not the attributes of the header.
  const secretsOfAnswer = ({ cookies, headers }: HttpClientResponse.HttpClientResponse): ReadonlyArray<string> => [
    ...Object.values(cookies.cookies).flatMap(({ value, valueEncoded }) => [value, valueEncoded]).filter((value) =>
      value.length >= shortest
    ),
    ...secretsOf(Object.fromEntries(
      entries(headers).filter(([name, value]) =>
        name !== "set-cookie" && (isCredential(name) || (value.length >= shortestOfServer && !descriptive.test(name)))
      )
    ))
  ]

  return { headersOf, secretsOf, secretsOfAnswer }
}
