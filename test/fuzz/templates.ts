/**
 * Answers in the shape of each provider, of which any field may be missing, or hold anything.
 */
import { keys } from "./laws.ts"
import type { Random } from "./random.ts"
import type { Provider } from "./wires.ts"

/** Makes the JSON text of a value. */
type Make = (random: Random) => string

const text = (value: unknown): Make => () => JSON.stringify(value)

// Mostly one of these, now and then anything.
const one = (...values: ReadonlyArray<Make | string>): Make => (random) => {
  if (random.chance(0.15)) return random.pick(random.hostile)
  const value = random.pick(values)
  return typeof value === "string" ? JSON.stringify(value) : value(random)
}

const object = (fields: Readonly<Record<string, Make>>): Make => (random) =>
  `{${
    Object.entries(fields).flatMap(([key, make]) =>
      random.chance(0.15) ? [] : [`${JSON.stringify(key)}:${make(random)}`]
    )
      .join(",")
  }}`

const list = (item: Make): Make => (random) =>
  `[${Array.from({ length: 1 + random.below(3) }, () => item(random)).join(",")}]`

const anything: Make = (random) => random.pick(random.hostile)

const args = one(text({}), text({ a: 1 }), object({ a: anything, [keys[0]]: anything }), anything)

const argsText = (random: Random): string => JSON.stringify(args(random).slice(0, random.chance(0.8) ? undefined : 5))

const name = one("f", "g")

const count = one(text(3), text(0))

const word = one(...keys, "x", "rate_limit_exceeded", "overloaded_error", "insufficient_quota")

// A provider may repeat a key as the name of a field, too.
const named = object({ [keys[0]]: word, [`x-${keys[1]}`]: anything, [keys[2]]: list(object({ [keys[0]]: anything })) })

const error = object({
  error: object({
    message: one(...keys, `you sent ${keys.join(" and ")}`),
    code: one(word, text(429), text(503)),
    type: word,
    status: word,
    param: word,
    details: one(named, list(object({ reason: word, retryDelay: one("1s", "x"), violations: anything }))),
    metadata: object({ raw: word, provider_name: word, reasons: list(word), headers: one(named, anything) }),
    [keys[1]]: named
  })
})

const finishes = ["end_turn", "tool_use", "max_tokens", "refusal", "stop_sequence"]

const block = one(
  object({ type: one("text"), text: one("a"), citations: list(anything) }),
  object({ type: one("tool_use"), id: one("1"), name, input: args, partial_json: argsText }),
  object({ type: one("thinking"), thinking: one("a"), signature: one("s") }),
  object({ type: one("redacted_thinking"), data: one("a") }),
  object({ type: one("other"), a: named })
)

const stream = {
  type: text("content_block_delta"),
  index: one(text(0), text(1))
}

const anthropic = {
  whole: object({
    id: one("1"),
    model: one("m"),
    content: list(block),
    stop_reason: one(...finishes),
    stop_sequence: one("x", "null"),
    usage: object({ input_tokens: count, output_tokens: count })
  }),
  events: [
    object({ type: text("message_start"), message: object({ id: one("1"), usage: anything }) }),
    object({ type: text("content_block_start"), index: one(text(0), text(1)), content_block: block }),
    object({ ...stream, delta: object({ type: text("text_delta"), text: one("a") }) }),
    object({ ...stream, delta: object({ type: text("input_json_delta"), partial_json: argsText }) }),
    object({ ...stream, delta: object({ type: text("citations_delta"), citation: anything }) }),
    object({ type: text("content_block_stop"), index: one(text(0), text(1)) }),
    object({ type: text("message_delta"), delta: object({ stop_reason: one(...finishes) }), usage: anything }),
    object({ type: text("message_stop") })
  ]
}

const message = object({
  content: one("a", list(object({ type: one("text", "thinking"), text: one("a"), thinking: anything }))),
  refusal: one("no", text(null)),
  reasoning: one("r"),
  reasoning_details: list(object({
    type: one("reasoning.text", "reasoning.summary", "reasoning.encrypted"),
    text: one("a"),
    index: count,
    data: one("d")
  })),
  tool_calls: list(
    object({ index: count, id: one("1", "2"), function: object({ name, arguments: one(argsText, args) }) })
  ),
  images: list(object({ image_url: object({ url: one("data:image/png;base64,AAAA", "https://a.test") }) })),
  audio: one(object({ id: one("1"), data: anything }))
})

