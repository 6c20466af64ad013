import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { matches, overlap, overlapping } from "../../src/middleware/patterns.ts"

// The same cases in every run.
Arbitrary.configureGlobal({ check: { seed: "patterns" } })

const text = (letters: ReadonlyArray<string>, maximum: number) =>
  Schema.Array(Schema.Literals(letters)).check(Schema.isMaxLength(maximum))

describe("a pattern", () => {
  it.effect.prop(
    "matches the names that the regular expression of the same meaning matches",
    { pattern: text(["a", "b", "*", "."], 7), name: text(["a", "b", "."], 9) },
    ({ name, pattern }) =>
      Effect.sync(() => {
        const regex = new RegExp(`^${pattern.join("").replaceAll(".", "\\.").replaceAll("*", ".*")}$`)
        assert.strictEqual(matches(pattern.join(""))(name.join("")), regex.test(name.join("")))
      }),
    { arbitrary: { runs: 2000 } }
  )

  it.effect.prop(
    "that matches the same name as another one overlaps it",
    { one: text(["a", "b", "*"], 5), other: text(["a", "b", "*"], 5), name: text(["a", "b"], 6) },
    ({ name, one, other }) =>
      Effect.sync(() => {
        const both = [one, other].every((pattern) => matches(pattern.join(""))(name.join("")))
        if (both) assert.isTrue(overlap(one.join(""), other.join("")))
        assert.strictEqual(overlap(one.join(""), other.join("")), overlap(other.join(""), one.join("")))
      }),
    { arbitrary: { runs: 2000 } }
  )

  // Each is as bad as it can be: every literal but the last is found, everywhere.
  const worst = ["*a*a*a*a*b", "a*a*a*a*b*", `${"*a".repeat(200)}*b`, `*${"a".repeat(40)}b*`, "a*b"]
  it.each(worst)("takes no longer than the name grows: %s", (pattern) => {
    const matching = matches(pattern)
    const millis = (length: number): number => {
      const name = "a".repeat(length)
      return Math.min(...Array.from({ length: 5 }, () => {
        const start = performance.now()
        assert.isFalse(matching(name))
        return performance.now() - start
      }))
    }
    const times = [1, 2, 4, 8, 16].map((factor) => millis(6_250 * factor))
    assert.isBelow(times.at(-1)!, 20, `100,000 letters: ${times.join(", ")} ms`)
  })
})

describe("several patterns", () => {
  it.effect.prop(
    "overlap where two of them do, and those two are named in their order",
    { patterns: Schema.Array(text(["a", "b", "*"], 4)).check(Schema.isMaxLength(6)) },
    ({ patterns }) =>
      Effect.sync(() => {
        const all = patterns.map((letters) => letters.join(""))
        const pairs = all.flatMap((one, index) =>
          all.slice(index + 1).flatMap((other) => overlap(one, other) ? [`${one} ${other}`] : [])
        )
        const found = overlapping(all)
        if (found === undefined) assert.deepStrictEqual(pairs, [])
        else assert.include(pairs, found.join(" "))
      }),
    { arbitrary: { runs: 500 } }
  )
})
