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
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import type { Completion } from "./Completion.ts"
import type { CompletionPart } from "./CompletionPart.ts"
import type { CompletionResponse } from "./CompletionResponse.ts"
import type { LLMError } from "./LLMError.ts"

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
 * Makes a middleware layer from a function that replaces some members of a client and keeps the rest.
 *
 * The layer is fresh: one value provided over two providers in one graph decorates each of them.
 */
export const middleware = (f: (client: Service) => Partial<Service>): Layer.Layer<LLMClient, never, LLMClient> =>
  Layer.fresh(Layer.effect(LLMClient, Effect.map(LLMClient, (client) => ({ ...client, ...f(client) }))))

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
}

/** The patience of the call that runs; `undefined` where there is no Fallback above. */
export const Patience = Context.Reference<Patience | undefined>("effect-llm/LLMClient/Patience", {
  defaultValue: () => undefined
})
