/**
 * The body of a request. Sources: OpenAI API reference, "Chat"; OpenRouter API reference, "Chat completion", "Reasoning
 * tokens".
 */
import * as Completion from "../../Completion.ts"
import type { ToolChoice } from "../../Tool.ts"
import { fitIds } from "../callIds.ts"
import { present, toolChoiceOf } from "../encode.ts"
import { isObject, string } from "../json.ts"
import { structured } from "../jsonSchema.ts"
import type { Refused, WireRequest } from "../Wire.ts"
import { mark, messagesOf, type Speaker, systemMessages } from "./messages.ts"
import { fit, type Fitted } from "./rules.ts"
import type { Dialect } from "./shape.ts"

const named = (name: string) => ({ type: "function", function: { name } } as const)

const plainChoices = { Auto: "auto", None: "none", Required: "required" } as const

const toolChoice = ({ requiredWord }: Dialect, choice: ToolChoice) =>
  choice._tag !== "Specific"
    ? choice._tag === "Required" ? requiredWord : plainChoices[choice._tag]
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

const toggles = {
  thinking: (on: boolean) => ({ thinking: { type: on ? "enabled" : "disabled" } } as const),
  reasoning: (on: boolean) => ({ reasoning: { enabled: on } } as const)
} as const

// Some models have their own names for efforts, which the types do not contain.
const effortAs = (effort: Effort | undefined, word: string | undefined) => word === undefined ? effort : word as Effort

const reasoning = (speaker: Speaker, { completion, effortWord, toggled }: Fitted) => {
  const { budgetTokens, effort, summary } = completion.reasoning ?? {}
  const sent = effortAs(effort, effortWord)
  if (speaker.asksReasoning === "reasoning_effort") {
    return {
      ...(toggled !== undefined && speaker.toggle !== undefined && toggles[speaker.toggle](toggled)),
      ...present("reasoning_effort", sent)
    }
  }
  const fields = {
    ...present("effort", sent),
    ...present("max_tokens", budgetTokens),
    ...present("exclude", summary === undefined ? undefined : !summary)
  }
  return Object.keys(fields).length === 0 ? {} : { reasoning: fields }
}

/** The body of a request. Its type is inferred, so that tests can compare it with the SDK's type. */
export const encode = (speaker: Speaker) => (fitted: Fitted, model: string) => {
  const { completion, maxTokensField, reasoningInTurns, schemaAfterTools } = fitted
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
    ...fitIds(Completion.messages(completion), speaker.name, speaker.callIds(model)).map(
      messagesOf(speaker, reasoningInTurns)
    )
  ].flat()
  const choice = toolChoiceOf(completion, speaker.vendor, speaker.name)
  const withSchema = outputSchema !== undefined
    && !(schemaAfterTools && tools.length > 0 && !messages.some((message) => message.role === "tool"))
  return {
    model,
    messages,
    ...(tools.length > 0 && {
      tools: tools.map((tool) => ({
        type: "function",
        function: { name: tool.name, description: tool.description, parameters: tool.parameters },
        ...mark(speaker, tool)
      } as const)),
      // Servers refuse it without tools.
      ...present("parallel_tool_calls", parallelToolCalls)
    }),
    ...(choice && { tool_choice: toolChoice(speaker, choice) }),
    ...present(maxTokensField, maxTokens),
    ...present("temperature", temperature),
    ...present("top_p", topP),
    ...present(speaker.seedField, seed),
    ...reasoning(speaker, fitted),
    ...(stopSequences.length > 0 && { stop: stopSequences }),
    ...(withSchema && responseFormat(outputSchema))
  }
}

const isObjectAtRoot = (schema: unknown): boolean =>
  isObject(schema) && schema["type"] === "object" && schema["anyOf"] === undefined

// What the service would refuse, and cannot be left out.
const refusal = (dialect: Dialect, body: ReturnType<ReturnType<typeof encode>>): Refused | undefined => {
  const schema = body.response_format?.json_schema.schema
  return schema === undefined || !dialect.objectAtRoot || isObjectAtRoot(schema) ? undefined : {
    _tag: "Refused",
    reason: "Unsupported",
    description:
      "the root of outputSchema must be an object here, and not a union: put the value into a field of an object"
  }
}

/** The request for a completion. */
export const request = (speaker: Speaker) =>
(
  completion: Completion.Completion,
  model: string,
  streamed: boolean
): WireRequest | Refused => {
  const fitted = fit(speaker, completion, model)
  if ("_tag" in fitted) return fitted
  const body = encode(speaker)(fitted, model)
  return refusal(speaker, body) ?? {
    path: "/chat/completions",
    body: {
      ...body,
      ...(streamed && { stream: true }),
      ...(streamed && speaker.streamOptions && { stream_options: { include_usage: true } })
    },
    ...(fitted.warnings.length > 0 && { warnings: fitted.warnings })
  }
}
