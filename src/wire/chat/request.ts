/**
 * The body of a request. Sources: OpenAI API reference, "Chat"; OpenRouter API reference, "Chat completion", "Reasoning
 * tokens".
 */
import * as Completion from "../../Completion.ts"
import type { Warning } from "../../CompletionResponse.ts"
import type { ToolChoice } from "../../Tool.ts"
import { fitIds } from "../callIds.ts"
import { present, toolChoiceOf } from "../encode.ts"
import { isObject, string } from "../json.ts"
import { structured } from "../jsonSchema.ts"
import type { Refused, WireRequest } from "../Wire.ts"
import { mark, messagesOf, type Speaker, systemMessages } from "./messages.ts"
import type { Dialect } from "./shape.ts"

const named = (name: string) => ({ type: "function", function: { name } } as const)

const plainChoices = { Auto: "auto", None: "none", Required: "required" } as const

const toolChoice = (choice: ToolChoice) =>
  choice._tag !== "Specific"
    ? plainChoices[choice._tag]
    : choice.names.length === 1
    ? named(choice.names[0]!)
    : { type: "allowed_tools", allowed_tools: { mode: "required", tools: choice.names.map(named) } } as const

const responseFormat = (outputSchema: NonNullable<Completion.Completion["outputSchema"]>) => ({
  response_format: {
    type: "json_schema",
    json_schema: {
      name: (string(outputSchema["title"]) ?? "response").replaceAll(/[^a-zA-Z0-9_-]/g, "_").slice(0, 64),
      ...structured(outputSchema)
    }
  } as const
})

type Effort = NonNullable<Completion.Reasoning["effort"]>

// The effort that comes nearest to a budget of tokens, where a server knows no budgets.
const effortOf = (budget: number): Effort =>
  budget <= 0 ? "none" : budget <= 1024 ? "minimal" : budget <= 4096 ? "low" : budget <= 16_384 ? "medium" : "high"

const reasoning = (dialect: Dialect, asked: Completion.Reasoning) => {
  const { budgetTokens, effort, summary } = asked
  if (dialect.asksReasoning === "reasoning_effort") {
    return present("reasoning_effort", effort ?? (budgetTokens === undefined ? undefined : effortOf(budgetTokens)))
  }
  const said = {
    ...present("effort", effort),
    // It takes one of the two.
    ...present("max_tokens", effort === undefined ? budgetTokens : undefined),
    ...present("exclude", summary === undefined ? undefined : !summary)
  }
  return Object.keys(said).length === 0 ? {} : { reasoning: said }
}

/** The body of a request. Its type is inferred, so that it can be held against the provider's own. */
export const encode = (speaker: Speaker) => (completion: Completion.Completion, model: string) => {
  const {
    maxTokens,
    outputSchema,
    parallelToolCalls,
    preamble = "",
    seed,
    stopSequences = [],
    temperature,
    tools,
    topP
  } = completion
  const messages = [
    systemMessages(speaker, preamble, {}),
    ...fitIds(Completion.messages(completion), speaker.name, speaker.callIds(model)).map(messagesOf(speaker))
  ].flat()
  const choice = toolChoiceOf(completion, speaker.vendor, speaker.name)
  const withSchema = outputSchema !== undefined
    && !(speaker.schemaAfterTools && tools.length > 0 && !messages.some((message) => message.role === "tool"))
  return {
    model,
    messages,
    ...(tools.length > 0 && {
      tools: tools.map((tool) => ({
        type: "function",
        function: { name: tool.name, description: tool.description, parameters: tool.parameters },
        ...mark(speaker, tool)
      } as const)),
      // Servers refuse it where there are no tools.
      ...present("parallel_tool_calls", parallelToolCalls)
    }),
    ...(choice && { tool_choice: toolChoice(choice) }),
    ...present(speaker.maxTokens(model), maxTokens),
    ...present("temperature", temperature),
    ...present("top_p", topP),
    ...present("seed", seed),
    ...(completion.reasoning && reasoning(speaker, completion.reasoning)),
    ...(stopSequences.length > 0 && { stop: stopSequences }),
    ...(withSchema && responseFormat(outputSchema))
  }
}

// What of the request this wire has no words for, though it may be sent without.
const unsaid = (dialect: Dialect, { reasoning }: Completion.Completion): ReadonlyArray<Warning> => {
  if (reasoning?.budgetTokens === undefined) return []
  const field = "reasoning.budgetTokens"
  if (dialect.asksReasoning === "reasoning") {
    return reasoning.effort === undefined
      ? []
      : [{ field, description: "was left out: OpenRouter takes an effort or a budget, not both" }]
  }
  return [{
    field,
    description: reasoning.effort === undefined
      ? `was sent as reasoning_effort "${effortOf(reasoning.budgetTokens)}": Chat Completions count no reasoning`
      : "was left out: Chat Completions count no reasoning, and an effort was given too"
  }]
}

const isObjectAtRoot = (schema: unknown): boolean =>
  isObject(schema) && schema["type"] === "object" && schema["anyOf"] === undefined

// What the service would refuse, and nothing can be left out of.
const refusal = (dialect: Dialect, body: ReturnType<ReturnType<typeof encode>>): Refused | undefined => {
  const schema = body.response_format?.json_schema.schema
  return schema === undefined || !dialect.objectAtRoot || isObjectAtRoot(schema) ? undefined : {
    _tag: "Refused",
    reason: "Unsupported",
    description: "outputSchema must be an object at its root here, and no union: put the value into a field of one"
  }
}

/** The request for a completion. */
export const request = (speaker: Speaker) =>
(
  completion: Completion.Completion,
  model: string,
  streamed: boolean
): WireRequest | Refused => {
  const body = encode(speaker)(completion, model)
  return refusal(speaker, body) ?? {
    path: "/chat/completions",
    body: { ...body, ...(streamed && { stream: true, stream_options: { include_usage: true } }) },
    warnings: unsaid(speaker, completion)
  }
}
