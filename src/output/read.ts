/**
 * Reads the value of an answer, or reports why it has none.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Completion from "../Completion.ts"
import type { CompletionResponse, FinishReason } from "../CompletionResponse.ts"
import * as LLMError from "../LLMError.ts"
import { type Form, form, type Output } from "./form.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Request
// ---------------------------------------------------------------------------------------------------------------------

/** The form of a Schema; an unsupported one is refused before anything is sent. */
export const ask = <S extends Output>(
  { model = "" }: Completion.Completion,
  schema: S,
  provider: string
): Effect.Effect<Form<S>, LLMError.LLMError> =>
  Effect.fromResult(Result.mapError(form(schema), (problem) =>
    LLMError.make("ClientError", {
      provider,
      model,
      reason: "Unsupported",
      description: `the schema is not supported: ${problem}`
    })))

// ---------------------------------------------------------------------------------------------------------------------
// Reading
// ---------------------------------------------------------------------------------------------------------------------

const parse = (text: string): Result.Result<unknown, unknown> => Result.try(() => JSON.parse(text) as unknown)

const fenced = /```(?:json)?([\s\S]*?)```/

/** The JSON in a text: models without a binding schema may add prose or a code fence. */
const jsonIn = (text: string): Result.Result<unknown, unknown> => {
  const start = text.search(/[{[]/)
  const end = Math.max(text.lastIndexOf("}"), text.lastIndexOf("]"))
  const candidates = [text, fenced.exec(text)?.[1], start < 0 || end < start ? undefined : text.slice(start, end + 1)]
  return candidates.reduce<Result.Result<unknown, unknown>>(
    (found, candidate) => Result.isSuccess(found) || candidate === undefined ? found : parse(candidate),
    Result.fail("not JSON")
  )
}

const longest = 2000

const cut = (words: string): string => words.length <= longest ? words : `${words.slice(0, longest)}…`

// The failures of answers without a value for which a repeated request would not help.
const ends: { readonly [Tag in FinishReason["_tag"]]?: readonly [LLMError.ClientErrorReason, string] } = {
  MaxTokens: ["OutputBudget", "maxTokens cut the answer before its JSON was complete: raise maxTokens"],
  ContentFilter: ["ContentFilter", "the provider's filter cut the answer before its JSON was complete"],
  ToolUse: ["Unsupported", "the answer calls tools: run them with ToolLoop, which continues until there is a value"]
}

/** The failure of an answer without a valid value. */
export const failureOf = (response: CompletionResponse, description: string): LLMError.LLMError => {
  const common = {
    provider: response.provider,
    model: response.model ?? "",
    partial: response,
    attempts: response.attempts
  }
  const end = ends[response.finishReason._tag]
  return end === undefined
    ? LLMError.make("EmptyResponse", {
      ...common,
      reason: "MalformedOutput",
      // Only repairs send this again.
      retryable: false,
      description: cut(description)
    })
    : LLMError.make("ClientError", { ...common, reason: end[0], description: end[1] })
}

/** The value in an answer. */
export const read = <S extends Output>(
  { decode }: Form<S>,
  response: CompletionResponse
): Effect.Effect<S["Type"], LLMError.LLMError, S["DecodingServices"]> => {
  const json = jsonIn(response.text)
  return Result.isFailure(json)
    ? Effect.fail(failureOf(response, "the answer is not JSON"))
    : Effect.mapError(
      decode(json.success),
      ({ message }) => failureOf(response, `the answer does not match the schema: ${message}`)
    )
}

// ---------------------------------------------------------------------------------------------------------------------
// Repair
// ---------------------------------------------------------------------------------------------------------------------

/** Whether the model may correct the answer if it sees the error. */
export const isRepairable = (error: LLMError.LLMError): boolean =>
  error._tag === "EmptyResponse" && error.reason === "MalformedOutput"

/** The message to the model about an answer that does not match. */
export const complaint = ({ description }: LLMError.LLMError, { jsonSchema }: Form<Output>): string =>
  `${description}\n\nAnswer again with only JSON that matches this JSON Schema:\n${JSON.stringify(jsonSchema)}`

/** The conversation is continued, so that the model sees its answer, and the prompt cache stays valid. */
export const repair = (
  completion: Completion.Completion,
  error: LLMError.LLMError,
  form: Form<Output>
): Completion.Completion => {
  const answer = error.partial === undefined || error.partial.choice.length === 0 ? [] : [error.partial.message]
  return completion.pipe(
    Completion.history([...Completion.messages(completion), ...answer]),
    Completion.prompt(complaint(error, form))
  )
}
