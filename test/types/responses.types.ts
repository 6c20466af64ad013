/** What we send to OpenAI's Responses API, held against its SDK by the type checker alone. */
import type * as OpenAi from "openai/resources/responses/responses"
import type { Completion } from "../../src/Completion.ts"
import { encode } from "../../src/wire/responses/request.ts"
import type { Options } from "../../src/wire/responses/shape.ts"
import { none, type Plain, type Unknown } from "./exact.ts"

type Input = Plain<OpenAi.ResponseInputItem>

/** Items of the model go back without their ids, which are those of stored items. */
type Said = Omit<Plain<OpenAi.ResponseOutputMessage>, "id" | "status" | "content"> & {
  readonly content: ReadonlyArray<
    | (
      & Omit<Plain<OpenAi.ResponseOutputText>, "annotations">
      & Partial<Pick<Plain<OpenAi.ResponseOutputText>, "annotations">>
    )
    | Plain<OpenAi.ResponseOutputRefusal>
  >
}

type Thought = Omit<Plain<OpenAi.ResponseReasoningItem>, "id"> & { readonly id?: string }

/** The reference has audio in a user's message, the types of one do not. */
type Heard = Omit<Plain<OpenAi.EasyInputMessage>, "content"> & {
  readonly content: string | ReadonlyArray<Plain<OpenAi.ResponseInputContent> | Plain<OpenAi.ResponseInputAudio>>
}

type Theirs = Omit<Plain<OpenAi.ResponseCreateParamsNonStreaming>, "input"> & {
  readonly input: ReadonlyArray<Input | Said | Thought | Heard>
}

export const checked = (options: Options, completion: Completion): Theirs => encode(options)(completion, "gpt-6.1-sol")

export const unknownNames = none<Unknown<ReturnType<ReturnType<typeof encode>>, Theirs>>()
