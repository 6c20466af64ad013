/**
 * Asks the next provider after a failure that another one may not have: rate limits, outages, empty answers, exhausted
 * quotas, missing models, filters. Other failures, for example an invalid request, end the call.
 *
 * ```ts
 * import { Anthropic, Fallback, Gemini, LLMClient, OpenAi, Retry } from "effect-llm"
 *
 * const Resilient = Fallback.layer([
 *   LLMClient.compose(Retry.layer(), Anthropic.layerConfig()),
 *   { layer: OpenAi.layerConfig(), models: { "claude-opus-5-5": "gpt-6-sol", "*": "gpt-6-luna" } },
 *   { layer: Gemini.layerConfig(), models: { "*": "gemini-3.8-flash" } }
 * ])
 * ```
 *
 * - A completion without a model uses the default model of each layer. Give `models` for every layer that does not know
 *   the model names of the first one.
 * - While another member is ready, waiting is worse than moving on: all but the last have little patience (`patience`).
 * - A stream moves on only until its first part; after it, a failure ends the stream.
 * - Answers and errors keep the name of the provider that gave them, and have all earlier failures in `attempts`.
 *
 * The guide `docs/failover.md` says what each option costs.
 */

import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as Completion from "./Completion.ts"
import type * as CompletionPart from "./CompletionPart.ts"
import type * as CompletionResponse from "./CompletionResponse.ts"
import * as Estimate from "./Estimate.ts"
import { Deadline as CurrentDeadline, LLMClient, Patience as CurrentPatience, type Service } from "./LLMClient.ts"
import type { LLMError } from "./LLMError.ts"
import * as Attempts from "./middleware/attempts.ts"
import * as Deadline from "./middleware/deadline.ts"
import * as Check from "./middleware/options.ts"
import * as Patience from "./middleware/patience.ts"

/** One of the layers, and its model names. */
export interface Member<E = unknown, R = unknown> {
  readonly layer: Layer.Layer<LLMClient, E, R>
  /**
   * This layer's models, by the models that completions name; `"*"` stands for every name that is not listed. `undefined`
   * means the layer's default model. A name without an entry is passed on unchanged.
   */
  readonly models?: Readonly<Record<string, string | undefined>>
}

/** A plain layer receives the model names of completions unchanged. */
export type Choice<E = unknown, R = unknown> = Layer.Layer<LLMClient, E, R> | Member<E, R>

/** How long each member but the last may wait. */
export interface PatienceOptions {
  /** All waits of one member together: backoffs, hints, queues. 10 seconds unless given. */
  readonly waiting?: Duration.Input | undefined
  /**
   * The wait for the first byte of the answer, plus a second for every 5,000 estimated tokens of the request. 12 seconds
   * unless given. (Not for models that send nothing while they think.)
   */
  readonly firstByte?: Duration.Input | undefined
}

export interface Options {
  /** Whether the next member is asked after this failure: `whenFallbackable` unless given. */
  readonly when?: ((error: LLMError) => boolean) | undefined
  /** How long each member but the last may wait; `false` gives each of them its full policies. */
  readonly patience?: PatienceOptions | false | undefined
  /**
   * The longest time for all members together, or for a stream until its first part. A call that is still running then
   * fails as `Transient · Timeout`. A wait that would end later is not started, and the call fails with its own failure.
   * No limit unless given.
   */
  readonly deadline?: Duration.Input | undefined
}

/** The default for `when`: whenever another provider or model may still succeed. */
export const whenFallbackable = (error: LLMError): boolean => error.isFallbackable

/** For `when`: the same, but not after a provider's content filter. */
export const notContentFilter = (error: LLMError): boolean => error.isFallbackable && error.reason !== "ContentFilter"

/** For `when`: only temporary failures (rate limits, outages, empty answers); not a missing key or an exhausted quota. */
export const whenPassing = ({ _tag }: LLMError): boolean => _tag !== "ClientError"

type ErrorOf<C> = C extends Choice<infer E, unknown> ? E : never
type ServicesOf<C> = C extends Choice<unknown, infer R> ? R : never

