/**
 * Runs the tests that `npm test` takes a sample of, with all that they can do: the files that import test/effort.ts.
 * `npm run test:slow -- test/fuzz` runs those of a folder alone.
 */
import { spawnSync } from "node:child_process"
import { globSync, readFileSync } from "node:fs"

const wanted = process.argv.slice(2)
const files = globSync("test/**/*.test.ts")
  .filter((file) => /from "\.[^"]*\/(effort|runs)\.ts"/.test(readFileSync(file, "utf8")))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))

// A test that does everything takes longer than one that takes a sample.
const { status } = spawnSync("vitest", ["run", "--testTimeout=120000", ...files], {
  stdio: "inherit",
  env: { ...process.env, TEST_SLOW: "1" }
})
process.exitCode = status ?? 1
