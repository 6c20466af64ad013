/**
 * Nothing is lost on the way through the wire: of requests and answers that were written, and of streams in any state.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Completion from "../../src/Completion.ts"
import * as CompletionPart from "../../src/CompletionPart.ts"
import * as CompletionResponse from "../../src/CompletionResponse.ts"
import * as Message from "../../src/Message.ts"
import * as TokenUsage from "../../src/TokenUsage.ts"
import * as Tool from "../../src/Tool.ts"
import { isObject, parseJson } from "../../src/wire/json.ts"
import { responses, server } from "../../src/wire/responses/wire.ts"
import type { Asked } from "../../src/wire/Wire.ts"
import { frames } from "../conformance/events.ts"
import { differences } from "../conformance/json.ts"
import { runs } from "../effort.ts"
import { make, type Random } from "../fuzz/random.ts"
import { broken, mintId, streamed, streamedText, whole } from "./responsesRun.ts"

/** How many runs the laws have that what is written is read again. */
const lawful = 2000

// A model that takes everything.
const openai = responses({ name: "openai", native: true, models: { any: { cacheBreakpoints: true } } })

const stamp = { seed: "seed", created: 0 }

// ---------------------------------------------------------------------------------------------------------------------
// Anything at all
// ---------------------------------------------------------------------------------------------------------------------

const words = ["", "a", "Hello ", "\n\n", "日本", '"{\\', "\u2028", "</s>", "🙂"]

const textFrom = ({ below, pick }: Random): string => Array.from({ length: below(4) }, () => pick(words)).join("")

const list = <A>({ below }: Random, most: number, make: (at: number) => A): ReadonlyArray<A> =>
  Array.from({ length: below(most + 1) }, (_, at) => make(at))

const maybe = <K extends string, A>({ chance }: Random, key: K, value: () => A): { readonly [P in K]?: A } =>
  chance(0.4) ? { [key]: value() } as { readonly [P in K]: A } : {}

const cache = (random: Random) =>
  maybe(random, "cache", (): Message.CacheHint => random.pick([{}, { ttl: "5m" }, { ttl: "1h" }]))

const args = (random: Random): Message.ToolCall["arguments"] =>
  Object.fromEntries(list(random, 3, (at) => [`k${at}`, random.pick([1, "x", null, [true], { a: textFrom(random) }])]))

const sourceFrom = ({ pick }: Random, mediaType: string): Message.Source =>
  pick([Message.url("https://example.com/a"), Message.base64("aGk=", mediaType), Message.fileId("file-1")])

const userContent = (random: Random): Message.UserContent =>
  random.pick<() => Message.UserContent>([
    () => ({ ...Message.text(textFrom(random)), ...cache(random) }),
    () => ({
      ...Message.image(sourceFrom(random, "image/png")),
      ...maybe(random, "detail", () => random.pick(["low", "high", "auto"] as const)),
      ...cache(random)
    }),
    () => ({
      ...Message.document(sourceFrom(random, random.pick(["application/pdf", "text/plain"]))),
      ...maybe(random, "title", () => "a.pdf"),
      ...cache(random)
    }),
    () => Message.audio(Message.base64("d2F2", random.pick(["audio/wav", "audio/mpeg"])))
  ])()

const resultFrom = (random: Random, { id, name }: Message.ToolCall): Message.ToolResult => ({
  ...Message.toolResult({
    id,
    name,
    content: list(random, 3, () =>
      random.pick<Message.ToolResultContent>([
        Message.text(textFrom(random)),
        Message.json({ a: 1 }),
        Message.image(Message.url("https://example.com/a.png")),
        Message.document(Message.fileId("file-1"))
      ]))
  }),
  ...cache(random)
})

const annotation = { type: "url_citation", url: "https://a", title: "A", start_index: 0, end_index: 1 }

const assistantContent = (random: Random, id: string): Message.AssistantContent =>
  random.pick<() => Message.AssistantContent>([
    () => ({
      ...Message.text(textFrom(random)),
      ...maybe(random, "phase", () => random.pick(["commentary", "final_answer"] as const)),
      ...maybe(random, "citations", () => [annotation])
    }),
    () => Message.text(`No${textFrom(random)}`, { signature: '{"type":"refusal"}' }),
    () =>
      Message.toolCall({
        id,
        name: random.pick(["weather", "time"]),
        arguments: args(random),
        ...maybe(random, "signature", () => '{"namespace":"maps"}')
      }),
    () => ({
      _tag: "Reasoning",
      content: [
        ...list(random, 2, () => ({ _tag: "Summary", text: `a${textFrom(random)}` } as const)),
        ...list(random, 1, () => ({ _tag: "Text", text: `b${textFrom(random)}` } as const)),
        ...list(random, 1, () => ({ _tag: "Encrypted", data: "secret" } as const))
      ]
    }),
    () => Message.image(Message.base64("aW1n", random.pick(["image/png", "image/webp", "image/jpeg"]))),
    () => ({
      _tag: "ProviderBlock",
      provider: "openai",
      block: random.pick<Message.ProviderBlock["block"]>([
        { type: "web_search_call", id: "ws_1", status: "completed" },
        { type: "compaction", encrypted_content: "secret" }
      ])
    })
  ])()

