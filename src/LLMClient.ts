/**
 * The one service for calling language models. Providers are layers of it; so are retry and all other middleware,
 * which take an `LLMClient` and give a better one.
 *
 * ```ts
 * import { Console, Effect } from "effect"
 * import { Completion, LLMClient } from "effect-llm"
 *
 * const program = Effect.gen(function*() {
 *   const response = yield* LLMClient.completion(Completion.make({ prompt: "Why is the sky blue?" }))
 *   yield* Console.log(response.text)
 * })
 * ```
 *
 * `stream` gives the same answer as it arrives, in the parts of `CompletionPart`.
 */

import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Completion } from "./Completion.ts"
import type { CompletionPart } from "./CompletionPart.ts"
import type { CompletionResponse } from "./CompletionResponse.ts"
import * as Estimate from "./Estimate.ts"
import type { LLMError } from "./LLMError.ts"
import type { TokenUsage } from "./TokenUsage.ts"
import type { Task, Vector } from "./vectors.ts"

export class LLMClient extends Context.Service<LLMClient, {
  /** The name of this instance: "anthropic", "openai", "deepseek", "my-vllm". Errors, limits and caches go by it. */
  readonly provider: string
  /** The model of completions that name none, where the layer has one. */
  readonly model?: string
  /** Where the provider is, for telemetry. */
  readonly baseUrl?: string
  /** Runs a request and gives the whole answer. */
  readonly completion: (completion: Completion) => Effect.Effect<CompletionResponse, LLMError>
  /** Runs a request and gives the answer as it arrives; the last part holds all of it. */
  readonly stream: (completion: Completion) => Stream.Stream<CompletionPart, LLMError>
  /** The input tokens of a request as the provider counts them, where it can be asked. */
  readonly countTokens?: (completion: Completion) => Effect.Effect<number, LLMError>
  /** The most that one call of `Embeddings` sends here; absent where there are none, or where it depends on the call. */
  readonly embeds?: { readonly texts: number; readonly tokens: number }
}>()("effect-llm/LLMClient") {}

/** What an implementation of the service looks like. */
export type Service = LLMClient["Service"]

/** Runs a request with the `LLMClient` in the context. */
export const completion = (completion: Completion): Effect.Effect<CompletionResponse, LLMError, LLMClient> =>
  LLMClient.use((client) => client.completion(completion))

/**
 * Streams a request with the `LLMClient` in the context.
 *
 * `Finish` comes exactly once, last, with the answer that `completion` gives. A stream that fails has none; the error's
 * `partial` is the answer as far as it had come. Whoever stops reading closes the HTTP request.
 */
export const stream = (completion: Completion): Stream.Stream<CompletionPart, LLMError, LLMClient> =>
  Stream.unwrap(LLMClient.useSync((client) => client.stream(completion)))

/**
 * Streams a request, and waits for its first part: what fails before it is a failure of the effect, and the stream that
 * the effect gives begins with it. So a server can choose its status before it sends the first byte.
 *
 * The request goes on as long as the scope: whoever closes it ends the stream and the HTTP request.
 */
export const streamStarted = (
  completion: Completion
): Effect.Effect<Stream.Stream<CompletionPart, LLMError>, LLMError, LLMClient | Scope.Scope> =>
  Effect.gen(function*() {
    const { stream } = yield* LLMClient
    const pull = yield* Stream.toPull(stream(completion))
    const first = yield* Effect.catchIf(pull, Cause.isDone, () => Effect.undefined)
    const rest = Stream.fromPull(Effect.succeed(pull))
    return first === undefined ? Stream.empty : Stream.concat(Stream.fromArray(first), rest)
  })

const isUnsupported = ({ reason }: LLMError): boolean => reason === "Unsupported"

/**
 * The input tokens of a request: as the provider counts them where it can be asked, which takes a request, else by
 * `Estimate.inputTokens`.
 */
export const countTokens = (completion: Completion): Effect.Effect<number, LLMError, LLMClient> =>
  LLMClient.use(({ countTokens }) =>
    countTokens === undefined
      ? Effect.sync(() => Estimate.inputTokens(completion))
      : Effect.catchIf(
        countTokens(completion),
        isUnsupported,
        () => Effect.sync(() => Estimate.inputTokens(completion))
      )
  )

/**
 * Makes a middleware layer from a function that replaces some members of a client and keeps the rest.
 *
 * The function may give the members as an effect that makes them: what it fails with and requires is in the layer's
 * type, and resources of its scope live as long as the layer. What it throws is a defect of the layer.
 *
 * The layer is fresh: one value provided over two providers in one graph decorates each of them.
 */
