/**
 * Reads recorded requests and answers turn by turn: into messages of the library, and into a form in which an assistant
 * turn of one request can be compared with that of another.
 */
import { Message } from "../../src/index.ts"
import type { Api, Json } from "./corpus.ts"
import { compact, isRecord, parsed, record, records, text } from "./json.ts"

/** What stands for contents that a comparison of answers does not need. */
const placeholder = "(media)"

/** The result of a tool, as it stands on the wire. */
export interface Result {
  readonly id?: unknown
  readonly name?: unknown
  readonly content: unknown
}

/** What a turn of a request is, whatever the wire. */
export type Turn =
  | { readonly _tag: "Assistant"; readonly said: Json; readonly message: Message.Assistant }
  | {
    readonly _tag: "Other"
    readonly role: string
    readonly results: ReadonlyArray<Result>
    readonly rest: ReadonlyArray<string>
    /** Whether the results stand before everything else. */
    readonly resultsFirst: boolean
  }

/** How one kind of requests is read. */
interface Wire {
  readonly turns: (request: Json) => ReadonlyArray<Json>
  readonly isAssistant: (turn: Json) => boolean
  /** An assistant turn in its comparable form: what says nothing is left out. */
  readonly said: (turn: Json) => Json
  readonly message: (turn: Json) => Message.Assistant
  readonly results: (turn: Json) => ReadonlyArray<Result | string>
  /** The assistant turn that a body answers with, in the form of requests. */
  readonly answer: (body: Json) => Json
}

const textOf = (content: unknown): string =>
  typeof content === "string" ? content : records(content).map((part) => text(part["text"])).join("\n")

const parts = (content: unknown): ReadonlyArray<Json> =>
  typeof content === "string" ? [{ type: "text", text: content }] : records(content)

const json = (value: unknown): Message.ToolCall["arguments"] => value as Message.ToolCall["arguments"]

// ---------------------------------------------------------------------------------------------------------------------
// Anthropic
// ---------------------------------------------------------------------------------------------------------------------

const anthropicContent = (block: Json): Message.AssistantContent => {
  switch (block["type"]) {
    case "text":
      return Message.text(text(block["text"]))
    case "tool_use":
      return Message.toolCall({
        id: text(block["id"]),
        name: text(block["name"]),
        arguments: json(block["input"])
      })
    case "thinking":
      return {
        _tag: "Reasoning",
        content: [{ _tag: "Text", text: text(block["thinking"]), signature: text(block["signature"]) }]
      }
    default:
      return { _tag: "ProviderBlock", provider: "anthropic", block: block as Message.ProviderBlock["block"] }
  }
}

const anthropic: Wire = {
  turns: (request) => records(request["messages"]),
  isAssistant: (turn) => turn["role"] === "assistant",
  said: (turn) => ({
    content: parts(turn["content"]).map((block) => compact(block)).filter((block) =>
      block["type"] !== "text" || block["text"] !== ""
    )
  }),
  message: (turn) => Message.assistant(parts(turn["content"]).map(anthropicContent)),
  results: (turn) =>
    parts(turn["content"]).map((block) =>
      block["type"] === "tool_result"
        ? { id: block["tool_use_id"], content: textOf(block["content"]) }
        : text(block["text"]) || placeholder
    ),
  answer: (body) => ({ role: "assistant", content: body["content"] })
}

// ---------------------------------------------------------------------------------------------------------------------
// Chat Completions
// ---------------------------------------------------------------------------------------------------------------------

const chatCalls = (turn: Json): ReadonlyArray<Json> =>
  records(turn["tool_calls"]).map((call) => ({
    id: call["id"],
    name: record(call["function"])["name"],
    arguments: parsed(record(call["function"])["arguments"])?.value
  }))

