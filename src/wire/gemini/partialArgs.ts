/**
 * Puts the arguments of a call together that come in pieces, each with the path of its value (`$.place.city`,
 * `$.days[0]`). What does not fit together is no arguments at all. Sources: Gemini API reference, "FunctionCall",
 * "PartialArg"; RFC 9535.
 */
import { array, isObject, type JsonRecord, object, put } from "../json.ts"

type Segment = string | number

/** Arguments that come in pieces. */
export interface PartialArgs {
  /** Takes in pieces; gives false when they do not fit to those before. */
  readonly add: (pieces: unknown) => boolean
  /** Whether a text waits for its next piece. */
  readonly waits: () => boolean
  readonly value: () => JsonRecord
}

const longestPath = 4096
const deepestPath = 256

// `.name`, `[0]`, `['name']` or `["name"]`.
const step = /\.([^.[\]'"]+)|\[(\d{1,9})\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]/y

/** The steps of a path; undefined when it does not lead to a single value. */
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

// A value of a piece; undefined when it has none.
const valueOf = (piece: JsonRecord): { readonly value: unknown } | undefined => {
  for (const key of ["stringValue", "numberValue", "boolValue"]) {
    if (piece[key] !== undefined && piece[key] !== null) return { value: piece[key] }
  }
  return "nullValue" in piece ? { value: null } : undefined
}

type Container = Record<string, unknown> | Array<unknown>

const isContainer = (value: unknown): value is Container => Array.isArray(value) || isObject(value)

// Where a segment leads in a container; undefined when it can lead nowhere. Lists grow by one at a time.
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

  // The container of a value and its key there, with everything on the way to it.
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
    // The end of a list, which is all that comes of one without items.
    const ends = path.endsWith("[]")
    const segments = parse(ends ? path.slice(0, -2) : path)
    if (segments === undefined) return false
    const given = valueOf(piece)
    const more = piece["willContinue"] === true
    if (segments.length === 0) return given === undefined
    const name = JSON.stringify(segments)
    if (waiting.has(name)) {
      if (!more) waiting.delete(name)
      if (given === undefined) return true
      const [container, key] = locate(segments)!
      if (typeof given.value !== "string") return false
      set(container, key, String(get(container, key)) + given.value)
      return true
    }
    if (given === undefined && more) return true
    const place = locate(segments)
    if (place === undefined) return false
    const [container, key] = place
    // Where there is a value, a piece without one says that it is whole.
    if (has(container, key)) return given === undefined
    set(container, key, given === undefined ? (ends ? [] : {}) : given.value)
    if (more && typeof given?.value === "string") waiting.add(name)
    return true
  }

  return {
    add: (pieces) => array(pieces).every((piece) => addOne(object(piece))),
    waits: () => waiting.size > 0,
    value: () => root
  }
}
