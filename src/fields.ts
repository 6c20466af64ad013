/**
 * Fields that may be absent: what is undefined would not survive JSON, and makes a schema's constructor throw.
 */

/** The same fields, of which those that may be absent may be undefined too. */

export type Optional<A> = { [K in keyof A]: {} extends Pick<A, K> ? A[K] | undefined : A[K] }

/** The fields that are not undefined. */
export const defined = <A extends object>(fields: Optional<A>): A => {
  const kept: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) kept[name] = value
  return kept as A
}
