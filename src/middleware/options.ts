/**
 * Checks of the options that middleware takes. What cannot be kept is refused when the layer is built, as a defect that
 * names the option: a limit of 0 is a mistake in the program, not a failure to be handled.
 */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

/** Refuses an option: `refuse("Throttle", "concurrency", "a whole number of at least 1")`. */
export const refuse = (owner: string, option: string, give: string): never => {
  throw new Error(`${owner} ${option}: give ${give}`)
}

// Numbers and short texts are shown: what else was given is told by its type alone.
const shown = (value: unknown): string => {
  if (typeof value === "string") return value.length <= 40 ? JSON.stringify(value) : "a long text"
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "an array" : "an object"
  return typeof value === "function" ? "a function" : String(value)
}

const refuseValue = (owner: string, option: string, value: unknown, give: string): never =>
  refuse(owner, option, `${give}, not ${shown(value)}`)

/** Refuses what is not a whole number of at least `minimum`; undefined is an option that was left out. */
export const wholeNumber = (owner: string, option: string, value: number | undefined, minimum = 1): void => {
  if (value !== undefined && (!Number.isSafeInteger(value) || value < minimum)) {
    refuseValue(owner, option, value, `a whole number of at least ${minimum}`)
  }
}

/** Refuses what is not a number above 0; undefined is an option that was left out. */
export const positive = (owner: string, option: string, value: number | undefined): void => {
  if (value !== undefined && !(value > 0 && Number.isFinite(value))) {
    refuseValue(owner, option, value, "a number above 0")
  }
}

/** Whether this is a duration that can be waited for: readable, and not negative. */
export const isWait = (input: Duration.Input): boolean =>
  // Not a number would be read as no time at all.
  !Number.isNaN(input) && Option.exists(Duration.fromInput(input), (duration) => !Duration.isNegative(duration))

/** Refuses what cannot be waited for; undefined is an option that was left out. */
export const wait = (owner: string, option: string, value: Duration.Input | undefined): void => {
  if (value !== undefined && !isWait(value)) refuseValue(owner, option, value, "a duration that is not negative")
}

/** Refuses a duration that is no time at all; undefined is an option that was left out. */
export const duration = (owner: string, option: string, value: Duration.Input | undefined): void => {
  if (value !== undefined && (!isWait(value) || Duration.isZero(Duration.fromInputUnsafe(value)))) {
    refuseValue(owner, option, value, "a duration above 0")
  }
}

/** Refuses what is not a function; undefined is an option that was left out. */
export const callable = (owner: string, option: string, value: unknown): void => {
  if (value !== undefined && typeof value !== "function") refuseValue(owner, option, value, "a function")
}

/** Refuses what is not an object; undefined is an option that was left out. */
export const object = (owner: string, option: string, value: unknown): void => {
  if (value !== undefined && (typeof value !== "object" || value === null)) {
    refuseValue(owner, option, value, "an object")
  }
}

/** Refuses options that do not exist: one that is misspelt would limit nothing. */
export const known = (owner: string, options: object, names: ReadonlyArray<string>): void => {
  if (typeof options !== "object" || options === null) {
    refuseValue(owner, "options", options, `an object of ${names.join(", ")}`)
  }
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) refuse(owner, name, `one of ${names.join(", ")}`)
  }
}

/** Options as one Config; undefined options are left out. What is no Config is refused, or it would be read without end. */
export const configured = <A extends object>(owner: string, options: Config.Wrap<A> | undefined): Config.Config<A> => {
  if (Config.isConfig(options)) return options as Config.Config<A>
  const given = Object.entries(options ?? {}).filter(([, value]) => value !== undefined)
  for (const [name, value] of given) {
    if (typeof value !== "object" || value === null) refuseValue(owner, name, value, "a Config")
  }
  return Config.unwrap(Object.fromEntries(given) as unknown as Config.Wrap<A>)
}
