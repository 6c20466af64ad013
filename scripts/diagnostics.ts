/** Runs Effect's own diagnostics over the project. Any error, warning or message is a failure. */
import { spawnSync } from "node:child_process"

const { status, stdout } = spawnSync("effect-tsgo", ["diagnostics", "--project", "tsconfig.json", "--strict"], {
  encoding: "utf8",
  stdio: ["ignore", "pipe", "inherit"]
})
process.stdout.write(stdout)
process.exitCode = status === 0 && stdout.includes("0 errors, 0 warnings and 0 messages") ? 0 : 1
