/**
 * Optional fields. An undefined field does not survive JSON, and makes a Schema's constructor throw.
 */

/** Allows `undefined` for optional fields. */

export type Optional<A> = { [K in keyof A]: {} extends Pick<A, K> ? A[K] | undefined : A[K] }

/** Removes undefined fields. */
export const defined = <A extends object>(fields: Optional<A>): A => {
  const kept: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) kept[name] = value
  return kept as A
}
