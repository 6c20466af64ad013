/**
 * A value for each key. Keys contain names that users may choose, so their number is bounded, and idle ones are removed.
 */

/** Beyond this many keys, new ones share one. */
const mostKeys = 10_000

const sweepEvery = 60_000

/** The key that new ones share when there are too many. */
export const otherKey = "other"

export interface Keyed<A> {
  /** The value of a key, made now if there was none. */
  readonly get: (key: string, now: number) => A
  readonly values: () => Iterable<A>
}

/** Keeps a value for each key until it is idle. */
export const make = <A>(create: (key: string) => A, isIdle: (value: A, now: number) => boolean): Keyed<A> => {
  const kept = new Map<string, A>()
  let sweptAt = Number.NEGATIVE_INFINITY
  const sweep = (now: number): void => {
    if (now - sweptAt < sweepEvery) return
    sweptAt = now
    for (const [key, value] of kept) if (isIdle(value, now)) kept.delete(key)
  }
  return {
    get: (asked, now) => {
      sweep(now)
      const key = kept.has(asked) || kept.size < mostKeys ? asked : otherKey
      const found = kept.get(key)
      if (found !== undefined) return found
      const value = create(key)
      kept.set(key, value)
      return value
    },
    values: () => kept.values()
  }
}
