/**
 * A ceiling on what an application, a tenant or a conversation may spend, in tokens, in US dollars, or both.
 *
 * Every call reserves what it may cost before it is sent, and settles what it did cost when it ends, so that concurrent
 * calls do not overrun the ceiling together. A call that does not fit fails as `ClientError` with reason `Budget`, and
 * nothing is sent.
 *
 * ```ts
 * import { Console, Effect, Layer } from "effect"
 * import { Anthropic, Budget, Completion, LLMClient } from "effect-llm"
 *
 * const program = Effect.gen(function*() {
 *   const budget = yield* Budget.make({ name: "tenant 7", tokens: 1_000_000 })
 *   const Claude = Budget.layer(budget).pipe(Layer.provide(Anthropic.layerConfig()))
 *   yield* LLMClient.completion(Completion.make({ prompt: "Hello" })).pipe(Effect.provide(Claude))
 *   yield* Console.log(yield* budget.usage)
 * })
 * ```
 *
 * One `Budget` may stand over several providers. It lives in the memory of this process.
 *
 * What is reserved is an estimate of the tokens of the request, and the most that its answer may have: the largest limit
 * that the request names, as `maxTokens` or in `additionalParams` and `providerParams`. One that names none is sent with
 * the budget's own `maxTokens` as its limit. So the end lies above the ceiling by no more than the requests themselves
 * were underestimated. Calls that wait, as in a queue of `Throttle`, have reserved already.
 *
 * | a call that | costs |
 * |---|---|
 * | answers, or fails with (a part of) an answer | what the provider reports; where it reports nothing, an estimate |
 * | fails without, or is refused | nothing |
 * | comes from a cache, or was interrupted before it was sent | nothing |
 * | was streamed, and left by its reader, or timed out without a part | the estimated request, and what had come |
 * | was not streamed, and interrupted or timed out | all that it had reserved: providers finish such answers, and bill them |
 *
 * Put it below `Retry`, so that every attempt is a call of its own. Above it a retried call reserves for one attempt
 * only, but the attempts that the answer lists count as well.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as Completion from "./Completion.ts"
import type { CompletionResponse } from "./CompletionResponse.ts"
import { LLMClient, middleware, type Service } from "./LLMClient.ts"
import { type LLMError, make as makeError } from "./LLMError.ts"
import { around, type Calls, type Ended } from "./middleware/around.ts"
import * as Attempts from "./middleware/attempts.ts"
import * as Estimate from "./middleware/estimate.ts"
import { isUnsent } from "./middleware/keys.ts"
import * as Check from "./middleware/options.ts"
import { Sent } from "./middleware/sent.ts"
import * as TokenUsage from "./TokenUsage.ts"

/**
 * What tokens cost in US dollars, where the provider does not say itself. `model` is the one that answered, as far as is
 * known; before a call it is the one asked for, be it by the request or as the layer's own, and empty when that is not
 * known. A price that is no number of at least 0 is unknown: the call is refused, or costs what it had reserved.
 */
export type Price = (usage: TokenUsage.TokenUsage, model: string, provider: string) => number

export interface Options {
  /** Names the budget in errors. */
  readonly name?: string
  /** The ceiling in tokens, input and output together. */
  readonly tokens?: number
  /** The ceiling in US dollars. */
  readonly cost?: { readonly limit: number; readonly price: Price }
  /**
   * The output tokens to reserve for a request that limits them in no way; 4,096 unless set. It is also sent as the
   * request's limit, so that longer answers end there with `MaxTokens`. The tokens of reasoning that a request asks for
   * (`thinking.budget_tokens` and the like) are added; where a model reasons unasked, give more.
   */
  readonly maxTokens?: number
}

/** Tokens, US dollars, and the calls they went to: answers and failures, those aside that were never sent. */
export interface Spent {
  readonly tokens: TokenUsage.TokenUsage
  /** As far as the provider or the budget's price says. */
  readonly cost: number
  readonly calls: number
}

export interface Usage extends Spent {
  /** What the calls under way have reserved. */
  readonly reserved: { readonly calls: number; readonly tokens: number; readonly cost: number }
  /** Beyond 1,000 of them, which may be names that users chose, the rest is counted as the model `"other"`. */
  readonly models: ReadonlyArray<Spent & { readonly provider: string; readonly model: string }>
}

/** What one call may cost. */
interface Reservation {
  readonly provider: string
  readonly model: string
  readonly tokens: TokenUsage.TokenUsage
  readonly cost: number
  /** The request as it is sent on. */
  readonly completion: Completion.Completion
  /** Whether it still waits to be sent, as far as those below say. */
  readonly sent: { readonly waiting: boolean }
}

