/**
 * Many calls through the full stack, against simulated providers that fail at random: nothing may be lost, and memory
 * must stay flat. `npm run soak` makes 200,000 calls; `npm run soak -- 5000` so many, and `-- 5000 monday` with that seed.
 *
 * - Each call ends in exactly one answer or one typed error, and none in a defect.
 * - What the providers were asked, and the tokens they reported, are what the callers were told of in the end: in their
 *   answers, and in the attempts that went before. Budgets counted the same.
 * - Callers that leave in the middle take nothing with them: no place in a queue, no reservation, no open circuit.
 *
 * Time runs 200 times as fast, so that waits of minutes pass.
 */
import { Cause, Clock, Context, Duration, Effect, Exit, Layer, Logger, Option, Random, Redacted, Stream } from "effect"
import {
  Anthropic,
  Budget,
  CircuitBreaker,
  Completion,
  type CompletionResponse,
  Fallback,
  Gemini,
  LLMClient,
  type LLMError,
  OpenAi,
  OpenRouter,
  ResponseCache,
  Retry,
  Throttle,
  TokenUsage
} from "../src/index.ts"
import { Simulator } from "../src/testing/index.ts"

const [calls = "200000", seed = String(Date.now())] = process.argv.slice(2)
const total = Number(calls)
const atOnce = 128

// ---------------------------------------------------------------------------------------------------------------------
// Time
// ---------------------------------------------------------------------------------------------------------------------

const speed = 200
const began = Date.now()
const now = () => Math.floor(began + (performance.timeOrigin + performance.now() - began) * speed)
const clock: Clock.Clock = {
  currentTimeMillisUnsafe: now,
  currentTimeMillis: Effect.sync(now),
  currentTimeNanosUnsafe: () => BigInt(now()) * 1_000_000n,
  currentTimeNanos: Effect.sync(() => BigInt(now()) * 1_000_000n),
  monotonicTimeNanosUnsafe: () => BigInt(now()) * 1_000_000n,
  monotonicTimeNanos: Effect.sync(() => BigInt(now()) * 1_000_000n),
  sleep: (duration) =>
    Effect.callback((resume) => {
      const timer = setTimeout(() => resume(Effect.void), Math.max(0, Duration.toMillis(duration)) / speed)
      return Effect.sync(() => clearTimeout(timer))
    })
}

// ---------------------------------------------------------------------------------------------------------------------
// Books
// ---------------------------------------------------------------------------------------------------------------------

interface Book {
  calls: number
  tokens: TokenUsage.TokenUsage
}

const enter = (book: Book, usage: TokenUsage.TokenUsage | undefined): void => {
  book.calls++
  if (usage !== undefined) book.tokens = TokenUsage.add(book.tokens, usage)
}

// Refused on the way: the provider was never asked.
const unasked = new Set(["circuit_open", "throttled"])

const enterError = (book: Book, error: LLMError.LLMError): void => {
  for (const attempt of error.attempts ?? []) enterError(book, attempt)
  // Callers that wait for the same call meet the same failure, and are told that it was another's.
  const isAnothers = error.partial?.cached === true
  if (!isAnothers && (error.code === undefined || !unasked.has(error.code))) enter(book, error.partial?.usage)
}

const enterResponse = (book: Book, response: CompletionResponse.CompletionResponse): void => {
  for (const attempt of response.attempts ?? []) enterError(book, attempt)
  if (response.cached !== true) enter(book, response.usage)
}

// ---------------------------------------------------------------------------------------------------------------------
// The stack
// ---------------------------------------------------------------------------------------------------------------------

const apiKey = Redacted.make("sk-soak")
const timeouts = { firstPart: "1 minute", idle: "1 minute", total: "2 minutes" } as const

const providers = {
  anthropic: Anthropic.layer({ apiKey, model: "claude-sonnet-4-6", timeouts }),
  openai: OpenAi.layer({ apiKey, model: "gpt-4.1-mini", timeouts }),
  gemini: Gemini.layer({ apiKey, model: "gemini-2.5-flash", timeouts }),
  openrouter: OpenRouter.layer({ apiKey, model: "openai/gpt-4.1-mini", timeouts })
}

// Callers that mean to leave say so to the provider's book, since nobody is told what they missed.
const leaving = "I shall leave before you have answered."
const leaves = ({ preamble }: Completion.Completion) => preamble === leaving

