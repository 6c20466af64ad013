/**
 * A ceiling on what an application, a tenant or a conversation may spend, in tokens, in US dollars, or both.
 *
 * Every call reserves its possible cost before it is sent, and settles its real cost when it ends, so that concurrent
 * calls do not exceed the ceiling together. A call that does not fit fails as `ClientError` with reason `Budget`, and is
 * not sent. The request is not changed.
 *
 * ```ts
 * import { Console, Effect } from "effect"
 * import { Anthropic, Budget, Completion, LLMClient } from "effect-llm"
 *
 * const program = Effect.gen(function*() {
 *   const budget = yield* Budget.make({ name: "tenant 7", tokens: 1_000_000 })
 *   const Claude = LLMClient.compose(Budget.layer(budget), Anthropic.layerConfig())
 *   yield* LLMClient.completion(Completion.make({ prompt: "Hello" })).pipe(Effect.provide(Claude))
 *   yield* Console.log(yield* budget.usage)
 * })
 * ```
 *
 * One `Budget` may stand over several providers. It lives in the memory of this process. Put it next to the provider,
 * below `Retry` and `Throttle`: then every attempt counts as a call, and a waiting one has reserved nothing. What
 * each outcome costs, and how far a ceiling can be exceeded, is in `docs/limits.md`.
 */

import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Completion from "./Completion.ts"
import type { CompletionResponse } from "./CompletionResponse.ts"
import * as Estimate from "./Estimate.ts"
import { type LLMClient, middleware, type Service } from "./LLMClient.ts"
import { type LLMError, make as makeError } from "./LLMError.ts"
import { around, type Calls, type Ended } from "./middleware/around.ts"
import * as Attempts from "./middleware/attempts.ts"
import { checkName, isNotSent, modelOf } from "./middleware/keys.ts"
import * as Check from "./middleware/options.ts"
import { mostOutput, outputLimits } from "./middleware/outputLimits.ts"
import * as TokenUsage from "./TokenUsage.ts"

/**
 * The price of tokens in US dollars, if the provider does not report the cost. `model` is the model that answered, if it
 * is known; before a call it is the requested model or the layer's default, and empty if there is none. `at` is the time
 * in epoch milliseconds. `undefined`, or anything but a number of at least 0, means that the price is not known.
 */
export type Price = (usage: TokenUsage.TokenUsage, model: string, provider: string, at: number) => number | undefined

/** A table of prices, for example `Prices.table` of `effect-llm/Prices`. */
export interface Prices {
  readonly of: Price
}

export interface Options {
  /** Names the budget in errors. */
  readonly name?: string
  /** The ceiling in tokens, input and output together. */
  readonly tokens?: number
  /** The ceiling in US dollars. */
  readonly usd?: number
  /** What tokens cost: a table of prices, or your own function. */
  readonly prices?: Prices | Price
  /**
   * US dollars for a million tokens of models whose price is not known. Without it their calls are refused if there is a
   * ceiling in US dollars.
   */
  readonly unknownPrice?: { readonly input: number; readonly output: number }
  /**
   * The output tokens to reserve for a request without an output limit; 4,096 unless given. The requested reasoning tokens
   * are added. A longer answer exceeds the budget by the difference.
   */
  readonly reserve?: number
  /**
   * Sends the reserve as the output limit of a request that has none, so that longer answers end there with `MaxTokens`.
   * A model that reasons by default may then have no tokens left for its answer: give it a large enough `reserve`.
   */
  readonly impose?: boolean
}

/** Tokens, US dollars, and the number of calls: answers and failures, except for those that were never sent. */
export interface Spent {
  readonly tokens: TokenUsage.TokenUsage
  /** As far as the provider or the prices tell. */
  readonly cost: number
  readonly calls: number
}

