/**
 * A scripted `LLMClient`, for tests of code that calls language models: it answers what the script says, keeps what it
 * was asked, and fails the test that asks for more, for less, or for something else.
 *
 * Reach for it when a test is about your own code: its prompts, its loop over tool calls, what it does about failures.
 * `Simulator` is for tests that also run the real provider layers.
 *
 * ```ts
 * import { assert, it } from "@effect/vitest"
 * import { Effect } from "effect"
 * import { Completion, LLMClient } from "effect-llm"
 * import { TestLLM } from "effect-llm/testing"
 *
 * it.effect("asks for the weather, then tells it", () =>
 *   Effect.gen(function*() {
 *     const call = yield* LLMClient.completion(Completion.make({ prompt: "Oslo?" }))
 *     const told = yield* LLMClient.completion(Completion.make({ prompt: "Rain", history: [call.message] }))
 *     assert.strictEqual(told.text, "Take an umbrella.")
 *     assert.strictEqual((yield* TestLLM.requests).length, 2)
 *   }).pipe(Effect.provide(TestLLM.layer([
 *     TestLLM.toolCall("get_weather", { city: "Oslo" }),
 *     TestLLM.expect({ prompt: "Rain" }, "Take an umbrella.")
 *   ]))))
 * ```
 *
 * Whatever goes against the script is a defect, which no retry hides and no handler of errors catches; it is remembered,
 * so that the end of the layer fails the test even if the code under test swallowed the defect.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Formatter from "effect/Formatter"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TextDiff from "effect/TextDiff"
import * as Completion from "../Completion.ts"
import { type CompletionPart, fromResponse } from "../CompletionPart.ts"
import * as CompletionResponse from "../CompletionResponse.ts"
import * as Options from "../internal/options.ts"
import { LLMClient, type Service } from "../LLMClient.ts"
import * as LLMError from "../LLMError.ts"
import type * as Message from "../Message.ts"
import { isObject, parseJson } from "../protocol/json.ts"
import * as TokenUsage from "../TokenUsage.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Replies
// ---------------------------------------------------------------------------------------------------------------------

/** A failure in short: what it leaves out is what such a failure usually says. */
export type Failure = {
  readonly [Tag in LLMError.LLMError["_tag"]]: {
    readonly _tag: Tag
    /** `Requests`, `Server`, `NoContent` or `InvalidRequest` unless given. */
    readonly reason?: Extract<LLMError.LLMError, { readonly _tag: Tag }>["reason"]
    readonly retryAfter?: Duration.Input
    readonly description?: string
    readonly status?: number
    readonly code?: string
    readonly retryable?: boolean
  }
}[LLMError.LLMError["_tag"]]

type ResponseFields = {
  readonly [K in keyof CompletionResponse.CompletionResponse as K extends keyof AnyFields ? K : never]:
    CompletionResponse.CompletionResponse[K]
}
type AnyFields = typeof CompletionResponse.CompletionResponse.fields

/** What an answer holds: `choice` as it is, or else `reasoning`, `text` and `toolCalls`, in that order. */
export interface AnswerFields extends Partial<Omit<ResponseFields, "usage">> {
  readonly text?: string
  readonly reasoning?: string
  /** A call without an `id` gets one. */
  readonly toolCalls?: ReadonlyArray<
    { readonly name: string; readonly arguments: Schema.Json; readonly id?: string }
  >
  /** Zero unless given. */
  readonly usage?: Parameters<typeof TokenUsage.make>[0]
}

/** A whole answer; see `answer`. */
export interface Answer {
  readonly _tag: "Answer"
  readonly fields: AnswerFields
}

/** What a stream does next: emits a text or another part, waits, or fails. */
export type Step = string | CompletionPart | Duration.Duration | Failure | LLMError.LLMError

/** An answer in its parts; see `parts`. */
export interface Parts {
  readonly _tag: "Parts"
  readonly steps: ReadonlyArray<Step>
  readonly rest: Omit<AnswerFields, "choice" | "text" | "reasoning" | "toolCalls">
}

/** See `never`. */
export interface Never {
  readonly _tag: "Never"
}

