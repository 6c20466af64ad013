/**
 * Faults of answers: other contents, failures inside a stream, and damage on the way. Sources: as for the refusals, and
 * "Streaming messages" and "Refusals" of Anthropic and OpenAI, "GenerateContentResponse" of Gemini.
 */
import type { FinishReason } from "../../../CompletionResponse.ts"
import { refusal as refusalMark } from "../../../wire/responses/shape.ts"
import type { Outgoing } from "../../../wire/Wire.ts"
import { changed, silent, textOr } from "../decide.ts"
import { dataEvent } from "../events.ts"
import { type Call, gatewayPage, type SimulatedResponse } from "../exchange.ts"
import { idOf, type Json, truncate } from "../json.ts"
import type { Fault } from "../service.ts"
import { failure } from "./responses.ts"
import { everywhere, refusal, type Row } from "./row.ts"

const answer = (answer: (answer: Outgoing) => Outgoing): Fault => ({ _tag: "Answer", answer })

/** Fields of the provider without a counterpart in the vocabulary. */
const metadata = ({ response: { metadata, provider } }: Outgoing, fields: { readonly [name: string]: Json }) => ({
  metadata: { ...metadata, [provider]: { ...metadata?.[provider], ...fields } }
})

/** The answer ends for one of the provider's own reasons, without contents. */
const endsWith = (finishReason: FinishReason, fields: { readonly [name: string]: Json } = {}): Fault =>
  answer((answer) => changed(silent(answer), { finishReason, ...metadata(answer, fields) }))

/** The answer ends for one of the provider's own reasons, after a text. */
const endsAfterText = (finishReason: FinishReason): Fault =>
  answer((answer) => ({
    response: changed(answer, { choice: [textOr(answer, "As far as it came")], finishReason }).response
  }))

const filtered: FinishReason = { _tag: "ContentFilter" }

const inItsWord = (reason: string): FinishReason => ({ _tag: "Other", reason })

const declined = "I'm sorry, I can't help with that."

/** The model declines, and stops normally. */
const refused: Fault = answer((answer) => ({
  response: changed(answer, {
    choice: [{ _tag: "Text", text: declined }],
    finishReason: { _tag: "Stop" },
    ...metadata(answer, { refusal: declined })
  }).response
}))

/** A call whose arguments are not JSON, with a normal finish reason. */
const brokenCall: Fault = answer((answer) => {
  const called = answer.response.toolCalls[0]
  return {
    response: changed(answer, { choice: [], finishReason: { _tag: "ToolUse" } }).response,
    cutCall: { id: called?.id ?? "call_simulated", name: called?.name ?? "get_weather", arguments: `{"city": "Par` }
  }
})

const body = (
  whole: (answer: Outgoing, call: Call) => { readonly [key: string]: Json },
  ending: ReadonlyArray<string>,
  newline?: string
): Fault => ({
  _tag: "Body",
  whole,
  events: (answer, call) => [dataEvent(whole(answer, call), newline), ...ending]
})

const geminiHead = ({ response: { model = "", usage: { inputTokens } } }: Outgoing, { seed }: Call) => ({
  usageMetadata: { promptTokenCount: inputTokens, totalTokenCount: inputTokens },
  modelVersion: model,
  responseId: idOf(`${seed} message`, 22)
})

/** Gemini's answer to a blocked prompt. */
export const promptBlocked: Fault = body(
  (answer, call) => ({ promptFeedback: { blockReason: "PROHIBITED_CONTENT" }, ...geminiHead(answer, call) }),
  [],
  "\r\n"
)

const chatHead = ({ response: { model = "", usage: { inputTokens } } }: Outgoing, { seed }: Call) => ({
  id: `gen-${idOf(`${seed} generation`, 20)}`,
  object: "chat.completion",
  model,
  usage: { prompt_tokens: inputTokens, completion_tokens: 0, total_tokens: inputTokens }
})

const done = "data: [DONE]\n\n"

const noChoices = body((answer, call) => ({ ...chatHead(answer, call), choices: [] }), [done])

const upstreamDied = { code: 502, message: "Provider disconnected unexpectedly" }

const emptyAssistant = { role: "assistant", content: "" }

// ---------------------------------------------------------------------------------------------------------------------
// Damage on the way
// ---------------------------------------------------------------------------------------------------------------------

const damage = (change: (answer: SimulatedResponse) => Partial<SimulatedResponse>): Fault => ({
  _tag: "Damage",
  damage: (answer) => ({ ...answer, ...change(answer) })
})

const half = (events: number): number => Math.floor(events / 2)

const halfOf = ({ body }: SimulatedResponse): ReadonlyArray<string> => {
  const text = body.join("")
  return [truncate(text, Math.floor(text.length / 8))]
}

/** The event at this index without its last brace. */
export const withoutBrace = (events: ReadonlyArray<string>, at: number): ReadonlyArray<string> =>
  events.map((event, index) => index === at ? event.replace(/\}(\s*)$/, "$1") : event)

// ---------------------------------------------------------------------------------------------------------------------
// The table
// ---------------------------------------------------------------------------------------------------------------------

