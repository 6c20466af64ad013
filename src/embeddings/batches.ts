/**
 * Cuts texts into calls that a provider takes, and puts the answers together again.
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Completion from "../Completion.ts"
import type { Warning } from "../CompletionResponse.ts"
import * as Estimate from "../Estimate.ts"
import { Embedding, type Service } from "../LLMClient.ts"
import { LLMError, make as makeError } from "../LLMError.ts"
import * as Message from "../Message.ts"
import * as TokenUsage from "../TokenUsage.ts"
import type { Task, Vector } from "../vectors.ts"
import { placeIn } from "../wire/embeddings.ts"

/** A text that cannot be embedded; the others can. */
export class TextRefused extends Schema.TaggedError<TextRefused>("effect-llm/TextRefused")("TextRefused", {
  reason: Schema.Literals(["TooLong", "Empty"]),
  /** Its place among the texts of the call, from 0. */
  index: Schema.Int,
  /** How many characters it has. */
  characters: Schema.Int,
  /** What the provider said; absent where it was not asked. */
  error: Schema.optionalKey(LLMError)
}) {
  override get message(): string {
    const what = this.reason === "Empty" ? "is empty" : `is too long for the model (${this.characters} characters)`
    return `TextRefused: text ${this.index} ${what}${this.error === undefined ? "" : `: ${this.error.message}`}`
  }
  override toString(): string {
    return this.message
  }
}

/** What a call of a client embeds, and how. */
export interface Settings {
  readonly model: string | undefined
  readonly dimensions: number | undefined
  readonly task: Task | undefined
  readonly additionalParams: Completion.Completion["additionalParams"]
  readonly headers: Completion.Completion["headers"]
  /** The most that one call takes. */
  readonly most: { readonly texts: number; readonly tokens: number }
  readonly concurrency: number
}

/** Vectors in the order of their texts, and what they cost. */
export interface Embedded {
  readonly vectors: ReadonlyArray<Vector>
  /** Input tokens, as far as the provider counts them. */
  readonly usage: TokenUsage.TokenUsage
  /** The model that answered, as the provider names it. */
  readonly model?: string
  /** The provider's own figure, in US dollars, where it sends one. */
  readonly cost?: number
  /** What was left out of the request, since the model does not take it. */
  readonly warnings?: ReadonlyArray<Warning>
}

const together = (parts: ReadonlyArray<Embedded>): Embedded => {
  const { cost: _, usage: __, vectors: ___, ...first } = parts[0] ?? { vectors: [], usage: TokenUsage.zero }
  const costs = parts.flatMap(({ cost }) => cost ?? [])
  return {
    ...first,
    vectors: parts.flatMap(({ vectors }) => vectors),
    usage: parts.reduce((sum, { usage }) => TokenUsage.add(sum, usage), TokenUsage.zero),
    ...costs.length > 0 && { cost: costs.reduce((sum, cost) => sum + cost, 0) }
  }
}

// The limits and budgets around the client read this: as long as the texts, with an answer of no length.
const completionOf = (texts: ReadonlyArray<string>, { additionalParams, headers, model }: Settings) =>
  Completion.make({
    model,
    prompt: Message.user(texts.map((text) => Message.text(text))),
    maxTokens: 1,
    additionalParams,
    headers
  })

const noVectors = (provider: string, model = ""): LLMError =>
  makeError("ClientError", {
    provider,
    model,
    reason: "Unsupported",
    description: "this client makes no embeddings: give one of OpenAi, Gemini or OpenRouter"
  })

const call = (
  client: Service,
  texts: ReadonlyArray<string>,
  settings: Settings
): Effect.Effect<Embedded, LLMError> =>
  Effect.suspend(() => {
    const { dimensions, model, task } = settings
    const embedding: Embedding = { texts, dimensions, task, vectors: undefined }
    return Effect.flatMap(
      Effect.provideService(client.completion(completionOf(texts, settings)), Embedding, embedding),
      ({ cost, model: answered, usage, warnings }) =>
        embedding.vectors === undefined
          ? Effect.fail(noVectors(client.provider, model ?? client.model))
          : Effect.succeed({
            vectors: embedding.vectors,
            usage,
            ...answered !== undefined && { model: answered },
            ...cost !== undefined && { cost },
            ...warnings !== undefined && { warnings }
          })
    )
  })

/** A text and its place in the list that the caller gave. */
export interface Placed {
  readonly text: string
  readonly index: number
}