/** See `after`. */
export interface After {
  readonly _tag: "After"
  readonly delay: Duration.Input
  readonly reply: Reply
}

/** See `expect` and `when`. */
export interface Conditional {
  readonly _tag: "Expect" | "When"
  readonly match: Match
  readonly reply: Reply
}

/** What a call is answered with: a text is the answer itself. */
export type Reply =
  | string
  | CompletionResponse.CompletionResponse
  | Answer
  | Parts
  | Failure
  | LLMError.LLMError
  | Never
  | After
  | Conditional

/** What a completion should be: a predicate, or the fields that are to be equal (`model`: the one asked for). */
export type Match = ((completion: Completion.Completion) => boolean) | Partial<Completion.Options>

/**
 * What a client is to reply: in the order of the calls; by model, each with an order of its own; or computed from the
 * completion and the number of the call, from 0 (then nothing can be left over; undefined refuses the call).
 */
export type Script =
  | ReadonlyArray<Reply>
  | { readonly [model: string]: ReadonlyArray<Reply> }
  | ((completion: Completion.Completion, call: number) => Reply | undefined)

/** An answer by its fields; what they leave out is usual: it stopped, or called tools, and cost no tokens. */
export const answer = (fields: AnswerFields): Answer => ({ _tag: "Answer", fields })

/** An answer that calls one tool. */
export const toolCall = (name: string, args: Schema.Json): Answer => answer({ toolCalls: [{ name, arguments: args }] })

/**
 * An answer as a stream brings it: texts and other parts, with a `Duration` wherever it waits, and a failure where it
 * breaks. `Finish` comes by itself, with `rest` (usage, finish reason) and all that the parts said. `completion` waits
 * as long, and gives the joined answer.
 */
export const parts = (steps: ReadonlyArray<Step>, rest: Parts["rest"] = {}): Parts => ({ _tag: "Parts", steps, rest })

/** No answer at all: the call waits until it is interrupted. */
export const never: Never = { _tag: "Never" }

/** The reply, after a delay on Effect's clock. */
export const after = (delay: Duration.Input, reply: Reply): After => ({ _tag: "After", delay, reply })

/** The reply, and the test fails if the call that gets it asks for something else. */
export const expect = (match: Match, reply: Reply): Conditional => ({ _tag: "Expect", match, reply })

/** The reply, kept for the first call that matches; other calls pass it over and take the next one. */
export const when = (match: Match, reply: Reply): Conditional => ({ _tag: "When", match, reply })

// ---------------------------------------------------------------------------------------------------------------------
// The service
// ---------------------------------------------------------------------------------------------------------------------

/** A completion that was asked for, and what became of it. */
export interface Request {
  readonly completion: Completion.Completion
  readonly streamed: boolean
  /** `Interrupted`: the caller went before the end. `Refused`: the call went against the script. */
  readonly outcome: "Running" | "Answered" | "Failed" | "Interrupted" | "Refused"
}

export class TestLLM extends Context.Service<TestLLM, {
  readonly client: Service
  /** Every completion up to now, in order. */
  readonly requests: Effect.Effect<ReadonlyArray<Request>>
  /** Dies when anything went against the script, or replies are left. */
  readonly verify: Effect.Effect<void>
}>()("effect-llm/testing/TestLLM") {}

/** Every completion up to now, in order. */
export const requests: Effect.Effect<ReadonlyArray<Request>, never, TestLLM> = TestLLM.use(({ requests }) => requests)

/** Fails the test when anything went against the script, or replies are left. The end of the layer does it by itself. */
export const verify: Effect.Effect<void, never, TestLLM> = TestLLM.use(({ verify }) => verify)

export interface Settings {
  /** The provider's name, in answers and errors; "test" unless given. */
  readonly provider?: string
  /** The model of completions that name none; "test-model" unless given. */
  readonly model?: string
}

// ---------------------------------------------------------------------------------------------------------------------
// Reading the script
// ---------------------------------------------------------------------------------------------------------------------

