/**
 * The results as Markdown.
 */
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { cpus, totalmem } from "node:os"
import type { ProtocolName } from "./Client.ts"
import { baseline, type Contestant, control } from "./clients/index.ts"
import { bundleTarget, memory, type Scenario } from "./scenarios.ts"

/** The median of the ratios to raw fetch over the rounds, their extremes, and the median in µs. */
export interface Cost {
  readonly ratio: number
  readonly low: number
  readonly high: number
  readonly micros: number
}

/** The measurements of one client. */
export interface Result {
  readonly contestant: Contestant
  /** By the title of a scenario. */
  readonly costs: ReadonlyMap<string, Cost>
  /** MB. */
  readonly memory: number | undefined
  /** From the start of a process to its first answer, ms. */
  readonly first: { readonly cpu: number; readonly wall: number }
}

export interface Results {
  readonly quick: boolean
  readonly rounds: number
  readonly seconds: number
  readonly scenarios: ReadonlyArray<Scenario>
  readonly results: ReadonlyArray<Result>
  /** kB by program. */
  readonly bundles: ReadonlyMap<string, number>
}

const protocolTitles: Record<ProtocolName, string> = {
  openai: "OpenAI Chat Completions",
  anthropic: "Anthropic Messages",
  gemini: "Gemini generateContent"
}

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [head, head.map((_, index) => index === 0 ? "---" : "---:"), ...rows].map((row) => `| ${row.join(" | ")} |`).join(
    "\n"
  )

const ratio = (value: number | undefined): string => value === undefined ? "" : value.toFixed(2)
const micros = (value: number): string => value < 100 ? value.toFixed(1) : value.toFixed(0)

const versionOf = (name: string): string => {
  const folders = createRequire(import.meta.url).resolve.paths(name) ?? []
  for (const folder of folders) {
    try {
      return `${name} ${JSON.parse(readFileSync(`${folder}/${name}/package.json`, "utf8")).version}`
    } catch {
      // Outside of this folder.
    }
  }
  return name
}

const measured = [
  "effect",
  "undici",
  "openai",
  "@anthropic-ai/sdk",
  "@google/genai",
  "ai",
  "@ai-sdk/openai",
  "@ai-sdk/anthropic"
]

interface Check {
  readonly what: string
  readonly value: number | undefined
  readonly target: number
  readonly show: (value: number) => string
  /** How far the control measurement is off, as a factor. */
  readonly noise: number
}

const judge = ({ noise, target, value }: Check): "not measured" | "open" | "met" | "missed" => {
  if (value === undefined) return "not measured"
  if (value > target / noise && value < target * noise) return "open"
  return value <= target ? "met" : "missed"
}

const verdict = (check: Check): string =>
  check.value === undefined
    ? judge(check)
    : `${check.show(check.value)} (≤ ${check.show(check.target)}) ${judge(check)}`

const noiseOf = (results: ReadonlyArray<Result>, title: string): number => {
  const same = results.find(({ contestant }) => contestant.name === control)?.costs.get(title)?.ratio ?? 1
  return Math.max(same, 1 / same)
}

const checksOf = (
  { bundles, results, scenarios }: Results,
  http: "undici" | "fetch",
  protocol: ProtocolName
): Array<Check> => {
  const index = http === "undici" ? 0 : 1
  const result = results.find(({ contestant }) =>
    contestant.name === `effect-llm, ${http}` && contestant.protocol === protocol
  )
  return [
    ...scenarios.map(({ targets, title }) => ({
      what: title,
      value: result?.costs.get(title)?.ratio,
      target: targets[index],
      show: ratio,
      noise: noiseOf(results, title)
    })),
    {
      what: `${memory.title}, peak memory`,
      value: result?.memory,
      target: memory.targets[index],
      show: (value) => `${value.toFixed(0)} MB`,
      noise: 1
    },
    {
      what: "bundle of one provider, gzip",
      value: bundles.get(`effect-llm, ${http}`),
      target: bundleTarget,
      show: (value) => `${value.toFixed(0)} kB`,
      noise: 1
    }
  ]
}

