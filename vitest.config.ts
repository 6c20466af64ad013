import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    pool: "threads",
    // Not one less than there are: much of the time goes to waiting for servers and other processes.
    maxWorkers: "100%",
    // Files share the modules of Effect, which take longer to load than most files to run.
    isolate: false,
    sequence: { concurrent: false },
    // Some tests replay hundreds of streams: a busy machine is no failure.
    testTimeout: 20_000
  }
})
