/**
 * Assembles the arguments of a call from pieces, each with the path of its value (`$.place.city`, `$.days[0]`). Pieces
 * that contradict each other make the call fail. Sources: Gemini API reference, "FunctionCall", "PartialArg"; RFC 9535.
 */
import { array, isObject, type JsonRecord, object, put } from "../json.ts"

type Segment = string | number

/** Arguments that arrive in pieces. */
export interface PartialArgs {
  /** Adds pieces; false when they contradict the earlier ones. */
  readonly add: (pieces: unknown) => boolean
  /** Whether a text is still incomplete. */
  readonly waits: () => boolean
  readonly value: () => JsonRecord
}

const longestPath = 4096
const deepestPath = 256

// `.name`, `[0]`, `['name']` or `["name"]`.
const step = /\.([^.[\]'"]+)|\[(\d{1,9})\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]/y

/** The segments of a path; undefined when it does not identify a single value. */
const parse = (path: string): ReadonlyArray<Segment> | undefined => {
  if (!path.startsWith("$") || path.length > longestPath) return undefined
  const segments: Array<Segment> = []
  step.lastIndex = 1
  while (step.lastIndex < path.length) {
    const match = step.exec(path)
    if (match === null || segments.length >= deepestPath) return undefined
    const [, name, position, single, double] = match
    segments.push(
      position === undefined ? name ?? (single ?? double ?? "").replaceAll(/\\(.)/g, "$1") : Number(position)
    )
  }
  return segments
}

// The value of a piece, if it has one.
const valueOf = (piece: JsonRecord): { readonly value: unknown } | undefined => {
  for (const key of ["stringValue", "numberValue", "boolValue"]) {
    if (piece[key] !== undefined && piece[key] !== null) return { value: piece[key] }
  }
  return "nullValue" in piece ? { value: null } : undefined
}

type Container = Record<string, unknown> | Array<unknown>

const isContainer = (value: unknown): value is Container => Array.isArray(value) || isObject(value)

// The key for a segment in a container; undefined when they do not match. Lists grow by one item at a time.
const keyIn = (container: Container, segment: Segment): Segment | undefined => {
  if (!Array.isArray(container)) return typeof segment === "string" ? segment : undefined
  const position = typeof segment === "number" ? segment : /^\d{1,9}$/.test(segment) ? Number(segment) : undefined
  return position !== undefined && position <= container.length ? position : undefined
}

const has = (container: Container, key: Segment): boolean => Object.hasOwn(container, key)

const get = (container: Container, key: Segment): unknown => (container as Record<Segment, unknown>)[key]

const set = (container: Container, key: Segment, value: unknown): void => {
  if (Array.isArray(container)) container[key as number] = value
  else put(container, String(key), value)
}

export const partialArgs = (): PartialArgs => {
  const root: Record<string, unknown> = {}
  const waiting = new Set<string>()

  // The container and the key of a value. Creates the containers above it.
  const locate = (segments: ReadonlyArray<Segment>): readonly [Container, Segment] | undefined => {
    let container: Container = root
    for (let index = 0; index < segments.length; index++) {
      const key = keyIn(container, segments[index]!)
      if (key === undefined) return undefined
      if (index === segments.length - 1) return [container, key]
      if (!has(container, key)) set(container, key, typeof segments[index + 1] === "number" ? [] : {})
      const next = get(container, key)
      if (!isContainer(next)) return undefined
      container = next
    }
    return undefined
  }

  const addOne = (piece: JsonRecord): boolean => {
    const path = typeof piece["jsonPath"] === "string" ? piece["jsonPath"] : ""
    // The end of a list, which is the only piece of an empty one.
    const ends = path.endsWith("[]")
    const segments = parse(ends ? path.slice(0, -2) : path)
    if (segments === undefined) return false
    const found = valueOf(piece)
    const more = piece["willContinue"] === true
    if (segments.length === 0) return found === undefined
    const name = JSON.stringify(segments)
    if (waiting.has(name)) {
      if (!more) waiting.delete(name)
      if (found === undefined) return true
      const [container, key] = locate(segments)!
      if (typeof found.value !== "string") return false
      set(container, key, String(get(container, key)) + found.value)
      return true
    }
    if (found === undefined && more) return true
    const place = locate(segments)
    if (place === undefined) return false
    const [container, key] = place
    // After a value, a piece without one marks its end.
    if (has(container, key)) return found === undefined
    set(container, key, found === undefined ? (ends ? [] : {}) : found.value)
    if (more && typeof found?.value === "string") waiting.add(name)
    return true
  }

  return {
    add: (pieces) => array(pieces).every((piece) => addOne(object(piece))),
    waits: () => waiting.size > 0,
    value: () => root
  }
}
