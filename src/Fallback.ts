/**
 * Asks the next provider when one fails in a way that another may not: rate limits, outages, empty answers, spent
 * quotas, missing models, filters. Other failures, such as a request that no provider can understand, end the call.
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
 * - A completion that names no model gets the own model of whichever layer it comes to. Give `models` for every layer to
 *   which the names of the first one mean nothing.
 * - While another member is ready, waiting is worse than moving on: all but the last have little patience (`patience`).
 * - A stream moves on only until its first part; from then on a failure ends it, and nothing is ever sent twice.
 * - Answers and errors keep the name of the provider that gave them, and have all failures before them in `attempts`.
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

/** How long all members but the last may wait. */
export interface PatienceOptions {
  /** All waits of one member together: backoffs, hints, queues. 10 seconds unless set. */
  readonly waiting?: Duration.Input | undefined
  /**
   * The wait for the first byte of the answer, to which a second comes for every 5,000 tokens that the request has by
   * estimate. 12 seconds unless set. (Not for models that think in silence.)
   */
  readonly firstByte?: Duration.Input | undefined
}

export interface Options {
  /** Whether the next member is asked after this failure: `whenFallbackable` unless set. */
  readonly when?: ((error: LLMError) => boolean) | undefined
  /** How long all members but the last may wait; `false` gives each of them its full policies. */
  readonly patience?: PatienceOptions | false | undefined
  /**
   * The longest time for all members together, or in a stream until its first part. A call that still runs then ends as
   * `Transient · Timeout`; a wait that cannot end before is not begun, and the call fails with the failure itself. No
   * limit unless set.
   */
  readonly deadline?: Duration.Input | undefined
}

/** The policy of `when` unless another is given: whenever another provider or model may still succeed. */
export const whenFallbackable = (error: LLMError): boolean => error.isFallbackable

/** For `when`: the same, but what one provider's filter refuses is not asked of another one. */
export const notContentFilter = (error: LLMError): boolean => error.isFallbackable && error.reason !== "ContentFilter"

/** For `when`: only what usually passes, rate limits, outages and empty answers; not a missing key or a spent quota. */
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
  /** The model that it is for, empty where nobody names one. */
  readonly model: string
  readonly refusals: Patience.Refusals
}

const requestTo = ({ client, refusals, translated }: Step, completion: Completion.Completion): Request => {
  const own = translated(completion)
  return { client, completion: own, model: own.model ?? client.model ?? "", refusals }
}

/** One call: the members that are still to be asked, and what has failed so far. */
interface Call {
  readonly outer: CurrentPatience | undefined
  readonly bound: Deadline.Bound
  /** The member that is asked, and those after it. */
  requests: readonly [Request, ...ReadonlyArray<Request>]
  readonly failures: Array<LLMError>
}

const tooLong: ReadonlySet<string> = new Set(["ContextWindow", "TooLarge"])

/** Whether a request of this size was refused before by the same model of the same provider. */
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

// A second for every 5,000 tokens that the model has to read before it can answer.
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

  /** Whether the next member is to be asked after this failure, which is then the one that is asked. */
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

  // A member that cannot count is passed over, as is one that fails in a way that another may not.
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
