/**
 * Spans and metrics by OpenTelemetry's conventions for generative AI, for the application's tracer and exporter:
 * `effect/observability`, or the OpenTelemetry SDK.
 *
 * ```ts
 * import { Anthropic, LLMClient, Retry, Telemetry } from "effect-llm"
 *
 * const Claude = LLMClient.compose(
 *   Telemetry.layer(), // one span and the metrics of each call, with all its attempts
 *   Retry.layer(),
 *   Telemetry.layerAttempts(), // one span for each attempt
 *   Anthropic.layerConfig()
 * )
 * ```
 *
 * - A span `chat <model>` records the request's settings, the outcome and the usage. It ends with the call, streamed or
 *   not: answered, failed or interrupted.
 * - Message content is only recorded through `content`. Of a failure, the kind and the provider's code and status are
 *   recorded; the provider's words only with `words`.
 * - Without a tracer no spans are made. Metrics are always counted, because they may be read at any time; they are cheap.
 */

import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import { Clock } from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Pull from "effect/Pull"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import type { Completion } from "./Completion.ts"
import type { CompletionPart } from "./CompletionPart.ts"
import { type LLMClient, middleware, type Service } from "./LLMClient.ts"
import type { LLMError } from "./LLMError.ts"
import { around, type Calls, type Ended, ended, left } from "./middleware/around.ts"
import {
  attributes,
  type Convention,
  conventions,
  died,
  interrupted,
  ownAttributes,
  providerName
} from "./middleware/conventions.ts"
import * as Instruments from "./middleware/instruments.ts"
import * as Check from "./middleware/options.ts"
import * as Spans from "./middleware/spans.ts"
import type { Content } from "./middleware/transcript.ts"
import type { TokenUsage } from "./TokenUsage.ts"

/** The options of `layerAttempts`. */
export interface AttemptOptions {
  /**
   * Records messages in the spans (`gen_ai.input.messages`, `gen_ai.output.messages`): takes a message and returns the part
   * that may be recorded, undefined for nothing. The bytes of images and other media are never recorded.
   */
  readonly content?: Content | undefined
  /** Records a provider's words about a failure, which may repeat parts of the request; off unless given. */
  readonly words?: boolean | undefined
  /**
   * Which names to use: `"current"`, those of OpenTelemetry's repository for generative AI; `"earlier"`, the previous ones
   * (`gen_ai.client.token.usage`, `gen_ai.client.operation.duration`), which many backends still read; or `"both"`.
   * `"current"` unless given.
   */
  readonly names?: Convention | "both" | undefined
}

/** The options of `layer`. */
export interface Options extends AttemptOptions {
  /** Whether metrics are counted; true unless given. */
  readonly metrics?: boolean | undefined
}

/** Sets the conversation of the calls inside, for their spans (`gen_ai.conversation.id`). */
export const ConversationId = Context.Reference<string | undefined>("effect-llm/Telemetry/ConversationId", {
  defaultValue: () => undefined
})

// ---------------------------------------------------------------------------------------------------------------------
// Calls
// ---------------------------------------------------------------------------------------------------------------------

/** The fixed data of a client. */
interface Settings extends Spans.Settings {
  readonly client: Service
  readonly attempt: boolean
  readonly server: Instruments.Address | undefined
  /** The metrics, if they are counted. */
  readonly series: ((labels: Instruments.Labels) => Instruments.Series) | undefined
}

type AnyFiber = Fiber.Fiber<unknown, unknown>

interface Call {
  readonly span: Tracer.Span | undefined
  /** The context with the caller's metrics. */
  readonly context: Context.Context<never>
  readonly clock: Clock
  readonly started: bigint
  readonly model: string | undefined
  /** When the last parts arrived, and the series for the times between them. */
  last: bigint | undefined
  chunks: Instruments.Series | undefined
}

const secondsBetween = (from: bigint, to: bigint): number => Number(to - from) / 1e9

/** Whether spans are exported: Effect's default tracer does not export them. */
const isTraced = (fiber: AnyFiber): boolean =>
  fiber.getRef(Tracer.Tracer) !== Tracer.nativeTracer && fiber.getRef(References.TracerEnabled)

const makeSpan = (
  settings: Settings,
  completion: Completion,
  streamed: boolean,
  fiber: AnyFiber
): Effect.Effect<Tracer.Span> => {
  const { attempt, client, server, words } = settings
  const model = completion.model ?? client.model
  const start = Spans.ofClient(client.provider, model, server)
  return Effect.map(Effect.makeSpan(Spans.nameOf(model), { kind: "client", attributes: start }), (span) => {
    if (!words) Spans.mute(span)
    if (span.sampled) {
      Spans.annotate(span, {
        ...Spans.ofRequest(completion, settings),
        [attributes.conversation]: fiber.getRef(ConversationId),
        [attributes.stream]: streamed ? true : undefined,
        [ownAttributes.attempt]: attempt ? fiber.getRef(Schedule.CurrentMetadata).attempt + 1 : undefined
      })
    }
    return span
  })
}