/** Keeps a provider's own book: what it was asked, and what it reported. */
const booked = (book: Book) =>
  LLMClient.middleware((client) => {
    const completed = (completion: Completion.Completion, exit: Exit.Exit<unknown, LLMError.LLMError>) =>
      Effect.sync(() => {
        if (leaves(completion) || Exit.isSuccess(exit)) return
        const error = Cause.findErrorOption(exit.cause)
        if (Option.isSome(error)) enterError(book, error.value)
      })
    return {
      completion: (completion) =>
        client.completion(completion).pipe(
          Effect.tap((response) =>
            Effect.sync(() => {
              if (!leaves(completion)) enterResponse(book, response)
            })
          ),
          Effect.onExit((exit) => completed(completion, exit))
        ),
      stream: (completion) =>
        client.stream(completion).pipe(
          Stream.tap((part) =>
            Effect.sync(() => {
              if (part._tag === "Finish" && !leaves(completion)) enterResponse(book, part.response)
            })
          ),
          Stream.onExit((exit) => completed(completion, exit))
        )
    }
  })

const stack = (book: Book, budget: Budget.Budget, faults: Simulator.Options["faults"] & object) => {
  const member = (name: keyof typeof providers) =>
    Retry.layer({ maxRetryAfter: "30 seconds" }).pipe(
      Layer.provide(CircuitBreaker.layer({ rate: { threshold: 0.8 }, openDuration: "10 seconds" })),
      Layer.provide(Throttle.layer({ requestsPerMinute: 100_000, concurrency: atOnce / 2, maxWait: "5 minutes" })),
      Layer.provide(Budget.layer(budget)),
      Layer.provide(booked(book)),
      Layer.provide(providers[name]),
      Layer.provide(Simulator.layer({ faults: { ...faults, seed: `${seed} ${name}` }, chunkSize: 512 }))
    )
  return ResponseCache.layer({ capacity: 500 }).pipe(
    Layer.provide(Fallback.layer([member("anthropic"), member("openai"), member("gemini"), member("openrouter")]))
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// The calls
// ---------------------------------------------------------------------------------------------------------------------

interface Outcomes {
  answers: number
  cached: number
  errors: number
  left: number
  readonly reasons: Map<string, number>
}

const problems: Array<string> = []
const expect = (holds: boolean, what: string): void => {
  if (!holds) problems.push(what)
}

const heap = (): number => {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed / 1e6
}

const answerTo = (client: LLMClient.Service, completion: Completion.Completion, streamed: boolean) =>
  streamed
    ? Effect.suspend(() => {
      let finishes = 0
      let text = ""
      let response: CompletionResponse.CompletionResponse | undefined
      return Stream.runForEach(client.stream(completion), (part) =>
        Effect.sync(() => {
          if (part._tag === "TextDelta") text += part.text
          if (part._tag === "Finish") {
            finishes++
            response = part.response
          }
        })).pipe(Effect.map(() => {
          expect(finishes === 1 && response!.text === text, `a stream ended with ${finishes} Finish, "${text}"`)
          return response!
        }))
    })
    : client.completion(completion)

/** So many calls, of which this share leaves before the end. */
const soak = Effect.fnUntraced(function*(
  title: string,
  count: number,
  faults: Simulator.Options["faults"] & object,
  share: number
) {
  const asked: Book = { calls: 0, tokens: TokenUsage.zero }
  const told: Book = { calls: 0, tokens: TokenUsage.zero }
  const outcomes: Outcomes = { answers: 0, cached: 0, errors: 0, left: 0, reasons: new Map() }
  const budget = yield* Budget.make({ tokens: Number.MAX_SAFE_INTEGER })
  const client = Context.get(yield* Layer.build(stack(asked, budget, faults)), LLMClient.LLMClient)
  const random = yield* Random.Random
  const memory: Array<number> = []
  const started = performance.now()

  const one = Effect.fnUntraced(function*(index: number) {
    // Each tenth call repeats an earlier one, streamed or not, which the cache may know.
    const prompt = `Call ${index % 10 === 9 ? index - (index % 20 === 9 ? 201 : 202) : index}`
    const leave = random.nextDoubleUnsafe() < share
    const completion = Completion.make({ prompt, maxTokens: 100, ...leave && { preamble: leaving } })
    const call = answerTo(client, completion, index % 2 === 0)
    const exit = yield* Effect.exit(
      leave
        ? Effect.timeoutOrElse(call, {
          duration: Duration.millis(random.nextDoubleUnsafe() * 1000),
          orElse: () => Effect.interrupt
        })
        : call
    )
    if (Exit.isSuccess(exit)) {
      outcomes.answers++
      if (exit.value.cached === true) outcomes.cached++
      if (!leave) enterResponse(told, exit.value)
    } else {
      const error = Cause.findErrorOption(exit.cause)
      if (Option.isSome(error)) {
        outcomes.errors++
        const { _tag, reason } = error.value
        outcomes.reasons.set(`${_tag} ${reason}`, (outcomes.reasons.get(`${_tag} ${reason}`) ?? 0) + 1)
        if (!leave) enterError(told, error.value)
      } else if (leave && Cause.hasInterruptsOnly(exit.cause)) outcomes.left++
      else expect(false, `call ${index} ended with ${Cause.pretty(exit.cause)}`)
    }
    if ((index + 1) % Math.ceil(count / 8) === 0) memory.push(heap())
  })

  yield* Effect.forEach(Array.from({ length: count }, (_, index) => index), one, { concurrency: atOnce, discard: true })

  const seconds = (performance.now() - started) / 1000
  const { answers, cached, errors, left, reasons } = outcomes
  console.log(
    `${title}: ${count} calls in ${
      seconds.toFixed(1)
    } s: ${answers} answers (${cached} cached), ${errors} errors, ${left} left`
  )
  console.log(`  errors: ${[...reasons].map(([reason, times]) => `${reason} ${times}`).join(", ") || "none"}`)
  console.log(`  requests: ${asked.calls} made, ${told.calls} told; tokens: ${asked.tokens.totalTokens} reported`)
  console.log(`  heap, MB: ${memory.map((used) => used.toFixed(1)).join(" ")}`)

  const { reserved, tokens } = yield* budget.usage
  expect(answers + errors + left === count, `${title}: ${count} calls had ${answers + errors + left} outcomes`)
  expect(asked.calls === told.calls, `${title}: ${asked.calls} requests were made, callers were told of ${told.calls}`)
  for (const kind of Object.keys(asked.tokens) as Array<keyof TokenUsage.TokenUsage>) {
    expect(
      asked.tokens[kind] === told.tokens[kind],
      `${title}: ${asked.tokens[kind]} ${kind} were reported, callers were told of ${told.tokens[kind]}`
    )
    // What broke off or was left is estimated where its provider had not counted yet.
    expect(
      share === 0 ? tokens[kind] === asked.tokens[kind] : tokens[kind] >= asked.tokens[kind],
      `${title}: ${asked.tokens[kind]} ${kind} were reported, the budget counted ${tokens[kind]}`
    )
  }
  expect(reserved.calls === 0 && reserved.tokens === 0, `${title}: ${reserved.tokens} tokens are reserved for no call`)
  // The first quarter still fills caches and compiles.
  const [early = 0, late = 0] = [Math.max(...memory.slice(1, 4)), Math.min(...memory.slice(5))]
  expect(globalThis.gc === undefined || late < early * 1.1 + 5, `${title}: the heap grew from ${early} to ${late} MB`)
})

// Faults that bring no half of an answer, and after which nobody goes on writing one: what their providers report is all
// there is to count. A connection that broke is charged as reserved.
const whole: NonNullable<Simulator.Options["faults"]>["only"] = [
  "RateLimit",
  "RetryAfter",
  "RetryAfterMillis",
  "RetryInfo",
  "Overloaded",
  "ServerError",
  "GatewayPage",
  "DoNotRetry",
  "Quota",
  "UnknownModel",
  "ContextOverflow",
  "Empty",
  "NoChoices",
  "Refusal",
  "MalformedFunctionCall",
  "NoBody",
  "HtmlAnswer"
]

const program = Effect.gen(function*() {
  console.log(`seed ${seed}, ${atOnce} calls at once`)
  yield* soak("counted to the token", Math.floor(total / 2), { rate: 0.2, only: whole }, 0)
  yield* soak("everything that can go wrong, and callers that leave", Math.ceil(total / 2), { rate: 0.2 }, 0.05)
})

await Effect.runPromise(program.pipe(
  Effect.scoped,
  Effect.provideService(Clock.Clock, clock),
  Effect.provide(Logger.layer([])),
  Random.withSeed(seed)
))

if (problems.length > 0) {
  console.error(`${problems.length} problems:\n${problems.slice(0, 20).join("\n")}`)
  process.exitCode = 1
} else console.log("Nothing was lost.")
