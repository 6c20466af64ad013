import { assert, describe, it } from "@effect/vitest"
import * as Keyed from "../../src/middleware/keyed.ts"

const named = () => {
  const busy = new Set<string>()
  const kept = Keyed.make((key) => ({ key }), ({ key }) => !busy.has(key))
  return { busy, kept, keys: () => [...kept.values()].map(({ key }) => key) }
}

describe("what is kept for each key", () => {
  it("is the same for the same key", () => {
    const { kept } = named()
    assert.strictEqual(kept.get("a", 0), kept.get("a", 1))
    assert.notStrictEqual(kept.get("a", 1), kept.get("b", 1))
  })

  it("is one for all further keys when there are 10,000", () => {
    const { keys, kept } = named()
    const names = Array.from({ length: 12_000 }, (_, index) => String(index))
    for (const name of names) kept.get(name, 0)
    assert.deepStrictEqual(keys(), [...names.slice(0, 10_000), "other"])
    assert.strictEqual(kept.get("11999", 0), kept.get("10500", 0))
    assert.strictEqual(kept.get("7", 0).key, "7")
  })

  it("goes when it is idle, which is looked for once a minute", () => {
    const { busy, keys, kept } = named()
    for (const name of ["a", "b", "c"]) kept.get(name, 0)
    busy.add("b")
    kept.get("d", 59_999)
    assert.deepStrictEqual(keys(), ["a", "b", "c", "d"])
    kept.get("e", 60_000)
    assert.deepStrictEqual(keys(), ["b", "e"])
  })
})
