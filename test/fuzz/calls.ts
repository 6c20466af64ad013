/**
 * Answers of which nothing but the text of a call's arguments is wrong. Gemini is not among them: it sends arguments as
 * JSON, so that what breaks them breaks the whole event.
 */
import type { Random } from "./random.ts"

export interface Call {
  readonly id: string
  readonly name: string
  readonly text: string
}

/** Whether the answer ended with its calls, or at the limit of tokens, in the last of them. */
export type Ending = "whole" | "cut"

const event = (data: object): string => `data: ${JSON.stringify(data)}\n\n`

// A text as it comes in deltas.
const pieces = (random: Random, text: string): Array<string> => {
  const cut: Array<string> = []
  for (let at = 0; at < text.length;) {
    const size = 1 + random.below(12)
    cut.push(text.slice(at, at + size))
    at += size
  }
  return cut
}

const messages = (random: Random, calls: ReadonlyArray<Call>, ending: Ending): string =>
  [
    { type: "message_start", message: { id: "1", model: "m", usage: {} } },
    ...calls.flatMap(({ id, name, text }, index) => [
      { type: "content_block_start", index, content_block: { type: "tool_use", id, name, input: {} } },
      ...pieces(random, text).map((partial_json) => ({
        type: "content_block_delta",
        index,
        delta: { type: "input_json_delta", partial_json }
      })),
      { type: "content_block_stop", index }
    ]),
    { type: "message_delta", delta: { stop_reason: ending === "cut" ? "max_tokens" : "tool_use" } },
    { type: "message_stop" }
  ].map(event).join("")

const chat = (random: Random, calls: ReadonlyArray<Call>, ending: Ending): string => {
  const finish_reason = ending === "cut" ? "length" : "tool_calls"
  const written = (text: string, { id, name }: Call) => ({ id, type: "function", function: { name, arguments: text } })
  if (random.chance(0.5)) {
    const tool_calls = calls.map((call) => written(call.text, call))
    return JSON.stringify({ choices: [{ message: { content: null, tool_calls }, finish_reason }] })
  }
  const deltas = calls.flatMap((call, index) => [
    { index, ...written("", call) },
    ...pieces(random, call.text).map((text) => ({ index, function: { arguments: text } }))
  ])
  return [
    ...deltas.map((delta) => ({ choices: [{ delta: { tool_calls: [delta] } }] })),
    { choices: [{ delta: {}, finish_reason }] }
  ].map(event).join("") + "data: [DONE]\n\n"
}

const responses = (random: Random, calls: ReadonlyArray<Call>, ending: Ending): string => {
  const cut = ending === "cut"
  const item = ({ id, name, text }: Call, index: number) => ({
    type: "function_call",
    id: `fc_${index}`,
    call_id: id,
    name,
    arguments: text,
    status: cut && index === calls.length - 1 ? "incomplete" : "completed"
  })
  const response = {
    id: "1",
    model: "m",
    status: cut ? "incomplete" : "completed",
    incomplete_details: cut ? { reason: "max_output_tokens" } : null,
    error: null,
    output: calls.map(item)
  }
  if (random.chance(0.5)) return JSON.stringify(response)
  return [
    { type: "response.created", response: { ...response, status: "in_progress", output: [] } },
    ...calls.flatMap((call, output_index) => [
      { type: "response.output_item.added", output_index, item: { ...item(call, output_index), arguments: "" } },
      ...pieces(random, call.text).map((delta) => ({
        type: "response.function_call_arguments.delta",
        output_index,
        delta
      })),
      ...(cut && output_index === calls.length - 1
        ? []
        : [{ type: "response.output_item.done", output_index, item: item(call, output_index) }])
    ]),
    { type: cut ? "response.incomplete" : "response.completed", response }
  ].map(event).join("")
}

/** A body with these calls, streamed or not, as each provider writes it. */
export const written = { anthropic: messages, openai: chat, openrouter: chat, responses } as const

/** Some calls whose arguments are as they should be. */
export const some = (random: Random): ReadonlyArray<Call> =>
  Array.from({ length: 1 + random.below(3) }, (_, index) => ({
    id: `call_${index}`,
    name: random.pick(["f", "g"]),
    text: random.pick(['{"city":"Zürich","days":[1,2]}', "{}", '{ "a": { "b": "}{\\"" } }', '{"a":null}'])
  }))
