/**
 * What `npm run fuzz` is given.
 */

/** The number that a text is; refuses every other text, which would run no case and pass. */
export const numberOf = (name: string, text: string | undefined, least: number): number | undefined => {
  if (text === undefined) return undefined
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
  if (value >= least && value < 2 ** 32) return value
  throw new Error(`${name} is no number of at least ${least}: ${text}`)
}
