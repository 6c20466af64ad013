/**
 * The loop: an answer, its calls, their results, and so on.
 */
import type * as AiTool from "effect/ai/Tool"
import type * as Toolkit from "effect/ai/Toolkit"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Completion from "../Completion.ts"
import * as CompletionResponse from "../CompletionResponse.ts"
import type { Service } from "../LLMClient.ts"
import * as LLMError from "../LLMError.ts"
import * as Message from "../Message.ts"
import * as Check from "../middleware/options.ts"
import type { Form, Output } from "../output/form.ts"
import * as Read from "../output/read.ts"
import * as TokenUsage from "../TokenUsage.ts"
import * as Tool from "../Tool.ts"
import * as Call from "./call.ts"
import {
  type Emit,
  type Failure,
  optionNames,
  type Options,
  type Outcome,
  type Progress,
  type Stopped,
  type Tools,
  type Value
} from "./model.ts"
import * as Runner from "./runner.ts"

/** Requests an answer; `begin` receives each call as soon as it is complete. */
export type Ask = (
  completion: Completion.Completion,
  begin: (call: Message.ToolCall) => Effect.Effect<void>
) => Effect.Effect<CompletionResponse.CompletionResponse, LLMError.LLMError>

/** The progress of a failed loop, with its failure. */
export const SoFar = Context.Reference<Progress | undefined>("effect-llm/ToolLoop/Progress", {
  defaultValue: () => undefined
})

const checked = (options: Options<unknown, unknown, Output>): void => {
  const { concurrency, maxFailedTurns, maxTurns, repairs } = options
  Check.known("ToolLoop", options, optionNames)
  Check.wholeNumber("ToolLoop", "maxTurns", maxTurns)
  Check.wholeNumber("ToolLoop", "maxFailedTurns", maxFailedTurns)
  Check.wholeNumber("ToolLoop", "repairs", repairs, 0)
  if (concurrency !== "unbounded") Check.wholeNumber("ToolLoop", "concurrency", concurrency)
}

/** The answer at the end of a conversation, if it has calls: the loop begins by running them. */
const openAnswer = ({ prompt }: Completion.Completion) =>
  prompt._tag === "Assistant" && prompt.content.some(({ _tag }) => _tag === "ToolCall") ? prompt : undefined

const resumed = ({ content, id, provider = "" }: Message.Assistant): CompletionResponse.CompletionResponse =>
  CompletionResponse.make({
    choice: content,
    finishReason: { _tag: "ToolUse" },
    usage: TokenUsage.zero,
    provider,
    id
  })

/** The first request: the caller's definitions and their cache marks are kept. */
const offering = <S extends Output>(
  completion: Completion.Completion,
  tools: ReadonlyArray<Tool.ToolDefinition>,
  form: Form<S> | undefined
): Completion.Completion => {
  const named = new Set(completion.tools.map(({ name }) => name))
  const offered = Completion.tools([...completion.tools, ...tools.filter(({ name }) => !named.has(name))])(completion)
  return form === undefined ? offered : Completion.outputSchema(form.jsonSchema)(offered)
}

/** The request of a turn. A forced call is forced only once, or there would never be an answer. */
const asking = (
  offered: Completion.Completion,
  messages: ReadonlyArray<Message.Message>,
  isFirst: boolean,
  isLast: boolean
): Completion.Completion => {
  const choice = offered.toolChoice?._tag
  const once = !isFirst && (choice === "Required" || choice === "Specific")
  return Completion.make({
    ...offered,
    history: messages.slice(0, -1),
    prompt: messages.at(-1)!,
    ...(once && { toolChoice: Tool.auto }),
    ...(isLast && { toolChoice: Tool.none })
  })
}

