/**
 * Runs one streamed attempt: sends the request, feeds its body to a session, and enforces the timeouts.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { HttpClientError } from "effect/http/HttpClientError"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Completion } from "../Completion.ts"
import type { CompletionPart } from "../CompletionPart.ts"
import type { CompletionResponse } from "../CompletionResponse.ts"
import { Deadline, Reported } from "../LLMClient.ts"
import type { LLMError } from "../LLMError.ts"
import * as Message from "../Message.ts"
import type { Signal } from "../wire/failure.ts"
import type { JsonRecord } from "../wire/json.ts"
import type { Endpoint, Exchange, Opened } from "./exchange.ts"
import { type Attempt, brokenOff, judge, toResponse } from "./judge.ts"
import * as Session from "./session.ts"
import { type ClockName, type Marks, type Timeouts, watch } from "./timeouts.ts"

export type Parts = Arr.NonEmptyReadonlyArray<CompletionPart>

/** Makes ids for the tool calls of one answer that have none. */
export const mintWith = (random: { nextDoubleUnsafe(): number }): (index: number) => string => {
  let answer: string | undefined
  return (index) => Message.mintId(answer ??= Math.floor(random.nextDoubleUnsafe() * 2 ** 50).toString(36), index)
}

const isLast = (parts: Parts): boolean => parts.at(-1)?._tag === "Finish"

/** A further request for the same answer. */
export interface Further {
  /** The body fields that it adds to the first request. */
  readonly fields: JsonRecord
  /** The answer so far. */
  readonly partial: CompletionResponse | undefined
}

/** What a streamed attempt needs. */
export interface Streamed {
  readonly endpoint: Endpoint
  readonly exchange: Exchange
  readonly completion: Completion
  /** Sends the first request, or a further one. */
  readonly open: (further?: Further) => Effect.Effect<Opened, LLMError>
  /** The attempt before its response. */
  readonly attempt: Attempt
  readonly timeouts: Timeouts
  /** Whether a deadline applies until the end of the stream, and not only until its first part. */
  readonly whole: boolean
}

