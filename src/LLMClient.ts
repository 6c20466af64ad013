/**
 * The service for calling language models. Providers are layers of it; so are retry and all other middleware, which
 * wrap an `LLMClient`.
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
  /** The name of this instance, for errors, limits and caches: "anthropic", "openai", "deepseek", "my-vllm". */
  readonly provider: string
  /** The default model, if the layer has one. */
  readonly model?: string
  /** The address of the provider, for telemetry. */
  readonly baseUrl?: string
  /** Runs a request and returns the whole answer. */
  readonly completion: (completion: Completion) => Effect.Effect<CompletionResponse, LLMError>
  /** Runs a request and streams the answer; the last part contains all of it. */
  readonly stream: (completion: Completion) => Stream.Stream<CompletionPart, LLMError>
  /** The input tokens of a request as counted by the provider; absent if it cannot count. */
  readonly countTokens?: (completion: Completion) => Effect.Effect<number, LLMError>
  /** The limits of one call of `Embeddings`; absent if there are no embeddings, or if it depends on the call. */
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
 * `Finish` comes exactly once, last, with the answer that `completion` returns. A stream that fails has none; the
 * error's `partial` is the answer so far. A reader that stops closes the HTTP request.
 */
export const stream = (completion: Completion): Stream.Stream<CompletionPart, LLMError, LLMClient> =>
  Stream.unwrap(LLMClient.useSync((client) => client.stream(completion)))

/**
 * Streams a request, and waits for its first part. A failure before it is a failure of the effect; the returned stream
 * begins with it. A server can thus choose its HTTP status before it sends the first byte.
 *
 * Closing the scope ends the stream and the HTTP request.
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
 * The input tokens of a request: counted by the provider if it can, which takes a request, else `Estimate.inputTokens`.
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
 * The function may return the members in an effect. Its errors and requirements are in the layer's type, and resources in
 * its scope live as long as the layer. What it throws is a defect of the layer.
 *
 * The layer is fresh: one value that is provided over two providers in one graph decorates each of them.
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

/** The requirements of a stack: each layer gets its client from the next one, the last one from outside. */
type Requirements<Layers extends ReadonlyArray<AnyLayer>> = Layers extends
  readonly [...infer Outer extends ReadonlyArray<AnyLayer>, infer Inner]
  ? Exclude<ServicesOf<Outer[number]>, LLMClient> | ServicesOf<Inner>
  : never

/**
 * Combines several middleware into one: the first is the outermost and gets a call first.
 *
 * ```ts
 * import { CircuitBreaker, LLMClient, Retry, Throttle } from "effect-llm"
 *
 * const careful = LLMClient.compose(Retry.layer(), CircuitBreaker.layer(), Throttle.layer({ concurrency: 8 }))
 * ```
 *
 * It is fresh as a whole: one value that is provided over two providers decorates each of them, with separate limits and
 * circuits. (Layers that are combined with `Layer.provide` are not: the second provider would share the first one's.)
 */
export const compose = <const Layers extends readonly [AnyLayer, ...ReadonlyArray<AnyLayer>]>(
  ...layers: Layers
): Layer.Layer<LLMClient, ErrorOf<Layers[number]>, Requirements<Layers>> =>
  Layer.fresh(
    (layers as ReadonlyArray<AnyLayer>).reduce((outer, inner) => Layer.provide(outer, inner))
  ) as Layer.Layer<LLMClient, ErrorOf<Layers[number]>, Requirements<Layers>>

/**
 * How long a call may wait below a `Fallback` while another member is ready. Each call of a member has its own value. The
 * last member's has no limits: it only shows that the call is below a Fallback.
 */
export interface Patience {
  /**
   * The remaining milliseconds of waiting for backoffs, queues and circuits together. A layer that would wait for longer
   * fails at once instead; one that waits subtracts its wait.
   */
  waiting: number
  /** The longest wait for the first byte of the answer, in milliseconds. */
  readonly firstByte: number
  /**
   * Whether the Fallback moves on after this failure: if not, failing early is useless. Without it, the Fallback moves on
   * after every fallbackable failure.
   */
  readonly when?: (error: LLMError) => boolean
}

/** The patience of the current call; `undefined` without a Fallback above. */
export const Patience = Context.Reference<Patience | undefined>("effect-llm/LLMClient/Patience", {
  defaultValue: () => undefined
})

/** When the current call must end: the `deadline` of an outer `Fallback` or `Retry`. */
export interface Deadline {
  /** Epoch milliseconds. A layer that would wait until then or longer fails at once instead. */
  readonly at: number
  /** The attempts of a call that the deadline ended: each interrupted layer adds those that it knows. */
  readonly attempts: Array<LLMError>
}

/** The deadline of the current call; `undefined` if it has none. */
export const Deadline = Context.Reference<Deadline | undefined>("effect-llm/LLMClient/Deadline", {
  defaultValue: () => undefined
})

/** What the provider has reported about the current call, for settling a call that its caller leaves. */
export interface Reported {
  /** The usage so far, if any. Set by the provider's layer, read when the caller leaves. */
  usage: () => TokenUsage | undefined
}

/** Where the provider's layer puts the reported usage; `undefined` if nobody reads it. */
export const Reported = Context.Reference<Reported | undefined>("effect-llm/LLMClient/Reported", {
  defaultValue: () => undefined
})

/**
 * The texts that a call embeds. `Embeddings` sends them as a `completion` with the texts as its prompt, so that retries,
 * limits, budgets and circuits apply unchanged. The provider's layer reads this, and puts the vectors here.
 */
export interface Embedding {
  readonly texts: ReadonlyArray<string>
  readonly dimensions: number | undefined
  readonly task: Task | undefined
  /** One for each text, after the call. */
  vectors: ReadonlyArray<Vector> | undefined
}

/** What the current call embeds; `undefined` for a completion. */
export const Embedding = Context.Reference<Embedding | undefined>("effect-llm/LLMClient/Embedding", {
  defaultValue: () => undefined
})
