import { assert, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join } from "node:path"

const src = join(import.meta.dirname, "../src")

/** The packages that a module loads when it is imported, by way of its own modules. */
const loaded = (entry: string): ReadonlySet<string> => {
  const seen = new Set<string>()
  const packages = new Set<string>()
  const visit = (file: string): void => {
    if (seen.has(file)) return
    seen.add(file)
    const text = readFileSync(file, "utf8").replaceAll(/^(?:import|export) type\b[^"]*?from "[^"]+"/gm, "")
    for (const [, path] of text.matchAll(/^(?:import|export)\b[^"]*?from "([^"]+)"/gm)) {
      if (path!.startsWith(".")) visit(join(file, "..", path!))
      else packages.add(path!)
    }
  }
  visit(join(src, entry))
  return packages
}

it("the barrel loads nothing of effect/ai, and no parser: what needs them has a path of its own", () => {
  const isDear = (name: string) => name.startsWith("effect/ai") || name.startsWith("@streamparser")
  assert.deepStrictEqual([...loaded("index.ts")].filter(isDear), [])
  assert.deepStrictEqual([...loaded("Output.ts")].filter(isDear).sort(), [
    "@streamparser/json",
    "effect/ai/OpenAiStructuredOutput"
  ])
  // By their names: all of effect/ai takes ten times as long to load.
  assert.deepStrictEqual([...loaded("ToolLoop.ts")].filter(isDear).sort(), [
    "effect/ai/AiError",
    "effect/ai/OpenAiStructuredOutput",
    "effect/ai/Tool"
  ])
})
