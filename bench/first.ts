/**
 * A complete program with one call: measures the time from the start of the process, including imports, to the answer.
 */
import { contestants } from "./clients/index.ts"
import { address, type Measured } from "./measure.ts"

const [name, protocol, origin] = process.argv.slice(2)
const contestant = contestants.find((contestant) => contestant.name === name && contestant.protocol === protocol)!
const work = { streamed: false, size: "small", deltas: 40, pace: 0, batches: 1, atOnce: 1 } as const
const make = await contestant.load()
await make(address(origin!, work, contestant.protocol)).complete("small")
const wall = performance.now()
const { system, user } = process.cpuUsage()
const measured: Measured = { cpu: user + system, wall, peakMemory: process.resourceUsage().maxRSS / 1024 }
process.send!(measured, () => process.exit())
