/**
 * Checks the package as users get it: builds and packs it, checks the tarball with publint and attw, installs it in a
 * separate project, type-checks that project and runs it.
 */
import { execFileSync, spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const root = join(import.meta.dirname, "..")
const folder = mkdtempSync(join(tmpdir(), "effect-llm-"))
const consumer = join(folder, "consumer")

const run = (cwd: string, command: string, ...args: ReadonlyArray<string>): void => {
  console.log(`\n$ ${[command, ...args].join(" ")}`)
  execFileSync(command, args, { cwd, stdio: ["ignore", "inherit", "inherit"] })
}

/** Shows the output of a verbose command only when it fails. */
const runQuietly = (cwd: string, command: string, ...args: ReadonlyArray<string>): void => {
  console.log(`\n$ ${[command, ...args].join(" ")}`)
  const { status, stderr, stdout } = spawnSync(command, args, { cwd, encoding: "utf8" })
  if (status === 0) return console.log("ok")
  throw new Error(`${command} failed:\n${stdout}${stderr}`)
}

const output = (cwd: string, command: string, ...args: ReadonlyArray<string>): string =>
  execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] })

const kilobytes = (bytes: number): string => `${(bytes / 1000).toFixed(0)} kB`

interface Packed {
  readonly filename: string
  readonly size: number
  readonly unpackedSize: number
  readonly entryCount: number
}

/** Builds and packs the package. Returns the path of the tarball. */
const pack = (): string => {
  run(root, "npm", "run", "build", "--loglevel=error")
  const [packed] = JSON.parse(
    output(root, "npm", "pack", "--ignore-scripts", "--json", "--loglevel=error", "--pack-destination", folder)
  ) as [Packed]
  const { entryCount, filename, size, unpackedSize } = packed
  console.log(`${filename}: ${kilobytes(size)} packed, ${kilobytes(unpackedSize)} unpacked, ${entryCount} files`)
  return join(folder, filename)
}

/** The comment at the beginning of a module, which an editor shows where the module is imported. */
const opening = (text: string): string => /^\/\*\*[\s\S]*?\*\//.exec(text)?.[0] ?? ""

/** Checks that the types of every public module still begin with the comment of their source. */
const checkComments = (): void => {
  const testing = ["TestLLM", "Simulator", "Recorder"].map((module) => `testing/${module}`)
  const lost = [...modules.map((module) => module.slice(2)), ...testing].filter((module) => {
    const source = opening(readFileSync(join(root, "src", `${module}.ts`), "utf8"))
    return source === "" || opening(readFileSync(join(root, "dist", `${module}.d.ts`), "utf8")) !== source
  })
  if (lost.length > 0) {
    throw new Error(`the types of ${lost.join(", ")} lack the module's comment: leave a blank line behind it`)
  }
}

/** The entry points that the patterns in `exports` match, which attw does not find. */
const modules = readdirSync(join(root, "src"))
  // Public modules have capitalized names; the others are internal.
  .filter((file) => /^[A-Z].*\.ts$/.test(file))
  .map((file) => `./${file.slice(0, -".ts".length)}`)

const compilerOptions = {
  target: "es2023",
  lib: ["es2023", "dom"],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  verbatimModuleSyntax: true,
  isolatedModules: true,
  declaration: true,
  skipLibCheck: false,
  noEmit: true,
  types: []
}

const tsconfigs = {
  "tsconfig.nodenext.json": { module: "nodenext", moduleResolution: "nodenext" },
  "tsconfig.bundler.json": { module: "esnext", moduleResolution: "bundler" }
}

/** Creates a user's project, with the tarball and this project's Effect installed. */
const install = (tarball: string): void => {
  mkdirSync(consumer)
  const write = (name: string, content: object): void =>
    writeFileSync(join(consumer, name), JSON.stringify(content, undefined, 2))
  write("package.json", {
    private: true,
    type: "module",
    dependencies: { "effect-llm": `file:${tarball}`, effect: `file:${join(root, "node_modules/effect")}` }
  })
  for (const [name, options] of Object.entries(tsconfigs)) {
    write(name, { compilerOptions: { ...compilerOptions, ...options }, files: ["consumer.ts"] })
  }
  cpSync(join(import.meta.dirname, "consumer.ts"), join(consumer, "consumer.ts"))
  run(consumer, "npm", "install", "--install-links", "--ignore-scripts", "--no-package-lock", "--loglevel=error")
}

/** The time that a new process needs to import a module, in milliseconds; the median of several runs. */
const importTime = (specifier: string): string => {
  const code = `const t = performance.now(); await import("${specifier}"); console.log(performance.now() - t)`
  const times = Array.from(
    { length: 7 },
    () => Number(output(consumer, process.execPath, "--input-type=module", "--eval", code))
  )
  return `${times.sort((a, b) => a - b)[3]!.toFixed(0)} ms`
}

const refuses = (specifier: string): boolean => {
  const code = `await import("${specifier}").catch((error) => console.log(error.code))`
  return output(consumer, process.execPath, "--input-type=module", "--eval", code).trim()
    === "ERR_PACKAGE_PATH_NOT_EXPORTED"
}

const closed = [
  "effect-llm/transport/completion",
  "effect-llm/testing/simulator/respond",
  "effect-llm/middleware/around",
  "effect-llm/models/rules",
  "effect-llm/outcome",
  "effect-llm/wire/anthropic/wire",
  "effect-llm/index"
]

try {
  const tarball = pack()
  checkComments()
  run(root, "publint", "run", tarball, "--strict")
  runQuietly(
    root,
    "attw",
    tarball,
    "--profile",
    "esm-only",
    "--no-definitely-typed",
    "--include-entrypoints",
    ...modules
  )
  install(tarball)
  for (const tsconfig of Object.keys(tsconfigs)) run(consumer, join(root, "node_modules/.bin/tsc"), "-p", tsconfig)
  run(consumer, process.execPath, "consumer.ts")
  for (const specifier of closed) {
    if (!refuses(specifier)) throw new Error(`${specifier} can be imported, but is not public`)
  }
  console.log(`\nClosed to users: ${closed.join(", ")}`)
  const { version } = JSON.parse(readFileSync(join(root, "node_modules/effect/package.json"), "utf8")) as {
    readonly version: string
  }
  console.log(`Import time, effect ${version} included, of:`)
  for (const specifier of ["effect", "effect-llm/Anthropic", "effect-llm"]) {
    console.log(`  ${specifier}: ${importTime(specifier)}`)
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