export const middleware = <E = never, R = never>(
  f: (client: Service) => Partial<Service> | Effect.Effect<Partial<Service>, E, R>
): Layer.Layer<LLMClient, E, LLMClient | Exclude<R, Scope.Scope>> =>
  Layer.fresh(Layer.effect(
    LLMClient,
    Effect.gen(function*() {
      const client = yield* LLMClient
      const members = f(client)
      return { ...client, ...Effect.isEffect(members) ? yield* members : members }
    })
  ))

/** A layer of the service, with or without one below it. */
type AnyLayer = Layer.Layer<LLMClient, unknown, unknown>

type ErrorOf<L> = L extends Layer.Layer<infer _A, infer E, infer _R> ? E : never
type ServicesOf<L> = L extends Layer.Layer<infer _A, infer _E, infer R> ? R : never

/** What a stack requires: each layer gets its client from the next one, the last one from outside. */
type Requirements<Layers extends ReadonlyArray<AnyLayer>> = Layers extends
  readonly [...infer Outer extends ReadonlyArray<AnyLayer>, infer Inner]
  ? Exclude<ServicesOf<Outer[number]>, LLMClient> | ServicesOf<Inner>
  : never

/**
 * Makes one middleware of several: the first one stands outermost and gets a call first.
 *
 * ```ts
 * import { CircuitBreaker, LLMClient, Retry, Throttle } from "effect-llm"
 *
 * const careful = LLMClient.compose(Retry.layer(), CircuitBreaker.layer(), Throttle.layer({ concurrency: 8 }))
 * ```
 *
 * It is fresh as a whole: one value provided over two providers decorates each of them, with limits and circuits of its
 * own. (Layers that are put together with `Layer.provide` are not: the second provider would get the first one's.)
 */
export const compose = <const Layers extends readonly [AnyLayer, ...ReadonlyArray<AnyLayer>]>(
  ...layers: Layers
): Layer.Layer<LLMClient, ErrorOf<Layers[number]>, Requirements<Layers>> =>
  Layer.fresh(
    (layers as ReadonlyArray<AnyLayer>).reduce((outer, inner) => Layer.provide(outer, inner))
  ) as Layer.Layer<LLMClient, ErrorOf<Layers[number]>, Requirements<Layers>>

/**
 * How long a call may wait below a `Fallback` while another member is ready. There is one value for each call of a
 * member; the last member's has no limits, and so it says no more than that the call is below a Fallback.
 */
export interface Patience {
  /**
   * Milliseconds of waiting that are left to backoffs, queues and circuits together. Whoever is about to wait for longer
   * fails at once instead; whoever waits takes its wait off.
   */
  waiting: number
  /** The longest wait for the first byte of the answer, in milliseconds. */
  readonly firstByte: number
  /**
   * Whether the Fallback moves on after this failure: where it does not, nothing is gained by failing early. Absent, it
   * moves on after every failure that is fallbackable.
   */
  readonly when?: (error: LLMError) => boolean
}

/** The patience of the call that runs; `undefined` where there is no Fallback above. */
export const Patience = Context.Reference<Patience | undefined>("effect-llm/LLMClient/Patience", {
  defaultValue: () => undefined
})

/** When the call that runs must be over: the `deadline` of a `Fallback` or a `Retry` around it. */
export interface Deadline {
  /** Milliseconds since the epoch. Whoever is about to wait until then or longer fails at once instead. */
  readonly at: number
  /** What a call had cost that the deadline cut: whoever is interrupted adds the attempts that it knows of. */
  readonly attempts: Array<LLMError>
}

/** The deadline of the call that runs; `undefined` where there is none. */
export const Deadline = Context.Reference<Deadline | undefined>("effect-llm/LLMClient/Deadline", {
  defaultValue: () => undefined
})

/** What the provider has reported of the call that runs: for whoever settles a call that its caller leaves. */
export interface Reported {
  /** The usage so far; undefined while nothing is known. Set by the provider's layer, read when the call is left. */
  usage: () => TokenUsage | undefined
}

/** The place where the provider's layer puts what was reported; `undefined` where nobody asks. */
export const Reported = Context.Reference<Reported | undefined>("effect-llm/LLMClient/Reported", {
  defaultValue: () => undefined
})

/**
 * What a call embeds, where it completes nothing. `Embeddings` sends texts as the `completion` that they are the prompt
 * of, so that retries, limits, budgets and circuits hold for them as they are; the provider's layer sees this, and puts
 * the vectors here.
 */
export interface Embedding {
  readonly texts: ReadonlyArray<string>
  readonly dimensions: number | undefined
  readonly task: Task | undefined
  /** One for each text, once the call is answered. */
  vectors: ReadonlyArray<Vector> | undefined
}

/** What the call that runs embeds; `undefined` for a completion. */
export const Embedding = Context.Reference<Embedding | undefined>("effect-llm/LLMClient/Embedding", {
  defaultValue: () => undefined
})
