/**
 * A scripted `LLMClient`, for tests of code that calls language models. It answers from a script, keeps its requests,
 * and fails the test if the code asks for more, for less, or for something else. See docs/testing.md.
 *
 * ```ts
 * import { assert, it } from "@effect/vitest"
 * import { Effect } from "effect"
 * import { Completion, LLMClient } from "effect-llm"
 * import { TestLLM } from "effect-llm/testing"
 *
 * it.effect("asks for the weather, then gives advice", () =>
 *   Effect.gen(function*() {
 *     const call = yield* LLMClient.completion(Completion.make({ prompt: "Oslo?" }))
 *     const advice = yield* LLMClient.completion(Completion.make({ prompt: "Rain", history: [call.message] }))
 *     assert.strictEqual(advice.text, "Take an umbrella.")
 *     assert.strictEqual((yield* TestLLM.requests).length, 2)
 *   }).pipe(Effect.provide(TestLLM.layer([
 *     TestLLM.toolCall("get_weather", { city: "Oslo" }),
 *     TestLLM.expect({ prompt: "Rain" }, "Take an umbrella.")
 *   ]))))
 * ```
 *
 * A call that does not follow the script is a defect. If the code under test swallows it, the end of the layer fails
 * the test. `Simulator` is for tests that also run the real provider layers.
 */

import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Formatter from "effect/Formatter"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Completion from "../Completion.ts"
import type { CompletionPart } from "../CompletionPart.ts"
import { LLMClient, type Service } from "../LLMClient.ts"
import * as LLMError from "../LLMError.ts"
import * as Options from "../middleware/options.ts"
import { difference, nearest, show } from "./script/difference.ts"
import { read, readAll } from "./script/read.ts"
import { resolve, type Resolved } from "./script/reply.ts"
import {
  type After,
  type Answer,
  type AnswerFields,
  type Conditional,
  type Entry,
  type Match,
  type Never,
  type Parts,
  type Reply,
  type Script,
  type Step
} from "./script/script.ts"

export type { Answer, AnswerFields, Failure, Match, Parts, PartStep, Reply, Script, Step } from "./script/script.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Replies
// ---------------------------------------------------------------------------------------------------------------------

/** An answer from its fields. The finish reason (`Stop` or `ToolUse`) and zero usage are filled in. */
export const answer = (fields: AnswerFields): Answer => ({ _tag: "Answer", fields })

/** An answer with one tool call. */
export const toolCall = (name: string, args: Schema.Json): Answer => answer({ toolCalls: [{ name, arguments: args }] })

/**
 * A streamed answer: texts and other parts, with a `Duration` where it waits, and a failure where it breaks. `Start`,
 * indices, `ContentEnd` and `Finish` are added if they are left out; `rest` are fields of the answer, such as usage and
 * finish reason. `completion` waits as long, and returns the joined answer.
 */
export const parts = (steps: ReadonlyArray<Step>, rest: Parts["rest"] = {}): Parts => ({ _tag: "Parts", steps, rest })

/** Never answers: the call waits until it is interrupted. */
export const never: Never = { _tag: "Never" }

/** The reply, after a delay on Effect's clock. */
export const after = (delay: Duration.Input, reply: Reply): After => ({ _tag: "After", delay, reply })

/** The reply. The test fails if the call that gets it asks for something else. */
export const expect = (match: Match, reply: Reply): Conditional => ({ _tag: "Expect", match, reply })

/** The reply for the first call that matches. Other calls take the next reply. */
export const when = (match: Match, reply: Reply): Conditional => ({ _tag: "When", match, reply })

// ---------------------------------------------------------------------------------------------------------------------
// The service
// ---------------------------------------------------------------------------------------------------------------------

/** A request, and its outcome. */
export interface Request {
  readonly completion: Completion.Completion
  readonly streamed: boolean
  /** `Interrupted`: the caller left before the end. `Refused`: the call did not follow the script. */
  readonly outcome: "Running" | "Answered" | "Failed" | "Interrupted" | "Refused"
}

export class TestLLM extends Context.Service<TestLLM, {
  readonly client: Service
  /** All requests so far, in order. */
  readonly requests: Effect.Effect<ReadonlyArray<Request>>
  /** Dies when a call did not follow the script, or replies are unused. */
  readonly verify: Effect.Effect<void>
}>()("effect-llm/testing/TestLLM") {}

/** All requests so far, in order. */
export const requests: Effect.Effect<ReadonlyArray<Request>, never, TestLLM> = TestLLM.use(({ requests }) => requests)

/** Fails the test when a call did not follow the script, or replies are unused. The end of the layer does the same. */
export const verify: Effect.Effect<void, never, TestLLM> = TestLLM.use(({ verify }) => verify)

export interface Settings {
  /** The provider's name in answers and errors; "test" unless given. */
  readonly provider?: string
  /** The model of completions without one; "test-model" unless given. */
  readonly model?: string
  /** The base URL of the service; none unless given. */
  readonly baseUrl?: string
}

interface Asking {
  outcome: Request["outcome"]
  readonly completion: Completion.Completion
  readonly streamed: boolean
}

/**
 * A scripted client with its requests, for tests with several. An invalid script is refused as a defect. The end of the
 * scope fails the test when a call did not follow the script.
 */
