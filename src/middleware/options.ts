/**
 * Checks of the options that middleware takes. What cannot be kept is refused when the layer is built, as a defect that
 * names the option: a limit of 0 is a mistake in the program, not a failure to be handled.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

/** Refuses an option: `refuse("Throttle", "concurrency", "a whole number of at least 1")`. */
export const refuse = (owner: string, option: string, give: string): never => {
  throw new Error(`${owner} ${option}: give ${give}`)
}

/** Refuses what is no whole number of at least `minimum`; undefined is an option that was left out. */
export const wholeNumber = (owner: string, option: string, value: number | undefined, minimum = 1): void => {
  if (value !== undefined && (!Number.isSafeInteger(value) || value < minimum)) {
    refuse(owner, option, `a whole number of at least ${minimum}`)
  }
}

/** Refuses what is no number above 0; undefined is an option that was left out. */
export const positive = (owner: string, option: string, value: number | undefined): void => {
  if (value !== undefined && !(value > 0 && Number.isFinite(value))) refuse(owner, option, "a number above 0")
}

/** Whether this is a duration that can be waited for: readable, and not negative. */
export const isWait = (input: Duration.Input): boolean =>
  // Not a number would be read as no time at all.
  !Number.isNaN(input) && Option.exists(Duration.fromInput(input), (duration) => !Duration.isNegative(duration))

/** Refuses what cannot be waited for; undefined is an option that was left out. */
export const wait = (owner: string, option: string, value: Duration.Input | undefined): void => {
  if (value !== undefined && !isWait(value)) refuse(owner, option, "a duration that is not negative")
}

/** Refuses a duration that is no time at all; undefined is an option that was left out. */
export const duration = (owner: string, option: string, value: Duration.Input | undefined): void => {
  if (value !== undefined && (!isWait(value) || Duration.isZero(Duration.fromInputUnsafe(value)))) {
    refuse(owner, option, "a duration above 0")
  }
}

/** Refuses what is no function; undefined is an option that was left out. */
export const callable = (owner: string, option: string, value: unknown): void => {
  if (value !== undefined && typeof value !== "function") refuse(owner, option, "a function")
}

/** Refuses what is no object; undefined is an option that was left out. */
export const object = (owner: string, option: string, value: unknown): void => {
  if (value !== undefined && (typeof value !== "object" || value === null)) refuse(owner, option, "an object")
}

/** Refuses options that do not exist: one that is misspelt would limit nothing. */
export const known = (owner: string, options: object, names: ReadonlyArray<string>): void => {
  if (typeof options !== "object" || options === null) refuse(owner, "options", `an object of ${names.join(", ")}`)
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) refuse(owner, name, `one of ${names.join(", ")}`)
  }
}