const chat = (key: "message" | "delta") =>
  object({
    id: one("1"),
    model: one("m"),
    choices: list(object({
      index: count,
      [key]: message,
      finish_reason: one(text(null), "stop", "tool_calls", "length", "content_filter")
    })),
    usage: object({ prompt_tokens: count, completion_tokens: count, cost: anything })
  })

const openai = { whole: chat("message"), events: [chat("delta")] }

const responsesPart = one(
  object({ type: one("output_text"), text: one("a"), annotations: list(anything) }),
  object({ type: one("refusal"), refusal: one("no") }),
  object({ type: one("other"), a: named })
)

const item = one(
  object({
    type: one("message"),
    role: one("assistant"),
    phase: one("commentary", "final_answer"),
    status: one("completed", "incomplete"),
    content: list(responsesPart)
  }),
  object({
    type: one("reasoning"),
    id: one("rs_1"),
    summary: list(object({ type: one("summary_text"), text: one("r") })),
    content: list(object({ type: one("reasoning_text"), text: one("r") })),
    encrypted_content: one("e")
  }),
  object({ type: one("function_call"), call_id: one("1", "2"), name, arguments: one(argsText, args) }),
  object({ type: one("web_search_call"), id: one("1"), action: named })
)

const responseOf = object({
  id: one("1"),
  model: one("m"),
  status: one("completed", "incomplete", "failed"),
  incomplete_details: one(object({ reason: one("max_output_tokens", "content_filter") }), text(null)),
  output: list(item),
  error: one(text(null)),
  usage: object({
    input_tokens: count,
    output_tokens: count,
    output_tokens_details: one(object({ reasoning_tokens: count }))
  })
})

const place = { output_index: count, content_index: count, summary_index: count, item_id: one("1") }

const responses = {
  whole: responseOf,
  events: [
    object({ type: text("response.created"), response: responseOf }),
    object({ type: text("response.output_item.added"), ...place, item }),
    object({ type: text("response.output_text.delta"), ...place, delta: one("a") }),
    object({ type: text("response.output_text.done"), ...place, text: one("a") }),
    object({ type: text("response.refusal.delta"), ...place, delta: one("a") }),
    object({ type: text("response.reasoning_summary_text.delta"), ...place, delta: one("r") }),
    object({ type: text("response.function_call_arguments.delta"), ...place, delta: argsText }),
    object({ type: text("response.function_call_arguments.done"), ...place, arguments: one(argsText, args) }),
    object({ type: text("response.output_text.annotation.added"), ...place, annotation: anything }),
    object({ type: text("response.output_item.done"), ...place, item }),
    object({ type: one("response.completed", "response.incomplete", "response.failed"), response: responseOf })
  ]
}

const geminiAnswer = object({
  responseId: one("1"),
  candidates: list(object({
    content: object({
      parts: list(one(
        object({ text: one("a", ""), thought: one(text(true), text(false)), thoughtSignature: one("s") }),
        object({ functionCall: object({ id: one("1"), name, args }) }),
        object({ inlineData: object({ mimeType: one("image/png"), data: one("AAAA") }) }),
        object({ executableCode: anything })
      ))
    }),
    finishReason: one("STOP", "MAX_TOKENS", "SAFETY")
  })),
  promptFeedback: one(text(null), object({ blockReason: one("SAFETY") })),
  usageMetadata: object({ promptTokenCount: count, thoughtsTokenCount: count })
})

const shapes = {
  anthropic,
  openai,
  responses,
  openrouter: openai,
  gemini: { whole: geminiAnswer, events: [geminiAnswer] }
} as const

/** A body in a provider's shape: an answer, the events of one, or a failure that repeats the keys. */
export const template = (random: Random, provider: Provider): string => {
  const { events, whole } = shapes[provider]
  if (random.chance(0.2)) return error(random)
  if (random.chance(0.4)) return whole(random)
  const made = Array.from({ length: 2 + random.below(8) }, () => random.pick(events)(random))
  if (random.chance(0.1)) made.push(error(random))
  return [...made, ...(random.chance(0.5) ? ["[DONE]"] : [])].map((data) => `data: ${data}\n\n`).join("")
}
