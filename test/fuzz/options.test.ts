import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { compiled } from "../compiled.ts"
import { numberOf } from "./options.ts"

describe("the options of a fuzz run", () => {
  for (const text of ["abc", "5m", "0", "", " ", "-1", "NaN", "Infinity", "0x5", "1e9", "99999999999"]) {
    it(`are refused, rather than running no case: ${JSON.stringify(text)}`, () =>
      assert.throws(() => numberOf("seconds", text, 0.1), "seconds is no number of at least 0.1"))
  }

  it("may be left out, and be fractions", () =>
    assert.deepStrictEqual(["0.5", "300", undefined].map((text) => numberOf("seconds", text, 0.1)), [
      0.5,
      300,
      undefined
    ]))

  it("are refused by the command as well", () => {
    const script = join(import.meta.dirname, "../../scripts/fuzz.ts")
    for (const [option, value] of [["--seconds", "5m"], ["--seed", "abc"]] as const) {
      const { status, stderr } = spawnSync(process.execPath, [script, option, value], {
        encoding: "utf8",
        env: { ...process.env, ...compiled }
      })
      assert.notStrictEqual(status, 0)
      assert.include(stderr, `${option} is no number`)
    }
  })
})