const callOf = (
  settings: Settings,
  completion: Completion,
  fiber: AnyFiber,
  span?: Tracer.Span
): Call => {
  const clock = fiber.getRef(Clock)
  return {
    span,
    context: fiber.context,
    clock,
    started: clock.monotonicTimeNanosUnsafe(),
    model: completion.model ?? settings.client.model,
    last: undefined,
    chunks: undefined
  }
}

const begin = (settings: Settings, completion: Completion, streamed: boolean): Effect.Effect<Call> =>
  Effect.withFiber((fiber) =>
    Effect.map(
      makeSpan(settings, completion, streamed, fiber),
      (span) => callOf(settings, completion, fiber, span)
    )
  )

/** Records parts of a stream that arrived together. */
const see = (settings: Settings, call: Call, parts: ReadonlyArray<CompletionPart>): void => {
  const now = call.clock.monotonicTimeNanosUnsafe()
  const { context, last, model, span, started } = call
  call.last = now
  if (last !== undefined) return call.chunks?.update("outputChunk", secondsBetween(last, now), context)
  const [first] = parts
  const whom = first?._tag === "Start" ? first : undefined
  const elapsed = secondsBetween(started, now)
  span?.attribute(attributes.firstChunk, elapsed)
  call.chunks = settings.series?.({
    provider: providerName(whom?.provider ?? settings.client.provider),
    requestModel: model,
    responseModel: whom?.model
  })
  call.chunks?.update("firstChunk", elapsed, context)
}

// ---------------------------------------------------------------------------------------------------------------------
// Metrics
// ---------------------------------------------------------------------------------------------------------------------

const spend = (series: Instruments.Series, usage: TokenUsage, context: Context.Context<never>): void => {
  series.update("spentInput", usage.inputTokens, context)
  series.update("spentOutput", usage.outputTokens, context)
  if (usage.cachedInputTokens > 0) series.update("spentCacheRead", usage.cachedInputTokens, context)
  if (usage.cacheWriteTokens > 0) series.update("spentCacheWrite", usage.cacheWriteTokens, context)
  if (usage.reasoningTokens > 0) series.update("spentReasoning", usage.reasoningTokens, context)
}

type SeriesOf = NonNullable<Settings["series"]>

/** The cost of failures and their attempts: tokens are billed whether or not the answer is complete. */
const spendOnFailures = (
  seriesOf: SeriesOf,
  failures: ReadonlyArray<LLMError>,
  context: Context.Context<never>
): void => {
  for (const { attempts = [], model, omitted, partial, provider } of failures) {
    const labels = { provider: providerName(provider), requestModel: model === "" ? undefined : model }
    if (partial !== undefined) spend(seriesOf({ ...labels, responseModel: partial.model }), partial.usage, context)
    if (omitted !== undefined) spend(seriesOf({ ...labels, responseModel: undefined }), omitted.usage, context)
    spendOnFailures(seriesOf, attempts, context)
  }
}

const measure = (seriesOf: SeriesOf, call: Call, ended: Ended, provider: string): void => {
  const { clock, context, model, started } = call
  const duration = secondsBetween(started, clock.monotonicTimeNanosUnsafe())
  if (ended._tag === "Answered") {
    const { attempts, cached, model: responseModel, provider, usage } = ended.response
    // A cached answer took no work of a model.
    if (cached === true) return
    const series = seriesOf({ provider: providerName(provider), requestModel: model, responseModel })
    series.update("duration", duration, context)
    series.update("answerInput", usage.inputTokens, context)
    series.update("answerOutput", usage.outputTokens, context)
    spend(series, usage, context)
    if (attempts !== undefined) spendOnFailures(seriesOf, attempts, context)
    return
  }
  const failure = ended._tag === "Failed" ? ended.error : undefined
  const series = seriesOf({
    provider: providerName(failure?.provider ?? provider),
    requestModel: model,
    responseModel: failure?.partial?.model,
    error: failure !== undefined ? Spans.errorType(failure) : ended._tag === "Left" && ended.died ? died : interrupted
  })
  series.update("duration", duration, context)
  if (failure === undefined) return
  series.update("answerInput", failure.partial?.usage.inputTokens ?? 0, context)
  series.update("answerOutput", failure.partial?.usage.outputTokens ?? 0, context)
  spendOnFailures(seriesOf, [failure], context)
}

// ---------------------------------------------------------------------------------------------------------------------
// Layers
// ---------------------------------------------------------------------------------------------------------------------

const finish = (settings: Settings, call: Call, ended: Ended): void => {
  const { client, series } = settings
  const { clock, span } = call
  if (span !== undefined) {
    if (span.sampled) Spans.annotate(span, Spans.ofEnd(ended, settings))
    span.end(clock.currentTimeNanosUnsafe(), Spans.exitOf(ended, settings))
  }
  if (series !== undefined) measure(series, call, ended, client.provider)
}

