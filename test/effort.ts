/**
 * How much the tests do. `npm test` takes a sample of what is large; `npm run test:slow` runs the files that use this
 * module again, with all of it.
 */

/** Whether everything is to be done. */
export const full: boolean = process.env["TEST_SLOW"] === "1"

/** How many runs a property, or another sweep, has: so many in `npm test`, and so many in `npm run test:slow`. */
export const runs = (sampled: number, all: number): number => full ? all : sampled

/** Every so many-th of a list in `npm test`, beginning anywhere in it, and all of it in `npm run test:slow`. */
export const sample = <A>(every: number, all: ReadonlyArray<A>, first = 0): ReadonlyArray<A> =>
  full ? all : all.filter((_, index) => index % every === first % every)
