/**
 * All faults by name: a row for each fault, a column for each service that can have it.
 */
import type { Provider } from "../exchange.ts"
import type { Fault } from "../service.ts"
import { answers } from "./answers.ts"
import { refusals } from "./refusals.ts"
import type { Row } from "./row.ts"

/** The names of faults. */
export type FaultName = keyof typeof refusals | keyof typeof answers

const names = [...Object.keys(refusals), ...Object.keys(answers)] as ReadonlyArray<FaultName>

export const isFaultName = (name: string): name is FaultName =>
  Object.hasOwn(refusals, name) || Object.hasOwn(answers, name)

/** The fault of a service; undefined if the service cannot have it. */
export const faultOf = (name: FaultName, provider: Provider): Fault | undefined =>
  Object.hasOwn(answers, name)
    ? (answers as { readonly [name: string]: Row })[name]?.[provider]
    // OpenAI's two protocols have the same refusals.
    : refusal((refusals as { readonly [name: string]: Row })[name], provider)

const refusal = (row: Row | undefined, provider: Provider): Fault | undefined =>
  row?.[provider] ?? (provider === "responses" ? row?.openai : undefined)

/** The names of the faults that a service can have. */
export const faultsOf = (provider: Provider): ReadonlyArray<FaultName> =>
  names.filter((name) => faultOf(name, provider) !== undefined)
