/**
 * HTTP headers of requests: which can be sent, and which win.
 */

type HeaderMap = Readonly<Record<string, string>>

// What HTTP allows (RFC 9110, section 5): on anything else, HTTP clients fail with untyped errors.
const headerName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const headerValue = /^[\t\x20-\x7e\x80-\xff]*$/

/** The name of the first header that cannot be sent. */
export const unsendable = (headers: HeaderMap): string | undefined =>
  Object.keys(headers).find((name) => !headerName.test(name) || !headerValue.test(headers[name]!))

// Headers that hold a list: the values of a request are added to those of the provider's options.
const lists = new Set(["anthropic-beta"])

/** All headers under lower-cased names; later ones win. */
export const mergeHeaders = (...all: ReadonlyArray<HeaderMap | undefined>): Record<string, string> => {
  const merged: Record<string, string> = {}
  for (const headers of all) {
    for (const [name, value] of Object.entries(headers ?? {})) {
      const key = name.toLowerCase()
      const before = merged[key]
      merged[key] = before !== undefined && lists.has(key)
        ? [...new Set([...before.split(","), ...value.split(",")])].join(",")
        : value
    }
  }
  return merged
}
