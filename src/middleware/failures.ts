/**
 * The failures of one call. A schedule may cause any number of them: the first and the last 50 are kept, and the number
 * and cost of those between.
 */
import { type LLMError, total } from "../LLMError.ts"
import * as TokenUsage from "../TokenUsage.ts"
import { replace } from "./attempts.ts"

const mostRecent = 50

export interface Failures {
  readonly add: (error: LLMError) => void
  /** All failures, oldest first. */
  readonly all: () => ReadonlyArray<LLMError>
  /** All but the newest. */
  readonly earlier: () => ReadonlyArray<LLMError>
}

type Omitted = NonNullable<LLMError["omitted"]>

const sum = (one: Omitted, other: Omitted): Omitted => ({
  count: one.count + other.count,
  usage: TokenUsage.add(one.usage, other.usage)
})

const withOmitted = (error: LLMError, omitted: Omitted): LLMError =>
  replace(error, { omitted: error.omitted === undefined ? omitted : sum(error.omitted, omitted) })

/** Makes an empty list. */
export const make = (): Failures => {
  let first: LLMError | undefined
  const recent: Array<LLMError> = []
  let omitted: Omitted | undefined
  const all = (): ReadonlyArray<LLMError> => {
    const [oldest, ...others] = recent
    return [first, oldest !== undefined && omitted !== undefined ? withOmitted(oldest, omitted) : oldest, ...others]
      .filter((error) => error !== undefined)
  }
  return {
    add: (error) => {
      if (first === undefined) {
        first = error
        return
      }
      recent.push(error)
      if (recent.length <= mostRecent) return
      const gone = total([recent.shift()!])
      omitted = omitted === undefined ? gone : sum(omitted, gone)
    },
    all,
    earlier: () => all().slice(0, -1)
  }
}