const refused = ({ index, text }: Placed, reason: TextRefused["reason"], error?: LLMError): TextRefused =>
  new TextRefused({ reason, index, characters: text.length, ...error !== undefined && { error } })

/** The texts without those that no model embeds. */
export const place = (
  texts: ReadonlyArray<string>
): { readonly texts: ReadonlyArray<Placed>; readonly empty: ReadonlyArray<TextRefused> } => {
  const all = texts.map((text, index): Placed => ({ text, index }))
  return {
    texts: all.filter(({ text }) => text !== ""),
    empty: all.filter(({ text }) => text === "").map((text) => refused(text, "Empty"))
  }
}

/** The texts in calls of which none has more than a provider takes, as far as an estimate can say. */
export const cut = (
  texts: ReadonlyArray<Placed>,
  { most }: Settings
): ReadonlyArray<Arr.NonEmptyReadonlyArray<Placed>> => {
  const calls: Array<Arr.NonEmptyArray<Placed>> = []
  let tokens = 0
  for (const text of texts) {
    const more = Estimate.ofCharacters(text.text.length)
    const last = calls.at(-1)
    if (last === undefined || last.length >= most.texts || tokens + more > most.tokens) {
      calls.push([text])
      tokens = more
    } else {
      last.push(text)
      tokens += more
    }
  }
  return calls
}

// Whether half of the texts may be taken where all of them are not.
const isTooMuch = ({ description, reason }: LLMError): boolean =>
  reason === "TooLarge" || (reason === "ContextWindow" && placeIn(description) === undefined)

/**
 * Embeds the texts of one call. Estimates may be wrong: what is too much at once is sent in halves, and so is a call of
 * which one text is too long where the provider does not say which.
 */
export const embed = (
  client: Service,
  texts: Arr.NonEmptyReadonlyArray<Placed>,
  settings: Settings
): Effect.Effect<Embedded, LLMError | TextRefused> =>
  Effect.catch(call(client, texts.map(({ text }) => text), settings), (error) => {
    if (texts.length > 1 && isTooMuch(error)) {
      const middle = Math.ceil(texts.length / 2)
      const halves = Arr.chunksOf(texts, middle)
      return Effect.map(Effect.forEach(halves, (half) => embed(client, half, settings)), together)
    }
    if (error.reason !== "ContextWindow" && error.reason !== "TooLarge") return Effect.fail(error)
    const text = texts[placeIn(error.description) ?? 0] ?? texts[0]
    return Effect.fail(refused(text, "TooLong", error))
  })

/** Embeds any number of texts; fails with the first that cannot be embedded. */
export const embedMany = (
  client: Service,
  texts: ReadonlyArray<string>,
  settings: Settings
): Effect.Effect<Embedded, LLMError | TextRefused> =>
  Effect.suspend(() => {
    const { empty: [empty], texts: placed } = place(texts)
    if (empty !== undefined) return Effect.fail(empty)
    return Effect.map(
      Effect.forEach(cut(placed, settings), (texts) => embed(client, texts, settings), {
        concurrency: settings.concurrency
      }),
      together
    )
  })

/** Embeds one of many texts: told of each what came of it. */
export type Told = (index: number, result: Effect.Effect<Vector, LLMError | TextRefused>) => Effect.Effect<void>

/** Embeds any number of texts for as many callers: one that cannot be embedded does not keep the others from it. */
export const embedEach = (
  client: Service,
  texts: ReadonlyArray<string>,
  settings: Settings,
  told: Told
): Effect.Effect<void> => {
  const tell = (texts: ReadonlyArray<Placed>): Effect.Effect<void> => {
    if (!Arr.isReadonlyArrayNonEmpty(texts)) return Effect.void
    return Effect.matchEffect(embed(client, texts, settings), {
      onSuccess: ({ vectors }) =>
        Effect.forEach(texts, ({ index }, place) => told(index, Effect.succeed(vectors[place]!)), { discard: true }),
      onFailure: (error) =>
        error._tag === "TextRefused"
          ? Effect.andThen(
            told(error.index, Effect.fail(error)),
            tell(texts.filter(({ index }) => index !== error.index))
          )
          : Effect.forEach(texts, ({ index }) => told(index, Effect.fail(error)), { discard: true })
    })
  }
  const { empty, texts: placed } = place(texts)
  return Effect.andThen(
    Effect.forEach(empty, (error) => told(error.index, Effect.fail(error)), { discard: true }),
    Effect.forEach(cut(placed, settings), tell, { concurrency: settings.concurrency, discard: true })
  )
}