const chat: Wire = {
  turns: (request) => records(request["messages"]),
  isAssistant: (turn) => turn["role"] === "assistant",
  // The two names of the reasoning are one field, and a refusal is a text like any other.
  said: (turn) => {
    const details = records(turn["reasoning_details"]).map((detail) => compact(detail))
    const reasoning = text(turn["reasoning_content"]) || text(turn["reasoning"])
    return compact({
      text: textOf(turn["content"]) || text(turn["refusal"]) || undefined,
      calls: chatCalls(turn),
      reasoning: reasoning === "" ? undefined : reasoning,
      details: details.length === 0 ? undefined : details
    })
  },
  message: (turn) =>
    Message.assistant([
      ...(textOf(turn["content"]) === "" ? [] : [Message.text(textOf(turn["content"]))]),
      ...chatCalls(turn).map((call) =>
        Message.toolCall({ id: text(call["id"]), name: text(call["name"]), arguments: json(call["arguments"] ?? {}) })
      )
    ]),
  results: (turn) =>
    turn["role"] === "tool"
      ? [{ id: turn["tool_call_id"], content: textOf(turn["content"]) }]
      : parts(turn["content"]).map((part) => text(part["text"]) || placeholder),
  answer: (body) => ({ role: "assistant", ...record(records(body["choices"])[0]?.["message"]) })
}

// ---------------------------------------------------------------------------------------------------------------------
// Gemini
// ---------------------------------------------------------------------------------------------------------------------

const geminiPart = (part: Json): Json => {
  const { thought, ...rest } = compact(part)
  return thought === true ? { thought, ...rest } : rest
}

const geminiContent = (part: Json, index: number): Message.AssistantContent => {
  const signature = part["thoughtSignature"]
  const signed = typeof signature === "string" ? { signature } : {}
  const call = part["functionCall"]
  if (isRecord(call)) {
    return Message.toolCall({
      id: text(call["id"]) || Message.mintId("recorded", index),
      name: text(call["name"]),
      arguments: json(call["args"] ?? {}),
      ...signed
    })
  }
  return part["thought"] === true
    ? { _tag: "Reasoning", content: [{ _tag: "Text", text: text(part["text"]), ...signed }] }
    : Message.text(text(part["text"]), signed)
}

const gemini: Wire = {
  turns: (request) => records(request["contents"]),
  isAssistant: (turn) => turn["role"] === "model",
  said: (turn) => ({
    content: records(turn["parts"]).map(geminiPart).filter((part) =>
      part["text"] !== "" || part["thoughtSignature"] !== undefined
    )
  }),
  message: (turn) => Message.assistant(records(turn["parts"]).map(geminiContent)),
  results: (turn) =>
    records(turn["parts"]).map((part) => {
      const response = part["functionResponse"]
      return isRecord(response)
        ? {
          ...compact({ id: response["id"], name: response["name"] }),
          content: record(response["response"])["result"]
        }
        : text(part["text"]) || placeholder
    }),
  answer: (body) => record(records(body["candidates"])[0]?.["content"])
}

const wires: { readonly [A in Api]: Wire } = {
  "anthropic-messages": anthropic,
  "openai-chat": chat,
  "gemini-generate-content": gemini,
  "openrouter-chat": chat,
  "openai-compatible-chat": chat
}

/** The turns of a request, in order. */
export const turns = (api: Api, request: Json): ReadonlyArray<Turn> => {
  const wire = wires[api]
  return wire.turns(request).map((turn) => {
    if (wire.isAssistant(turn)) return { _tag: "Assistant", said: wire.said(turn), message: wire.message(turn) }
    const contents = wire.results(turn)
    const isResult = contents.map((content) => typeof content !== "string")
    return {
      _tag: "Other",
      role: text(turn["role"]),
      results: contents.filter((content) => typeof content !== "string"),
      rest: contents.filter((content) => typeof content === "string"),
      resultsFirst: !isResult.some((is, index) => is && isResult.slice(0, index).includes(false))
    }
  })
}

/** The assistant turn that a body answers with, in the form in which turns of requests are compared. */
export const answered = (api: Api, body: Json): Json => wires[api].said(wires[api].answer(body))

/** One assistant turn and what answered its calls. */
export interface Round {
  readonly said: Json
  readonly message: Message.Assistant
  readonly results: ReadonlyArray<Result>
}

/** A request as assistant turns, each with the results that stand between it and the next. */
export const rounds = (api: Api, request: Json): ReadonlyArray<Round> => {
  const found: Array<Round & { readonly results: Array<Result> }> = []
  for (const turn of turns(api, request)) {
    if (turn._tag === "Assistant") found.push({ said: turn.said, message: turn.message, results: [] })
    else found.at(-1)?.results.push(...turn.results)
  }
  return found
}

/**
 * Where results stand wrongly. Anthropic and Gemini want all of them in the message behind the calls, and before the
 * text in it; Chat Completions wants a message for each, with nothing between them and the calls.
 */
