/**
 * The measured work, and its targets.
 */
import type { Work } from "./measure.ts"

export interface Scenario {
  readonly title: string
  /** The unit of the figure: calls, or deltas of streams. */
  readonly per: "call" | "delta"
  readonly work: Work
  /** The targets for the ratio to raw `fetch`, over undici and over fetch. */
  readonly targets: readonly [undici: number, fetch: number]
}

// The most important figure first: streams at the pace of real models.
export const scenarios: ReadonlyArray<Scenario> = [
  {
    title: "50 paced streams",
    per: "delta",
    work: { streamed: true, size: "small", deltas: 120, pace: 5, batches: 1, atOnce: 50 },
    targets: [1.1, 1.4]
  },
  {
    title: "1 paced stream",
    per: "delta",
    work: { streamed: true, size: "small", deltas: 120, pace: 4, batches: 1, atOnce: 1 },
    targets: [1.1, 1.4]
  },
  {
    title: "burst of 2,000",
    per: "delta",
    work: { streamed: true, size: "small", deltas: 2000, pace: 0, batches: 5, atOnce: 1 },
    targets: [1.5, 2]
  },
  {
    title: "one call",
    per: "call",
    work: { streamed: false, size: "small", deltas: 40, pace: 0, batches: 200, atOnce: 1 },
    targets: [0.8, 1.4]
  },
  {
    title: "64 calls at once",
    per: "call",
    work: { streamed: false, size: "small", deltas: 40, pace: 0, batches: 8, atOnce: 64 },
    targets: [0.7, 1.5]
  },
  {
    title: "200 messages, 20 tools",
    per: "call",
    work: { streamed: false, size: "large", deltas: 40, pace: 0, batches: 100, atOnce: 1 },
    targets: [0.9, 1.2]
  }
]

export const memory = {
  title: "1,000 open streams",
  work: { streamed: true, size: "small", deltas: 20, pace: 100, batches: 1, atOnce: 1000 },
  /** MB, over undici and over fetch. */
  targets: [210, 235]
} as const

/** kB of 1,000 bytes after gzip. */
export const bundleTarget = 60

/** How many times the smallest unit is repeated in one measurement. */
export const count = ({ per, work }: Scenario): number =>
  work.batches * work.atOnce * (per === "call" ? 1 : work.deltas)
