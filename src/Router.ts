/**
 * Chooses the provider by the name of the model: one client for an application whose users choose models freely.
 *
 * ```ts
 * import { Anthropic, Gemini, OpenAi, OpenRouter, Router } from "effect-llm"
 *
 * const AnyModel = Router.layer({
 *   "claude-*": Anthropic.layerConfig(),
 *   "gpt-*": OpenAi.layerConfig(),
 *   "gemini-*": Gemini.layerConfig(),
 *   // OpenRouter itself knows "openrouter/meta/llama-4" as "meta/llama-4"
 *   "openrouter/*": { layer: OpenRouter.layerConfig(), model: (name) => name.slice("openrouter/".length) }
 * })
 * ```
 *
 * `*` stands for any text, even none; all else stands for itself, letter case included. No name may match two patterns,
 * so that their order means nothing.
 *
 * A layer is built when its first request comes, once, and lives as long as the router: a provider that nobody asks for
 * needs no key. A build that fails fails the request, and the next request tries again.
 *
 * A name that no pattern matches, and a completion without a name, fail as `ClientError · NotFound`. That is fallbackable,
 * so `Fallback.layer([Router.layer(routes), rest])` has `rest` for them. A name of more than 512 characters is refused.
 */

import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Completion from "./Completion.ts"
import { LLMClient, type Service } from "./LLMClient.ts"
import { isLLMError, type LLMError, make as makeError } from "./LLMError.ts"
import * as Check from "./middleware/options.ts"
import * as Pattern from "./middleware/patterns.ts"

/** The layer for the models of a pattern, and what it is asked for. */
export interface Route<E = unknown, R = unknown> {
  readonly layer: Layer.Layer<LLMClient, E, R>
  /** The name by which this layer knows a model; undefined asks for the layer's own model. */
  readonly model?: (name: string) => string | undefined
}

/** A layer alone is asked for the models as completions name them. */
export type Target<E = unknown, R = unknown> = Layer.Layer<LLMClient, E, R> | Route<E, R>

type ServicesOf<T> = T extends Target<unknown, infer R> ? R : never

const provider = "router"

// ---------------------------------------------------------------------------------------------------------------------
// Patterns
// ---------------------------------------------------------------------------------------------------------------------

/** The longest name that a request may name, and the longest pattern: names come from users, and are kept and logged. */
const longest = 512

const toRoute = (pattern: string, target: Target): Route => {
  const route = Layer.isLayer(target) ? { layer: target as Route["layer"] } : target as Route
  const option = `routes["${pattern}"]`
  if (!Layer.isLayer(route?.layer)) Check.refuse("Router", option, "a layer, or { layer, model }")
  Check.known(`Router ${option}`, route, ["layer", "model"])
  Check.callable("Router", `${option}.model`, route.model)
  return route
}