/** A budget; safe to share between fibers and providers. */
export interface Budget {
  /** What was spent since the start or the last `reset`, in all and by model. */
  readonly usage: Effect.Effect<Usage>
  /** Starts again from zero, as at the beginning of a day. Calls under way keep what they reserved, and count anew. */
  readonly reset: Effect.Effect<void>
  /** A client whose calls are kept within the budget. */
  readonly apply: (client: Service) => Service
}

const none: Usage["reserved"] = { calls: 0, tokens: 0, cost: 0 }

const nothing: Spent = { tokens: TokenUsage.zero, cost: 0, calls: 0 }

const plus = (self: Spent, that: Spent): Spent => ({
  tokens: TokenUsage.add(self.tokens, that.tokens),
  cost: self.cost + that.cost,
  calls: self.calls + that.calls
})

const mostModels = 1000

// Sums of fractions are not exact: three times 0.1 is more than 0.3.
const rounding = 1e-9

const check = (options: Options): void => {
  const { cost, maxTokens, name, tokens } = options
  Check.known("Budget", options, ["name", "tokens", "cost", "maxTokens"])
  if (name !== undefined && (typeof name !== "string" || name === "")) {
    Check.refuse("Budget", "name", "a text that is not empty")
  }
  Check.wholeNumber("Budget", "tokens", tokens)
  if (cost !== undefined) {
    Check.known("Budget cost", cost ?? {}, ["limit", "price"])
    Check.positive("Budget", "cost.limit", cost?.limit ?? NaN)
    if (typeof cost.price !== "function") Check.refuse("Budget", "cost.price", "a function")
  }
  Check.wholeNumber("Budget", "maxTokens", maxTokens)
  if (tokens === undefined && cost === undefined) Check.refuse("Budget", "tokens or cost", "at least one of them")
}

/** A call that the provider was asked to make, and as much of an answer as it gave. */
interface Attempt {
  readonly provider: string
  readonly model: string
  readonly answer: CompletionResponse | undefined
  readonly error?: LLMError
}

const attempted = (failures: ReadonlyArray<LLMError>): ReadonlyArray<Attempt> =>
  Attempts.flatten(failures)
    // Neither what was never sent is a call, nor the failure of a call that another one shared.
    .filter((error) => error.partial === undefined ? !isUnsent(error) : error.partial.cached !== true)
    .map((error) => {
      const { model, partial, provider } = error
      return { provider, model: partial?.model ?? model, answer: partial, error }
    })

// When we did not wait any longer, the provider may go on: nobody knows. One that itself says that it was late has not
// answered.
const isGivenUp = ({ _tag, reason, status }: LLMError): boolean =>
  _tag === "Transient" && reason === "Timeout" && status === undefined

const answers = (response: CompletionResponse, asked: string): ReadonlyArray<Attempt> => [
  ...attempted(response.attempts ?? []),
  ...(response.cached === true
    ? []
    : [{ provider: response.provider, model: response.model ?? asked, answer: response }])
]

// Some servers count nothing, and a stream that breaks did so before the provider's last count.
const tokensOf = (answer: CompletionResponse, failed: boolean, inputTokens: number): TokenUsage.TokenUsage => {
  const output = Estimate.outputTokens(answer)
  const { usage } = answer
  if (usage.totalTokens === 0) {
    return TokenUsage.make({ inputTokens, outputTokens: output })
  }
  return failed ? TokenUsage.make({ ...usage, outputTokens: Math.max(usage.outputTokens, output) }) : usage
}

/**
 * Makes a budget of which nothing is spent. Options that cannot be kept, such as a ceiling of 0, are a defect that
 * names them.
 */
