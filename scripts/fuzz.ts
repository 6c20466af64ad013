/**
 * Fuzzes the encoders and decoders: `npm run fuzz -- --seconds 300 --seed 1`. Each test runs for this time, starting
 * with this seed, or a random one. A failure names the seed of its case.
 */
import { spawnSync } from "node:child_process"
import { parseArgs } from "node:util"
import { numberOf } from "../test/fuzz/options.ts"

const { seconds, seed } = parseArgs({ options: { seconds: { type: "string" }, seed: { type: "string" } } }).values

numberOf("--seconds", seconds, 0.1)
numberOf("--seed", seed, 0)

const { status } = spawnSync("vitest", ["run", "test/fuzz"], {
  stdio: "inherit",
  // With only a seed, the cases from that seed on run for a short time.
  env: {
    ...process.env,
    FUZZ_SECONDS: seconds ?? (seed === undefined ? "20" : "1"),
    ...(seed !== undefined && { FUZZ_SEED: seed })
  }
})
process.exitCode = status ?? 1
