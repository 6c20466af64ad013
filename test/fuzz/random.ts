/**
 * A seeded source of chance, and what it makes: bytes, JSON, and small changes to both. The same seed gives the same.
 */

/** What does harm somewhere: put into JSON in place of any value. */
const hostile: ReadonlyArray<string> = [
  "1e999",
  "-1e999",
  "-0",
  "1e308",
  "9007199254740993",
  "0.1",
  "-1",
  "null",
  "true",
  '""',
  '" "',
  '"\\ud800"',
  '"\\u0000"',
  '"__proto__"',
  '"null"',
  '"{\\"a\\":1e999}"',
  '"{"',
  '"[1]"',
  '"NaN"',
  "[]",
  "{}",
  "[[]]",
  '{"toString":1,"valueOf":1}',
  '{"__proto__":{"type":"text"},"constructor":1}',
  '{"length":3}',
  `${"[".repeat(40)}${"]".repeat(40)}`,
  `${'{"a":'.repeat(2000)}1${"}".repeat(2000)}`
]

/** What means something on a wire. */
const tokens: ReadonlyArray<string> = [
  "\n\n",
  "\r\n",
  "\r",
  "data: ",
  "data:[DONE]\n\n",
  "event: error\n",
  "event:",
  ": comment\n\n",
  "id: 1\n",
  "retry: 1\n",
  "\uFEFF",
  "\u0000",
  "\u2028",
  "{",
  "}",
  "[",
  "]",
  '"',
  "\\",
  ",",
  ":",
  "1e999",
  "null",
  'data: {"error":{"message":"x"}}\n\n',
  'data: {"type":"message_stop"}\n\n'
]

export const make = (seed: number) => {
  // mulberry32
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (limit: number): number => Math.floor(next() * limit)
  const chance = (probability: number): boolean => next() < probability
  const pick = <A>(items: ReadonlyArray<A>): A => items[below(items.length)]!

  const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, () => below(256))

  /** A JSON text, its keys mostly out of a vocabulary. */
  const json = (keys: ReadonlyArray<string>, words: ReadonlyArray<string>, depth = 0): string => {
    if (depth > 5 || chance(0.25)) {
      return chance(0.4) ? pick(hostile) : chance(0.5) ? String(below(1000)) : JSON.stringify(pick(words))
    }
    const items = Array.from({ length: below(5) }, () => json(keys, words, depth + 1))
    return chance(0.3)
      ? `[${items.join(",")}]`
      : `{${items.map((item) => `${JSON.stringify(pick(keys))}:${item}`).join(",")}}`
  }

  /** Puts something hostile in place of one value of a JSON text. */
  const mutateJson = (text: string): string => {
    const values = [...text.matchAll(/"(?:[^"\\]|\\.)*"(?!\s*:)|-?\d[\d.eE+-]*|true|false|null|\{\}|\[\]/g)]
    if (values.length === 0) return text
    const { 0: value, index } = pick(values)
    return text.slice(0, index) + pick(hostile) + text.slice(index + value.length)
  }

  /** Drops, repeats, swaps or changes the events of a stream. */
  const mutateEvents = (text: string): string => {
    const events = text.split(/(?<=\r?\n\r?\n)/)
    const at = below(events.length)
    const other = below(events.length)
    switch (below(5)) {
      case 0:
        return events.toSpliced(at, 1).join("")
      case 1:
        return events.toSpliced(other, 0, events[at]!).join("")
      case 2:
        return events.with(at, events[other]!).with(other, events[at]!).join("")
      case 3:
        return events.slice(0, at).join("")
      default:
        return events.with(at, mutateJson(events[at]!)).join("")
    }
  }

  /** Cuts, flips or puts something in. */
  const mutateText = (text: string, more: ReadonlyArray<string>): string => {
    const at = below(text.length + 1)
    switch (below(4)) {
      case 0:
        return text.slice(0, at)
      case 1:
        return text.slice(0, at) + text.slice(at + below(20))
      case 2:
        return text.slice(0, at) + String.fromCharCode(below(chance(0.9) ? 128 : 0x10000)) + text.slice(at + 1)
      default:
        return text.slice(0, at) + pick([...tokens, ...more]) + text.slice(at)
    }
  }

  /** Cuts bytes as a network might. */
  const chunks = (whole: Uint8Array): Array<Uint8Array> => {
    const cut: Array<Uint8Array> = []
    const most = pick([1, 7, 100, 4096, 1 << 20])
    for (let at = 0; at < whole.length;) {
      const size = Math.max(1, below(Math.min(most, whole.length) + 1), whole.length >> 9)
      cut.push(whole.subarray(at, at + size))
      at += size
    }
    return cut
  }

  return { below, chance, pick, bytes, json, mutateJson, mutateEvents, mutateText, chunks, hostile, tokens }
}

export type Random = ReturnType<typeof make>
