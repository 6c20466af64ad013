/**
 * Asks the next provider when one fails in a way that another may not: rate limits, outages, empty answers, spent
 * quotas, missing models, filters. Other failures, such as a request that no provider can understand, end the call.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { Anthropic, Fallback, Gemini, OpenAi, Retry } from "effect-llm"
 *
 * const Resilient = Fallback.layer([
 *   Retry.layer().pipe(Layer.provide(Anthropic.layerConfig())),
 *   { layer: OpenAi.layerConfig(), models: { "claude-opus-4-8": "gpt-5", "*": "gpt-5-mini" } },
 *   { layer: Gemini.layerConfig(), models: { "*": "gemini-3-flash" } }
 * ])
 * ```
 *
 * A completion that names no model gets the own model of whichever layer it comes to. One that names a model is sent
 * under that name to every layer, except where `models` says what the layer is asked for instead; give it for every
 * layer of another provider than the first, to which the name means nothing.
 *
 * The conversation may move between providers in the middle, tool calls included: each leaves out what only another one
 * can read. What a provider cannot take at all, such as images in its own turns, is `ClientError · Unsupported`, and the
 * next one is asked.
 *
 * A stream moves on only until its first part; from then on a failure ends it, and nothing is ever sent twice.
 *
 * Answers and errors keep the name of the provider that gave them, and have all failures before them in `attempts`.
 */
import * as Arr from "effect/Array"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as Completion from "./Completion.ts"
import * as CompletionPart from "./CompletionPart.ts"
import * as CompletionResponse from "./CompletionResponse.ts"
import { LLMClient, type Service } from "./LLMClient.ts"
import { type LLMError, withAttempts } from "./LLMError.ts"
import * as Check from "./middleware/options.ts"

/** One of the layers to choose from, and what it is asked for. */
export interface Member<E = unknown, R = unknown> {
  readonly layer: Layer.Layer<LLMClient, E, R>
  /**
   * The models that this layer is asked for, by those that completions name; `"*"` is every name that is not listed.
   * `undefined` asks for the layer's own model. A name without an entry is passed on as it is.
   */
  readonly models?: Readonly<Record<string, string | undefined>>
}

/** A layer alone is asked for the models that completions name. */
export type Choice<E = unknown, R = unknown> = Layer.Layer<LLMClient, E, R> | Member<E, R>

export interface Options {
  /** Whether the next layer is asked after this failure; `error.isFallbackable` unless set. */
  readonly when?: (error: LLMError) => boolean
}

type ErrorOf<C> = C extends Choice<infer E, unknown> ? E : never
type ServicesOf<C> = C extends Choice<unknown, infer R> ? R : never

const toMember = (choice: Choice, index: number): Member => {
  const member = Layer.isLayer(choice) ? { layer: choice as Member["layer"] } : choice as Member
  const option = `members[${index}]`
  if (!Layer.isLayer(member?.layer)) Check.refuse("Fallback", option, "a layer, or { layer, models }")
  Check.known(`Fallback ${option}`, member, ["layer", "models"])
  for (const [name, model] of Object.entries(member.models ?? {})) {
    const named = `${option}.models["${name}"]`
    if (model === "") Check.refuse("Fallback", named, "the name of a model, or undefined for the layer's own")
    if (name !== "*" && name.includes("*")) Check.refuse("Fallback", named, 'a whole name, or "*" for all others')
  }
  return member
}

const translate = ({ models = {} }: Member, completion: Completion.Completion): Completion.Completion => {
  const { model } = completion
  if (model === undefined) return completion
  const key = [model, "*"].find((name) => Object.hasOwn(models, name))
  return key === undefined ? completion : Completion.model(models[key])(completion)
}

/** A client and the request that it is sent. */
interface Step {
  readonly client: Service
  readonly translated: (completion: Completion.Completion) => Completion.Completion
}

type Steps = readonly [Step, ...ReadonlyArray<Step>]

const make = (steps: Steps, { when = ({ isFallbackable }) => isFallbackable }: Options): Service => {
  // What comes after a failure: the next step, when there is one and it may help.
  const next = (rest: ReadonlyArray<Step>, error: LLMError): Steps | undefined =>
    Arr.isReadonlyArrayNonEmpty(rest) && when(error) ? rest : undefined

  const moveOn = (from: Service, [to]: Steps, error: LLMError): Effect.Effect<void> =>
    Effect.annotateLogs(Effect.logWarning("falling back to the next provider"), {
      from: from.provider,
      to: to.client.provider,
      error: error.message
    })

  const complete = (
    [{ client, translated }, ...rest]: Steps,
    completion: Completion.Completion,
    failures: ReadonlyArray<LLMError>
  ): Effect.Effect<CompletionResponse.CompletionResponse, LLMError> =>
    Effect.matchEffect(client.completion(translated(completion)), {
      onSuccess: (response) => Effect.succeed(CompletionResponse.withAttempts(response, failures)),
      onFailure: (error) => {
        const steps = next(rest, error)
        return steps === undefined
          ? Effect.fail(withAttempts(error, failures))
          : Effect.andThen(moveOn(client, steps, error), complete(steps, completion, [...failures, error]))
      }
    })

  const stream = (
    [{ client, translated }, ...rest]: Steps,
    completion: Completion.Completion,
    failures: ReadonlyArray<LLMError>
  ): Stream.Stream<CompletionPart.CompletionPart, LLMError> =>
    Stream.suspend(() => {
      let started = false
      return client.stream(translated(completion)).pipe(
        Stream.mapArray((parts) => {
          started = true
          return failures.length === 0 ? parts : Arr.map(parts, (part) => CompletionPart.withAttempts(part, failures))
        }),
        Stream.catch((error) => {
          const steps = started ? undefined : next(rest, error)
          return steps === undefined
            ? Stream.fail(withAttempts(error, failures))
            : Stream.unwrap(
              Effect.as(moveOn(client, steps, error), stream(steps, completion, [...failures, error]))
            )
        })
      )
    })

  return {
    provider: "fallback",
    completion: (completion) => complete(steps, completion, []),
    stream: (completion) => stream(steps, completion, [])
  }
}

/**
 * A client that asks the layers one after the other, in their order, until one answers.
 *
 * Every layer is built, once, together with this one; where one cannot be built, such as for want of a key, this one
 * cannot either. An empty list is refused when the layer is built, as a defect.
 */
export const layer = <const Members extends readonly [Choice, ...ReadonlyArray<Choice>]>(
  members: Members,
  options: Options = {}
): Layer.Layer<LLMClient, ErrorOf<Members[number]>, ServicesOf<Members[number]>> =>
  // Not fresh: it decorates no client below, and like a provider's layer it is one for all that it is provided to. A
  // layer that stands in it twice, or in a Fallback or Router around as well, is built once: the memo map is that of all.
  Layer.fromBuildMemo((memoMap, scope) =>
    Effect.gen(function*() {
      Check.known("Fallback", options, ["when"])
      Check.callable("Fallback", "when", options.when)
      const steps = yield* Effect.forEach(members, (choice, index) => {
        const member = toMember(choice, index)
        return Effect.map(Layer.buildWithMemoMap(member.layer, memoMap, scope), (context): Step => ({
          client: Context.get(context, LLMClient),
          translated: (completion) => translate(member, completion)
        }))
      })
      const client = Arr.isReadonlyArrayNonEmpty(steps)
        ? make(steps, options)
        : Check.refuse("Fallback", "members", "at least one layer")
      return Context.make(LLMClient, client)
    })
  ) as Layer.Layer<LLMClient, ErrorOf<Members[number]>, ServicesOf<Members[number]>>
