/**
 * Makes many calls through the full stack, with simulated providers that fail at random. Nothing may be lost, and
 * memory must stay flat. `npm run soak` makes 200,000 calls, `npm run soak -- 5000` that many, and `-- 5000 monday`
 * uses that seed.
 *
 * - Each call ends with exactly one answer or one typed error, and never with a defect.
 * - The requests and tokens that the providers reported are those that callers saw, in answers and their attempts.
 *   Budgets counted the same.
 * - Callers that leave early leave nothing behind: no place in a queue, no reservation, no open circuit.
 * - With a real server on this machine: every request that it received is in an answer or an error.
 *
 * Time runs many times faster, so that waits of minutes pass.
 */
import { NodeHttpClient } from "@effect/platform-node"
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
import { listen } from "./soak/server.ts"

const [calls = "200000", seed = String(Date.now())] = process.argv.slice(2)
const total = Number(calls)
const atOnce = 128

// ---------------------------------------------------------------------------------------------------------------------
// Time
// ---------------------------------------------------------------------------------------------------------------------

const began = Date.now()
const clockOf = (speed: number): Clock.Clock => {
  const now = () => Math.floor(began + (performance.timeOrigin + performance.now() - began) * speed)
  return {
    currentTimeMillisUnsafe: now,
    currentTimeMillis: Effect.sync(now),
    currentTimeNanosUnsafe: () => BigInt(now()) * 1_000_000n,
    currentTimeNanos: Effect.sync(() => BigInt(now()) * 1_000_000n),
    monotonicTimeNanosUnsafe: () => BigInt(now()) * 1_000_000n,
    monotonicTimeNanos: Effect.sync(() => BigInt(now()) * 1_000_000n),
    sleep: (duration) =>
      Effect.callback((resume) => {
        if (!Duration.isFinite(duration)) return
        const timer = setTimeout(() => resume(Effect.void), Math.max(0, Duration.toMillis(duration)) / speed)
        return Effect.sync(() => clearTimeout(timer))
      })
  }
}

const inMemory = 200
// A network needs real time, which must not look like a silent provider.
const overNetwork = 30

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

// Refused by the middleware: the provider was not called.
const unasked = new Set(["circuit_open", "throttled"])

const enterError = (book: Book, error: LLMError.LLMError): void => {
  for (const attempt of error.attempts ?? []) enterError(book, attempt)
  if (error.omitted !== undefined) {
    book.calls += error.omitted.count
    book.tokens = TokenUsage.add(book.tokens, error.omitted.usage)
  }
  // Callers that wait for the same call get the same failure, marked as another caller's.
  const isAnothers = error.partial?.cached === true
  // A deadline is not a request. The requests that it cut are in its attempts.
  const isDeadline = error.description.startsWith("Fallback deadline")
  if (!isAnothers && !isDeadline && !unasked.has(error.code ?? "")) enter(book, error.partial?.usage)
}

const emptyBook = (): Book => ({ calls: 0, tokens: TokenUsage.zero })

const enterResponse = (book: Book, response: CompletionResponse.CompletionResponse): void => {
  for (const attempt of response.attempts ?? []) enterError(book, attempt)
  if (response.cached !== true) enter(book, response.usage)
}

// ---------------------------------------------------------------------------------------------------------------------
// The stack
// ---------------------------------------------------------------------------------------------------------------------

const apiKey = Redacted.make("sk-soak")
const timeouts = { firstPart: "1 minute", progress: "1 minute", total: "2 minutes" } as const

const providers = {
  anthropic: Anthropic.layer({ apiKey, model: "claude-opus-5-5", timeouts }),
  openai: OpenAi.layer({ apiKey, model: "gpt-6-luna", timeouts }),
  gemini: Gemini.layer({ apiKey, model: "gemini-3.8-flash", timeouts }),
  openrouter: OpenRouter.layer({ apiKey, model: "openai/gpt-6-luna", timeouts })
}

// Callers that will leave tell the provider's book so, because they do not see what they miss.
const leaving = "I will leave before you answer."
const leaves = ({ preamble }: Completion.Completion) => preamble === leaving

/** Keeps the provider's own book: the requests, and the reported tokens. */
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

const careful = () =>
  LLMClient.compose(
    Retry.layer({ maxRetryAfter: "30 seconds" }),
    CircuitBreaker.layer({ rate: { threshold: 0.8 }, openDuration: "10 seconds" }),
    Throttle.layer({ requestsPerMinute: 100_000, concurrency: atOnce / 2, maxWait: "5 minutes" })
  )