interface Entry {
  readonly when: ReadonlyArray<Match>
  readonly expect: ReadonlyArray<Match>
  readonly delay: Duration.Duration
  readonly reply: Exclude<Reply, string | After | Conditional | CompletionResponse.CompletionResponse>
}

const refuse = (where: string, give: string): never => Options.refuse("TestLLM script", where, give)

const reasons = {
  RateLimit: LLMError.RateLimitReason.literals,
  Transient: LLMError.TransientReason.literals,
  EmptyResponse: LLMError.EmptyResponseReason.literals,
  ClientError: LLMError.ClientErrorReason.literals
} satisfies Record<Failure["_tag"], ReadonlyArray<string>>

const usual = {
  RateLimit: "Requests",
  Transient: "Server",
  EmptyResponse: "NoContent",
  ClientError: "InvalidRequest"
} satisfies { [Tag in Failure["_tag"]]: (typeof reasons)[Tag][number] }

const isFailure = (step: object): step is Failure | LLMError.LLMError => "_tag" in step && String(step._tag) in reasons

const checkFailure = (where: string, { _tag, reason, retryAfter }: Failure | LLMError.LLMError): void => {
  if (reason !== undefined && !(reasons[_tag] as ReadonlyArray<string>).includes(reason)) {
    refuse(where, `one of the reasons of ${_tag}: ${reasons[_tag].join(", ")}`)
  }
  Options.wait("TestLLM script", `${where} retryAfter`, retryAfter)
}

const checkSteps = (where: string, steps: ReadonlyArray<Step>): void => {
  if (steps.length === 0) refuse(where, "at least one part")
  const open = new Map<number, string>()
  for (const [index, step] of steps.entries()) {
    const at = `${where} part ${index}`
    if (step === "") refuse(at, "a text that is not empty: no provider's stream brings empty parts")
    if (typeof step === "string") continue
    if (Duration.isDuration(step)) Options.wait("TestLLM script", at, step)
    else if (isFailure(step)) checkFailure(at, step)
    else if (step._tag === "ToolCallStart") open.set(step.index, "")
    else if (step._tag === "ToolCallDelta") {
      const before = open.get(step.index) ?? refuse(at, "the ToolCallStart of this index before its arguments")
      open.set(step.index, before + step.arguments)
    } else if (step._tag !== "Finish" && step.text === "") refuse(at, "a text that is not empty")
    if ((isFailure(step) || "response" in step) && index < steps.length - 1) refuse(at, "the end of the answer last")
  }
  if (steps.some((step) => typeof step === "object" && isFailure(step))) return
  for (const [index, json] of open) {
    if (argumentsOf(json) === undefined) refuse(`${where} tool call ${index}`, `arguments in JSON, not ${json}`)
  }
}

const checkAnswer = (where: string, { choice, text, toolCalls = [] }: AnswerFields): void => {
  if (choice === undefined && text === undefined && toolCalls.length === 0) {
    refuse(where, "a text, tool calls, or a choice (which may be empty)")
  }
  if (text === "") refuse(where, "a text that is not empty, or the failure EmptyResponse")
  if (toolCalls.some(({ name }) => name === "")) refuse(where, "tool calls with names")
}

const read = (where: string, reply: Reply): Entry => {
  if (typeof reply === "string") return read(where, answer({ text: reply }))
  if (reply instanceof CompletionResponse.CompletionResponse) return read(where, answer({ ...reply }))
  const plain = { when: [], expect: [], delay: Duration.zero }
  switch (reply?._tag) {
    case "After": {
      Options.wait("TestLLM script", `${where} delay`, reply.delay)
      const entry = read(where, reply.reply)
      return { ...entry, delay: Duration.sum(Duration.fromInputUnsafe(reply.delay), entry.delay) }
    }
    case "When":
    case "Expect": {
      const kind = reply._tag === "When" ? "when" : "expect"
      if (typeof reply.match !== "function" && Object.keys(reply.match).length === 0) {
        refuse(where, `a predicate or a field to ${kind}`)
      }
      const entry = read(where, reply.reply)
      return { ...entry, [kind]: [reply.match, ...entry[kind]] }
    }
    case "Parts":
      checkSteps(where, reply.steps)
      return { ...plain, reply }
    case "Answer":
      checkAnswer(where, reply.fields)
      return { ...plain, reply }
    case "Never":
      return { ...plain, reply }
    default:
      if (!isObject(reply) || !isFailure(reply)) return refuse(where, "a reply")
      checkFailure(where, reply)
      return { ...plain, reply }
  }
}

