/**
 * Warns of models that end soon: once for each, since a program calls the same ones over and over.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Models from "../Models.ts"
import type { Endpoint } from "./exchange.ts"

const soon = 30

// Of the whole process, since layers come and go. Names that users choose do not fill it: it has no room for more.
const warned = new Set<string>()
const most = 1000

/** Warns when the model is gone, or will be within 30 days. */
export const warn = ({ models, wire: { name, vendor } }: Endpoint, model: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    const rules = Models.find(vendor, model, models)
    const key = JSON.stringify([name, model])
    if (rules.shutdown === undefined || warned.size >= most || warned.has(key)) return Effect.void
    return Effect.flatMap(Clock.currentTimeMillis, (now) => {
      if (!Models.endsWithin(rules, now, soon)) return Effect.void
      warned.add(key)
      const verb = Models.endsWithin(rules, now, 0) ? "ended" : "ends"
      const instead = rules.replacement === undefined ? "" : `: use ${rules.replacement}`
      return Effect.logWarning(`${name}: the model ${model} ${verb} on ${rules.shutdown}${instead}`)
    })
  })
