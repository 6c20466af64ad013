/**
 * Holds the types of what we encode against the request types of the official SDKs.
 *
 * Assignability alone does not look at fields that the SDK does not know, which is what a misspelled optional field is;
 * `Unknown` finds those.
 */

/** A type whose lists and fields are read-only all the way down, and whose enums are their values. */
export type Plain<T> = T extends string ? string extends T ? string : `${T}`
  : T extends object ? { readonly [K in keyof T]: Plain<T[K]> }
  : T

type KeyOf<T> = T extends unknown ? keyof T : never

type FieldOf<T, K> = T extends unknown ? K extends keyof T ? T[K] : never : never

// Of a union, the members that could be meant.
type Meant<A, B> = B extends unknown ? A extends B ? B : never : never

/** The names, anywhere in `Ours`, that `Theirs` does not know. */
export type Unknown<Ours, Theirs> = Ours extends ReadonlyArray<infer A>
  ? Theirs extends ReadonlyArray<infer B> ? Unknown<A, B> : never
  : Ours extends object ? unknown extends Theirs ? never : UnknownFields<Ours, Meant<Ours, Theirs>>
  : never

type Present<T> = Exclude<T, null | undefined>

// A field of type `never` is one that another member of a union has.
type UnknownFields<Ours, Theirs> = {
  [K in keyof Ours]-?: [Present<Ours[K]>] extends [never] ? never
    : K extends KeyOf<Theirs> ? Unknown<Present<Ours[K]>, Present<FieldOf<Theirs, K>>>
    : K
}[keyof Ours]

/** Takes only `never`: the call does not compile where there are unknown names, and the error shows them. */
export const none = <Names extends never>(): ReadonlyArray<Names> => []
