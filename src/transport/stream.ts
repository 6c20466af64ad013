/**
 * Runs one streamed attempt: sends the request, feeds its body to a session, and keeps to the clocks.
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

/** Names the tool calls of one answer that came without an id. */
export const mintWith = (random: { nextDoubleUnsafe(): number }): (index: number) => string => {
  let answer: string | undefined
  return (index) => Message.mintId(answer ??= Math.floor(random.nextDoubleUnsafe() * 2 ** 50).toString(36), index)
}

const isLast = (parts: Parts): boolean => parts.at(-1)?._tag === "Finish"

/** A further request of one answer. */
export interface Further {
  /** What its body has besides that of the first. */
  readonly fields: JsonRecord
  /** The answer as far as it came. */
  readonly partial: CompletionResponse | undefined
}

/** What a streamed attempt is made of. */
export interface Streamed {
  readonly endpoint: Endpoint
  readonly exchange: Exchange
  readonly completion: Completion
  /** Sends the request, or a further one that the answer goes on with. */
  readonly open: (further?: Further) => Effect.Effect<Opened, LLMError>
  /** The attempt before anything of it came back. */
  readonly attempt: Attempt
  readonly timeouts: Timeouts
  /** Whether a deadline holds until its end, and not only until its first part. */
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
      // What is judged is there to its end.
      partial: signal._tag === "Unanswered" ? partial : brokenOff(partial, session.characters(), completion)
    })
  }

  const start = ({ received, response }: Opened): Pull.Pull<Parts, LLMError> => {
    attempt = received
    marks.bytes = clock.currentTimeMillisUnsafe()
    // A further request that is answered is progress.
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

  // Gives what the session has, and reads on when it has nothing.
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
    // Reads on after the last part, so that the connection can be used again, but not for ever.
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
      if (fields !== undefined) return goOn({ fields, partial: session.partial() })
      if (ended) return Cause.done()
      return session.finished() ? drain : next
    })
    return loop
  }

  const goOn = (further: Further): Pull.Pull<Parts, LLMError> => {
    ended = false
    return parts = Effect.flatMap(Effect.suspend(() => open(further)), start)
  }

  const begin = Effect.flatMap(Effect.suspend(() => open()), start)
  // What a session has, and no more of it.
  const left = (session: Session.Session): Pull.Pull<Parts, LLMError> =>
    Effect.suspend((): Pull.Pull<Parts, LLMError> => {
      const parts = session.take()
      if (Arr.isReadonlyArrayNonEmpty(parts)) return Effect.succeed(parts)
      const signal = session.failure()
      return signal === undefined ? Cause.done() : broken(signal, session)
    })
  // What had come when a clock ran out is given still; if it was the whole answer, it is one.
  const expire = (clock: ClockName, after: Duration.Duration): Pull.Pull<Parts, LLMError> => {
    const signal = { _tag: "Timeout", clock, after } as const
    session?.fail(signal)
    return session === undefined ? fail(signal, attempt) : left(session)
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
    // Whoever is interrupted by a deadline says what it had cost.
    const first = Effect.onInterrupt(next, () => Effect.map(Effect.flip(cut), (error) => deadline.attempts.push(error)))
    const told = Effect.tap(first, () => Effect.sync(() => begun = true))
    return whole ? first : Effect.suspend(() => begun ? next : told)
  })
}
