/**
 * The failures of one call, of which a schedule may make any number: the first and the last 50 are kept, and of those
 * between them how many there were and what they cost.
 */
import { type LLMError, total } from "../LLMError.ts"
import * as TokenUsage from "../TokenUsage.ts"
import { replace } from "./attempts.ts"

const mostRecent = 50

export interface Failures {
  readonly add: (error: LLMError) => void
  /** All of them, oldest first. */
  readonly all: () => ReadonlyArray<LLMError>
  /** All but the newest. */
  readonly earlier: () => ReadonlyArray<LLMError>
}

type Omitted = NonNullable<LLMError["omitted"]>

const sum = (one: Omitted, other: Omitted): Omitted => ({
  count: one.count + other.count,
  usage: TokenUsage.add(one.usage, other.usage)
})

const told = (error: LLMError, omitted: Omitted): LLMError =>
  replace(error, { omitted: error.omitted === undefined ? omitted : sum(error.omitted, omitted) })

/** Makes a list without failures. */
export const make = (): Failures => {
  let first: LLMError | undefined
  const recent: Array<LLMError> = []
  let omitted: Omitted | undefined
  const all = (): ReadonlyArray<LLMError> => {
    const [oldest, ...others] = recent
    return [first, oldest !== undefined && omitted !== undefined ? told(oldest, omitted) : oldest, ...others]
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