const turns = (random: Random): ReadonlyArray<Message.Message> => {
  let ids = 0
  const messages: Array<Message.Message> = []
  for (let turn = random.below(4); turn >= 0; turn--) {
    if (random.chance(0.3)) messages.push({ ...Message.system(textFrom(random)), ...cache(random) })
    const said = list(random, 4, () => assistantContent(random, `call_${ids++}`))
    const answers = random.chance(0.7)
    if (answers) messages.push(Message.assistant(said, { provider: "openai", id: "resp_1" }))
    const results = answers
      ? said.flatMap((content) => content._tag === "ToolCall" ? resultFrom(random, content) : [])
      : []
    const contents = [...list(random, 3, () => userContent(random)), ...results]
    if (contents.length > 0) messages.push(Message.user(contents))
  }
  return [...messages, Message.user("go")]
}

const completionFrom = (random: Random): Completion.Completion =>
  Completion.make({
    model: "any",
    messages: turns(random),
    tools: list(random, 2, (at) =>
      Tool.make(`tool_${at}`, { description: textFrom(random), parameters: { type: "object" } })),
    ...maybe(random, "preamble", () =>
      textFrom(random)),
    ...maybe(random, "toolChoice", () =>
      random.pick([Tool.auto, Tool.none, Tool.required, Tool.specific("tool_0")])),
    ...maybe(random, "maxTokens", () => 16 + random.below(1000)),
    ...maybe(random, "temperature", () => random.below(3)),
    ...maybe(random, "topP", () => 0.5),
    ...maybe(random, "parallelToolCalls", () => random.chance(0.5)),
    ...maybe(random, "reasoning", () =>
      random.pick<Completion.Reasoning>([{ effort: "low" }, { effort: "max", summary: true }])),
    ...maybe(random, "outputSchema", () => ({
      title: "answer",
      type: "object",
      properties: {},
      required: [],
      additionalProperties: false
    }))
  })

// ---------------------------------------------------------------------------------------------------------------------
// What this wire cannot say of a request
// ---------------------------------------------------------------------------------------------------------------------

const withoutId = (part: Message.ReasoningPart): Message.ReasoningPart => {
  const { id: _, ...rest } = part
  return rest
}

const withoutIds = (reasoning: Message.Reasoning, ...tags: ReadonlyArray<string>): Message.Reasoning => ({
  _tag: "Reasoning",
  content: tags.flatMap((tag) => reasoning.content.filter(({ _tag }) => _tag === tag)).map(withoutId)
})

// An automatic detail is what is sent where none is; plain texts go as texts; only files in the request have names.
const normalUser = (content: Message.UserContent): ReadonlyArray<Message.UserContent> => {
  switch (content._tag) {
    case "Text":
      return content.text === "" ? [] : [content]
    case "Image": {
      const { detail, ...rest } = content
      return [detail === "auto" ? rest : content]
    }
    case "Document": {
      const { cache, source, title } = content
      const marked = cache && { cache }
      if (source._tag !== "Base64") return [{ _tag: "Document", source, ...marked }]
      return source.mediaType === "text/plain"
        ? [{ _tag: "Text", text: "hi", ...marked }]
        : [{ _tag: "Document", source, title: title ?? "document.pdf", ...marked }]
    }
    default:
      return [content]
  }
}

const asText = (item: Message.ToolResultContent): string =>
  item._tag === "Json" ? JSON.stringify(item.value) : item._tag === "Text" ? item.text : ""

// Texts alone are one text; a mark needs a content to stand on.
const normalResult = ({ cache, content, id, name }: Message.ToolResult): Message.ToolResult => {
  const plain = content.every(({ _tag }) => _tag === "Text" || _tag === "Json")
  const marked = cache !== undefined && content.length > 0
  return {
    _tag: "ToolResult",
    id,
    name,
    content: plain && cache === undefined
      ? [Message.text(content.map(asText).join("\n"))]
      : content.map((item) => item._tag === "Json" ? Message.text(asText(item)) : item),
    ...(marked && { cache })
  }
}

// Reasoning goes back encrypted or not at all; images without an item of their own are shown by the user.
const normalAssistant = (content: Message.AssistantContent): ReadonlyArray<Message.AssistantContent> => {
  switch (content._tag) {
    case "Text":
      return content.text === "" ? [] : [content]
    case "Reasoning":
      return content.content.some(({ _tag }) => _tag === "Encrypted")
        ? [withoutIds(content, "Summary", "Text", "Encrypted")]
        : []
    default:
      return [content]
  }
}

