/**
 * The measured work, and how one process does it.
 */
import { textOf } from "./bodies.ts"
import type { Client, ProtocolName, Size } from "./Client.ts"

/** The number of calls, and how many run at the same time. */
export interface Work {
  readonly streamed: boolean
  readonly size: Size
  /** Deltas of an answer. */
  readonly deltas: number
  /** Milliseconds between two deltas. */
  readonly pace: number
  readonly batches: number
  readonly atOnce: number
}

export interface Measured {
  /** User and system time of all threads of the process, in µs. */
  readonly cpu: number
  readonly wall: number
  /** The peak memory of the process, in MB. */
  readonly peakMemory: number
}

/** The address that selects the server's answer. */
export const address = (origin: string, work: Work, protocol: ProtocolName): string =>
  `${origin}/${work.streamed ? "stream" : "whole"}-${work.deltas}-${work.pace}/${protocol}`

const cpu = (): number => {
  const { system, user } = process.cpuUsage()
  return user + system
}

export const run = async (client: Client, work: Work): Promise<Measured> => {
  const expected = textOf(work.deltas)
  const one = async () => {
    const text = await (work.streamed ? client.stream(work.size) : client.complete(work.size))
    if (text !== expected) throw new Error(`the answer has ${text.length} characters, not ${expected.length}`)
  }
  const before = { cpu: cpu(), wall: performance.now() }
  for (let batch = 0; batch < work.batches; batch++) await Promise.all(Array.from({ length: work.atOnce }, one))
  return {
    cpu: cpu() - before.cpu,
    wall: performance.now() - before.wall,
    peakMemory: process.resourceUsage().maxRSS / 1024
  }
}
