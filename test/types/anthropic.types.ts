/** What we send to Anthropic, held against its SDK by the type checker alone. */
import type { MessageCreateParamsNonStreaming } from "@anthropic-ai/sdk/resources/messages"
import type { Completion } from "../../src/Completion.ts"
import { encode } from "../../src/wire/anthropic/request.ts"
import { none, type Plain, type Unknown } from "./exact.ts"

// The SDK speaks version 2026-10-21 of the API, which knows no temperature; the version that we speak does.
type Theirs = Plain<MessageCreateParamsNonStreaming> & { readonly temperature?: number }

export const checked = (completion: Completion): Theirs => encode(completion, "claude-sonnet-4-6")

export const unknownNames = none<Unknown<ReturnType<typeof encode>, Theirs>>()