/** The full stack over simulated providers in this process. */
const simulated = (book: Book, budget: Budget.Budget, faults: Simulator.Options["faults"] & object) => {
  const member = (name: keyof typeof providers) =>
    LLMClient.compose(
      careful(),
      Budget.layer(budget),
      booked(book),
      providers[name].pipe(
        Layer.provide(Simulator.layer({ faults: { ...faults, seed: `${seed} ${name}` }, chunkSize: 512 }))
      )
    )
  return LLMClient.compose(
    ResponseCache.layer({ capacity: 500 }),
    Fallback.layer([member("anthropic"), member("openai"), member("gemini"), member("openrouter")])
  )
}

/** The full stack over a server on this machine, with a deadline that also cuts the last member. */
const served = (url: string, budget: Budget.Budget) => {
  const at = { apiKey, timeouts }
  const members = [
    Anthropic.layer({ ...at, whole: "stream", name: "anthropic", baseUrl: url, model: "claude-opus-5-5" }),
    OpenAi.layer({
      ...at,
      api: "responses",
      whole: "stream",
      name: "openai",
      baseUrl: `${url}/v1`,
      model: "gpt-6-luna"
    }),
    Gemini.layer({ ...at, name: "gemini", baseUrl: url, model: "gemini-3.8-flash" }),
    OpenRouter.layer({ ...at, name: "openrouter", baseUrl: `${url}/api/v1`, model: "openai/gpt-6-luna" })
  ].map((provider) => LLMClient.compose(careful(), Budget.layer(budget), provider))
  const [first, ...others] = members
  return LLMClient.compose(
    ResponseCache.layer({ capacity: 500 }),
    Fallback.layer([first!, ...others], { deadline: "1 minute" })
  ).pipe(Layer.provide(NodeHttpClient.layerUndici))
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

interface Soaked {
  readonly outcomes: Outcomes
  /** The usage that callers saw, in total and by call. */
  readonly callers: Book
  readonly seenByCall: ReadonlyMap<string, Book>
}

/**
 * Makes `count` calls, of which a share leaves before the end. Checks that nothing is left over, and that each call
 * ends once.
 */
const soak = Effect.fnUntraced(function*(
  title: string,
  count: number,
  share: number,
  client: LLMClient.Service,
  budget: Budget.Budget,
  concurrency = atOnce
): Effect.fn.Return<Soaked> {
  const callers = emptyBook()
  const seenByCall = new Map<string, Book>()
  const outcomes: Outcomes = { answers: 0, cached: 0, errors: 0, left: 0, reasons: new Map() }
  const random = yield* Random.Random
  const memory: Array<number> = []
  const started = performance.now()

  const one = Effect.fnUntraced(function*(index: number) {
    // Every tenth call repeats an earlier one, streamed or not, which may be in the cache.
    const name = `Call ${index % 10 === 9 ? index - (index % 20 === 9 ? 201 : 202) : index}`
    const leave = random.nextDoubleUnsafe() < share
    const completion = Completion.make({ prompt: `${name}.`, maxTokens: 100, ...leave && { preamble: leaving } })
    const call = answerTo(client, completion, index % 2 === 0)
    const book = seenByCall.get(name) ?? emptyBook()
    if (!leave) seenByCall.set(name, book)
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
      if (!leave) { for (const each of [callers, book]) enterResponse(each, exit.value) }
    } else {
      const error = Cause.findErrorOption(exit.cause)
      if (Option.isSome(error)) {
        outcomes.errors++
        const { _tag, reason } = error.value
        outcomes.reasons.set(`${_tag} ${reason}`, (outcomes.reasons.get(`${_tag} ${reason}`) ?? 0) + 1)
        if (!leave) { for (const each of [callers, book]) enterError(each, error.value) }
      } else if (leave && Cause.hasInterruptsOnly(exit.cause)) outcomes.left++
      else expect(false, `call ${index} ended with ${Cause.pretty(exit.cause)}`)
    }
    if ((index + 1) % Math.ceil(count / 8) === 0) memory.push(heap())
  })

  yield* Effect.forEach(Array.from({ length: count }, (_, index) => index), one, { concurrency, discard: true })

  const seconds = (performance.now() - started) / 1000
  const { answers, cached, errors, left, reasons } = outcomes
  console.log(
    `${title}: ${count} calls in ${
      seconds.toFixed(1)
    } s: ${answers} answers (${cached} cached), ${errors} errors, ${left} left`
  )
  console.log(`  errors: ${[...reasons].map(([reason, times]) => `${reason} ${times}`).join(", ") || "none"}`)
  console.log(`  heap, MB: ${memory.map((used) => used.toFixed(1)).join(" ")}`)
  const { reserved } = yield* budget.usage
  expect(answers + errors + left === count, `${title}: ${count} calls had ${answers + errors + left} outcomes`)
  expect(reserved.calls === 0 && reserved.tokens === 0, `${title}: ${reserved.tokens} tokens are reserved for no call`)
  // The first quarter fills caches and warms up the compiler.
  const [early = 0, late = 0] = [Math.max(...memory.slice(1, 4)), Math.min(...memory.slice(5))]
  expect(globalThis.gc === undefined || late < early * 1.1 + 5, `${title}: the heap grew from ${early} to ${late} MB`)
  return { outcomes, callers, seenByCall }
})

