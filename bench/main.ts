/**
 * Compares effect-llm with other clients, prints the results and writes them to RESULTS.md.
 *
 * `--quick` takes less than a minute, measures only Chat Completions, and writes nothing.
 */
import { execFileSync } from "node:child_process"
import { existsSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { baseline, type Contestant, contestants, control } from "./clients/index.ts"
import { firstAnswer, type Server, startServer, startWorker, type Worker } from "./processes.ts"
import { type Cost, report, type Result } from "./report.ts"
import { count, memory, type Scenario, scenarios } from "./scenarios.ts"

const quick = process.argv.includes("--quick")
const rounds = quick ? 2 : 6
const warmUps = quick ? 2 : 12
const starts = quick ? 1 : 3

const here = fileURLToPath(new URL(".", import.meta.url))
const root = fileURLToPath(new URL("..", import.meta.url))

const progress = (text: string): void => {
  process.stderr.write(`${text}\n`)
}

const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

const install = (): void => {
  if (existsSync(`${here}node_modules/openai`)) return
  progress("installing the other clients")
  execFileSync("npm", ["ci", "--prefix", here], { stdio: ["ignore", "ignore", "inherit"] })
}

// Types are stripped in advance, so that the time is not added to a client's start.
const compile = (): void => {
  execFileSync(process.execPath, [`${root}node_modules/typescript/bin/tsc`, "-p", here, "--noCheck"], {
    stdio: "inherit"
  })
}

/**
 * The µs of every worker for one scenario, by round. The workers take turns, and each round starts with another one.
 */
const measure = async (scenario: Scenario, workers: ReadonlyArray<Worker>): Promise<Map<Worker, Array<number>>> => {
  const measured = new Map(workers.map((worker) => [worker, [] as Array<number>]))
  for (let round = -1; round < rounds; round++) {
    for (let turn = 0; turn < workers.length; turn++) {
      const worker = workers[(turn + round + 1) % workers.length]!
      // Reopens the connections that were closed during the turns of the others.
      if (scenario.work.pace === 0) await worker.run({ ...scenario.work, batches: 1 })
      const { cpu } = await worker.run(scenario.work)
      // The first round only warms up the compiler.
      if (round >= 0) measured.get(worker)!.push(cpu / count(scenario))
    }
  }
  return measured
}

// Services run for a long time, so we measure compiled code. Nothing is measured yet, so all workers may run at the
// same time.
const warmUp = async (worker: Worker): Promise<void> => {
  for (const { work } of scenarios) {
    for (let time = 0; time < warmUps; time++) await worker.run(work)
  }
}

const baselineOf = ({ contestant }: Worker, workers: ReadonlyArray<Worker>): Worker =>
  workers.find((other) => other.contestant.name === baseline && other.contestant.protocol === contestant.protocol)!

const peakMemory = async (contestant: Contestant, { origin }: Server): Promise<number> => {
  const worker = await startWorker(contestant, origin)
  const measured = await worker.run(memory.work)
  worker.stop()
  return measured.peakMemory
}

const began = performance.now()
install()
compile()
const chosen = contestants.filter(({ protocol }) => !quick || protocol === "openai")
const server = await startServer()
const workers: Array<Worker> = []
for (const contestant of chosen) workers.push(await startWorker(contestant, server.origin))

progress("warm-up")
await Promise.all(workers.map(warmUp))

const costs = new Map(workers.map((worker) => [worker, new Map<string, Cost>()]))
for (const scenario of scenarios) {
  progress(scenario.title)
  const measured = await measure(scenario, workers)
  for (const [worker, micros] of measured) {
    const raw = measured.get(baselineOf(worker, workers))!
    const ratios = micros.map((value, round) => value / raw[round]!)
    costs.get(worker)!.set(scenario.title, {
      ratio: median(ratios),
      low: Math.min(...ratios),
      high: Math.max(...ratios),
      micros: median(micros)
    })
  }
}
for (const worker of workers) worker.stop()

progress("first answer")
const firsts = new Map(chosen.map((contestant) => [contestant, [] as Array<{ cpu: number; wall: number }>]))
for (let round = 0; round < starts; round++) {
  for (const contestant of chosen) {
    const { cpu, wall } = await firstAnswer(contestant, server.origin)
    firsts.get(contestant)!.push({ cpu: cpu / 1000, wall })
  }
}

progress(memory.title)
const peaks = new Map<Contestant, number>()
for (const contestant of chosen) {
  if (contestant.name !== control && (!quick || contestant.name.startsWith("effect-llm"))) {
    peaks.set(contestant, await peakMemory(contestant, server))
  }
}
server.stop()

progress("bundles")
const { bundleSizes } = await import("./bundle.ts")
const bundles = await bundleSizes()

const results = workers.map((worker): Result => {
  const { contestant } = worker
  const first = firsts.get(contestant)!
  return {
    contestant,
    costs: costs.get(worker)!,
    memory: peaks.get(contestant),
    first: { cpu: median(first.map(({ cpu }) => cpu)), wall: median(first.map(({ wall }) => wall)) }
  }
})
const text = report({ quick, rounds, seconds: (performance.now() - began) / 1000, scenarios, results, bundles })
console.log(text)
if (!quick) writeFileSync(`${here}RESULTS.md`, text)
