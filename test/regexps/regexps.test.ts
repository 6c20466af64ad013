import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { failures as anthropic } from "../../src/wire/anthropic/failure.ts"
import { failures as chat, openRouterFailures } from "../../src/wire/chat/failure.ts"
import { classify } from "../../src/wire/failure.ts"
import { failures as gemini } from "../../src/wire/gemini/failure.ts"
import { failures as responses } from "../../src/wire/responses/failure.ts"
import { runs } from "../effort.ts"
import { literals } from "./source.ts"
import { worst } from "./worst.ts"

const src = join(import.meta.dirname, "../../src")

const files = readdirSync(src, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"))

/** How long a pattern may look at a text, in milliseconds: a machine may be busy, but no square of a megabyte is done. */
const longest = 1000

/** What of a provider's words a pattern sees at most, where these are cut before; their callers are tested below. */
const cut = (file: string): number => {
  if (file === "wire/hints.ts") return 64
  if (/^wire\/(.*\/)?failure\.ts$|^wire\/openai\.ts$/.test(file)) return 8192
  return Infinity
}

/** A megabyte; `npm test` takes an eighth of it, in which a square shows as well. */
const large = runs(1 << 17, 1 << 20)

const steps = ([
  [512, longest / 20],
  [4096, longest / 20],
  [1 << 14, longest / 10],
  [1 << 17, longest / 2],
  [1 << 20, longest]
] as const).filter(([length]) => length <= large)

const milliseconds = (pattern: RegExp, text: string): number => {
  const start = performance.now()
  for (const match of pattern.global ? text.matchAll(pattern) : [pattern.exec(text)]) void match
  return performance.now() - start
}

/** The text at which a pattern takes too long, if there is one. */
const slow = (pattern: RegExp, most: number): string | undefined => {
  const texts = worst(pattern.source, pattern.flags)
  // What grows with a power shows before it is a megabyte, and hangs the test at one.
  for (const [length, limit] of steps) {
    for (const text of texts(length)) {
      const seen = text.slice(0, most)
      // A machine may be busy for once.
      const took = milliseconds(pattern, seen)
      if (took > limit && milliseconds(pattern, seen) > limit) {
        return `${seen.length} of ${JSON.stringify(seen.slice(0, 40))}: ${took.toFixed(0)} ms`
      }
    }
  }
  return undefined
}

describe("the finder of regular expressions", () => {
  it("finds them, and takes nothing else for one", () => {
    assert.deepStrictEqual(
      literals("const a = /a[/]b/i.test(b) ? c / d / e : `x ${f.replace(/`/g, '/')} /no/` // /no/\n/* /no/ */ g(/h/)"),
      [{ source: "a[/]b", flags: "i" }, { source: "`", flags: "g" }, { source: "h", flags: "" }]
    )
  })

  it("knows what makes them work", () => {
    for (const source of ["\\s+$", "\\/+$"]) {
      assert.isDefined(slow(new RegExp(source), Infinity), source)
    }
    for (const source of ["^\\d+$", "a.{0,20}b", "^(?:a|b){1,64}$", "[^a]b"]) {
      assert.isUndefined(slow(new RegExp(source), Infinity), source)
    }
  })
})

describe("every regular expression of src, over a long text of its own worst", () => {
  let count = 0
  for (const file of files) {
    const found = literals(readFileSync(join(src, file), "utf8"))
    count += found.length
    if (found.length === 0) continue
    it(`${file}: ${found.length}`, () => {
      const failed = found.flatMap(({ flags, source }) => {
        const at = slow(new RegExp(source, flags), cut(file))
        return at === undefined ? [] : [`/${source}/${flags}: ${at}`]
      })
      assert.deepStrictEqual(failed, [])
    })
  }

  it("there are some", () => assert.isAbove(count, 100))
})

describe("a provider's words, long and as hard as they can be made to read", () => {
  const texts = files.filter((file) => cut(file) === 8192)
    .flatMap((file) => literals(readFileSync(join(src, file), "utf8")))
    .flatMap(({ flags, source }) => worst(source, flags)(large))

  for (const [name, failures] of Object.entries({ anthropic, chat, gemini, openRouterFailures, responses })) {
    it(`are classified at once: ${name}`, () => {
      for (const message of texts) {
        const body = { error: { message, code: "invalid_prompt" } }
        const start = performance.now()
        for (const status of [200, 400, 403, 413, 429]) {
          classify(failures, { _tag: "Failed", text: "", body }, { status, now: 0 })
          classify(failures, { _tag: "Failed", text: "", body: { error: { message } } }, { status, now: 0 })
        }
        assert.isBelow(performance.now() - start, longest, message.slice(0, 40))
      }
    })
  }
})