export interface Usage extends Spent {
  /** What the calls in flight have reserved. */
  readonly reserved: { readonly calls: number; readonly tokens: number; readonly cost: number }
  /** At most 1,000 models, because users may choose the names; the rest is counted as the model `"other"`. */
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
  /** What was spent since the start or the last `reset`, in total and by model. */
  readonly usage: Effect.Effect<Usage>
  /** Starts again from zero, for example every day. Calls in flight keep their reservations, and count after the reset. */
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

const longestModel = 512

// Sums of fractions are not exact: three times 0.1 is more than 0.3.
const rounding = 1e-9

const optionNames = {
  name: true,
  tokens: true,
  usd: true,
  prices: true,
  unknownPrice: true,
  reserve: true,
  impose: true
} satisfies Record<keyof Options, true>

const isPrice = (price: unknown): price is number => typeof price === "number" && price >= 0 && price < Infinity

const check = (options: Options): void => {
  Check.known("Budget", options, Object.keys(optionNames))
  const { impose, name, prices, reserve, tokens, unknownPrice, usd } = options
  if (name !== undefined && (typeof name !== "string" || name === "")) {
    Check.refuse("Budget", "name", "a text that is not empty")
  }
  Check.wholeNumber("Budget", "tokens", tokens)
  Check.positive("Budget", "usd", usd)
  if (prices !== undefined && typeof prices !== "function") {
    Check.object("Budget", "prices", prices)
    if (typeof prices.of !== "function") Check.refuse("Budget", "prices", "a table of prices, or a function")
  }
  if (unknownPrice !== undefined) {
    Check.known("Budget unknownPrice", unknownPrice, ["input", "output"])
    for (const part of ["input", "output"] as const) {
      if (!isPrice(unknownPrice[part])) Check.refuse("Budget", `unknownPrice.${part}`, "a number of at least 0")
    }
  }
  Check.wholeNumber("Budget", "reserve", reserve)
  if (impose !== undefined && typeof impose !== "boolean") Check.refuse("Budget", "impose", "true or false")
  if (tokens === undefined && usd === undefined) Check.refuse("Budget", "tokens or usd", "at least one of them")
  if (usd !== undefined && prices === undefined && unknownPrice === undefined) {
    Check.refuse("Budget", "prices", "what tokens cost, or unknownPrice")
  }
}

/** A call that was sent to the provider, and its partial answer. */
interface Attempt {
  readonly provider: string
  readonly model: string
  readonly answer: CompletionResponse | undefined
  readonly error?: LLMError
}

const attempted = (failures: ReadonlyArray<LLMError>): ReadonlyArray<Attempt> =>
  failures
    // Not counted: calls that were never sent, and shared failures of another call.
    .filter((error) => error.partial === undefined ? !isNotSent(error) : error.partial.cached !== true)
    .map((error) => {
      const { model, partial, provider } = error
      return { provider, model: partial?.model ?? model, answer: partial, error }
    })

// The codes of failures to connect: nothing was sent.
const unconnected = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EADDRNOTAVAIL",
  "EPROTO",
  "UND_ERR_CONNECT_TIMEOUT",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN"
])

const isUnconnected = (code = ""): boolean =>
  unconnected.has(code) || /^(?:CERT_|ERR_TLS_|ERR_SSL_|UNABLE_TO_)/.test(code)

// After our own timeout, or a broken connection, the provider may go on and bill the call. A provider that itself reports
// a timeout has not answered.
const isGivenUp = ({ _tag, code, reason, status = 0 }: LLMError): boolean =>
  _tag === "Transient" && status < 400 && (reason === "Timeout" || reason === "Network" && !isUnconnected(code))

// A cached answer was charged before.
const answered = (response: CompletionResponse, asked: string): ReadonlyArray<Attempt> =>
  response.cached === true
    ? []
    : [{ provider: response.provider, model: response.model ?? asked, answer: response }]

// Some servers report no usage, and a broken stream lacks the provider's last report.
const tokensOf = (answer: CompletionResponse, failed: boolean, inputTokens: number): TokenUsage.TokenUsage => {
  const output = Estimate.outputTokens(answer)
  const { usage } = answer
  if (usage.totalTokens === 0) {
    return TokenUsage.make({ inputTokens, outputTokens: output })
  }
  return failed ? Estimate.ofBroken(usage, { inputTokens, outputTokens: output }) : usage
}

/**
 * Makes a budget of which nothing is spent. Invalid options, for example a ceiling of 0, are a defect that names them.
 */