export const make = Effect.fnUntraced(
  function*(script: Script, settings: Settings = {}): Effect.fn.Return<TestLLM["Service"], never, Scope.Scope> {
    const { baseUrl, model = "test-model", provider = "test" } = settings
    if (provider === "") Options.refuse("TestLLM", "provider", "a name")
    if (model === "") Options.refuse("TestLLM", "model", "a name")
    const remaining = typeof script === "function" ? [] : readAll(script)
    const size = remaining.length
    const asked: Array<Asking> = []
    const problems: Array<Error> = []

    const next = (completion: Completion.Completion, call: number): Entry | undefined => {
      if (typeof script === "function") {
        const reply = script(completion, call)
        return reply === undefined ? undefined : read(`reply to call ${call + 1}`, reply)
      }
      const index = remaining.findIndex(({ when }) =>
        when.every((match) => difference(match, completion) === undefined)
      )
      return remaining.splice(index, index < 0 ? 0 : 1)[0]
    }

    const complaint = (problem: string, options?: ErrorOptions): Error =>
      new Error(`TestLLM ${provider}: ${problem}`, options)

    const against = (asking: Asking, problem: string, options?: ErrorOptions): Effect.Effect<never> => {
      const error = complaint(problem, options)
      asking.outcome = "Refused"
      problems.push(error)
      return Effect.die(error)
    }

    const tooMany = (completion: Completion.Completion): string => {
      const got = `It asked for\n${show(completion)}`
      if (typeof script === "function") return `the script has no reply for it. ${got}`
      if (remaining.length === 0) return `the script has ${size} ${size === 1 ? "reply" : "replies"}. ${got}`
      return `none of the replies left (${remaining.length}) is for it. ${got}${nearest(script, remaining, completion)}`
    }

    // The steps of the reply after its delay, or what is wrong with the call.
    const answerTo = (asked: Completion.Completion, call: number): Effect.Effect<ReadonlyArray<Resolved>> | string => {
      const name = asked.model ?? model
      const completion = Completion.model(name)(asked)
      const entry = next(completion, call)
      if (entry === undefined) return `is one too many: ${tooMany(completion)}`
      for (const match of [...entry.when, ...entry.expect]) {
        const differs = difference(match, completion)
        if (differs !== undefined) return `is not the one expected\n${differs}`
      }
      const { delay, reply } = entry
      if (reply._tag === "Never") return Effect.never
      const steps = resolve({ call, provider, model: name }, reply)
      return Duration.isZero(delay) ? Effect.succeed(steps) : Effect.as(Effect.sleep(delay), steps)
    }

    // An exception in a function of the script counts as a problem, for example an assertion in a predicate.
    const begin = (asking: Asking): Effect.Effect<ReadonlyArray<Resolved>> => {
      const call = asked.push(asking) - 1
      const answer = Result.try(() => answerTo(asking.completion, call))
      if (Result.isFailure(answer)) {
        const cause = answer.failure
        return against(asking, `call ${call + 1} makes the script fail: ${Formatter.format(cause)}`, { cause })
      }
      return typeof answer.success === "string"
        ? against(asking, `call ${call + 1} ${answer.success}`)
        : answer.success
    }

    const ask = (
      completion: Completion.Completion,
      streamed: boolean
    ): Stream.Stream<CompletionPart, LLMError.LLMError> =>
      Stream.suspend(() => {
        const asking: Asking = { completion, streamed, outcome: "Running" }
        const play = (step: Resolved): Effect.Effect<ReadonlyArray<CompletionPart>, LLMError.LLMError> => {
          if (Duration.isDuration(step)) return Effect.as(Effect.sleep(step), [])
          if (LLMError.isLLMError(step)) {
            asking.outcome = "Failed"
            return Effect.fail(step)
          }
          if (step.at(-1)?._tag === "Finish") asking.outcome = "Answered"
          return Effect.succeed(step)
        }
        return Stream.fromIterableEffect(Effect.suspend(() => begin(asking))).pipe(
          Stream.mapEffect((step) => Effect.suspend(() => play(step))),
          Stream.flattenIterable,
          Stream.ensuring(Effect.sync(() => {
            if (asking.outcome === "Running") asking.outcome = "Interrupted"
          }))
        )
      })

    const client: Service = {
      provider,
      model,
      ...(baseUrl !== undefined && { baseUrl }),
      stream: (completion) => ask(completion, true),
      completion: (completion) =>
        Effect.flatMap(
          Stream.runLast(ask(completion, false)),
          (last) =>
            Option.isSome(last) && last.value._tag === "Finish"
              ? Effect.succeed(last.value.response)
              : Effect.die(new Error(`TestLLM ${provider}: a reply without Finish`))
        )
    }

    // Reports the problems that are not known yet. After a defect, unused replies are only a consequence, but an
    // earlier problem may be the reason.
    const complain = (reported: ReadonlyArray<unknown>): Effect.Effect<void> => {
      const unused = remaining.length === 0 || reported.length > 0
        ? []
        : [complaint(`replies left over: ${remaining.length} of ${size}, the next is\n${show(remaining[0]?.reply)}`)]
      const all = [...problems.filter((problem) => !reported.includes(problem)), ...unused]
      return all.length === 0 ? Effect.void : Effect.failCause(Cause.fromReasons(all.map(Cause.makeDieReason)))
    }

    const verify = Effect.suspend(() => complain([]))

    yield* Effect.addFinalizer((exit) =>
      complain(Exit.isFailure(exit) ? exit.cause.reasons.filter(Cause.isDieReason).map(({ defect }) => defect) : [])
    )

    return { client, requests: Effect.sync(() => asked.map((asking) => ({ ...asking }))), verify }
  }
)

/**
 * The scripted client as a layer, with `requests` and `verify`. Every build starts the script again. The end of the
 * layer fails the test when replies are unused, or a call did not follow the script.
 */
export const layer = (script: Script, settings?: Settings): Layer.Layer<LLMClient | TestLLM> =>
  Layer.effectContext(
    Effect.map(make(script, settings), (service) =>
      Context.make(TestLLM, service).pipe(Context.add(LLMClient, service.client)))
  )
