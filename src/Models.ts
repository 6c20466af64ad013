/**
 * What is known of models: limits, settings that are taken, how they think, when they end.
 *
 * The rules are those of a model's family, which its name tells, also behind a gateway, with a region or a date:
 * `anthropic/claude-opus-5.5`, `us.anthropic.claude-opus-5-5-v1:0`, `ft:gpt-4.1-mini:org::id`. A name that is newer than
 * the tables has the rules of the newest of its line, and says so as `assumed`. A field that is absent is not known and
 * restricts nothing; of an unknown name every field is absent.
 *
 * ```ts
 * import { Models } from "effect-llm"
 *
 * const rules = Models.find("anthropic", "claude-opus-5-5")
 * const mayForce = rules.forcedTools === "yes"
 * ```
 */

import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import { anthropic } from "./models/anthropic.ts"
import { compatible, servedBy } from "./models/compatible.ts"
import { google } from "./models/google.ts"
import { baseName, isTail } from "./models/name.ts"
import { openai } from "./models/openai.ts"
import { type Api, type Effort, efforts, type Line, type Rules } from "./models/rules.ts"

export type { Api, Effort, Media, Rules, ThinkingForm } from "./models/rules.ts"

/** What holds instead of what is known. `like` takes the rules of another name first, as for a deployment of Azure. */
export interface Override extends Partial<Rules> {
  readonly like?: string
}

/** By the exact name of a model as it is sent, or by the beginning of it: `my-models/*`. The longest key counts. */
export type Overrides = Readonly<Record<string, Override>>

/** The rules of a name that nothing is known of: none. */
export const unknown: Rules = {}

/** Whether the name told anything. */
export const isKnown = (rules: Rules): boolean => rules.family !== undefined

const linesOf = (name: string): ReadonlyArray<Line> =>
  name.startsWith("claude-")
    ? anthropic
    : name.startsWith("gpt-") || /^o\d/.test(name)
    ? openai
    : name.startsWith("gemini-")
    ? google
    : compatible

// Further ahead a number is a slip: nobody means the fiftieth Opus by "claude-opus-50".
const generations = 9

const among = ({ versions }: Line, { groups }: RegExpExecArray): Rules => {
  const [[newest, latest]] = versions
  if (newest === 0) return latest
  if (groups?.major === undefined) return { ...latest, assumed: true }
  const version = Number(groups.major) * 100 + Number(groups.minor ?? 0)
  if (version >= newest + (generations + 1) * 100) return unknown
  const found = versions.find(([from]) => from <= version)
  if (found === undefined) return unknown
  return found[0] === version ? found[1] : { ...found[1], assumed: true }
}

const byName = (provider: string, model: string): Rules => {
  const name = baseName(model)
  for (const line of linesOf(name)) {
    const match = line.name.exec(name)
    if (match !== null) {
      return isTail(name.slice(match[0].length)) ? servedBy(provider, among(line, match)) : unknown
    }
  }
  return unknown
}

const overrideOf = (overrides: Overrides, model: string): Override | undefined => {
  if (Object.hasOwn(overrides, model)) return overrides[model]
  let longest: string | undefined
  for (const key of Object.keys(overrides)) {
    const isBeginning = key.endsWith("*") && model.startsWith(key.slice(0, -1))
    if (isBeginning && key.length > (longest?.length ?? 0)) longest = key
  }
  return longest === undefined ? undefined : overrides[longest]
}

/**
 * The rules of a model. Total: of a name that is not known, or is none, nothing is known. `provider` names the service
 * (`anthropic`, `openai`, `gemini`, `openrouter`, `groq`, ...), which matters only where it differs from the vendor's
 * own; any other name will do.
 */
export const find = (provider: string, model: string, overrides?: Overrides): Rules => {
  const override = overrides && overrideOf(overrides, model)
  if (override === undefined) return byName(provider, model)
  const { like, ...rules } = override
  return { ...byName(provider, like ?? model), ...rules }
}

/** Whether the model is gone, or will be within a number of days from `now`, in milliseconds since 1970. */
export const endsWithin = ({ shutdown }: Rules, now: number, days: number): boolean => {
  const end = Option.getOrUndefined(Option.map(DateTime.make(shutdown ?? ""), DateTime.toEpochMillis))
  return end !== undefined && end <= now + days * 86_400_000
}

/** The efforts that are taken by an API; undefined where they are not known. */
export const effortsOf = (rules: Rules, api?: Api): ReadonlyArray<Effort> | undefined =>
  api !== "chat" || rules.responsesEfforts === undefined
    ? rules.efforts
    : rules.efforts?.filter((effort) => !rules.responsesEfforts?.includes(effort))

/**
 * The effort that is taken and nearest to the one asked for; of two the higher one. It is never `none` unless `none` was
 * asked for, and undefined where the model takes no efforts. Where nothing is known, it is the one asked for. Whether
 * `none` can be had in another way than as an effort, `thinkingOff` says.
 */
export const nearestEffort = (rules: Rules, asked: Effort, api?: Api): Effort | undefined => {
  const taken = effortsOf(rules, api)
  if (taken === undefined || taken.includes(asked)) return asked
  const distance = (effort: Effort): number => Math.abs(efforts.indexOf(effort) - efforts.indexOf(asked))
  return taken.filter((effort) => effort !== "none").reduce<Effort | undefined>(
    (best, effort) => best === undefined || distance(effort) <= distance(best) ? effort : best,
    undefined
  )
}

/**
 * The effort that a request has in the end: the one nearest to what it asks for, else the model's own. A model that
 * takes budgets in place of efforts thinks as far as it was asked to.
 */
export const effectiveEffort = (rules: Rules, asked?: Effort, api?: Api): Effort | undefined => {
  if (asked === "none" && rules.thinkingOff === true) return "none"
  if (asked !== undefined) {
    return nearestEffort(rules, asked, api) ?? (rules.thinking?.length === 0 ? "none" : asked)
  }
  return rules.thinksByDefault === false ? "none" : rules.defaultEffort
}

/** Whether no byte may come while the model thinks at what a request asks for. */
export const isSilent = (rules: Rules, asked?: Effort, api?: Api): boolean =>
  rules.silentThinking === true && effectiveEffort(rules, asked, api) !== "none"

const long: ReadonlyArray<Effort> = ["high", "xhigh", "max"]

/**
 * Whether many minutes of thinking are to be expected: from effort `high` on, and where the model thinks by itself and
 * its default effort is not known.
 */
export const thinksLong = (rules: Rules, asked?: Effort, api?: Api): boolean => {
  const effort = effectiveEffort(rules, asked, api)
  return effort === undefined ? rules.thinksByDefault === true : long.includes(effort)
}
