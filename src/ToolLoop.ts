/**
 * Calls a model, runs the tools that it calls, sends their results back, and so on, until it answers. The tools are those
 * of `effect/ai`: a `Toolkit` with its handlers, one's own or an MCP server's.
 *
 * ```ts
 * import { Console, Effect, Schema } from "effect"
 * import { Completion } from "effect-llm"
 * import * as ToolLoop from "effect-llm/ToolLoop"
 * import * as Tool from "effect/ai/Tool"
 * import * as Toolkit from "effect/ai/Toolkit"
 *
 * const Weather = Tool.make("weather", { parameters: Schema.Struct({ city: Schema.String }), success: Schema.String })
 * const Tools = Toolkit.make(Weather)
 * const ToolsLive = Tools.toLayer({ weather: ({ city }) => Effect.succeed(`sunny in ${city}`) })
 *
 * const program = ToolLoop.run(Completion.make({ prompt: "Weather in Oslo and Rome?" }), Tools).pipe(
 *   Effect.tap(({ response, usage }) => Console.log(response.text, usage.totalTokens)),
 *   Effect.provide(ToolsLive)
 * )
 * ```
 *
 * `run` asks for whole answers, which can be retried at any point; `stream` starts each call as soon as it is whole,
 * while the model still writes. This module has a path of its own, since `effect/ai` is loaded with it.
 */

import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { Completion } from "./Completion.ts"
import type { CompletionResponse } from "./CompletionResponse.ts"
import { LLMClient, type Service } from "./LLMClient.ts"
import type { Output } from "./output/form.ts"
import type * as Call from "./toolLoop/call.ts"
import * as Loop from "./toolLoop/loop.ts"
import type { Emit, Failure, LoopPart, Options, Outcome, Progress, Tools, Value } from "./toolLoop/model.ts"

export {
  /** The definition of a tool of `effect/ai`, as it is sent. */
  definition
} from "./toolLoop/call.ts"
export type { Answered, LoopPart, Options, Outcome, Progress, Stopped, Tools, Turn } from "./toolLoop/model.ts"

/**
 * How far a loop had come that failed: `Effect.tapCause((cause) => save(ToolLoop.progress(cause)))`. Where an answer had
 * come in the turn in which it failed, that turn is the last of `turns`.
 */
export const progress = <E>(cause: Cause.Cause<E>): Progress | undefined =>
  Context.get(Cause.annotations(cause), Loop.SoFar)

type Needs<T extends Call.Tools, S extends Output, R> = LLMClient | Call.Services<T> | S["DecodingServices"] | R

const whole = (client: Service): Loop.Ask => client.completion

/**
 * Runs the loop to its end. Whole answers are asked for, so that a `Retry` or a `Fallback` below may ask again at any
 * point; calls run when the answer is there.
 */
export const run = <
  T extends Call.Tools,
  EX = never,
  RX = never,
  E = never,
  R = never,
  S extends Output = never
>(
  completion: Completion,
  tools: Tools<T, EX, RX>,
  options: Options<E, R, S> = {}
): Effect.Effect<Outcome<Value<S>>, Failure<T, EX | E>, Needs<T, S, RX | R>> =>
  LLMClient.use((client) => Loop.loop(whole(client), () => Effect.void, client, completion, tools, options))

// Shows the parts of an answer while they come, and starts calls with them.
const streamed = (client: Service, emit: Emit): Loop.Ask => (completion, begin) =>
  Effect.gen(function*() {
    let response: CompletionResponse | undefined
    yield* Stream.runForEachArray(client.stream(completion), (parts) =>
      Effect.gen(function*() {
        for (const part of parts) {
          if (part._tag === "Finish") response = part.response
          else if (part._tag === "ContentEnd" && part.content._tag === "ToolCall") yield* begin(part.content)
        }
        yield* emit(parts)
      }))
    return response ?? (yield* Effect.die(new Error("ToolLoop: a stream without Finish")))
  })

// Parts that wait to be read: a model that writes faster than it is read is read more slowly.
const bufferSize = 16

/**
 * Runs the loop, and shows what happens; the last part is `Done`, with the outcome. A call starts as soon as it is
 * whole. Whoever stops reading ends the request and the calls that run.
 */
export const stream = <
  T extends Call.Tools,
  EX = never,
  RX = never,
  E = never,
  R = never,
  S extends Output = never
>(
  completion: Completion,
  tools: Tools<T, EX, RX>,
  options: Options<E, R, S> = {}
): Stream.Stream<LoopPart<Value<S>>, Failure<T, EX | E>, Needs<T, S, RX | R>> =>
  Stream.callback<LoopPart<Value<S>>, Failure<T, EX | E>, Needs<T, S, RX | R>>((queue) =>
    Effect.gen(function*() {
      const client = yield* LLMClient
      const emit: Emit = (parts) => Effect.asVoid(Queue.offerAll(queue, parts as ReadonlyArray<LoopPart<Value<S>>>))
      const outcome = yield* Loop.loop(streamed(client, emit), emit, client, completion, tools, options)
      yield* Queue.offer(queue, { _tag: "Done", outcome })
      yield* Queue.end(queue)
    }), { bufferSize })
