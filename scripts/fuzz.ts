/**
 * Fuzzes what is written to providers and read from them: `npm run fuzz -- --seconds 300 --seed 1`. Each test runs for
 * that long, from that seed on; without a seed it begins anywhere. A failure names the seed of its case.
 */
import { spawnSync } from "node:child_process"
import { parseArgs } from "node:util"
import { numberOf } from "../test/fuzz/options.ts"

const { seconds, seed } = parseArgs({ options: { seconds: { type: "string" }, seed: { type: "string" } } }).values

numberOf("--seconds", seconds, 0.1)
numberOf("--seed", seed, 0)

const { status } = spawnSync("vitest", ["run", "test/fuzz"], {
  stdio: "inherit",
  // A seed alone repeats the cases that follow it for a moment.
  env: {
    ...process.env,
    FUZZ_SECONDS: seconds ?? (seed === undefined ? "20" : "1"),
    ...(seed !== undefined && { FUZZ_SEED: seed })
  }
})
process.exitCode = status ?? 1
