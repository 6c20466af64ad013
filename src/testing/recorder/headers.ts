/**
 * Which headers are recorded, and which of them hold secrets.
 */
import * as Base64 from "effect/encoding/Base64"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Result from "effect/Result"
import * as secrets from "../../transport/secrets.ts"
import { shortest } from "./byName.ts"

// Names in lower case; those that end in "-" stand for all that begin so.
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

// Others are known by their last word.
const lastWord =
  /(?:^|-)(?:(?:access|api|functions|subscription)-?key|auth|authorization|cookie|credentials?|password|secret|token)$/

/** Whether a header holds a key, by its name. */
const isCredential = (name: string): boolean => credentials.includes(name) || lastWord.test(name)

// Of the transport's own making; they may hold anything, but no secret of the caller.
const technical = /^(?:b3|connection|content-length|host|traceparent|tracestate|transfer-encoding)$|^x-b3-/

// Of the server's own making, and of use to it in its bodies as well.
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
  names.some((kept) => kept === name || (kept.endsWith("-") && name.startsWith(kept)))

// What is shorter, in a header of a server's, says something about the answer.
const shortestOfServer = 16

// The two halves of `Basic`; whoever is called `user` is no secret.
const halves = (value: string): ReadonlyArray<string> => {
  const [, encoded = ""] = value.match(/^Basic\s+(\S+)$/i) ?? []
  const [user = "", ...password] = Result.getOrElse(Base64.decodeString(encoded), () => "").split(":")
  return [...(user.length >= shortest ? [user] : []), password.join(":")]
}

/** Whether headers of this name may be kept: not where it is, or may stand for, one that holds a key. */
export const mayKeep = (name: string): boolean =>
  name !== "" && !isCredential(name) && !credentials.some((credential) => isOf([name], credential))

export interface Kept {
  /** The headers that go into the file. */
  readonly headersOf: (headers: Headers) => Record<string, string>
  /** What of the headers of a request must not be in the file. */
  readonly secretsOf: (headers: Headers) => ReadonlyArray<string>
  /** What of an answer's headers must not be in the file. */
  readonly secretsOfAnswer: (response: HttpClientResponse.HttpClientResponse) => ReadonlyArray<string>
}

/** What is recorded of headers, besides the harmless ones those that are named here. */
export const keeping = (further: ReadonlyArray<string>): Kept => {
  const kept = [...harmless, ...further.map((name) => name.toLowerCase())]
  const keeps = (name: string) => isOf(kept, name) && !isCredential(name)

  const headersOf = (headers: Headers): Record<string, string> =>
    Object.fromEntries(entries(headers).filter(([name]) => keeps(name)).sort(([a], [b]) => a < b ? -1 : 1))

  const secretsOf = (headers: Headers): ReadonlyArray<string> =>
    entries(headers).flatMap(([name, value]) => {
      if (keeps(name) || technical.test(name)) return []
      // Each cookie on its own, too.
      const cookies = name === "cookie" ? value.split(";").map((pair) => pair.slice(pair.indexOf("=") + 1)) : []
      return [...secrets.ofValues([value]), ...cookies, ...halves(value)].filter((secret) =>
        isCredential(name) || secret.length >= shortest
      )
    })

  // Cookies are all that a server sets so, and the rest of the header is not for them alone.
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