export const make = (options: Options): Effect.Effect<Budget> =>
  Effect.sync(() => {
    check(options)
    const { cost, maxTokens = 4096, name = "the budget", tokens } = options
    let spent = nothing
    const models = new Map<string, Usage["models"][number]>()
    let reserved = none

    const priceOf = (usage: TokenUsage.TokenUsage, model: string, provider: string): number | undefined => {
      if (cost === undefined) return 0
      const price = Result.getOrElse(Result.try(() => cost.price(usage, model, provider)), () => NaN)
      return price >= 0 && price < Infinity ? price : undefined
    }

    const count = (provider: string, asked: string, usage: TokenUsage.TokenUsage, dollars: number): void => {
      const keyOf = (model: string) => JSON.stringify([provider, model])
      const model = models.has(keyOf(asked)) || models.size < mostModels ? asked : "other"
      const call = { tokens: usage, cost: dollars, calls: 1 }
      spent = plus(spent, call)
      models.set(keyOf(model), { provider, model, ...plus(models.get(keyOf(model)) ?? nothing, call) })
    }

    const exceeded = (reservation: Reservation): string | undefined => {
      const ceilings = [
        {
          unit: "tokens",
          limit: tokens,
          spent: spent.tokens.totalTokens,
          reserved: reserved.tokens,
          asked: reservation.tokens.totalTokens
        },
        { unit: "US dollars", limit: cost?.limit, spent: spent.cost, reserved: reserved.cost, asked: reservation.cost }
      ]
      const full = ceilings.find(({ asked, limit, reserved, spent }) =>
        limit !== undefined && spent + reserved + asked > limit * (1 + rounding)
      )
      return full &&
        `of ${full.limit} ${full.unit} is exceeded: ${full.spent} spent, ${full.reserved} reserved by other`
          + ` calls, up to ${full.asked} for this one`
    }

    // What an answer may have at most is what counts: not every limit is one to every provider.
    const bounded = (client: Service, completion: Completion.Completion) => {
      const everywhere = Object.keys(completion.providerParams ?? {})
      const named = Estimate.outputLimits(completion, everywhere).filter((limit) => limit >= 0)
      const own = maxTokens + Estimate.reasoningBudget(completion, everywhere)
      const isBound = Estimate.outputLimits(completion, [client.provider]).length > 0
      return {
        completion: isBound ? completion : Completion.maxTokens(own)(completion),
        outputTokens: Math.max(...named, ...isBound ? [] : [own])
      }
    }

    const reserve = Effect.fnUntraced(function*(client: Service, asked: Completion.Completion) {
      const sent = (yield* Sent) ?? { waiting: false }
      const { provider } = client
      const model = asked.model ?? client.model ?? ""
      const { completion, outputTokens } = bounded(client, asked)
      const usage = TokenUsage.make({ inputTokens: Estimate.inputTokens(completion), outputTokens })
      const dollars = priceOf(usage, model, provider)
      const reservation: Reservation = { provider, model, tokens: usage, cost: dollars ?? 0, completion, sent }
      const reason = dollars === undefined
        ? `has no price for ${model === "" ? "a request without a model" : model}`
        : exceeded(reservation)
      if (reason !== undefined) {
        const description = `${name} ${reason}`
        return yield* makeError("ClientError", { provider, model, reason: "Budget", description })
      }
      reserved = {
        calls: reserved.calls + 1,
        tokens: reserved.tokens + usage.totalTokens,
        cost: reserved.cost + reservation.cost
      }
      return reservation
    })

    const sentBy = (client: Service) => ({ completion, sent }: Reservation): Calls => ({
      completion: () => Effect.provideService(client.completion(completion), Sent, sent),
      stream: () => Stream.provideService(client.stream(completion), Sent, sent)
    })

    const settle = (reservation: Reservation, ended: Ended): Effect.Effect<void> =>
      Effect.sync(() => {
        reserved = reserved.calls === 1 ? none : {
          calls: reserved.calls - 1,
          tokens: reserved.tokens - reservation.tokens.totalTokens,
          cost: reserved.cost - reservation.cost
        }
        const { model: asked, provider, sent, tokens: { inputTokens } } = reservation
        const leave = (provider: string, model: string, characters: number): void => {
          const usage = ended.streamed
            ? TokenUsage.make({ inputTokens, outputTokens: Estimate.ofCharacters(characters) })
            : reservation.tokens
          count(provider, model, usage, priceOf(usage, model, provider) ?? reservation.cost)
        }
        if (ended._tag === "Left") {
          if (!sent.waiting) leave(provider, asked, ended.characters)
          return
        }
        const attempts = ended._tag === "Answered"
          ? answers(ended.response, asked)
          // What failed while it waited was never sent, though attempts before it may have been.
          : attempted(sent.waiting ? ended.error.attempts ?? [] : [ended.error])
        for (const attempt of attempts) {
          const { answer, error, provider } = attempt
          const model = attempt.model === "" ? asked : attempt.model
          if (answer !== undefined) {
            const usage = tokensOf(answer, error !== undefined, inputTokens)
            count(provider, model, usage, answer.cost ?? priceOf(usage, model, provider) ?? reservation.cost)
          } else if (error !== undefined && isGivenUp(error)) leave(provider, model, 0)
          else count(provider, model, TokenUsage.zero, 0)
        }
      })

    return {
      usage: Effect.sync(() => ({ ...spent, reserved, models: [...models.values()] })),
      reset: Effect.sync(() => {
        spent = nothing
        models.clear()
      }),
      apply: (client) => ({
        ...client,
        ...around(client, {
          before: (completion) => reserve(client, completion),
          after: settle,
          sentBy: sentBy(client)
        })
      })
    }
  })

/**
 * Keeps the client below within a budget: one of your own, which other layers may share and which says what was spent,
 * or one that is made with the layer, for this client alone.
 */
export const layer = (budget: Budget | Options): Layer.Layer<LLMClient, never, LLMClient> =>
  "apply" in budget
    ? middleware(budget.apply)
    : Layer.fresh(Layer.effect(
      LLMClient,
      Effect.gen(function*() {
        const { apply } = yield* make(budget)
        return apply(yield* LLMClient)
      })
    ))