const checkPatterns = (patterns: ReadonlyArray<string>): void => {
  if (patterns.length === 0) Check.refuse("Router", "routes", "at least one pattern")
  for (const [index, pattern] of patterns.entries()) {
    if (pattern === "") Check.refuse("Router", "routes", "patterns that are not empty")
    if (pattern.length > longest) Check.refuse("Router", "routes", `patterns of at most ${longest} characters`)
    const other = patterns.slice(0, index).find((earlier) => Pattern.overlap(earlier, pattern))
    if (other !== undefined) {
      Check.refuse("Router", "routes", `patterns that share no name, unlike "${other}" and "${pattern}"`)
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Routes
// ---------------------------------------------------------------------------------------------------------------------

const notFound = (model: string | undefined, patterns: ReadonlyArray<string>): LLMError =>
  makeError("ClientError", {
    provider,
    model: model ?? "",
    reason: "NotFound",
    description: `${
      model === undefined ? "the completion names no model" : "no route for this model"
    }: name one that matches ${patterns.join(", ")}`
  })

const tooLong = (model: string): LLMError =>
  makeError("ClientError", {
    provider,
    model: `${model.slice(0, 64)}…`,
    reason: "InvalidRequest",
    description: `the name of a model has at most ${longest} characters, not ${model.length}`
  })

const cannotCount = ({ model = "" }: Completion.Completion, { provider }: Service): LLMError =>
  makeError("ClientError", {
    provider,
    model,
    reason: "Unsupported",
    description: "this provider does not count tokens before a call: use Estimate.inputTokens"
  })

// What is wrong with a configuration names no values; of any other error no more is told than its name.
const notBuilt = (pattern: string, model: string, error: unknown): LLMError => {
  if (isLLMError(error)) return error
  const configuration = error instanceof Config.ConfigError
  const { _tag, name } = Object(error) as { readonly _tag?: unknown; readonly name?: unknown }
  return makeError("ClientError", {
    provider,
    model,
    // Most often a key is missing; another provider may have one.
    reason: configuration ? "Authentication" : "InvalidRequest",
    description: `the route ${pattern} could not be built: ${
      configuration ? error.cause.message : String(_tag ?? name ?? "its layer failed")
    }`
  })
}

// Layers that are built when they are first asked for, each once. A build belongs to the scope around, not to whoever
// asks: those that stop waiting do not stop it for others.
const lazily = Effect.fnUntraced(function*(memoMap: Layer.MemoMap, scope: Scope.Scope) {
  const context = yield* Effect.context<unknown>()
  return (layer: Layer.Layer<LLMClient, unknown, unknown>): Effect.Effect<Effect.Effect<Service, unknown>> =>
    Layer.buildWithMemoMap(layer, memoMap, scope).pipe(
      Effect.map((built) => Context.get(built, LLMClient)),
      Effect.provideContext(context),
      Effect.cachedWithTTL((exit) => Exit.isSuccess(exit) ? Duration.infinity : Duration.zero),
      Effect.map((cached) => Effect.flatMap(Effect.forkIn(cached, scope), Fiber.join))
    )
})

/** What answers to a pattern. */
interface Built {
  readonly pattern: string
  readonly matches: (name: string) => boolean
  readonly model: NonNullable<Route["model"]>
  readonly client: Effect.Effect<Service, unknown>
}

const make = (routes: ReadonlyArray<Built>): Service => {
  // The client for a completion, and the completion as that one is to get it.
  const routed = (completion: Completion.Completion) =>
    Effect.gen(function*() {
      const { model } = completion
      if (model !== undefined && model.length > longest) return yield* tooLong(model)
      const route = routes.find((route) => route.matches(model ?? ""))
      if (model === undefined || route === undefined) {
        return yield* notFound(model, routes.map(({ pattern }) => pattern))
      }
      const client = yield* Effect.mapError(route.client, (error) => notBuilt(route.pattern, model, error))
      return { client, completion: Completion.model(route.model(model))(completion) }
    })

  return {
    provider,
    completion: (completion) =>
      Effect.flatMap(routed(completion), ({ client, completion }) => client.completion(completion)),
    stream: (completion) =>
      Stream.unwrap(Effect.map(routed(completion), ({ client, completion }) => client.stream(completion))),
    // Which layers can count is known when they are built.
    countTokens: (completion) =>
      Effect.flatMap(
        routed(completion),
        ({ client, completion }) => client.countTokens?.(completion) ?? Effect.fail(cannotCount(completion, client))
      )
  }
}

/**
 * A client that chooses among layers by the model that a completion names. Patterns that share a name are refused when
 * the layer is built, as a defect that names both, and so is a record without any.
 *
 * The router itself always can be built: what keeps a layer from being built fails the requests for it, as
 * `ClientError · Authentication` where it is the configuration, else as `ClientError · InvalidRequest`.
 */
export const layer = <const Routes extends Readonly<Record<string, Target>>>(
  routes: Routes
): Layer.Layer<LLMClient, never, ServicesOf<Routes[keyof Routes]>> =>
  // Not fresh: it decorates no client below, and like a provider's layer it is one for all that it is provided to. A
  // layer that stands in several routes, or in a Fallback around, is built once: the memo map is that of all.
  Layer.fromBuildMemo((memoMap, scope) =>
    Effect.gen(function*() {
      checkPatterns(Object.keys(routes))
      const lazy = yield* lazily(memoMap, scope)
      const built = yield* Effect.forEach(Object.entries<Target>(routes), ([pattern, target]) => {
        const route = toRoute(pattern, target)
        return Effect.map(lazy(route.layer), (client): Built => ({
          pattern,
          matches: Pattern.matches(pattern),
          model: route.model ?? ((name) => name),
          client
        }))
      })
      return Context.make(LLMClient, make(built))
    })
  ) as Layer.Layer<LLMClient, never, ServicesOf<Routes[keyof Routes]>>