/** With simulated providers: callers saw the reported usage, and budgets counted it. */
const inProcess = Effect.fnUntraced(function*(
  title: string,
  count: number,
  faults: Simulator.Options["faults"] & object,
  share: number
) {
  const asked = emptyBook()
  const budget = yield* Budget.make({ tokens: Number.MAX_SAFE_INTEGER })
  const client = Context.get(yield* Layer.build(simulated(asked, budget, faults)), LLMClient.LLMClient)
  const { callers } = yield* soak(title, count, share, client, budget)
  console.log(
    `  requests: ${asked.calls} made, ${callers.calls} seen by callers; tokens: ${asked.tokens.totalTokens} reported`
  )
  const { tokens } = yield* budget.usage
  expect(asked.calls === callers.calls, `${title}: ${asked.calls} requests were made, callers saw ${callers.calls}`)
  for (const kind of Object.keys(asked.tokens) as Array<keyof TokenUsage.TokenUsage>) {
    expect(
      asked.tokens[kind] === callers.tokens[kind],
      `${title}: ${asked.tokens[kind]} ${kind} were reported, callers saw ${callers.tokens[kind]}`
    )
    // Broken and abandoned calls are estimated if their provider has not reported yet.
    expect(
      share === 0 ? tokens[kind] === asked.tokens[kind] : tokens[kind] >= asked.tokens[kind],
      `${title}: ${asked.tokens[kind]} ${kind} were reported, the budget counted ${tokens[kind]}`
    )
  }
}, Effect.provideService(Clock.Clock, clockOf(inMemory)))

/** With a server on this machine: callers saw every request. */
const onTheWire = Effect.fnUntraced(function*(title: string, count: number) {
  const random = yield* Random.Random
  const server = yield* listen({
    rate: 0.3,
    speed: overNetwork,
    random: () => random.nextDoubleUnsafe(),
    callOf: (body) => body.includes(leaving) ? undefined : /Call \d+|Call -\d+/.exec(body)?.[0] ?? "unknown"
  })
  const budget = yield* Budget.make({ tokens: Number.MAX_SAFE_INTEGER })
  const client = Context.get(yield* Layer.build(served(server.url, budget)), LLMClient.LLMClient)
  const { callers, seenByCall } = yield* soak(title, count, 0.03, client, budget, atOnce / 4)
  let seen = 0
  for (const [call, times] of server.seen) {
    seen += times
    const reported = seenByCall.get(call)?.calls ?? 0
    expect(times <= reported, `${title}: the server saw ${times} requests of ${call}, callers saw ${reported}`)
  }
  console.log(
    `  requests: the server saw ${seen}, callers saw ${callers.calls}; ${server.faults()} met a fault`
  )
  // The others are requests that were cut on their way: the busier the machine, the more.
  expect(callers.calls < seen * 1.25, `${title}: the server saw ${seen} requests, callers saw ${callers.calls}`)
}, Effect.provideService(Clock.Clock, clockOf(overNetwork)))

// Faults without a partial answer, after which nothing more is generated: the reported usage is everything. A broken
// connection is charged as reserved.
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
  const share = (part: number) => Math.ceil(total * part)
  yield* inProcess("counted to the token", share(0.4), { rate: 0.2, only: whole }, 0)
  yield* inProcess("everything that can go wrong, and callers that leave", share(0.4), { rate: 0.2 }, 0.05)
  yield* onTheWire("through a server of this machine, with outages and hostile answers", share(0.2))
})

await Effect.runPromise(program.pipe(
  Effect.scoped,
  Effect.provide(Logger.layer([])),
  Random.withSeed(seed)
))

if (problems.length > 0) {
  console.error(`${problems.length} problems:\n${problems.slice(0, 20).join("\n")}`)
  process.exitCode = 1
} else console.log("Nothing was lost.")
