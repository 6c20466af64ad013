/**
 * Runs the checks that need no test, side by side, and prints what each of them says as a whole: those of package.json
 * that are named here. All of them run to their end; one that fails makes the whole fail.
 */
import { exec } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"

// Beside each other, the threads of one check only get in the way of another.
const checks = { lint: "", house: "", types: " --singleThreaded", diagnostics: "" }

// The type checkers are Go programs: they take a third less time where their collector runs less often.
const env = { GOGC: "400", ...process.env }

const root = join(import.meta.dirname, "..")
const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly scripts: Readonly<Record<string, string>>
}

const failed: Array<string> = []
await Promise.all(
  Object.entries(checks).map(([name, options]) =>
    new Promise<void>((resolve) => {
      const start = performance.now()
      exec(scripts[name]! + options, { cwd: root, env, maxBuffer: 1 << 28 }, (error, stdout, stderr) => {
        if (error !== null) failed.push(name)
        const took = ((performance.now() - start) / 1000).toFixed(1)
        process.stdout.write(`== ${name}: ${error === null ? "passed" : "FAILED"} in ${took} s\n${stdout}${stderr}`)
        resolve()
      })
    })
  )
)
if (failed.length > 0) {
  process.stdout.write(`\nFailed: ${failed.join(", ")}\n`)
  process.exitCode = 1
}
