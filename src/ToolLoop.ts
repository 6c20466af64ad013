/**
 * Calls a model, runs the tools that it calls, and returns their results, until it answers. The tools are those of
 * `effect/ai`: a `Toolkit` with its handlers, your own or an MCP server's.
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
 * `run` requests whole answers, which can be retried at any point; `stream` starts each call as soon as it is complete,
 * while the model is still writing. The module has its own path, because it loads `effect/ai`.
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
  /** The definition of an `effect/ai` tool, as it is sent. */
  definition
} from "./toolLoop/call.ts"
export type { Answered, LoopPart, Options, Outcome, Progress, Stopped, Tools, Turn } from "./toolLoop/model.ts"

/**
 * The progress of a failed loop: `Effect.tapCause((cause) => save(ToolLoop.progress(cause)))`. If the failed turn already
 * had an answer, it is the last of `turns`.
 */
export const progress = <E>(cause: Cause.Cause<E>): Progress | undefined =>
  Context.get(Cause.annotations(cause), Loop.SoFar)

type Needs<T extends Call.Tools, S extends Output, R> = LLMClient | Call.Services<T> | S["DecodingServices"] | R

const whole = (client: Service): Loop.Ask => client.completion

/**
 * Runs the loop to its end. It requests whole answers, so that a `Retry` or `Fallback` below may resend at any point;
 * calls run after the answer.
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

// Emits the parts of an answer as they arrive, and starts calls with them.
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

// Buffered parts: a slow reader slows down the stream.
const bufferSize = 16

/**
 * Runs the loop and emits its events; the last part is `Done`, with the outcome. A call starts as soon as it is complete.
 * A reader that stops ends the request and the running calls.
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