const through = (settings: Settings, call: Call): Calls => {
  const { client } = settings
  const { span } = call
  const seen = (completion: Completion) =>
    Stream.mapArray(client.stream(completion), (parts) => {
      see(settings, call, parts)
      return parts
    })
  return span === undefined ? client : {
    completion: (completion) =>
      Effect.withParentSpan(client.completion(completion), span, { captureStackTrace: false }),
    stream: (completion) => Stream.provideService(seen(completion), Tracer.ParentSpan, span)
  }
}

/** Each call has a span. */
const traced = (settings: Settings): Calls => {
  const calls = (streamed: boolean): Calls =>
    around<Call>(settings.client, {
      before: (completion) => begin(settings, completion, streamed),
      through: (call) => through(settings, call),
      after: (call, ended) => Effect.sync(() => finish(settings, call, ended))
    })
  return { completion: calls(false).completion, stream: calls(true).stream }
}

type Parts = Arr.NonEmptyReadonlyArray<CompletionPart>

/** The same without a span, at a fraction of the cost. */
const countCompletion = (
  settings: Settings,
  completion: Completion,
  fiber: AnyFiber
): ReturnType<Calls["completion"]> => {
  const call = callOf(settings, completion, fiber)
  return Effect.onExit(Effect.suspend(() => settings.client.completion(completion)), (exit) => {
    finish(settings, call, ended(exit))
    return Effect.void
  })
}

const countStream = (
  settings: Settings,
  completion: Completion,
  fiber: AnyFiber,
  scope: Scope.Scope
): Effect.Effect<Pull.Pull<Parts, LLMError>> => {
  const call = callOf(settings, completion, fiber)
  let open = true
  const end = (how: Ended): void => {
    if (open) finish(settings, call, how)
    open = false
  }
  const counting = (pull: Pull.Pull<Parts, LLMError>): Pull.Pull<Parts, LLMError> =>
    Effect.matchCauseEffect(pull, {
      onSuccess: (parts) => {
        see(settings, call, parts)
        const last = parts[parts.length - 1]!
        if (last._tag === "Finish") end({ _tag: "Answered", response: last.response, streamed: true })
        return Effect.succeed(parts)
      },
      onFailure: (cause) => {
        const error = Option.getOrUndefined(Cause.findErrorOption(cause))
        if (error !== undefined && !Cause.isDone(error)) end({ _tag: "Failed", error, streamed: true })
        return Effect.failCause(cause)
      }
    })
  return Effect.flatMap(
    Scope.addFinalizerExit(scope, (exit) => Effect.sync(() => end(left(exit, true, 0)))),
    () => Effect.map(pullOf(settings.client, completion, scope), counting)
  )
}

const pullOf = (client: Calls, completion: Completion, scope: Scope.Scope) =>
  Channel.toPullScoped(Stream.toChannel(client.stream(completion)), scope)

const observe = (settings: Settings): Calls => {
  const withSpans = traced(settings)
  const { client, series } = settings
  return {
    completion: (completion) =>
      Effect.withFiber((fiber) =>
        isTraced(fiber)
          ? withSpans.completion(completion)
          : series === undefined
          ? client.completion(completion)
          : countCompletion(settings, completion, fiber)
      ),
    stream: (completion) =>
      Stream.fromChannel(Channel.fromTransform((_, scope) =>
        Effect.withFiber((fiber) =>
          isTraced(fiber)
            ? pullOf(withSpans, completion, scope)
            : series === undefined
            ? pullOf(client, completion, scope)
            : countStream(settings, completion, fiber, scope)
        )
      ))
  }
}

const names = ["content", "words", "names"] as const

const ports: Readonly<Record<string, number>> = { "https:": 443, "http:": 80 }

const serverOf = (baseUrl: string | undefined): Instruments.Address | undefined => {
  if (baseUrl === undefined || !URL.canParse(baseUrl)) return undefined
  const { hostname, port, protocol } = new URL(baseUrl)
  const known = port === "" ? ports[protocol] : Number(port)
  return hostname === "" || known === undefined ? undefined : { address: hostname, port: known }
}

const settingsOf = (client: Service, options: Options, attempt: boolean): Settings => {
  Check.known("Telemetry", options, attempt ? names : [...names, "metrics"])
  Check.callable("Telemetry", "content", options.content)
  const { content, metrics = !attempt, names: given = "current", words = false } = options
  const wanted = given === "both" ? conventions : [given]
  if (!wanted.every((name) => conventions.includes(name))) {
    Check.refuse("Telemetry", "names", `"current", "earlier" or "both"`)
  }
  const server = serverOf(client.baseUrl)
  const series = metrics ? Instruments.make(wanted, server) : undefined
  return { client, attempt, content, words, names: wanted, server, series }
}

/** A span and metrics for each call of the client below. Put it outermost, so that it includes retries and fallbacks. */
export const layer = (options: Options = {}): Layer.Layer<LLMClient, never, LLMClient> =>
  middleware((client) => observe(settingsOf(client, options, false)))

/** A span for each attempt of a call. Put it below Retry and Fallback. */
export const layerAttempts = (options: AttemptOptions = {}): Layer.Layer<LLMClient, never, LLMClient> =>
  middleware((client) => observe(settingsOf(client, options, true)))