export const loop = <T extends Call.Tools, EX, RX, E, R, S extends Output>(
  ask: Ask,
  emit: Emit,
  client: Service,
  completion: Completion.Completion,
  tools: Tools<T, EX, RX>,
  options: Options<E, R, S>
): Effect.Effect<Outcome<Value<S>>, Failure<T, EX | E>, Call.Services<T> | S["DecodingServices"] | RX | R> =>
  Effect.gen(function*() {
    checked(options)
    const { compact, maxFailedTurns = 3, maxTurns = 16, onTurn, repairs = 1, schema, stopWhen, window } = options
    const toolkit = Effect.isEffect(tools) ? yield* (tools as Effect.Effect<Toolkit.WithHandler<T>, EX, RX>) : tools
    const own: ReadonlyArray<AiTool.Any> = Object.values(toolkit.tools)
    const foreign = own.find(Call.isForeign)
    if (foreign !== undefined) {
      return yield* LLMError.make("ClientError", {
        provider: client.provider,
        model: completion.model ?? "",
        reason: "Unsupported",
        description: `the tool ${foreign.name} is defined by its provider: offer it with Completion.providerParams`
      })
    }
    const form = schema && (yield* Read.ask(completion, schema, client.provider))
    const offered = offering(completion, own.map(Call.definition), form)
    const runner = Runner.make(toolkit, completion.tools, options, emit)

    let open = openAnswer(completion)
    let soFar: Progress = {
      messages: open === undefined ? Completion.messages(completion) : completion.history,
      turns: [],
      usage: TokenUsage.zero
    }
    let asked = 0
    let failedTurns = 0
    let repaired = 0

    const count = Effect.fnUntraced(function*(response: CompletionResponse.CompletionResponse) {
      const failed = LLMError.total(response.attempts ?? []).usage
      soFar = { ...soFar, usage: TokenUsage.add(soFar.usage, TokenUsage.add(response.usage, failed)) }
      if (window === undefined) return
      yield* window.record(failed)
      yield* window.record(response)
    })

    const compacted = Effect.gen(function*() {
      if (window === undefined || compact === undefined || !(yield* window.shouldCompact)) return
      yield* window.reset
      soFar = { ...soFar, messages: yield* compact(soFar.messages) }
    })

    /** One answer and its calls; an outcome if it is the last. */
    const turn = (calls: Runner.Calls<Failure<T, E>>) =>
      Effect.gen(function*(): Effect.fn.Return<
        Outcome<Value<S>> | undefined,
        Failure<T, E>,
        S["DecodingServices"] | R
      > {
        const given = open
        open = undefined
        const isLast = given === undefined && ++asked >= maxTurns
        const begin = runner.early && !isLast ? calls.begin : () => Effect.void
        const response = given === undefined
          ? yield* ask(asking(offered, soFar.messages, asked === 1, isLast), begin)
          : resumed(given)
        yield* count(response)
        const { turns } = soFar
        // The current turn, and the part of it that is in the conversation.
        const note = (results: ReadonlyArray<Message.ToolResult>, ...messages: ReadonlyArray<Message.Message>) => {
          const turn = { index: turns.length, response, results }
          soFar = { ...soFar, messages: [...soFar.messages, ...messages], turns: [...turns, turn] }
          return turn
        }
        const over = Effect.suspend(() => {
          const turn = soFar.turns.at(-1)!
          return Effect.andThen(emit([{ _tag: "Turn", turn }]), onTurn?.(turn, soFar) ?? Effect.void)
        })
        const stop = (stopped: Stopped["stopped"]) => Effect.map(over, (): Stopped => ({ ...soFar, response, stopped }))
        const isCut = response.finishReason._tag === "MaxTokens"
        const made = note([])

        if (response.toolCalls.length > 0) {
          if (isLast) return yield* stop("MaxTurns")
          if (stopWhen?.(made) === true) return yield* stop("Condition")
          const kept = yield* runner.keptBy(response.toolCalls)
          if (kept !== undefined) return yield* stop(kept)
          const results = yield* calls.results(response.toolCalls)
          note(results, given ?? response.message, Message.user(results))
          if (isCut) return yield* stop("MaxTokens")
          failedTurns = results.every(({ isError }) => isError === true) ? failedTurns + 1 : 0
          if (failedTurns >= maxFailedTurns) return yield* stop("Failures")
          yield* over
          yield* compacted
          return undefined
        }

        // An answer may be empty after tool results, but providers refuse empty turns.
        const said = response.choice.length === 0 ? [] : [response.message]
        const value: Result.Result<Value<S>, LLMError.LLMError> = form === undefined
          ? Result.succeed(response.text as Value<S>)
          : yield* Effect.result(Read.read(form, response)) as Effect.Effect<
            Result.Result<Value<S>, LLMError.LLMError>,
            never,
            S["DecodingServices"]
          >
        if (isCut && (form === undefined || Result.isFailure(value))) {
          note([], ...said)
          return yield* stop("MaxTokens")
        }
        if (Result.isSuccess(value)) {
          note([], ...said)
          yield* over
          return { ...soFar, response, stopped: "Answer", value: value.success }
        }
        if (isLast || repaired >= repairs || !Read.isRepairable(value.failure)) return yield* value.failure
        repaired++
        note([], ...said, Message.user(Read.complaint(value.failure, form!)))
        yield* over
        yield* compacted
        return undefined
      })

    // Fibers end with their turn, whatever its outcome.
    const next = Effect.scoped(
      Effect.flatMap(runner.calls, (calls) => Effect.raceFirst(turn(calls), calls.failed))
    ).pipe(
      Effect.catchCause((cause) => Effect.failCause(Cause.annotate(cause, Context.make(SoFar, soFar))))
    )
    while (true) {
      const outcome = yield* next
      if (outcome !== undefined) return outcome
    }
  })