export const make = (options: Options): Effect.Effect<Budget> =>
  Effect.sync(() => {
    check(options)
    const { impose = false, name = "the budget", prices, reserve: most = 4096, tokens, unknownPrice, usd } = options
    let spent = nothing
    const models = new Map<string, Usage["models"][number]>()
    let reserved = none

    const priceOf: Price = (usage, model, provider, at) => {
      const known = Result.getOrUndefined(Result.try(() =>
        typeof prices === "function" ? prices(usage, model, provider, at) : prices?.of(usage, model, provider, at)
      ))
      if (isPrice(known)) {
        return known
      }
      return unknownPrice &&
        (usage.inputTokens * unknownPrice.input + usage.outputTokens * unknownPrice.output) / 1_000_000
    }

    // If one answer took several passes, each has the price of its own model.
    const priceOfAnswer = (answer: CompletionResponse, usage: TokenUsage.TokenUsage, model: string, at: number) => {
      const passes = usage === answer.usage ? answer.passes ?? [] : []
      return (passes.length === 0 ? [{ model, usage }] : passes)
        .map((pass) =>
          priceOf(pass.usage, pass.model ?? model, answer.provider, at)
        )
        .reduce((sum, dollars) => sum === undefined || dollars === undefined ? undefined : sum + dollars, 0)
    }

    const count = (
      provider: string,
      asked: string,
      usage: TokenUsage.TokenUsage,
      dollars: number,
      calls = 1
    ): void => {
      const keyOf = (model: string) => JSON.stringify([provider, model])
      const short = asked.slice(0, longestModel)
      const model = models.has(keyOf(short)) || models.size < mostModels ? short : "other"
      // A provider's own figure may be anything.
      const call = { tokens: usage, cost: dollars > 0 ? dollars : 0, calls }
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
        { unit: "US dollars", limit: usd, spent: spent.cost, reserved: reserved.cost, asked: reservation.cost }
      ]
      const full = ceilings.find(({ asked, limit, reserved, spent }) =>
        limit !== undefined && spent + reserved + asked > limit * (1 + rounding)
      )
      return full &&
        `of ${full.limit} ${full.unit} is exceeded: ${full.spent} spent, ${full.reserved} reserved by other`
          + ` calls, up to ${full.asked} for this one`
    }

    const reserve = Effect.fnUntraced(function*(client: Service, completion: Completion.Completion) {
      const { provider } = client
      const model = yield* checkName(modelOf(completion, client), "model", client)
      const usage = TokenUsage.make({
        inputTokens: Estimate.inputTokens(completion),
        outputTokens: mostOutput(outputLimits(completion, provider), most)
      })
      const dollars = priceOf(usage, model, provider, yield* Clock.currentTimeMillis)
      const reservation: Reservation = { provider, model, tokens: usage, cost: dollars ?? 0 }
      const reason = dollars === undefined && usd !== undefined
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

    const settle = (reservation: Reservation, ended: Ended): Effect.Effect<void> =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        reserved = reserved.calls === 1 ? none : {
          calls: reserved.calls - 1,
          tokens: reserved.tokens - reservation.tokens.totalTokens,
          cost: reserved.cost - reservation.cost
        }
        const { model: asked, provider, tokens: { inputTokens } } = reservation
        const leave = (
          provider: string,
          model: string,
          characters: number,
          reported: TokenUsage.TokenUsage = TokenUsage.zero
        ): void => {
          const estimate = ended.streamed
            ? TokenUsage.make({ inputTokens, outputTokens: Estimate.ofCharacters(characters) })
            : reservation.tokens
          const usage = TokenUsage.make({
            ...reported,
            inputTokens: Math.max(estimate.inputTokens, reported.inputTokens),
            outputTokens: Math.max(estimate.outputTokens, reported.outputTokens)
          })
          count(provider, model, usage, priceOf(usage, model, provider, now) ?? reservation.cost)
        }
        if (ended._tag === "Left") return leave(provider, asked, ended.characters, ended.reported)
        const failures = Attempts.flatten(ended._tag === "Answered" ? ended.response.attempts ?? [] : [ended.error])
        const attempts = [
          ...attempted(failures),
          ...ended._tag === "Answered" ? answered(ended.response, asked) : []
        ]
        for (const attempt of attempts) {
          const { answer, error, provider } = attempt
          const model = attempt.model === "" ? asked : attempt.model
          if (answer !== undefined) {
            const usage = tokensOf(answer, error !== undefined, inputTokens)
            const dollars = answer.cost ?? priceOfAnswer(answer, usage, model, now) ?? reservation.cost
            count(provider, model, usage, dollars)
          } else if (error !== undefined && isGivenUp(error)) leave(provider, model, 0)
          else count(provider, model, TokenUsage.zero, 0)
        }
        // Failures that were left out of the list count as calls too.
        for (const { model, omitted, provider } of failures) {
          if (omitted === undefined) continue
          const { count: calls, usage } = omitted
          count(provider, model, usage, priceOf(usage, model, provider, now) ?? 0, calls)
        }
      })

    // Only with `impose`, and if nothing else limits the answer.
    const imposed = (client: Service): Calls => {
      if (!impose) return client
      const limited = (completion: Completion.Completion): Completion.Completion => {
        const limits = outputLimits(completion, client.provider)
        return limits.isBound ? completion : Completion.maxTokens(most + limits.reasoning)(completion)
      }
      return {
        completion: (completion) => client.completion(limited(completion)),
        stream: (completion) => client.stream(limited(completion))
      }
    }

    return {
      usage: Effect.sync(() => ({ ...spent, reserved, models: [...models.values()] })),
      reset: Effect.sync(() => {
        spent = nothing
        models.clear()
      }),
      apply: (client) => ({
        ...client,
        ...around(imposed(client), { before: (completion) => reserve(client, completion), after: settle })
      })
    }
  })

/**
 * Keeps the client below within a budget. Takes a budget from `make`, which other layers may share and which reports what
 * was spent, or options for a budget of this layer alone.
 */
export const layer = (budget: Budget | Options): Layer.Layer<LLMClient, never, LLMClient> =>
  "apply" in budget
    ? middleware(budget.apply)
    : middleware((client) => Effect.map(make(budget), ({ apply }) => apply(client)))
