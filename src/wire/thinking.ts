/**
 * How long a model may be expected to think, and whether it says anything meanwhile: what the clocks go by.
 */
import * as Models from "../Models.ts"
import type { Wire } from "./Wire.ts"

// From this budget of tokens on, a model thinks as long as at effort high.
const longBudget = 16_384

/** How the models of a vendor think at the effort of a request, over one of its protocols where they differ. */
export const thinking =
  (vendor: string, models?: Models.Overrides, api?: Models.Api): NonNullable<Wire["thinking"]> =>
  ({ reasoning = {} }, model) => {
    const rules = Models.find(vendor, model, models)
    const { budgetTokens, summary } = reasoning
    const effort = reasoning.effort ?? (
      budgetTokens === undefined
        ? undefined
        : budgetTokens <= 0
        ? "none"
        : budgetTokens > longBudget
        ? "high"
        : "medium"
    )
    return {
      long: Models.thinksLong(rules, effort, api),
      // A summary is sent as it is thought; Chat Completions have none.
      silent: Models.isSilent(rules, effort, api) && (summary !== true || api === "chat")
    }
  }