const noiseSection = ({ results, scenarios }: Results): string => {
  const same = results.find(({ contestant }) => contestant.name === control)
  return [
    "## How far to trust the figures",
    `\`${control}\` is raw fetch once more, in another process: its ratio would be 1.00 without noise. A difference between `
    + "two clients that is no larger than what it shows here means nothing.",
    table(
      ["", "median", "lowest round", "highest round"],
      scenarios.map(({ title }) => {
        const cost = same?.costs.get(title)
        return [title, ratio(cost?.ratio), ratio(cost?.low), ratio(cost?.high)]
      })
    )
  ].join("\n\n")
}

const targetsSection = (results: Results): string => {
  const undici = checksOf(results, "undici", "openai")
  const fetch = checksOf(results, "fetch", "openai")
  const missed = [
    ...undici.map((check) => ["undici", check] as const),
    ...fetch.map((check) => ["fetch", check] as const)
  ]
    .filter(([, check]) => judge(check) === "missed")
    .map(([http, { show, target, value, what }]) => `- ${what}, over ${http}: ${show(value!)}, not ${show(target)}`)
  return [
    "## effect-llm and its targets",
    "Chat Completions; CPU time as a ratio to raw `fetch`, the target in brackets. Open is what this "
    + "run cannot tell, since the noise is larger than the distance to the target.",
    table(
      ["", "over undici", "over fetch"],
      undici.map((check, index) => [check.what, verdict(check), verdict(fetch[index]!)])
    ),
    missed.length === 0
      ? "No target is missed by more than the noise."
      : `Missed by more than the noise:\n\n${missed.join("\n")}`
  ].join("\n\n")
}

const protocolSection = (protocol: ProtocolName, { results, scenarios }: Results): string | undefined => {
  const own = results.filter(({ contestant }) => contestant.protocol === protocol)
  const raw = own.find(({ contestant }) => contestant.name === baseline)
  if (raw === undefined) return undefined
  return [
    `## ${protocolTitles[protocol]}`,
    table(
      ["", ...scenarios.map(({ title }) => title), "peak memory", "first answer: CPU", "first answer"],
      [
        ["_raw fetch, µs_", ...scenarios.map(({ title }) => `_${micros(raw.costs.get(title)!.micros)}_`), "", "", ""],
        ...own.map(({ contestant, costs, first, memory }) => [
          contestant.name,
          ...scenarios.map(({ title }) => ratio(costs.get(title)?.ratio)),
          memory === undefined ? "" : `${memory.toFixed(0)} MB`,
          `${first.cpu.toFixed(0)} ms`,
          `${first.wall.toFixed(0)} ms`
        ])
      ]
    )
  ].join("\n\n")
}

const bundleSection = ({ bundles }: Results): string =>
  [
    "## Bundle",
    "A program of one call, bundled with all it needs and minified, after gzip; undici is left outside of effect-llm over it.",
    table(["", "kB"], [...bundles].map(([name, size]) => [name, size.toFixed(0)]))
  ].join("\n\n")

export const report = (results: Results): string => {
  const [cpu] = cpus()
  const { quick, rounds, seconds } = results
  return [
    "# Measurements",
    `${
      new Date().toISOString().slice(0, 10)
    }, Node ${process.version}, ${cpus().length} cores (${cpu?.model.trim()}), ${
      (totalmem() / 2 ** 30).toFixed(0)
    } GB, ${process.platform} ${process.arch}; ${rounds} rounds${quick ? " (quick)" : ""} in ${seconds.toFixed(0)} s; ${
      measured.map(versionOf).join(", ")
    }.`,
    "Each client runs in a process of its own and talks to a loopback server in another; the clients take turns in every "
    + "round. What counts is the CPU time of the client's process, user and system, all threads; each figure is the "
    + "median over the rounds of its ratio to raw `fetch` (a `fetch`, a `JSON.parse`, a split into lines) in the same "
    + "round. Lower is better. Streams are paced by the server (120 deltas each, one every 5 ms for 50 streams, every "
    + "4 ms for one), or come all at once (burst); their figures are per delta, the cost of the request included.",
    targetsSection(results),
    noiseSection(results),
    ...(["openai", "anthropic", "gemini"] as const).flatMap((protocol) => protocolSection(protocol, results) ?? []),
    "Peak memory is that of a whole process with 1,000 streams open at once. First answer is a whole program from its "
    + "start, imports included, to the answer of its one call.",
    bundleSection(results),
    "`npm run bench` repeats this, `npm run bench -- --quick` in less than a minute for Chat Completions alone."
  ].join("\n\n") + "\n"
}