export const misplaced = (api: Api, request: Json): ReadonlyArray<string> => {
  const all = turns(api, request)
  return all.flatMap((turn, index) => {
    if (turn._tag === "Assistant" || turn.results.length === 0) return []
    const previous = all[index - 1]
    const behindCalls = previous?._tag === "Assistant"
    const ownMessage = turn.role === "tool"
    return !behindCalls && !(ownMessage && previous !== undefined && previous.role === "tool")
      ? [`turn ${index} has results that do not stand behind their calls`]
      : turn.resultsFirst
      ? []
      : [`turn ${index} has results behind a text`]
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// Histories
// ---------------------------------------------------------------------------------------------------------------------

// Two turns are the same when they say and call the same, whatever else they carry; minted ids are on no wire.
const keyOf = (message: Message.Assistant): string => {
  const canonical = (value: unknown): unknown =>
    Array.isArray(value)
      ? value.map(canonical)
      : isRecord(value)
      ? Object.entries(value).toSorted(([a], [b]) => a < b ? -1 : 1).map(([key, item]) => [key, canonical(item)])
      : value
  return JSON.stringify([
    message.content.flatMap((content) => content._tag === "Text" ? [content.text] : []).join("\n").trim(),
    message.content.flatMap((content) =>
      content._tag === "ToolCall"
        ? [[
          content.name,
          canonical(content.arguments),
          Message.isMintedId(content.id) ? "" : content.id
        ]]
        : []
    )
  ])
}

/** An assistant turn of a request, by its place among them, that is the answer of an earlier exchange. */
export interface Reuse {
  readonly round: number
  readonly exchange: number
}

/** A recorded request in the library's words. */
export interface Conversation {
  readonly messages: readonly [...ReadonlyArray<Message.Message>, Message.Message]
  readonly reused: ReadonlyArray<Reuse>
  /** Whether the last message holds the result of a tool. */
  readonly endsWithResult: boolean
}

const resultContent = (content: unknown): Message.ToolResultContent =>
  typeof content === "string" ? Message.text(content) : Message.json(json(content))

// The call that a result answers: by its id, else the first of that name that has no answer yet.
const take = (open: Array<Message.ToolCall>, result: Result): Message.ToolCall | undefined => {
  const index = open.findIndex((call) => result.id === undefined ? call.name === result.name : call.id === result.id)
  return index < 0 ? undefined : open.splice(index, 1)[0]
}

/**
 * The messages of a recorded request. An assistant turn that equals one of the earlier answers becomes that answer;
 * results stand in a message each, as an application appends them.
 */
export const conversation = (
  api: Api,
  request: Json,
  answers: ReadonlyArray<{ readonly exchange: number; readonly message: Message.Assistant }>
): Conversation => {
  const messages: Array<Message.Message> = []
  const reused: Array<Reuse> = []
  const left = [...answers]
  let open: Array<Message.ToolCall> = []
  let round = 0
  let endsWithResult = false
  for (const turn of turns(api, request)) {
    endsWithResult = turn._tag === "Other" && turn.results.length > 0
    if (turn._tag === "Assistant") {
      const found = left.findIndex(({ message }) => keyOf(message) === keyOf(turn.message))
      const answer = found < 0 ? undefined : left.splice(found, 1)[0]
      if (answer !== undefined) reused.push({ round, exchange: answer.exchange })
      const message = answer?.message ?? turn.message
      open = message.content.filter((content) => content._tag === "ToolCall")
      messages.push(message)
      round++
    } else if (turn.role === "system") {
      messages.push(Message.system(turn.rest.join("\n")))
    } else {
      const results = turn.results.map((result) => {
        const call = take(open, result)
        return Message.user(Message.toolResult({
          id: call?.id ?? text(result.id),
          name: call?.name ?? text(result.name),
          content: resultContent(result.content)
        }))
      })
      const rest = turn.rest.length === 0 ? [] : [Message.user(turn.rest)]
      messages.push(
        ...(rest.length === 0 ? results : [
          Message.user([...results, ...rest].flatMap(({ content }) => content))
        ])
      )
    }
  }
  const last = messages.pop() ?? Message.user(placeholder)
  return { messages: [...messages, last], reused, endsWithResult }
}

export const bodyOf = (text: string): Json => record(JSON.parse(text))
