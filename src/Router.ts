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
 * `*` matches any text, even an empty one; everything else matches itself, case-sensitively. No name may match two
 * patterns, so their order does not matter.
 *
 * A layer is built once, for its first request, and lives as long as the router: an unused provider needs no key. If the
 * build fails, the request fails, and the next request tries again.
 *
 * A name that no pattern matches, and a completion without a name, fail as `ClientError · NotFound`. That is fallbackable,
 * so `Fallback.layer([Router.layer(routes), rest])` sends them to `rest`. A name of more than 512 characters is refused.
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

/** The layer for the models of a pattern, and its model names. */
export interface Route<E = unknown, R = unknown> {
  readonly layer: Layer.Layer<LLMClient, E, R>
  /** This layer's name for a model; undefined means the layer's default model. */
  readonly model?: (name: string) => string | undefined
}

/** A plain layer receives the model names of completions unchanged. */
export type Target<E = unknown, R = unknown> = Layer.Layer<LLMClient, E, R> | Route<E, R>

type ServicesOf<T> = T extends Target<unknown, infer R> ? R : never

const provider = "router"

// ---------------------------------------------------------------------------------------------------------------------
// Patterns
// ---------------------------------------------------------------------------------------------------------------------

/** The longest model name and pattern: names may come from users, and are stored and logged. */
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
  for (const pattern of patterns) {
    if (pattern === "") Check.refuse("Router", "routes", "patterns that are not empty")
    if (pattern.length > longest) Check.refuse("Router", "routes", `patterns of at most ${longest} characters`)
  }
  const pair = Pattern.overlapping(patterns)
  if (pair !== undefined) {
    Check.refuse("Router", "routes", `patterns that share no name, unlike "${pair[0]}" and "${pair[1]}"`)
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

// The message of a configuration error contains no values. Of any other error only the name is used.
const notBuilt = (pattern: string, model: string, error: unknown): LLMError => {
  if (isLLMError(error)) return error
  const configuration = error instanceof Config.ConfigError
  const { _tag, name } = Object(error) as { readonly _tag?: unknown; readonly name?: unknown }
  return makeError("ClientError", {
    provider,
    model,
    // Usually a key is missing; another provider may have one.
    reason: configuration ? "Authentication" : "InvalidRequest",
    description: `the route ${pattern} could not be built: ${
      configuration ? error.cause.message : String(_tag ?? name ?? "its layer failed")
    }`
  })
}

// Layers that are built once, when they are first used. A build belongs to the outer scope: a caller that stops waiting
// does not stop it for others.
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

/** The route of a pattern. */
interface Built {
  readonly pattern: string
  readonly matches: (name: string) => boolean
  readonly model: NonNullable<Route["model"]>
  readonly client: Effect.Effect<Service, unknown>
}

const make = (routes: ReadonlyArray<Built>): Service => {
  // The client for a completion, and the completion with the client's name for the model.
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
    // Whether a layer can count is only known when it is built.
    countTokens: (completion) =>
      Effect.flatMap(
        routed(completion),
        ({ client, completion }) => client.countTokens?.(completion) ?? Effect.fail(cannotCount(completion, client))
      )
  }
}

/**
 * A client that chooses a layer by the model of a completion. Patterns that share a name are a defect of the layer that
 * names both; an empty record is a defect too.
 *
 * The router itself can always be built. If one of its layers cannot, requests for it fail as
 * `ClientError · Authentication` for a configuration error, otherwise as `ClientError · InvalidRequest`.
 */
export const layer = <const Routes extends Readonly<Record<string, Target>>>(
  routes: Routes
): Layer.Layer<LLMClient, never, ServicesOf<Routes[keyof Routes]>> =>
  // Not fresh: it decorates no client below, so it is shared like a provider's layer. The memo map is shared too, so a
  // layer that is used in several routes, or in an outer Fallback, is built once.
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
