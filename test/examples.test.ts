import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { compiled } from "./compiled.ts"

/** Runs an example as a reader does, with nothing in the environment. */
const run = (name: string, ...args: ReadonlyArray<string>) => {
  const program = fileURLToPath(new URL(`../examples/${name}.ts`, import.meta.url))
  const { status, stderr, stdout } = spawnSync(process.execPath, [program, ...args], {
    encoding: "utf8",
    env: compiled
  })
  assert.deepStrictEqual([status, stderr], [0, ""])
  return stdout.trimEnd().split("\n")
}

describe("examples", { timeout: 30_000 }, () => {
  it("agent runs its calls, tells the model of a failure, asks before it orders, and answers", () => {
    const lines = run("agent")
    assert.match(lines[0]!, /^Asking a simulated Claude: /)
    assert.deepStrictEqual(lines.filter((line) => line.startsWith("<")).sort(), [
      "< order",
      "< price",
      "< price failed",
      "< stock"
    ])
    assert.include(lines, '? order {"article":"lamp","pieces":8}: allowed')
    assert.match(lines.at(-2)!, /240 euros/)
    assert.match(lines.at(-1)!, /^3 turns, \d+ tokens$/)
  })

  it("extract reads every letter, with what it costs, through rate limits and answers that do not match", () => {
    const lines = run("extract", "100")
    const progress = lines.filter((line) => / of 100: /.test(line))
    assert.deepStrictEqual(progress.map((line) => line.replace(/: .*/, "")), ["50 of 100", "100 of 100"])
    assert.match(progress[1]!, /: \d+ tokens, \$0\.00\d+$/)
    // Five rate limits, and one repair for each tenth letter.
    assert.strictEqual(lines.at(-1), "100 of 100 letters read in 115 requests, 5950 euros due")
  })
})
