/**
 * Converts files and cache marks between the `FilePart` of effect/ai and our media, with the options of effect/ai's
 * provider packages.
 */
import * as Prompt from "effect/ai/Prompt"
import * as Base64 from "effect/encoding/Base64"
import type * as Schema from "effect/Schema"
import * as Message from "../Message.ts"
import { isObject, object } from "../wire/json.ts"

export interface Marked {
  readonly cache?: Message.CacheHint
}

/** The cache mark of the first options that have one. */
export const fromCache = (...options: ReadonlyArray<Prompt.ProviderOptions>): Marked => {
  for (const { anthropic } of options) {
    const control = object(anthropic)["cacheControl"]
    if (isObject(control)) {
      const { ttl } = control
      return { cache: ttl === "5m" || ttl === "1h" ? { ttl } : {} }
    }
  }
  return {}
}

export const toCache = ({ cache }: Marked): Prompt.ProviderOptions =>
  cache === undefined ? {} : { anthropic: { cacheControl: { type: "ephemeral", ...cache } } }

// How the base64 of an image begins, for files with the media type `image/*`.
const beginnings = { iVBOR: "image/png", "/9j/": "image/jpeg", R0lGOD: "image/gif", UklGR: "image/webp" } as const

const found = (data: string): string =>
  Object.entries(beginnings).find(([start]) => data.startsWith(start))?.[1] ?? "image/jpeg"

const dataUrl = /^data:([^;,]+);base64,(.*)$/s

const sourceOf = ({ data, mediaType }: Prompt.FilePart): Message.Source => {
  const wild = mediaType.endsWith("/*")
  if (data instanceof URL) return Message.url(data.href, wild ? undefined : mediaType)
  const text = typeof data === "string" ? data : Base64.encode(data)
  if (/^https?:\/\//.test(text)) return Message.url(text, wild ? undefined : mediaType)
  const [, type, inner] = dataUrl.exec(text) ?? []
  return Message.base64(inner ?? text, type ?? (wild ? found(text) : mediaType))
}

/** The kind of a file: "image", "audio", "application". */
export const kindOf = ({ mediaType }: Prompt.FilePart): string => mediaType.split("/")[0]!

export const toImage = (part: Prompt.FilePart, marked: Marked = {}): Message.Image => {
  const { imageDetail } = object(part.options["openai"])
  const detail = imageDetail === "low" || imageDetail === "high" || imageDetail === "auto" ? imageDetail : undefined
  return Message.image(sourceOf(part), { detail, ...marked })
}

export const fromFile = (part: Prompt.FilePart, marked: Marked): Message.UserContent => {
  switch (kindOf(part)) {
    case "image":
      return toImage(part, marked)
    case "audio":
      return Message.audio(sourceOf(part), marked)
    case "video":
      return Message.video(sourceOf(part), marked)
    default: {
      const { citations, documentTitle } = object(part.options["anthropic"])
      return Message.document(sourceOf(part), {
        title: typeof documentTitle === "string" ? documentTitle : part.fileName,
        citations: object(citations)["enabled"] === true ? true : undefined,
        ...marked
      })
    }
  }
}

export type Media = Extract<Message.UserContent, { readonly source: Message.Source }>

const anyOf = { Image: "image/*", Audio: "audio/*", Video: "video/*", Document: "application/pdf" } as const

const dataOf = (source: Message.Source): string | URL => {
  switch (source._tag) {
    case "Base64":
      return source.data
    case "FileId":
      return source.id
    case "Url":
      return URL.canParse(source.url) ? new URL(source.url) : source.url
  }
}

export const toFile = (content: Media): Prompt.FilePart => {
  const { source } = content
  const title = content._tag === "Document" ? content.title : undefined
  const cache = toCache(content)
  return Prompt.filePart({
    mediaType: source._tag === "FileId" ? anyOf[content._tag] : source.mediaType ?? anyOf[content._tag],
    ...(title !== undefined && { fileName: title }),
    data: dataOf(source),
    options: {
      ...cache,
      ...(content._tag === "Image" && content.detail !== undefined && { openai: { imageDetail: content.detail } }),
      ...(content._tag === "Document" && content.citations === true && {
        anthropic: { ...object(cache["anthropic"]) as Schema.JsonObject, citations: { enabled: true } }
      })
    }
  })
}
