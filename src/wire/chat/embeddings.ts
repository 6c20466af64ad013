/**
 * Embeddings of OpenAI and compatible servers. Sources: OpenAI API reference, "Create embeddings"; OpenRouter API
 * reference, "Create embeddings"; Mistral AI, "Embeddings".
 */
import type { Task } from "../../vectors.ts"
import { type AskedVectors, type Embeddings, taskIgnored, vectorsOf } from "../embeddings.ts"
import { present } from "../encode.ts"
import { objects } from "../failure.ts"
import { array, number, object, string } from "../json.ts"

const path = "/embeddings"

/** The body of a request. Its type is inferred, so that tests can compare it with the SDK's type. */
export const encode = ({ dimensions, model, texts }: AskedVectors, format: "base64" | "float") => ({
  model,
  input: texts,
  encoding_format: format,
  ...present("dimensions", dimensions)
})

const response: Embeddings["response"] = (body) => {
  const items = objects(body["data"])
  const usage = object(body["usage"])
  // Some servers leave out the indices, and then return the vectors in order.
  const sorted = items.map(({ embedding, index }, at) => ({ embedding, at: number(index) ?? at }))
    .sort((one, other) => one.at - other.at)
  const vectors = array(body["data"]).length === 0 || sorted.some(({ at }, place) => at !== place)
    ? undefined
    : vectorsOf(sorted.map(({ embedding }) => embedding))
  return vectors && {
    vectors,
    inputTokens: number(usage["prompt_tokens"]) ?? number(usage["total_tokens"]),
    model: string(body["model"]),
    cost: number(usage["cost"])
  }
}

/**
 * OpenAI itself, or a compatible server. OpenAI is asked for base64, which is a quarter of the size; not all other
 * servers support it. With JSON numbers, the size limits allow fewer texts.
 */
export const openAiEmbeddings = (native: boolean): Embeddings => ({
  most: native ? { texts: 2048, tokens: 200_000 } : { texts: 128, tokens: 100_000 },
  request: (asked) => ({ path, body: encode(asked, native ? "base64" : "float"), ...taskIgnored(asked.task) }),
  response
})

const inputTypes: Partial<Record<Task, string>> = {
  query: "search_query",
  document: "search_document",
  classification: "classification",
  clustering: "clustering"
}

export const openRouterEmbeddings: Embeddings = {
  most: { texts: 128, tokens: 100_000 },
  request: (asked) => {
    const type = asked.task && inputTypes[asked.task]
    return {
      path,
      body: { ...encode(asked, "float"), ...present("input_type", type) },
      ...(type === undefined && taskIgnored(asked.task))
    }
  },
  response
}

// A request has at most 16,384 tokens.
export const mistralEmbeddings: Embeddings = {
  most: { texts: 256, tokens: 12_000 },
  request: (asked) => ({
    path,
    body: {
      ...encode({ ...asked, dimensions: undefined }, "float"),
      ...present("output_dimension", asked.dimensions)
    },
    ...taskIgnored(asked.task)
  }),
  response
}
