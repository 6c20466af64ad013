/**
 * How long a model may think, and whether it sends anything meanwhile. Timeouts depend on it.
 */
import * as Models from "../Models.ts"
import type { Wire } from "./Wire.ts"

// From this budget on, a model thinks as long as at effort high.
const longBudget = 16_384

/** How a vendor's models think at the effort of a request. `api` matters where OpenAI's two protocols differ. */
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
      // Responses streams a summary while the model thinks; Chat Completions does not.
      silent: Models.isSilent(rules, effort, api) && (summary !== true || api === "chat")
    }
  }
