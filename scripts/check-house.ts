/**
 * Checks the structure of src: which room may import which, that there are no cycles, that no file has more than 400
 * lines, and that no module opens with a comment of more than 25 lines. `npm test` runs it.
 */
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, normalize, relative } from "node:path"

const src = join(import.meta.dirname, "../src")

/** The rooms, from the bottom up. The first pattern that matches a file is its room. */
const rooms = [
  ["barrel", /^index\.ts$/],
  [
    "vocabulary",
    /^(LLMError|Completion|CompletionResponse|CompletionPart|Message|Tool|TokenUsage|RateLimits|ConversationUsageWindow|fields|outcome|vectors)\.ts$/
  ],
  ["service", /^LLMClient\.ts$/],
  ["knowledge", /^(Models|Prices|Estimate)\.ts$|^models\//],
  ["wire", /^wire\//],
  ["secrets", /^transport\/secrets\.ts$/],
  ["transport", /^transport\//],
  ["options", /^middleware\/options\.ts$/],
  ["surroundings", /^middleware\//],
  ["provider", /^(Provider|Anthropic|OpenAi|Gemini|OpenRouter|LLMProvider)\.ts$/],
  [
    "middleware",
    /^(Retry|Fallback|Router|Throttle|CircuitBreaker|ResponseCache|Budget|Telemetry|StructuredOutput)\.ts$/
  ],
  ["built", /^(Output|ToolLoop|Embeddings|EffectAi)\.ts$|^(embeddings|interop|output|toolLoop)\//],
  ["testing", /^testing\//],
  ["gateway", /^Gateway\.ts$|^gateway\//],
  ["batch", /^Batch\.ts$|^batch\//],
  ["cli", /^cli\//]
] as const satisfies ReadonlyArray<readonly [string, RegExp]>

type Room = typeof rooms[number][0]

/** The rooms that each room may import, besides itself. */
const arrows: Readonly<Record<Room, ReadonlyArray<Room>>> = {
  vocabulary: [],
  service: ["vocabulary", "knowledge"],
  knowledge: ["vocabulary"],
  wire: ["vocabulary", "knowledge"],
  // Recordings are redacted like errors.
  secrets: ["wire"],
  transport: ["vocabulary", "service", "knowledge", "wire", "secrets"],
  options: [],
  surroundings: ["vocabulary", "service", "knowledge", "options"],
  middleware: ["vocabulary", "service", "knowledge", "options", "surroundings"],
  // A provider as data may come with a retry policy.
  provider: ["vocabulary", "service", "knowledge", "wire", "transport", "secrets", "options", "middleware"],
  built: ["vocabulary", "service", "knowledge", "options", "surroundings", "transport", "provider", "wire"],
  testing: ["vocabulary", "service", "knowledge", "wire", "options", "secrets"],
  gateway: ["vocabulary", "service", "knowledge", "wire", "options", "surroundings", "middleware", "provider", "built"],
  batch: ["vocabulary", "service", "knowledge", "wire", "options", "surroundings", "middleware", "provider", "built"],
  cli: [
    "vocabulary",
    "service",
    "knowledge",
    "options",
    "surroundings",
    "middleware",
    "provider",
    "built",
    "testing",
    "gateway",
    "batch"
  ],
  barrel: ["vocabulary", "service", "knowledge", "middleware", "provider", "built"]
}

const longest = 400
const longestOpening = 25

const files = readdirSync(src, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"))
  .map((file) => file.replaceAll("\\", "/"))

const problems: Array<string> = []

const roomOf = (file: string): Room | undefined => rooms.find(([, pattern]) => pattern.test(file))?.[0]

// `import` and `export … from`, including types, because a dependency on types is a dependency on the room.
const importsOf = (file: string, text: string): ReadonlyArray<string> =>
  [...text.matchAll(/^(?:import|export)\b[^"]*?from "(\.{1,2}\/[^"]+)"/gm)].map(([, path]) =>
    relative(src, normalize(join(src, dirname(file), path!))).replaceAll("\\", "/")
  )

const imports = new Map<string, ReadonlyArray<string>>()
// Only runtime imports: cycles of types are allowed.
const loads = new Map<string, ReadonlyArray<string>>()

for (const file of files) {
  const text = readFileSync(join(src, file), "utf8")
  const found = importsOf(file, text)
  imports.set(file, found)
  loads.set(file, importsOf(file, text.replaceAll(/^(?:import|export) type\b[^"]*?from "[^"]+"/gm, "")))
  const lines = text.trimEnd().split("\n")
  if (lines.length > longest) problems.push(`${file} has ${lines.length} lines: at most ${longest}`)
  const opening = /^(\/\*\*[\s\S]*?\*\/|(\/\/.*\n)*)/.exec(text)![0].split("\n").length
  if (opening > longestOpening) {
    problems.push(`${file} opens with a comment of ${opening} lines: at most ${longestOpening}`)
  }
  const room = roomOf(file)
  if (room === undefined) {
    problems.push(`${file} is in no room`)
    continue
  }
  for (const target of found) {
    const other = roomOf(target)
    if (other !== undefined && other !== room && !arrows[room].includes(other)) {
      problems.push(`${file} (${room}) imports ${target} (${other})`)
    }
  }
}

const done = new Set<string>()
const visit = (file: string, path: ReadonlyArray<string>): void => {
  if (path.includes(file)) {
    problems.push(`a circle: ${[...path.slice(path.indexOf(file)), file].join(" -> ")}`)
    return
  }
  if (done.has(file)) return
  for (const target of loads.get(file) ?? []) visit(target, [...path, file])
  done.add(file)
}
for (const file of files) visit(file, [])

for (const problem of problems) console.error(problem)
console.log(`${files.length} files, ${problems.length === 0 ? "all in their rooms" : `${problems.length} problems`}`)
process.exitCode = problems.length === 0 ? 0 : 1