/** Faults by name. */
export const answers = {
  // Unusable answers.
  Empty: everywhere(answer(silent)),
  NoChoices: {
    openai: noChoices,
    openrouter: noChoices,
    gemini: body((answer, call) => geminiHead(answer, call), [], "\r\n")
  },
  AnswerBlocked: {
    anthropic: endsWith(filtered, {
      stop_details: { type: "refusal", category: "violence", explanation: "Simulated refusal." }
    }),
    openai: endsWith(filtered),
    responses: endsWith(filtered),
    openrouter: endsWith(filtered),
    gemini: endsWith(filtered)
  },
  Refusal: {
    anthropic: endsAfterText(filtered),
    openai: refused,
    responses: answer((answer) => ({
      response: changed(answer, {
        choice: [{ _tag: "Text", text: declined, signature: refusalMark }],
        finishReason: { _tag: "Stop" }
      }).response
    })),
    openrouter: refused
  },
  BlockedAfterText: {
    openai: endsAfterText(filtered),
    responses: endsAfterText(filtered),
    openrouter: endsAfterText(filtered),
    gemini: endsAfterText(filtered)
  },
  MalformedFunctionCall: {
    openai: brokenCall,
    responses: brokenCall,
    openrouter: brokenCall,
    gemini: endsWith(inItsWord("MALFORMED_FUNCTION_CALL"), {
      finishMessage: "Malformed function call: print(default_api.get_weather("
    })
  },
  OutputBudget: everywhere(answer((answer) => changed(silent(answer), { finishReason: { _tag: "MaxTokens" } }))),
  ContextFull: { anthropic: endsWith(inItsWord("model_context_window_exceeded")) },
  ErrorInAnswer: {
    openai: refusal({
      status: 200,
      type: "insufficient_quota",
      code: "insufficient_quota",
      message: "You exceeded your current quota, please check your plan and billing details."
    }),
    responses: failure(
      "insufficient_quota",
      "You exceeded your current quota, please check your plan and billing details."
    ),
    openrouter: refusal({
      status: 200,
      message: "Provider returned error",
      fields: { code: 429, metadata: { raw: "rate-limited upstream", provider_name: "OpenAI" } }
    })
  },
  BioPolicy: {
    responses: failure("bio_policy", "This request was blocked: it may help to cause biological harm.")
  },
  CyberPolicy: {
    responses: failure("cyber_policy", "This request was blocked: it may help to attack computer systems.")
  },
  MisalignmentPolicy: {
    responses: failure("misalignment_policy_violation", "This request was blocked: it violates our usage policies.")
  },
  ImagePolicy: {
    responses: failure("image_content_policy_violation", "The image was rejected by our safety system.")
  },
  InvalidPrompt: {
    responses: failure(
      "invalid_prompt",
      "Invalid prompt: your prompt was flagged as potentially violating our usage policy."
    )
  },
  DataResidency: {
    responses: failure("data_residency_mismatch", "This project's data residency does not allow this request.")
  },
  ErrorFinish: {
    openrouter: {
      _tag: "Body",
      whole: (answer, call) => ({
        ...chatHead(answer, call),
        choices: [{ index: 0, message: emptyAssistant, finish_reason: "error", error: upstreamDied }]
      }),
      events: (answer, call) => [
        dataEvent({
          ...chatHead(answer, call),
          object: "chat.completion.chunk",
          choices: [{ index: 0, delta: emptyAssistant, finish_reason: "error", error: upstreamDied }]
        }),
        done
      ]
    }
  },
  ErrorBeforeContent: everywhere({ _tag: "ErrorEvent", after: () => 0 }),
  ErrorAfterContent: everywhere({ _tag: "ErrorEvent", after: half }),
  ErrorAfterFinish: {
    anthropic: { _tag: "ErrorEvent", after: (events) => events },
    openai: { _tag: "ErrorEvent", after: (events) => events - 1 },
    responses: { _tag: "ErrorEvent", after: (events) => events },
    openrouter: { _tag: "ErrorEvent", after: (events) => events - 1 },
    gemini: { _tag: "ErrorEvent", after: (events) => events }
  },

  // Damaged answers. The first three send nothing, and the last two the complete answer.
  ConnectionReset: everywhere(damage(() => ({ body: [], ending: "Reset", unanswered: true }))),
  NoAnswer: everywhere(damage(() => ({ body: [], ending: "Stall", unanswered: true }))),
  NoBody: everywhere(damage(() => ({ body: [] }))),
  Cut: everywhere(damage((answer) => ({ body: halfOf(answer) }))),
  Reset: everywhere(damage((answer) => ({ body: halfOf(answer), ending: "Reset" }))),
  Stall: everywhere(damage((answer) => ({ body: halfOf(answer), ending: "Stall" }))),
  MalformedJson: everywhere(damage(({ body }) => ({ body: withoutBrace(body, half(body.length)) }))),
  HtmlAnswer: everywhere(
    damage(({ headers }) => ({ headers: { ...headers, "content-type": "text/html" }, body: [gatewayPage(200, "OK")] }))
  ),
  SlowDrip: everywhere(damage(() => ({ pace: 20 }))),
  SingleBytes: everywhere(damage(() => ({ chunkSize: 1 })))
} as const satisfies { readonly [name: string]: Row }
