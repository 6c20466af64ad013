/**
 * Finds the recorded exchange for a request, or describes the nearest one.
 */
import { redactor } from "../../transport/secrets.ts"
import { type Difference, differences as differencesOf, type Exchange } from "./cassette.ts"

/** A request in its recorded form, and its secrets. */
export interface Sent {
  readonly request: Exchange["request"]
  readonly secrets: ReadonlyArray<string>
  readonly contentEncoding: string | undefined
}

const show = (value: unknown): string => value === undefined ? "nothing" : JSON.stringify(value)

// Long texts are cut to the part where they begin to differ.
const excerpts = (...texts: readonly [string, string]): ReadonlyArray<string> => {
  const [one, other] = texts
  let same = 0
  while (same < one.length && one[same] === other[same]) same++
  const from = same > 80 ? same - 30 : 0
  return texts.map((text) =>
    `${from > 0 ? "…" : ""}${text.slice(from, from + 120)}${text.length > from + 120 ? "…" : ""}`
  )
}

// Secrets are removed before cutting, because half of one would not be found.
const describe = (differences: ReadonlyArray<Difference>, redact: (text: string) => string): string =>
  differences.slice(0, 5).map(({ field, recorded, sent }) => {
    const [from, to] = excerpts(redact(show(recorded)), redact(show(sent)))
    return `\n  ${redact(field)}: ${from} was recorded, ${to} was sent`
  }).join("") + (differences.length > 5 ? `\n  and ${differences.length - 5} more` : "")

export interface Finder {
  /** Finds the exchange to replay, or says why there is none. */
  readonly find: (sent: Sent) => { readonly exchange: Exchange } | { readonly miss: string }
  /** The number of replayed exchanges. */
  readonly replayed: () => number
}

/** Returns each exchange once, in the given order. */
export const finder = (
  recorded: ReadonlyArray<Exchange>,
  { ignore, order, reuse }: {
    readonly ignore: ReadonlyArray<string>
    readonly order: "any" | "strict"
    readonly reuse: boolean
  }
): Finder => {
  const replayed = new Set<number>()

  const find: Finder["find"] = ({ request, secrets: all }) => {
    const redact = redactor(all)
    const candidates = recorded.map((exchange, index) => ({
      exchange,
      index,
      differences: differencesOf(exchange.request, request, ignore)
    }))
    const asked = redact(`${request.method} ${request.url}`)
    const matching = candidates.filter(({ differences }) => differences.length === 0)
    const unused = (strict: boolean) =>
      strict
        ? matching.find(({ index }) => index === replayed.size)
        : matching.find(({ index }) => !replayed.has(index))
    const found = unused(order === "strict") ??
      (reuse ? matching.findLast(({ index }) => replayed.has(index)) : undefined)
    if (found !== undefined) {
      replayed.add(found.index)
      return found
    }
    const next = order === "strict" ? candidates[replayed.size] : undefined
    if (next !== undefined) {
      return {
        miss: `${asked} is not what was recorded next (exchange ${next.index + 1}):${
          describe(next.differences, redact)
        }`
      }
    }
    const last = matching.at(-1)
    if (last !== undefined) {
      return {
        miss: `${asked} was recorded (exchange ${last.index + 1}), but is replayed already: see the option reuse`
      }
    }
    const [nearest] = candidates.sort((a, b) => a.differences.length - b.differences.length)
    return {
      miss: nearest === undefined
        ? `${asked} was not recorded: the recording is empty`
        : `${asked} was not recorded. The nearest is exchange ${nearest.index + 1}:${
          describe(nearest.differences, redact)
        }`
    }
  }

  return { find, replayed: () => replayed.size }
}
