/**
 * Everything that can go wrong with a provider, by name: a row for each fault, a column for each service that can have
 * it.
 */
import type { Provider } from "../exchange.ts"
import type { Fault } from "../service.ts"
import { answers } from "./answers.ts"
import { refusals } from "./refusals.ts"
import type { Row } from "./row.ts"

/** What can go wrong, by name. */
export type FaultName = keyof typeof refusals | keyof typeof answers

const names = [...Object.keys(refusals), ...Object.keys(answers)] as ReadonlyArray<FaultName>

export const isFaultName = (name: string): name is FaultName =>
  Object.hasOwn(refusals, name) || Object.hasOwn(answers, name)

/** What a service does for a fault; undefined when it cannot have it. */
export const faultOf = (name: FaultName, provider: Provider): Fault | undefined =>
  Object.hasOwn(answers, name)
    ? (answers as { readonly [name: string]: Row })[name]?.[provider]
    // OpenAI refuses alike over both of its protocols.
    : refusal((refusals as { readonly [name: string]: Row })[name], provider)

const refusal = (row: Row | undefined, provider: Provider): Fault | undefined =>
  row?.[provider] ?? (provider === "responses" ? row?.openai : undefined)

/** The names of the faults that a provider can have. */
export const faultsOf = (provider: Provider): ReadonlyArray<FaultName> =>
  names.filter((name) => faultOf(name, provider) !== undefined)