/** The parts of a streamed attempt. */
export const pull = (
  { attempt: before, completion, endpoint, exchange: { fail }, open, timeouts, whole }: Streamed,
  services: Context.Context<never>,
  scope: Scope.Scope
): Effect.Effect<Pull.Pull<Parts, LLMError>> => {
  const { limits, wire } = endpoint
  const clock = Context.get(services, Clock.Clock)
  const marks: Marks = { bytes: undefined, progress: undefined }
  let attempt = before
  let session: Session.Session | undefined
  let parts: Pull.Pull<Parts, LLMError> | undefined
  let changes = 0
  let ended = false

  const broken = (signal: Signal, session: Session.Session): Effect.Effect<never, LLMError> => {
    const partial = session.partial()
    return fail(signal, {
      ...attempt,
      // An answer that was judged is complete.
      partial: signal._tag === "Unanswered" ? partial : brokenOff(partial, session.characters(), completion)
    })
  }

  const start = ({ received, response }: Opened): Pull.Pull<Parts, LLMError> => {
    attempt = received
    marks.bytes = clock.currentTimeMillisUnsafe()
    // The response to a further request is progress.
    if (session !== undefined) marks.progress = marks.bytes
    session ??= Session.make({
      wire,
      limits,
      model: received.model,
      mintId: mintWith(Context.get(services, Random.Random)),
      toResponse: (answer) => toResponse(wire.failures, answer, attempt, clock.currentTimeMillisUnsafe()),
      judge: (answer) => judge(wire.failures, answer, completion)
    })
    return Effect.flatMap(
      Channel.toPullScoped(Stream.toChannel(response.stream), scope),
      (body) => parts = take(session!, body)
    )
  }

  const feed = (session: Session.Session, chunks: ReadonlyArray<Uint8Array>): void => {
    session.feed(chunks)
    marks.bytes = clock.currentTimeMillisUnsafe()
    if (session.changes() === changes) return
    changes = session.changes()
    marks.progress = marks.bytes
  }

  // Returns the parts of the session, or reads more.
  const take = (
    session: Session.Session,
    body: Pull.Pull<Arr.NonEmptyReadonlyArray<Uint8Array>, HttpClientError>
  ): Pull.Pull<Parts, LLMError> => {
    const next = Pull.matchEffect(body, {
      onSuccess: (chunks) => {
        feed(session, chunks)
        return loop
      },
      onFailure: (cause) => {
        const error = Cause.findErrorOption(cause)
        if (Option.isNone(error)) return Effect.failCause(cause as Cause.Cause<never>)
        ended = true
        session.fail({ _tag: "Network", cause: error.value })
        return loop
      },
      onDone: () => {
        ended = true
        session.end()
        return loop
      }
    })
    // Reads on after the last part, so that the connection can be reused, but only a little.
    let reads = 0
    const rest: Pull.Pull<never, HttpClientError> = Effect.flatMap(
      body,
      () => ++reads < 64 ? rest : Cause.done()
    )
    const drain = rest.pipe(
      Effect.timeoutOption("100 millis"),
      Effect.exit,
      Effect.andThen(Cause.done())
    )
    const loop: Pull.Pull<Parts, LLMError> = Effect.suspend(() => {
      const parts = session.take()
      if (Arr.isReadonlyArrayNonEmpty(parts)) return Effect.succeed(parts)
      const signal = session.failure()
      if (signal !== undefined) return broken(signal, session)
      const fields = session.further()
      if (fields !== undefined) return continueWith({ fields, partial: session.partial() })
      if (ended) return Cause.done()
      return session.finished() ? drain : next
    })
    return loop
  }

  const continueWith = (further: Further): Pull.Pull<Parts, LLMError> => {
    ended = false
    return parts = Effect.flatMap(Effect.suspend(() => open(further)), start)
  }

  const begin = Effect.flatMap(Effect.suspend(() => open()), start)
  // The remaining parts of a session, without reading more.
  const remaining = (session: Session.Session): Pull.Pull<Parts, LLMError> =>
    Effect.suspend((): Pull.Pull<Parts, LLMError> => {
      const parts = session.take()
      if (Arr.isReadonlyArrayNonEmpty(parts)) return Effect.succeed(parts)
      const signal = session.failure()
      return signal === undefined ? Cause.done() : broken(signal, session)
    })
  // After a timeout the parts that had arrived are still emitted. If they are the whole answer, the stream succeeds.
  const expire = (clock: ClockName, after: Duration.Duration): Pull.Pull<Parts, LLMError> => {
    const signal = { _tag: "Timeout", clock, after } as const
    session?.fail(signal)
    return session === undefined ? fail(signal, attempt) : remaining(session)
  }
  const unwatched = Effect.suspend(() => parts ?? begin)
  const watched = Object.values<number>({ ...timeouts }).some(Number.isFinite)
    ? watch(unwatched, scope, timeouts, marks, isLast, expire)
    : Effect.succeed(unwatched)
  const reported = Context.get(services, Reported)
  if (reported !== undefined) reported.usage = () => session?.partial()?.usage
  const deadline = Context.get(services, Deadline)
  return deadline === undefined ? watched : Effect.map(watched, (next) => {
    const started = clock.currentTimeMillisUnsafe()
    let begun = false
    const cut = Effect.suspend(() => {
      const after = Duration.millis(clock.currentTimeMillisUnsafe() - started)
      const signal = { _tag: "Timeout", clock: "deadline", after } as const
      return session === undefined ? fail(signal, attempt) : broken(signal, session)
    })
    // An attempt that a deadline interrupts reports its cost.
    const first = Effect.onInterrupt(next, () => Effect.map(Effect.flip(cut), (error) => deadline.attempts.push(error)))
    const untilBegun = Effect.tap(first, () => Effect.sync(() => begun = true))
    return whole ? first : Effect.suspend(() => begun ? next : untilBegun)
  })
}
