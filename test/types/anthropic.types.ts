/** What we send to Anthropic, held against its SDK by the type checker alone. */
import type { MessageCreateParamsNonStreaming } from "@anthropic-ai/sdk/resources/beta/messages"
import { encode } from "../../src/wire/anthropic/request.ts"
import type { Fitted } from "../../src/wire/anthropic/rules.ts"
import { none, type Plain, type Unknown } from "./exact.ts"

// The SDK speaks version 2026-10-21 of the API, which knows no sampling; the version that we speak does.
type Theirs = Plain<MessageCreateParamsNonStreaming> & { readonly temperature?: number; readonly top_p?: number }

export const checked = (fitted: Fitted): Theirs => encode(fitted, "claude-opus-5-5", "anthropic")

export const unknownNames = none<Unknown<ReturnType<typeof encode>, Theirs>>()
