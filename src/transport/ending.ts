/**
 * Warns of models that will be shut down soon: once for each model.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Models from "../Models.ts"
import type { Endpoint } from "./exchange.ts"

const soon = 30

// Shared by the whole process, because layers come and go. Bounded, because users may choose the names.
const warned = new Set<string>()
const mostWarned = 1000

/** Warns if the model has been shut down, or will be within 30 days. */
export const warn = ({ models, wire: { name, vendor } }: Endpoint, model: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    const rules = Models.find(vendor, model, models)
    const key = JSON.stringify([name, model])
    if (rules.shutdown === undefined || warned.size >= mostWarned || warned.has(key)) return Effect.void
    return Effect.flatMap(Clock.currentTimeMillis, (now) => {
      if (!Models.endsWithin(rules, now, soon)) return Effect.void
      warned.add(key)
      const verb = Models.endsWithin(rules, now, 0) ? "ended" : "ends"
      const instead = rules.replacement === undefined ? "" : `: use ${rules.replacement}`
      return Effect.logWarning(`${name}: the model ${model} ${verb} on ${rules.shutdown}${instead}`)
    })
  })
