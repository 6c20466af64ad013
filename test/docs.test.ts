import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"

const root = join(import.meta.dirname, "..")
const folder = join(root, "node_modules/.cache/docs")

interface Snippet {
  readonly source: string
  /** The line of the source where the code begins, from 1. */
  readonly line: number
  readonly code: string
}

/** The ```ts blocks of a text whose lines may all begin with the margin of a doc comment. */
const snippets = (source: string): Array<Snippet> => {
  const lines = readFileSync(join(root, source), "utf8").split("\n")
    .map((line) => source.endsWith(".ts") ? line.replace(/^\s*\* ?/, "") : line)
  const found: Array<Snippet> = []
  let start: number | undefined
  for (const [index, line] of lines.entries()) {
    if (start === undefined && line === "```ts") start = index + 1
    else if (start !== undefined && line === "```") {
      found.push({ source, line: start + 1, code: lines.slice(start, index).join("\n") })
      start = undefined
    }
  }
  return found
}

const guides = ["README.md", ...globSync("docs/**/*.md", { cwd: root }).sort()]

const sources = [...guides, ...globSync("src/**/*.ts", { cwd: root }).sort()]

/** Type-checks every snippet as a module of its own; gives what is wrong, at the lines of the sources. */
const typeCheck = (all: ReadonlyArray<Snippet>): Array<string> => {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const write = (name: string, content: string) => writeFileSync(join(folder, name), content)
  for (const [index, { code }] of all.entries()) write(`${index}.ts`, code)
  write("package.json", JSON.stringify({ type: "module" }))
  write(
    "tsconfig.json",
    JSON.stringify({
      extends: join(root, "tsconfig.json"),
      compilerOptions: {
        noUnusedLocals: false,
        paths: {
          "effect-llm": [join(root, "src/index.ts")],
          "effect-llm/testing": [join(root, "src/testing/index.ts")],
          "effect-llm/*": [join(root, "src/*.ts")]
        }
      },
      files: all.map((_, index) => `${index}.ts`),
      include: [],
      exclude: []
    })
  )
  const tsc = join(root, "node_modules/typescript/bin/tsc")
  const { status, stdout } = spawnSync(process.execPath, [tsc, "-p", folder, "--pretty", "false", "--singleThreaded"], {
    cwd: folder,
    // Its collector of garbage takes a third of the time otherwise.
    env: { GOGC: "400", ...process.env },
    encoding: "utf8"
  })
  const problems = stdout.split("\n").filter((line) => line !== "").map((line) =>
    line.replace(/^(?:.*\/)?(\d+)\.ts\((\d+),\d+\)/, (_, index: string, at: string) => {
      const { line, source } = all[Number(index)]!
      return `${source}:${line + Number(at) - 1}`
    })
  )
  return status === 0 || problems.length > 0 ? problems : [`tsc ended with ${status}`]
}

describe("documentation", () => {
  it("has only links that lead somewhere in the package", () => {
    const { files } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { readonly files: Array<string> }
    for (const guide of guides) {
      const links = [...readFileSync(join(root, guide), "utf8").matchAll(/\]\((?!https?:)([^)#]*)(#[^)]*)?\)/g)]
      for (const [, path, anchor] of links) {
        const target = path === "" ? guide : relative(root, join(root, dirname(guide), path!))
        assert.isTrue(existsSync(join(root, target)), `${guide} links to ${target}`)
        assert.isTrue(
          files.some((file) => target === file || target.startsWith(`${file}/`)),
          `${guide} links to ${target}, which is not in the package`
        )
        if (anchor === undefined) continue
        const headings = [...readFileSync(join(root, target), "utf8").matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
          `#${heading!.toLowerCase().replaceAll(/[^a-z0-9 -]/g, "").replaceAll(" ", "-")}`
        )
        assert.include(headings, anchor, `${guide} links to a heading of ${target}`)
      }
    }
  })

  it("has only code that type-checks, in README.md, the guides and the doc comments of src", () => {
    const all = sources.flatMap(snippets)
    assert.isAbove(all.filter(({ source }) => source === "README.md").length, 5)
    assert.isAbove(all.filter(({ source }) => source.endsWith(".ts")).length, 5)
    assert.deepStrictEqual(typeCheck(all), [])
  }, 60_000)
})
