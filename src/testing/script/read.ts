/**
 * Validates a script when the client is made. An invalid one is refused as a defect. Pure.
 */
import * as Duration from "effect/Duration"
import * as CompletionResponse from "../../CompletionResponse.ts"
import type * as LLMError from "../../LLMError.ts"
import * as Options from "../../middleware/options.ts"
import { isObject } from "../../wire/json.ts"
import {
  type AnswerFields,
  type Entry,
  type Failure,
  isFailure,
  isList,
  type Parts,
  reasons,
  type Reply,
  type Script
} from "./script.ts"
import { arrange } from "./steps.ts"

const refuse = (where: string, give: string): never => Options.refuse("TestLLM script", where, give)

const checkFailure = (where: string, { _tag, reason, retryAfter }: Failure | LLMError.LLMError): void => {
  if (reason !== undefined && !(reasons[_tag] as ReadonlyArray<string>).includes(reason)) {
    refuse(where, `one of the reasons of ${_tag}: ${reasons[_tag].join(", ")}`)
  }
  Options.wait("TestLLM script", `${where} retryAfter`, retryAfter)
}

const checkParts = (where: string, parts: Parts): void => {
  for (const [index, step] of parts.steps.entries()) {
    const at = `${where} part ${index}`
    if (Duration.isDuration(step)) Options.wait("TestLLM script", at, step)
    else if (typeof step === "object" && isFailure(step)) checkFailure(at, step)
  }
  arrange(where, parts)
}

const checkAnswer = (where: string, { choice, text, toolCalls = [] }: AnswerFields): void => {
  if (choice === undefined && text === undefined && toolCalls.length === 0) {
    refuse(where, "a text, tool calls, or a choice (which may be empty)")
  }
  if (text === "") refuse(where, "a text that is not empty, or the failure EmptyResponse")
  if (toolCalls.some(({ name }) => name === "")) refuse(where, "tool calls with names")
}

/** Reads one reply. */
export const read = (where: string, reply: Reply): Entry => {
  if (typeof reply === "string") return read(where, { _tag: "Answer", fields: { text: reply } })
  if (reply instanceof CompletionResponse.CompletionResponse) {
    return read(where, { _tag: "Answer", fields: { ...reply } })
  }
  const plain = { when: [], expect: [], delay: Duration.zero }
  switch (reply?._tag) {
    case "After": {
      Options.wait("TestLLM script", `${where} delay`, reply.delay)
      const entry = read(where, reply.reply)
      return { ...entry, delay: Duration.sum(Duration.fromInputUnsafe(reply.delay), entry.delay) }
    }
    case "When":
    case "Expect": {
      const kind = reply._tag === "When" ? "when" : "expect"
      if (typeof reply.match !== "function" && Object.values(reply.match).every((value) => value === undefined)) {
        refuse(where, `a predicate or a field to ${kind}`)
      }
      const entry = read(where, reply.reply)
      return { ...entry, [kind]: [reply.match, ...entry[kind]] }
    }
    case "Parts":
      checkParts(where, reply)
      return { ...plain, reply }
    case "Answer":
      checkAnswer(where, reply.fields)
      return { ...plain, reply }
    case "Never":
      return { ...plain, reply }
    default:
      if (!isObject(reply) || !isFailure(reply)) return refuse(where, "a reply")
      checkFailure(where, reply)
      return { ...plain, reply }
  }
}

/** Reads a script. An invalid one is refused as a defect. */
export const readAll = (script: Exclude<Script, Function>): Array<Entry> =>
  isList(script)
    ? script.map((reply, index) => read(`reply ${index}`, reply))
    : Object.entries(script).flatMap(([model, replies]) =>
      replies.map((reply, index) => read(`${model} reply ${index}`, { _tag: "When", match: { model }, reply }))
    )
