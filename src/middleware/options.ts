/**
 * Checks of middleware options. An invalid option is a defect that names it when the layer is built: a limit of 0 is a
 * mistake in the program, not a failure to handle.
 */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

/** Refuses an option: `refuse("Throttle", "concurrency", "a whole number of at least 1")`. */
export const refuse = (owner: string, option: string, give: string): never => {
  throw new Error(`${owner} ${option}: give ${give}`)
}

// Shows numbers and short texts, and only the type of everything else.
const shown = (value: unknown): string => {
  if (typeof value === "string") return value.length <= 40 ? JSON.stringify(value) : "a long text"
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "an array" : "an object"
  return typeof value === "function" ? "a function" : String(value)
}

const refuseValue = (owner: string, option: string, value: unknown, give: string): never =>
  refuse(owner, option, `${give}, not ${shown(value)}`)

/** Refuses everything but a whole number of at least `minimum`; undefined is an option that was left out. */
export const wholeNumber = (owner: string, option: string, value: number | undefined, minimum = 1): void => {
  if (value !== undefined && (!Number.isSafeInteger(value) || value < minimum)) {
    refuseValue(owner, option, value, `a whole number of at least ${minimum}`)
  }
}

/** Refuses everything but a number above 0; undefined is an option that was left out. */
export const positive = (owner: string, option: string, value: number | undefined): void => {
  if (value !== undefined && !(value > 0 && Number.isFinite(value))) {
    refuseValue(owner, option, value, "a number above 0")
  }
}

/** Whether this is a valid duration that is not negative. */
export const isWait = (input: Duration.Input): boolean =>
  // NaN would be read as 0.
  !Number.isNaN(input) && Option.exists(Duration.fromInput(input), (duration) => !Duration.isNegative(duration))

/** Refuses an invalid or negative duration; undefined is an option that was left out. */
export const wait = (owner: string, option: string, value: Duration.Input | undefined): void => {
  if (value !== undefined && !isWait(value)) refuseValue(owner, option, value, "a duration that is not negative")
}

/** Refuses everything but a duration above 0; undefined is an option that was left out. */
export const duration = (owner: string, option: string, value: Duration.Input | undefined): void => {
  if (value !== undefined && (!isWait(value) || Duration.isZero(Duration.fromInputUnsafe(value)))) {
    refuseValue(owner, option, value, "a duration above 0")
  }
}

/** Refuses everything but a function; undefined is an option that was left out. */
export const callable = (owner: string, option: string, value: unknown): void => {
  if (value !== undefined && typeof value !== "function") refuseValue(owner, option, value, "a function")
}

/** Refuses everything but an object; undefined is an option that was left out. */
export const object = (owner: string, option: string, value: unknown): void => {
  if (value !== undefined && (typeof value !== "object" || value === null)) {
    refuseValue(owner, option, value, "an object")
  }
}

/** Refuses unknown options: a misspelt one would have no effect. */
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
