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
 * What is reserved is an estimate of the tokens of the request, and its `maxTokens` (or the budget's own, where it names
 * none). A call can cost more than that, and then the end lies above the ceiling by as much as was underestimated, and
 * never by how many calls there were at once.
 *
 * | a call that | costs |
 * |---|---|
 * | answers, or fails with (a part of) an answer | what the provider reports; where it reports nothing, an estimate |
 * | fails without | nothing |
 * | comes from a cache | nothing |
 * | was streamed, and left by its reader | the estimated request, and what had come |
 * | was not streamed, and interrupted | all that it had reserved: providers finish such answers, and bill them |
 *
 * Put it below `Retry`, so that every attempt is a call of its own. Above it a retried call reserves for one attempt
 * only, but the attempts that the answer lists count as well.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { Completion } from "./Completion.ts"
import type { CompletionResponse } from "./CompletionResponse.ts"
import { around, type Ended } from "./internal/around.ts"
import * as Estimate from "./internal/estimate.ts"
import * as Check from "./internal/options.ts"
import { LLMClient, middleware, type Service } from "./LLMClient.ts"
import { type LLMError, make as makeError } from "./LLMError.ts"
import * as TokenUsage from "./TokenUsage.ts"

/**
 * What tokens cost in US dollars, where the provider does not say itself. `model` is the one that answered, as far as is
 * known; before a call it is the one asked for, and empty when the request names none. A price that is no number of at
 * least 0 is unknown: the call is refused, or costs what it had reserved.
 */
export type Price = (usage: TokenUsage.TokenUsage, model: string, provider: string) => number

export interface Options {
  /** Names the budget in errors. */
  readonly name?: string
  /** The ceiling in tokens, input and output together. */
  readonly tokens?: number
  /** The ceiling in US dollars. */
  readonly cost?: { readonly limit: number; readonly price: Price }
  /** The output tokens to reserve for a request without `maxTokens`; 4,096 unless set. */
  readonly maxTokens?: number
}

/** Tokens, US dollars, and the calls they went to: answers and failures, cached answers aside. */
export interface Spent {
  readonly tokens: TokenUsage.TokenUsage
  /** As far as the provider or the budget's price says. */
  readonly cost: number
  readonly calls: number
}

export interface Usage extends Spent {
  /** What the calls under way have reserved. */
  readonly reserved: { readonly calls: number; readonly tokens: number; readonly cost: number }
  readonly models: ReadonlyArray<Spent & { readonly provider: string; readonly model: string }>
}

/** What one call may cost. */
interface Reservation {
  readonly provider: string
  readonly model: string
  readonly tokens: TokenUsage.TokenUsage
  readonly cost: number
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

const check = ({ cost, maxTokens, name, tokens }: Options): void => {
  if (name === "") Check.refuse("Budget", "name", "a text that is not empty")
  Check.wholeNumber("Budget", "tokens", tokens)
  Check.positive("Budget", "cost.limit", cost?.limit)
  Check.wholeNumber("Budget", "maxTokens", maxTokens)
  if (tokens === undefined && cost === undefined) Check.refuse("Budget", "tokens or cost", "at least one of them")
}

/** A call that the provider was asked to make, and as much of an answer as it gave. */
interface Attempt {
  readonly provider: string
  readonly model: string
  readonly answer: CompletionResponse | undefined
  readonly failed: boolean
}

const failures = (error: LLMError): ReadonlyArray<Attempt> => [
  ...(error.attempts ?? []).flatMap(failures),
  { provider: error.provider, model: error.partial?.model ?? error.model, answer: error.partial, failed: true }
]

const answers = (response: CompletionResponse, asked: string): ReadonlyArray<Attempt> => [
  ...(response.attempts ?? []).flatMap(failures),
  ...(response.cached === true
    ? []
    : [{ provider: response.provider, model: response.model ?? asked, answer: response, failed: false }])
]

// Some servers count nothing, and a stream that breaks did so before the provider's last count.
const tokensOf = ({ answer, failed }: Attempt, inputTokens: number): TokenUsage.TokenUsage => {
  if (answer === undefined) return TokenUsage.zero
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

    const count = (provider: string, model: string, usage: TokenUsage.TokenUsage, dollars: number): void => {
      const key = JSON.stringify([provider, model])
      const call = { tokens: usage, cost: dollars, calls: 1 }
      spent = plus(spent, call)
      models.set(key, { provider, model, ...plus(models.get(key) ?? nothing, call) })
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
        limit !== undefined && spent + reserved + asked > limit
      )
      return full &&
        `of ${full.limit} ${full.unit} is exceeded: ${full.spent} spent, ${full.reserved} reserved by other`
          + ` calls, up to ${full.asked} for this one`
    }

    const reserve = (client: Service, completion: Completion): Effect.Effect<Reservation, LLMError> =>
      Effect.suspend(() => {
        const { provider } = client
        const { model = "" } = completion
        const usage = TokenUsage.make({
          inputTokens: Estimate.inputTokens(completion),
          outputTokens: completion.maxTokens ?? maxTokens
        })
        const dollars = priceOf(usage, model, provider)
        const reservation = { provider, model, tokens: usage, cost: dollars ?? 0 }
        const reason = dollars === undefined
          ? `has no price for ${model === "" ? "a request without a model" : model}`
          : exceeded(reservation)
        if (reason !== undefined) {
          const description = `${name} ${reason}`
          return Effect.fail(makeError("ClientError", { provider, model, reason: "Budget", description }))
        }
        reserved = {
          calls: reserved.calls + 1,
          tokens: reserved.tokens + usage.totalTokens,
          cost: reserved.cost + reservation.cost
        }
        return Effect.succeed(reservation)
      })

    const settle = (reservation: Reservation, ended: Ended): Effect.Effect<void> =>
      Effect.sync(() => {
        reserved = reserved.calls === 1 ? none : {
          calls: reserved.calls - 1,
          tokens: reserved.tokens - reservation.tokens.totalTokens,
          cost: reserved.cost - reservation.cost
        }
        const { model, provider, tokens: { inputTokens } } = reservation
        if (ended._tag === "Left") {
          const usage = ended.streamed
            ? TokenUsage.make({ inputTokens, outputTokens: Estimate.ofCharacters(ended.characters) })
            : reservation.tokens
          return count(provider, model, usage, priceOf(usage, model, provider) ?? reservation.cost)
        }
        for (const attempt of ended._tag === "Answered" ? answers(ended.response, model) : failures(ended.error)) {
          const { answer, model, provider } = attempt
          const usage = tokensOf(attempt, inputTokens)
          const dollars = answer === undefined ? 0 : answer.cost ?? priceOf(usage, model, provider)
          count(provider, model, usage, dollars ?? reservation.cost)
        }
      })

    return {
      usage: Effect.sync(() => ({ ...spent, reserved, models: [...models.values()] })),
      reset: Effect.sync(() => {
        spent = nothing
        models.clear()
      }),
      apply: (client) => ({ ...client, ...around(client, (completion) => reserve(client, completion), settle) })
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