// The results of a turn come first, as a message; assistant messages in a row are one.
const normalMessages = (messages: ReadonlyArray<Message.Message>): ReadonlyArray<Message.Message> => {
  const normal: Array<Message.Message> = []
  const push = (message: Message.Message): void => {
    const last = normal.at(-1)
    if (message.content.length === 0) return
    if (message._tag === "Assistant" && last?._tag === "Assistant") {
      normal[normal.length - 1] = { ...last, content: [...last.content, ...message.content] }
    } else normal.push(message)
  }
  const pushUser = (content: ReadonlyArray<Message.UserContent>): void => {
    if (content.length > 0) push(Message.user(content))
  }
  for (const message of messages) {
    switch (message._tag) {
      case "System":
        push(message)
        break
      case "User": {
        const results = message.content.filter((content) => content._tag === "ToolResult")
        pushUser(results.map(normalResult))
        pushUser(message.content.filter((content) => content._tag !== "ToolResult").flatMap(normalUser))
        break
      }
      case "Assistant":
        for (const content of message.content.flatMap(normalAssistant)) {
          if (content._tag === "Image") push(Message.user([Message.image(content.source)]))
          else push({ _tag: "Assistant", provider: "openai", content: [content] })
        }
    }
  }
  return normal
}

const normalCompletion = (completion: Completion.Completion): Completion.Completion => {
  const { history: _, parallelToolCalls, preamble, prompt: __, toolChoice, tools, ...rest } = completion
  return Completion.make({
    ...rest,
    tools,
    messages: normalMessages(Completion.messages(completion)),
    preamble: preamble === "" ? undefined : preamble,
    // Without tools there is nothing to choose.
    ...(tools.length > 0 && { parallelToolCalls, toolChoice })
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// What this wire cannot say of an answer
// ---------------------------------------------------------------------------------------------------------------------

// All that can be read of reasoning is a summary, and images get ids.
const normalContent = (
  content: Message.AssistantContent,
  streamed: boolean
): ReadonlyArray<Message.AssistantContent> => {
  switch (content._tag) {
    case "Text": {
      const { signature: _, ...text } = content
      // That a text is a refusal is known at its end alone.
      return content.text === "" && content.citations === undefined ? [] : [streamed ? text : content]
    }
    case "Reasoning": {
      const readable: ReadonlyArray<Message.ReasoningPart> = content.content.flatMap((part) =>
        part._tag === "Text" || part._tag === "Summary" ? [{ _tag: "Summary", text: part.text } as const] : []
      )
      const rest = content.content.filter(({ _tag }) => _tag === "Encrypted")
      const parts = [...readable, ...rest].map(withoutId)
      return parts.length === 0 ? [] : [{ _tag: "Reasoning", content: parts }]
    }
    case "Image":
      return [{ _tag: "Image", source: content.source }]
    default:
      return [content]
  }
}

const normalAnswer = (
  { choice, finishReason, id, model, usage }: CompletionResponse.CompletionResponse,
  streamed: boolean
) => ({
  choice: choice.flatMap((content) => normalContent(content, streamed)),
  finishReason,
  id,
  model,
  usage
})

const finishFor = (
  random: Random,
  choice: ReadonlyArray<Message.AssistantContent>
): CompletionResponse.FinishReason => {
  if (random.chance(0.3)) {
    return random.pick<CompletionResponse.FinishReason>([{ _tag: "MaxTokens" }, { _tag: "ContentFilter" }])
  }
  if (choice.some(({ _tag }) => _tag === "ToolCall")) return { _tag: "ToolUse" }
  // What is nothing but refused is filtered.
  const texts = choice.filter((content) => content._tag === "Text").filter(({ text }) => text !== "")
  return {
    _tag: texts.length > 0 && texts.every(({ signature }) => signature !== undefined) ? "ContentFilter" : "Stop"
  }
}

const answerFrom = (random: Random): CompletionResponse.CompletionResponse => {
  const choice = [...list(random, 4, (at) => assistantContent(random, `call_${at}`)), Message.text("end")]
  const inputTokens = random.below(1000)
  return CompletionResponse.make({
    choice,
    finishReason: finishFor(random, choice),
    usage: TokenUsage.make({
      inputTokens,
      outputTokens: random.below(1000),
      cachedInputTokens: random.below(1000),
      cacheWriteTokens: random.below(1000),
      longCacheWriteTokens: random.below(10),
      reasoningTokens: random.below(1000)
    }),
    provider: "openai",
    model: "gpt-6-sol",
    id: "resp_1"
  })
}

const about: Asked = { completion: Completion.make({ prompt: "Hi" }), model: "any", streamed: true }

const streamOf = (response: CompletionResponse.CompletionResponse): string => {
  const encoder = server.stream(about, stamp)
  return CompletionPart.fromResponse(response).flatMap(encoder.part).join("")
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

const each = (
  seed: number,
  run: (random: Random, at: number) => ReadonlyArray<string>,
  most = runs(400, 2000)
): void => {
  const random = make(seed)
  for (let at = 0; at < most; at++) assert.deepStrictEqual(run(random, at), [], `run ${at}`)
}

describe("laws", () => {
  it("a request that is written and read again asks the same", () => {
    each(1, (random) => {
      const completion = completionFrom(random)
      const request = openai.request(completion, "any", true)
      assert(!("_tag" in request))
      const decoded = server.decode({ body: plain(request.body) as {}, headers: {}, path: request.path })
      const { completion: read, streamed } = Result.getOrThrow(decoded)
      const { providerParams, ...rest } = read
      return [
        ...differences(true, streamed, "streamed"),
        ...differences(plain(normalCompletion(completion)), plain(rest), "completion"),
        // Where something is marked, the rest is kept with it.
        ...differences(request.body["prompt_cache_key"], providerParams?.openai?.["prompt_cache_key"], "cache key")
      ]
    }, lawful)
  })

  it("an answer that is written and read again is the same, as a body and as a stream", () => {
    each(2, (random) => {
      const response = answerFrom(random)
      const body = JSON.stringify(server.encode({ response }, about, stamp))
      const stream = streamOf(response)
      const pieces = random.chunks(new TextEncoder().encode(stream))
      const read = streamed(openai, about.completion, pieces)
      const asBody = whole(openai, about.completion, body).response
      return [
        ...differences(normalAnswer(response, false), asBody && normalAnswer(asBody, false), "body"),
        ...differences(normalAnswer(response, true), read.response && normalAnswer(read.response, true), "stream"),
        ...broken(read)
      ]
    }, lawful)
  })

  it("a stream in any state is read without loss of its laws", () => {
    each(3, (random) => {
      let stream = streamOf(answerFrom(random))
      for (let changes = random.below(4); changes >= 0; changes--) stream = random.mutateEvents(stream)
      if (random.chance(0.2)) stream = stream.replaceAll(/"output_index":\d+,/g, "")
      if (random.chance(0.2)) stream = stream.replaceAll(/"output_index":(\d+)/g, '"output_index":"$1"')
      if (random.chance(0.2)) {
        stream = stream.replaceAll(/"item_id":"[^"]*"/g, () => `"item_id":"${random.below(1000)}"`)
      }
      return broken(streamedText(openai, about.completion, stream))
    })
  })

  it("nothing that comes makes the wire throw", () => {
    each(5, (random) => {
      const response = answerFrom(random)
      const mutated = (value: unknown): unknown => parseJson(random.mutateJson(JSON.stringify(value)))
      const body = mutated(server.encode({ response }, about, stamp))
      if (isObject(body)) openai.response(body, mintId)
      openai.failures.errorIn(body)
      const request = openai.request(completionFrom(random), "any", false)
      const asking = mutated("body" in request ? request.body : {})
      if (isObject(asking)) server.decode({ body: asking, headers: {}, path: "/responses" })
      const decoder = openai.stream(mintId)
      const parts: Array<CompletionPart.CompletionPart> = []
      for (const { data } of frames(streamOf(response))) {
        const event = random.chance(0.3) ? mutated(data) : data
        if (isObject(event)) decoder.event(event, parts)
        if (random.chance(0.1)) decoder.answer()
      }
      decoder.answer()
      decoder.close(parts)
      return []
    })
  })

  it("history of any provider is sent as plain items, each call with its result", () => {
    each(4, (random) => {
      const provider = random.pick(["anthropic", "gemini", "openrouter", "other"])
      const messages = turns(random).map((message) => message._tag === "Assistant" ? { ...message, provider } : message)
      const request = openai.request(Completion.make({ model: "any", messages }), "any", false)
      assert(!("_tag" in request))
      const items = request.body["input"] as ReadonlyArray<Readonly<Record<string, unknown>>>
      const calls = items.flatMap((item) => item["type"] === "function_call" ? item["call_id"] : [])
      const results = items.flatMap((item) => item["type"] === "function_call_output" ? item["call_id"] : [])
      return [
        ...items.flatMap(({ type }) =>
          ["message", "function_call", "function_call_output"].includes(String(type)) ? [] : [`item ${String(type)}`]
        ),
        ...(items.some((item) => "id" in item || "phase" in item && item["phase"] === null) ? ["an id"] : []),
        ...(new Set(calls).size === calls.length ? [] : ["two calls of one id"]),
        ...results.flatMap((id) => calls.includes(id) ? [] : [`a result of no call: ${String(id)}`])
      ]
    })
  })
})