const toMember = (choice: Choice, index: number): Member => {
  const member = Layer.isLayer(choice) ? { layer: choice as Member["layer"] } : choice as Member
  const option = `members[${index}]`
  if (!Layer.isLayer(member?.layer)) Check.refuse("Fallback", option, "a layer, or { layer, models }")
  Check.known(`Fallback ${option}`, member, ["layer", "models"])
  for (const [name, model] of Object.entries(member.models ?? {})) {
    const named = `${option}.models["${name}"]`
    if (model === "") Check.refuse("Fallback", named, "the name of a model, or undefined for the layer's default")
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

/** A member that is built. */
interface Step {
  readonly client: Service
  readonly translated: (completion: Completion.Completion) => Completion.Completion
  readonly refusals: Patience.Refusals
}

type Steps = readonly [Step, ...ReadonlyArray<Step>]

/** One request to one member. */
interface Request {
  readonly client: Service
  readonly completion: Completion.Completion
  /** Its model; empty if none is named. */
  readonly model: string
  readonly refusals: Patience.Refusals
}

const requestTo = ({ client, refusals, translated }: Step, completion: Completion.Completion): Request => {
  const own = translated(completion)
  return { client, completion: own, model: own.model ?? client.model ?? "", refusals }
}

/** One call: the remaining members, and the failures so far. */
interface Call {
  readonly outer: CurrentPatience | undefined
  readonly bound: Deadline.Bound
  /** The current member, and those after it. */
  requests: readonly [Request, ...ReadonlyArray<Request>]
  readonly failures: Array<LLMError>
}

const tooLong: ReadonlySet<string> = new Set(["ContextWindow", "TooLarge"])

/** Whether the same model of the same provider has refused a request of this size. */
const wasTooLong = (failures: ReadonlyArray<LLMError>, provider: string, model: string): boolean =>
  model !== "" &&
  failures.some(({ attempts = [], ...error }) =>
    tooLong.has(error.reason) && error.provider === provider && error.model === model ||
    wasTooLong(attempts, provider, model)
  )

interface Settings {
  readonly when: (error: LLMError) => boolean
  readonly figures: { readonly waiting: number; readonly firstByte: number } | undefined
  readonly within: Duration.Duration
}

const settingsOf = ({ deadline, patience = {}, when = whenFallbackable }: Options): Settings => {
  const millis = (given: Duration.Input | undefined, otherwise: Duration.Input) =>
    Duration.toMillis(Duration.fromInputUnsafe(given ?? otherwise))
  return {
    when,
    figures: patience === false ? undefined : {
      waiting: millis(patience.waiting, "10 seconds"),
      firstByte: millis(patience.firstByte, "12 seconds")
    },
    within: Duration.fromInputUnsafe(deadline ?? Duration.infinity)
  }
}

// A model has to read the request before it can answer.
const millisPerToken = 1_000 / 5_000

const make = (steps: Steps, { figures, when, within }: Settings): Service => {
  const begin = (completion: Completion.Completion): Effect.Effect<Call> =>
    Effect.gen(function*() {
      return {
        outer: yield* CurrentPatience,
        bound: yield* Deadline.begin(within),
        requests: Arr.map(steps, (step) => requestTo(step, completion)),
        failures: []
      }
    })

  const patienceOf = ({ outer, requests: [request, ...others] }: Call): Effect.Effect<CurrentPatience> =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      const ready = others.some(({ model, refusals }) => !refusals.isOpen(model, now))
      if (figures === undefined || !ready) return Patience.inherited(outer)
      const reading = Math.round(Estimate.inputTokens(request.completion) * millisPerToken)
      return Patience.limited(outer, { waiting: figures.waiting, firstByte: figures.firstByte + reading, when })
    })

  /** Whether to ask the next member after this failure; if so, it becomes the current one. */
  const moveOn = (call: Call, error: LLMError): Effect.Effect<boolean> =>
    Effect.gen(function*() {
      const [{ client, model, refusals }, ...others] = call.requests
      refusals.note(model, error, yield* Clock.currentTimeMillis)
      if (!when(error)) return false
      const rest = others.filter((other) => !wasTooLong([...call.failures, error], other.client.provider, other.model))
      if (!Arr.isReadonlyArrayNonEmpty(rest)) return false
      call.requests = rest
      call.failures.push(error)
      yield* Effect.annotateLogs(Effect.logWarning("falling back to the next provider"), {
        from: client.provider,
        to: rest[0].client.provider,
        error: error.message
      })
      return true
    })

  const answered = ({ requests: [{ model, refusals }] }: Call): void => refusals.note(model, undefined, 0)

  const bounded = <A, E, R>(self: Effect.Effect<A, E, R>, call: Call) =>
    Deadline.bounded(self, call.bound, {
      owner: "Fallback",
      provider: () => call.requests[0].client.provider,
      model: () => call.requests[0].model,
      failures: () => call.failures
    })

  const complete = (call: Call): Effect.Effect<CompletionResponse.CompletionResponse, LLMError> =>
    Effect.flatMap(patienceOf(call), (patience) => {
      const [{ client, completion }] = call.requests
      return client.completion(completion).pipe(
        Effect.provideService(CurrentPatience, patience),
        Effect.provideService(CurrentDeadline, call.bound.deadline),
        Effect.matchEffect({
          onSuccess: (response) => {
            answered(call)
            return Effect.succeed(Attempts.ofResponse(response, call.failures))
          },
          onFailure: (error) =>
            Effect.flatMap(
              moveOn(call, error),
              (moves) => moves ? complete(call) : Effect.fail(Attempts.ofError(error, call.failures))
            )
        })
      )
    })

  const stream = (call: Call): Stream.Stream<CompletionPart.CompletionPart, LLMError> => {
    let started = false
    const from = (): Stream.Stream<CompletionPart.CompletionPart, LLMError> =>
      Stream.unwrap(Effect.map(patienceOf(call), (patience) => {
        const [{ client, completion }] = call.requests
        return client.stream(completion).pipe(
          Stream.provideService(CurrentPatience, patience),
          Stream.provideService(CurrentDeadline, call.bound.deadline),
          Stream.mapArray((parts) => {
            if (!started) answered(call)
            started = true
            return call.failures.length === 0
              ? parts
              : Arr.map(parts, (part) => Attempts.ofPart(part, call.failures))
          }),
          Stream.catch((error) =>
            Stream.unwrap(Effect.map(
              started ? Effect.succeed(false) : moveOn(call, error),
              (moves) => moves ? from() : Stream.fail(Attempts.ofError(error, call.failures))
            ))
          )
        )
      }))
    return call.bound.deadline === undefined
      ? from()
      : Stream.transformPull(from(), (pull) => {
        const first = bounded(pull, call)
        return Effect.succeed(Effect.suspend(() => started ? pull : first))
      })
  }

  // Skips members that cannot count, or that fail in a fallbackable way.
  const counting = steps.flatMap(({ client: { countTokens }, translated }) =>
    countTokens === undefined
      ? []
      : [(completion: Completion.Completion) => countTokens(translated(completion))]
  )
  const counted = Arr.isReadonlyArrayNonEmpty(counting)
    ? (completion: Completion.Completion) =>
      counting.slice(1).reduce(
        (asked, next) => Effect.catchIf(asked, when, () => next(completion)),
        counting[0](completion)
      )
    : undefined

  return {
    provider: "fallback",
    ...counted !== undefined && { countTokens: counted },
    completion: (completion) => Effect.flatMap(begin(completion), (call) => bounded(complete(call), call)),
    stream: (completion) => Stream.unwrap(Effect.map(begin(completion), stream))
  }
}

