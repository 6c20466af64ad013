/**
 * Runs the calls of a turn, with limited concurrency and the approvals that they need.
 */
import type * as Toolkit from "effect/ai/Toolkit"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type * as Message from "../Message.ts"
import type { ToolDefinition } from "../Tool.ts"
import * as Tool from "../Tool.ts"
import * as Call from "./call.ts"
import type { Emit, Failure, Options } from "./model.ts"

/** The calls of one turn. */
export interface Calls<F> {
  /** Starts a call; its fiber ends with the turn. */
  readonly begin: (call: Message.ToolCall) => Effect.Effect<void>
  /** The results of these calls in order; starts those that have not started. */
  readonly results: (calls: ReadonlyArray<Message.ToolCall>) => Effect.Effect<ReadonlyArray<Message.ToolResult>, F>
  /** Fails as soon as a call does. */
  readonly failed: Effect.Effect<never, F>
}

export interface Runner<F, R> {
  /** Whether a call will certainly run, so that it may start before the answer is complete. */
  readonly early: boolean
  /** Why these calls may not run; undefined if they may. */
  readonly keptBy: (
    calls: ReadonlyArray<Message.ToolCall>
  ) => Effect.Effect<"Unhandled" | "Approval" | undefined>
  readonly calls: Effect.Effect<Calls<F>, never, Scope.Scope | R>
}

type Limit = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

const limited = (concurrency: number | "unbounded"): Limit =>
  concurrency === "unbounded" ? (effect) => effect : Semaphore.makeUnsafe(concurrency).withPermits(1)

/** `own`: the definitions of the completion. The caller runs those that the toolkit does not handle. */
export const make = <T extends Call.Tools, E, R>(
  toolkit: Toolkit.WithHandler<T>,
  own: ReadonlyArray<ToolDefinition>,
  { approve, concurrency = "unbounded", failures = "tool", stopWhen }: Pick<
    Options<E, R>,
    "approve" | "concurrency" | "failures" | "stopWhen"
  >,
  emit: Emit
): Runner<Failure<T, E>, Call.Services<T> | R> => {
  const limit = limited(concurrency)
  // Asks a user one question at a time.
  const oneByOne = limited(1)
  const toolOf = ({ name }: { readonly name: string }) =>
    Object.hasOwn(toolkit.tools, name) ? toolkit.tools[name] : undefined
  const unhandled = new Set(own.filter((tool) => toolOf(tool) === undefined).map(({ name }) => name))

  const needsApproval = (call: Message.ToolCall): Effect.Effect<boolean> => {
    const tool = toolOf(call)
    return tool === undefined ? Effect.succeed(false) : Call.needsApproval(tool, call)
  }

  const allowed = (call: Message.ToolCall): Effect.Effect<boolean, E, R> =>
    approve === undefined
      ? Effect.succeed(true)
      : Effect.flatMap(
        needsApproval(call),
        (needed): Effect.Effect<boolean, E, R> => needed ? oneByOne(approve(call)) : Effect.succeed(true)
      )

  const run = (call: Message.ToolCall): Effect.Effect<Message.ToolResult, Failure<T, E>, Call.Services<T> | R> =>
    Effect.flatMap(
      allowed(call),
      (may): Effect.Effect<Message.ToolResult, Failure<T, E>, Call.Services<T>> =>
        may
          ? limit(Call.runCall(toolkit, call, failures, (content) => emit([{ _tag: "ToolProgress", call, content }])))
          : Effect.succeed(Tool.failed(call, "The user did not allow this call."))
    ).pipe(Effect.tap((result) => emit([{ _tag: "ToolResult", call, result }])))

  return {
    early: stopWhen === undefined && unhandled.size === 0
      && (approve !== undefined ||
        Object.values(toolkit.tools).every(({ needsApproval = false }) => needsApproval === false)),
    keptBy: (calls) => {
      if (calls.some(({ name }) => unhandled.has(name))) return Effect.succeed("Unhandled")
      const needed = approve === undefined ? Effect.forEach(calls, needsApproval) : Effect.succeed([])
      return Effect.map(needed, (all) => all.includes(true) ? "Approval" : undefined)
    },
    calls: Effect.gen(function*() {
      const scope = yield* Effect.scope
      const context = yield* Effect.context<Call.Services<T> | R>()
      const failed = yield* Deferred.make<never, Failure<T, E>>()
      const begun: Array<{ readonly id: string; readonly fiber: Fiber.Fiber<Message.ToolResult, Failure<T, E>> }> = []
      const fork = (call: Message.ToolCall) =>
        run(call).pipe(
          Effect.onError((cause) => Deferred.failCause(failed, cause)),
          Effect.provideContext(context),
          Effect.forkIn(scope)
        )
      return {
        begin: (call) => Effect.map(fork(call), (fiber) => void begun.push({ id: call.id, fiber })),
        // Ids may repeat: each started call is used once.
        results: (calls) =>
          Effect.forEach(calls, (call) => {
            const at = begun.findIndex(({ id }) => id === call.id)
            return at < 0 ? fork(call) : Effect.succeed(begun.splice(at, 1)[0]!.fiber)
          }).pipe(Effect.flatMap((fibers) => Effect.forEach(fibers, (fiber) => Fiber.join(fiber)))),
        failed: Deferred.await(failed)
      }
    })
  }
}
