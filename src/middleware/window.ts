/**
 * Counts attempts and failures within a sliding window of time.
 */

/** Counts attempts in slots of a sixtieth of its length. */
export interface Window {
  /** The epoch of the counts: attempts that began in an earlier one are not counted. */
  readonly epoch: () => number
  /** Counts an attempt; returns the number of attempts and failures. */
  readonly add: (failed: boolean, now: number) => { readonly attempts: number; readonly failures: number }
  readonly clear: () => void
  readonly isEmpty: (now: number) => boolean
}

interface Slot {
  readonly at: number
  attempts: number
  failures: number
}

const slots = 60

/** An empty window of this many milliseconds. */
export const make = (length: number): Window => {
  const step = length / slots
  let counted: Array<Slot> = []
  let sum = { attempts: 0, failures: 0 }
  let epoch = 0
  const clear = (): void => {
    counted = []
    sum = { attempts: 0, failures: 0 }
    epoch++
  }
  const drop = (now: number): void => {
    while (counted.length > 0 && counted[0]!.at <= now - length) {
      const { attempts, failures } = counted.shift()!
      sum.attempts -= attempts
      sum.failures -= failures
    }
  }
  return {
    epoch: () => epoch,
    add: (failed, now) => {
      drop(now)
      const last = counted.at(-1)
      const slot = last !== undefined && now - last.at < step ? last : { at: now, attempts: 0, failures: 0 }
      if (slot !== last) counted.push(slot)
      for (const counts of [slot, sum]) {
        counts.attempts++
        if (failed) counts.failures++
      }
      return { ...sum }
    },
    clear,
    isEmpty: (now) => {
      drop(now)
      return counted.length === 0
    }
  }
}