const check = (options: Options): void => {
  Check.known("Fallback", options, ["when", "patience", "deadline"])
  const { deadline, patience, when } = options
  Check.callable("Fallback", "when", when)
  Check.duration("Fallback", "deadline", deadline)
  if (patience === undefined || patience === false) return
  Check.known("Fallback patience", patience, ["waiting", "firstByte"])
  Check.wait("Fallback", "patience.waiting", patience.waiting)
  Check.duration("Fallback", "patience.firstByte", patience.firstByte)
}

/**
 * A client that asks the layers in order until one answers.
 *
 * Every layer is built once, together with this one. If one cannot be built, for example because a key is missing, this
 * one fails too. An empty list is a defect of the layer.
 */
export const layer = <const Members extends readonly [Choice, ...ReadonlyArray<Choice>]>(
  members: Members,
  options: Options = {}
): Layer.Layer<LLMClient, ErrorOf<Members[number]>, ServicesOf<Members[number]>> =>
  // Not fresh: it decorates no client below, so it is shared like a provider's layer. The memo map is shared too, so a
  // layer that is used twice, also in an outer Fallback or Router, is built once.
  Layer.fromBuildMemo((memoMap, scope) =>
    Effect.gen(function*() {
      check(options)
      const steps = yield* Effect.forEach(members, (choice, index) => {
        const member = toMember(choice, index)
        return Effect.map(Layer.buildWithMemoMap(member.layer, memoMap, scope), (context): Step => ({
          client: Context.get(context, LLMClient),
          translated: (completion) => translate(member, completion),
          refusals: Patience.makeRefusals()
        }))
      })
      const client = Arr.isReadonlyArrayNonEmpty(steps)
        ? make(steps, settingsOf(options))
        : Check.refuse("Fallback", "members", "at least one layer")
      return Context.make(LLMClient, client)
    })
  ) as Layer.Layer<LLMClient, ErrorOf<Members[number]>, ServicesOf<Members[number]>>
