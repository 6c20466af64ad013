/**
 * Turns texts into vectors that can be compared, for search, clustering and classification. It uses the `LLMClient` of
 * a provider, so that keys, retries, limits, budgets and the simulator work as for completions.
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { EmbeddingModel } from "effect/ai/EmbeddingModel"
 * import { LLMClient, OpenAi, Retry, Throttle } from "effect-llm"
 * import * as Embeddings from "effect-llm/Embeddings"
 *
 * const Model = Embeddings.layer({ model: "text-embedding-3-small", dimensions: 512 }).pipe(
 *   Layer.provide(LLMClient.compose(Retry.layer(), Throttle.layer({ concurrency: 4 }))),
 *   Layer.provide(OpenAi.layerConfig())
 * )
 *
 * const program = Effect.gen(function*() {
 *   const model = yield* EmbeddingModel
 *   return yield* model.embedMany(["a red fox", "a grey wolf"])
 * }).pipe(Effect.provide(Model))
 * ```
 */

import * as Model from "effect/ai/EmbeddingModel"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as RequestResolver from "effect/RequestResolver"
import type { Completion } from "./Completion.ts"
import { failWith } from "./embeddings/aiError.ts"
import * as Batches from "./embeddings/batches.ts"
import { LLMClient, type Service } from "./LLMClient.ts"
import type { LLMError } from "./LLMError.ts"
import * as Check from "./middleware/options.ts"
import type { Task } from "./vectors.ts"

export {
  type Failure,
  /** What an `AiError` of an embedding was made of: a `TextRefused`, or an `LLMError`. */
  failureOf
} from "./embeddings/aiError.ts"
export { type Embedded, TextRefused } from "./embeddings/batches.ts"
export type { Task, Vector } from "./vectors.ts"

export interface Options {
  /** The provider's name of the embedding model. Without it, the client's default is used. */
  readonly model?: string | undefined
  /** The number of dimensions, if the model supports several; its own number unless given. */
  readonly dimensions?: number | undefined
  /** The purpose of the vectors. A model without this task embeds the plain text, with a warning. */
  readonly task?: Task | undefined
  /** The limits of one call; the provider's own unless given. */
  readonly batch?: { readonly texts?: number | undefined; readonly tokens?: number | undefined } | undefined
  /** How many calls run at the same time, if one is not enough; 4 unless given. */
  readonly concurrency?: number | undefined
  /** Merged over the provider's body, for example `user` or OpenRouter's `provider`. */
  readonly additionalParams?: Completion["additionalParams"] | undefined
  /** Additional HTTP headers. */
  readonly headers?: Completion["headers"] | undefined
}

const owner = "Embeddings"

const names = {
  model: true,
  dimensions: true,
  task: true,
  batch: true,
  concurrency: true,
  additionalParams: true,
  headers: true
} satisfies Record<keyof Options, true>

const check = (options: Options): void => {
  Check.known(owner, options, Object.keys(names))
  Check.known(`${owner} batch`, options.batch ?? {}, ["texts", "tokens"])
  Check.wholeNumber(owner, "dimensions", options.dimensions)
  Check.wholeNumber(owner, "concurrency", options.concurrency)
  Check.wholeNumber(owner, "batch.texts", options.batch?.texts)
  Check.wholeNumber(owner, "batch.tokens", options.batch?.tokens)
}

// Limits that every provider accepts.
const fewest = { texts: 100, tokens: 12_000 }

const settingsOf = ({ embeds = fewest }: Service, options: Options, task: Task | undefined): Batches.Settings => ({
  model: options.model,
  dimensions: options.dimensions,
  task: task ?? options.task,
  additionalParams: options.additionalParams,
  headers: options.headers,
  concurrency: options.concurrency ?? 4,
  most: { texts: options.batch?.texts ?? embeds.texts, tokens: options.batch?.tokens ?? embeds.tokens }
})

const CurrentTask = Context.Reference<Task | undefined>("effect-llm/Embeddings/Task", { defaultValue: () => undefined })

/**
 * Sets the purpose of the vectors that an effect makes, instead of the layer's `task`: for example when one model
 * embeds the documents, and later the questions.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { EmbeddingModel } from "effect/ai/EmbeddingModel"
 * import * as Embeddings from "effect-llm/Embeddings"
 *
 * const question = EmbeddingModel.use((model) => model.embed("Which animal howls?")).pipe(Embeddings.task("query"))
 * ```
 */
export const task = (task: Task) => <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(self, CurrentTask, task)

/**
 * Embeds texts with the `LLMClient` in the context, in as many calls as the provider's limits require. Fails with
 * `TextRefused`, which tells which text is too long or empty, or like any call to a provider.
 */
export const embedMany = (
  texts: ReadonlyArray<string>,
  options: Options = {}
): Effect.Effect<Batches.Embedded, LLMError | Batches.TextRefused, LLMClient> =>
  Effect.gen(function*() {
    check(options)
    const client = yield* LLMClient
    return yield* Batches.embedMany(client, texts, settingsOf(client, options, yield* CurrentTask))
  })

/** The `EmbeddingModel` of effect/ai over a client. An invalid option is a defect that names it. */
export const make = (client: Service, options: Options = {}): Effect.Effect<Model.EmbeddingModel> =>
  Effect.gen(function*() {
    check(options)
    const made = yield* Model.make({
      embedMany: ({ inputs }) =>
        Effect.flatMap(CurrentTask, (task) => Batches.embedMany(client, inputs, settingsOf(client, options, task)))
          .pipe(
            Effect.map(({ usage, vectors }) => ({
              results: vectors.map((vector) => [...vector]),
              usage: { inputTokens: usage.totalTokens === 0 ? undefined : usage.inputTokens }
            })),
            Effect.catch(failWith("embedMany"))
          )
    })
    // Concurrent calls of `embed` are sent as one request, and fail separately.
    const resolver = RequestResolver.makeGrouped<Model.EmbeddingRequest, Task | undefined>({
      key: ({ context }) => Context.get(context, CurrentTask),
      resolver: (entries, task) =>
        Batches.embedEach(
          client,
          entries.map(({ request }) => request.input),
          settingsOf(client, options, task),
          (index, result) =>
            result.pipe(
              Effect.map((vector) => new Model.EmbedResponse({ vector })),
              Effect.catch(failWith("embed")),
              Effect.exit,
              Effect.map((exit) => entries[index]!.completeUnsafe(exit))
            )
        )
    }).pipe(RequestResolver.withSpan("EmbeddingModel.resolver"))
    return {
      ...made,
      resolver,
      embed: (input) =>
        Effect.withSpan(Effect.request(new Model.EmbeddingRequest({ input }), resolver), "EmbeddingModel.embed")
    }
  })

/** The services of the layer: also the number of dimensions, if it is set. */
export type Given<O extends Options> =
  | Model.EmbeddingModel
  | (O extends { readonly dimensions: number } ? Model.Dimensions : never)

/**
 * The `EmbeddingModel` of effect/ai over the `LLMClient` below, and its `Dimensions` if `dimensions` is set. Concurrent
 * calls of `embed` are sent as one request.
 */
export const layer = <const O extends Options>(
  options: O = {} as O
): Layer.Layer<Given<O>, never, LLMClient> =>
  Layer.fresh(Layer.effectContext(Effect.gen(function*() {
    const model = yield* make(yield* LLMClient, options)
    const context = Context.make(Model.EmbeddingModel, model)
    return (options.dimensions === undefined
      ? context
      : Context.add(context, Model.Dimensions, options.dimensions)) as Context.Context<Given<O>>
  })))
