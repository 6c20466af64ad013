/**
 * Base URLs: the part of a URL that comes before the path of a request.
 */

const withoutSlashes = (path: string): string => {
  let end = path.length
  while (path[end - 1] === "/") end--
  return path.slice(0, end)
}

/** The path without the first of these endings that matches, and without trailing slashes. */
export const withoutEnding = (path: string, endings: ReadonlyArray<string>): string => {
  const trimmed = withoutSlashes(path)
  const ending = endings.find((ending) => trimmed.endsWith(ending))
  return ending === undefined ? trimmed : withoutSlashes(trimmed.slice(0, -ending.length))
}

/** Origin and path of a base URL, without its query. */
export const baseOf = (url: URL): string => url.origin + withoutSlashes(url.pathname)
