/**
 * Facts about models: limits, supported settings, how they think, when they are shut down.
 *
 * The rules are those of the model's family. The name is recognized behind a gateway, with a region or a date:
 * `anthropic/claude-opus-5.5`, `us.anthropic.claude-opus-5-5-v1:0`, `ft:gpt-4.1-mini:org::id`. A newer name than the
 * tables know gets the rules of the newest model of its line, marked as `assumed`. A missing field is unknown and
 * restricts nothing; an unknown name has no fields.
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

/** Overrides for one model. `like` starts from the rules of another name, for example for a deployment on Azure. */
export interface Override extends Partial<Rules> {
  readonly like?: string
}

/** By the exact name of a model as it is sent, or by a prefix such as `my-models/*`. The longest key wins. */
export type Overrides = Readonly<Record<string, Override>>

/** The rules of an unknown name: empty. */
export const unknown: Rules = {}

/** Whether the name was recognized. */
export const isKnown = (rules: Rules): boolean => rules.family !== undefined

const linesOf = (name: string): ReadonlyArray<Line> =>
  name.startsWith("claude-")
    ? anthropic
    : name.startsWith("gpt-") || /^o\d/.test(name)
    ? openai
    : name.startsWith("gemini-")
    ? google
    : compatible

// A number further ahead is a slip: "claude-opus-50" is not the fiftieth Opus.
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
 * The rules of a model; empty for an unknown or invalid name. `provider` is the service (`anthropic`, `openai`,
 * `gemini`, `openrouter`, `groq`, ...). It only matters if its rules differ from the vendor's; any other name is fine.
 */
export const find = (provider: string, model: string, overrides?: Overrides): Rules => {
  const override = overrides && overrideOf(overrides, model)
  if (override === undefined) return byName(provider, model)
  const { like, ...rules } = override
  return { ...byName(provider, like ?? model), ...rules }
}

/** Whether the model was shut down, or will be within `days` from `now` (milliseconds since 1970). */
export const endsWithin = ({ shutdown }: Rules, now: number, days: number): boolean => {
  const end = Option.getOrUndefined(Option.map(DateTime.make(shutdown ?? ""), DateTime.toEpochMillis))
  return end !== undefined && end <= now + days * 86_400_000
}

/** The efforts that an API supports; undefined if unknown. */
export const effortsOf = (rules: Rules, api?: Api): ReadonlyArray<Effort> | undefined =>
  api !== "chat" || rules.responsesEfforts === undefined
    ? rules.efforts
    : rules.efforts?.filter((effort) => !rules.responsesEfforts?.includes(effort))

/**
 * The nearest supported effort; the higher one of two. Never `none` unless `none` was asked for; undefined if the model
 * does not support efforts. If the efforts are unknown, the one asked for. `thinkingOff` tells whether thinking can be
 * turned off without an effort.
 */
export const nearestEffort = (rules: Rules, asked: Effort, api?: Api): Effort | undefined => {
  const supported = effortsOf(rules, api)
  if (supported === undefined || supported.includes(asked)) return asked
  const distance = (effort: Effort): number => Math.abs(efforts.indexOf(effort) - efforts.indexOf(asked))
  return supported.filter((effort) => effort !== "none").reduce<Effort | undefined>(
    (best, effort) => best === undefined || distance(effort) <= distance(best) ? effort : best,
    undefined
  )
}

/**
 * The effort that a request results in: the nearest one to the requested one, or the model's default. A model with
 * budgets instead of efforts thinks as requested.
 */
export const effectiveEffort = (rules: Rules, asked?: Effort, api?: Api): Effort | undefined => {
  if (asked === "none" && rules.thinkingOff === true) return "none"
  if (asked !== undefined) {
    return nearestEffort(rules, asked, api) ?? (rules.thinking?.length === 0 ? "none" : asked)
  }
  return rules.thinksByDefault === false ? "none" : rules.defaultEffort
}

/** Whether no byte may arrive while the model thinks at this effort. */
export const isSilent = (rules: Rules, asked?: Effort, api?: Api): boolean =>
  rules.silentThinking === true && effectiveEffort(rules, asked, api) !== "none"

const long: ReadonlyArray<Effort> = ["high", "xhigh", "max"]

/**
 * Whether the model may think for many minutes: from effort `high` on, and if it thinks by default at an unknown
 * effort.
 */
export const thinksLong = (rules: Rules, asked?: Effort, api?: Api): boolean => {
  const effort = effectiveEffort(rules, asked, api)
  return effort === undefined ? rules.thinksByDefault === true : long.includes(effort)
}