const readAll = (script: Exclude<Script, Function>): Array<Entry> =>
  isList(script)
    ? script.map((reply, index) => read(`reply ${index}`, reply))
    : Object.entries(script).flatMap(([model, replies]) =>
      replies.map((reply, index) => read(`${model} reply ${index}`, when({ model }, reply)))
    )

const isList = (script: Exclude<Script, Function>): script is ReadonlyArray<Reply> => Array.isArray(script)

// ---------------------------------------------------------------------------------------------------------------------
// Expected and got
// ---------------------------------------------------------------------------------------------------------------------

// What is left out of every view: a message of nothing but a text is that text, and the order of keys says nothing.
const view = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(view)
  if (!isObject(value)) return value
  const { _tag, content } = value
  const only = Array.isArray(content) && content.length === 1 ? content[0] as unknown : undefined
  if (typeof _tag === "string" && Object.keys(value).length === 2 && isObject(only) && only["_tag"] === "Text") {
    if (Object.keys(only).length === 2) return { [_tag]: only["text"] }
  }
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, view(value[key])]))
}

const show = (value: unknown): string => `${Formatter.formatJson(view(value), { space: 2 })}\n`

/** How a completion differs from what it should be; undefined when it does not. */
const difference = (match: Match, completion: Completion.Completion): string | undefined => {
  if (typeof match === "function") {
    return match(completion) ? undefined : `expected that it fulfils ${String(match)}\ngot ${show(completion)}`
  }
  const whole: Readonly<Record<string, unknown>> = { ...Completion.make({ prompt: "", ...match }) }
  const got: Readonly<Record<string, unknown>> = { ...completion }
  const fields = Object.keys(match).sort()
  const pick = (from: Readonly<Record<string, unknown>>) =>
    show(Object.fromEntries(fields.flatMap((field) => from[field] === undefined ? [] : [[field, from[field]]])))
  const edits = TextDiff.lines(pick(whole), pick(got), { maxEdits: 1000 })
  return TextDiff.unified(edits, { fromFile: "expected", toFile: "got" }) || undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Replying
// ---------------------------------------------------------------------------------------------------------------------

interface Asked {
  readonly call: number
  readonly provider: string
  readonly model: string
}

type Resolved = CompletionPart | Duration.Duration | LLMError.LLMError

const argumentsOf = (text: string): Schema.Json | undefined => parseJson(text || "{}") as Schema.Json | undefined

const choiceOf = ({ call }: Asked, fields: AnswerFields): ReadonlyArray<Message.AssistantContent> => {
  if (fields.choice !== undefined) return fields.choice
  const { reasoning, text, toolCalls = [] } = fields
  return [
    ...(reasoning === undefined ? [] : [{ _tag: "Reasoning", content: [{ _tag: "Text", text: reasoning }] } as const]),
    ...(text === undefined ? [] : [{ _tag: "Text", text } as const]),
    ...toolCalls.map((fields, index) => ({ _tag: "ToolCall", id: `call_${call}_${index}`, ...fields } as const))
  ]
}

const respond = (asked: Asked, fields: AnswerFields): CompletionResponse.CompletionResponse => {
  const { reasoning: _, text: __, toolCalls: ___, usage, ...rest } = fields
  const choice = choiceOf(asked, fields)
  return CompletionResponse.make({
    provider: asked.provider,
    model: asked.model,
    finishReason: { _tag: choice.some(({ _tag }) => _tag === "ToolCall") ? "ToolUse" : "Stop" },
    ...rest,
    choice,
    usage: TokenUsage.make(usage ?? {})
  })
}

const fail = (
  { model, provider }: Asked,
  failure: Failure | LLMError.LLMError,
  partial?: CompletionResponse.CompletionResponse
): LLMError.LLMError => {
  if (LLMError.isLLMError(failure)) return failure
  const { _tag, retryAfter, ...rest } = failure
  return LLMError.make(_tag, {
    provider,
    model,
    reason: usual[_tag],
    description: "",
    partial,
    ...rest,
    retryAfter: retryAfter === undefined ? undefined : Duration.fromInputUnsafe(retryAfter)
  })
}

// The contents that parts add up to; a call whose arguments are not whole is none.
const join = (parts: ReadonlyArray<CompletionPart>): ReadonlyArray<Message.AssistantContent> => {
  const contents: Array<
    ["TextDelta" | "ReasoningDelta", string] | [{ readonly id: string; readonly name: string }, string]
  > = []
  const calls = new Map<number, (typeof contents)[number]>()
  for (const part of parts) {
    const last = contents.at(-1)
    if (part._tag === "ToolCallStart") {
      const call: (typeof contents)[number] = [{ id: part.id, name: part.name }, ""]
      calls.set(part.index, call)
      contents.push(call)
    } else if (part._tag === "ToolCallDelta") {
      const call = calls.get(part.index)
      if (call !== undefined) call[1] += part.arguments
    } else if (part._tag !== "Finish") {
      if (last?.[0] === part._tag) last[1] += part.text
      else contents.push([part._tag, part.text])
    }
  }
  return contents.flatMap(([kind, text]): ReadonlyArray<Message.AssistantContent> => {
    if (kind === "TextDelta") return [{ _tag: "Text", text }]
    if (kind === "ReasoningDelta") return [{ _tag: "Reasoning", content: [{ _tag: "Text", text }] }]
    const args = argumentsOf(text)
    return args === undefined ? [] : [{ _tag: "ToolCall", ...kind, arguments: args }]
  })
}

// An answer that is there as a whole is streamed word by word, and arguments in two pieces.
const split = (part: CompletionPart): ReadonlyArray<CompletionPart> => {
  switch (part._tag) {
    case "TextDelta":
    case "ReasoningDelta":
      return (part.text.match(/\s*\S+|\s+$/g) ?? []).map((text) => ({ ...part, text }))
    case "ToolCallDelta": {
      const half = Math.ceil(part.arguments.length / 2)
      const pieces = [part.arguments.slice(0, half), part.arguments.slice(half)]
      return pieces.flatMap((piece) => piece === "" ? [] : [{ ...part, arguments: piece }])
    }
    default:
      return [part]
  }
}

const resolve = (asked: Asked, reply: Exclude<Entry["reply"], Never>): ReadonlyArray<Resolved> => {
  if (reply._tag === "Answer") return fromResponse(respond(asked, reply.fields)).flatMap(split)
  if (reply._tag !== "Parts") return [fail(asked, reply)]
  const emitted: Array<CompletionPart> = []
  const resolved = reply.steps.map((step): Resolved => {
    if (typeof step !== "string" && Duration.isDuration(step)) return step
    if (typeof step !== "string" && isFailure(step)) {
      if (emitted.length === 0) return fail(asked, step)
      const partial = respond(asked, { finishReason: { _tag: "None" }, ...reply.rest, choice: join(emitted) })
      return fail(asked, step, partial)
    }
    const part: CompletionPart = typeof step === "string" ? { _tag: "TextDelta", text: step } : step
    emitted.push(part)
    return part
  })
  const last = resolved.at(-1)!
  return "_tag" in last && (last._tag === "Finish" || isFailure(last))
    ? resolved
    : [...resolved, { _tag: "Finish", response: respond(asked, { ...reply.rest, choice: join(emitted) }) }]
}

interface Asking {
  outcome: Request["outcome"]
  readonly completion: Completion.Completion
  readonly streamed: boolean
}

/**
 * A scripted client of its own, with what it was asked; for tests that have several. A script that cannot be kept is
 * refused as a defect. The end of the scope fails the test when anything went against the script.
 */
export const make = Effect.fnUntraced(
  function*(script: Script, settings: Settings = {}): Effect.fn.Return<TestLLM["Service"], never, Scope.Scope> {
    const { model = "test-model", provider = "test" } = settings
    if (provider === "") Options.refuse("TestLLM", "provider", "a name")
    if (model === "") Options.refuse("TestLLM", "model", "a name")
    const left = typeof script === "function" ? [] : readAll(script)
    const size = left.length
    const asked: Array<Asking> = []
    const problems: Array<string> = []

    const next = (completion: Completion.Completion, call: number): Entry | undefined => {
      if (typeof script === "function") {
        const reply = script(completion, call)
        return reply === undefined ? undefined : read(`reply to call ${call + 1}`, reply)
      }
      const index = left.findIndex(({ when }) => when.every((match) => difference(match, completion) === undefined))
      return left.splice(index, index < 0 ? 0 : 1)[0]
    }

    const against = (asking: Asking, problem: string): Effect.Effect<never> => {
      asking.outcome = "Refused"
      problems.push(problem)
      return Effect.die(new Error(`TestLLM ${provider}: ${problem}`))
    }

    const tooMany = (): string => {
      if (typeof script === "function") return "the script has no reply for it"
      if (left.length > 0) return `none of the replies left (${left.length}) is for it`
      return `the script has ${size} ${size === 1 ? "reply" : "replies"}`
    }

    // The steps of the reply to a call, once its delay has passed.
    const begin = (asking: Asking): Effect.Effect<ReadonlyArray<Resolved>> => {
      const call = asked.push(asking) - 1
      const name = asking.completion.model ?? model
      const completion = Completion.model(name)(asking.completion)
      const entry = next(completion, call)
      if (entry === undefined) {
        return against(asking, `call ${call + 1} is one too many: ${tooMany()}. It asked for\n${show(completion)}`)
      }
      for (const match of [...entry.when, ...entry.expect]) {
        const differs = difference(match, completion)
        if (differs !== undefined) return against(asking, `call ${call + 1} is not the one expected\n${differs}`)
      }
      const { delay, reply } = entry
      if (reply._tag === "Never") return Effect.never
      const steps = resolve({ call, provider, model: name }, reply)
      return Duration.isZero(delay) ? Effect.succeed(steps) : Effect.as(Effect.sleep(delay), steps)
    }

    const ask = (
      completion: Completion.Completion,
      streamed: boolean
    ): Stream.Stream<CompletionPart, LLMError.LLMError> =>
      Stream.suspend(() => {
        const asking: Asking = { completion, streamed, outcome: "Running" }
        const play = (step: Resolved): Effect.Effect<ReadonlyArray<CompletionPart>, LLMError.LLMError> => {
          if (Duration.isDuration(step)) return Effect.as(Effect.sleep(step), [])
          if (isFailure(step)) {
            asking.outcome = "Failed"
            return Effect.fail(step)
          }
          if (step._tag === "Finish") asking.outcome = "Answered"
          return Effect.succeed([step])
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

    const verify = Effect.suspend(() => {
      const unused = left.length === 0
        ? []
        : [`replies left over: ${left.length} of ${size}, the next is\n${show(left[0]?.reply)}`]
      const all = [...problems, ...unused]
      return all.length === 0 ? Effect.void : Effect.die(new Error(`TestLLM ${provider}: ${all.join("\n")}`))
    })

    // A test that has died already says why; what is left over then is only a consequence.
    yield* Effect.addFinalizer((exit) => Exit.isFailure(exit) && Cause.hasDies(exit.cause) ? Effect.void : verify)

    return { client, requests: Effect.sync(() => asked.map((asking) => ({ ...asking }))), verify }
  }
)

/**
 * The scripted client as a layer, which also gives access to `requests` and `verify`. Every build begins the script
 * anew; its end fails the test when replies are left, or when anything went against the script before.
 */
export const layer = (script: Script, settings?: Settings): Layer.Layer<LLMClient | TestLLM> =>
  Layer.effectContext(
    Effect.map(make(script, settings), (service) =>
      Context.make(TestLLM, service).pipe(Context.add(LLMClient, service.client)))
  )
