/**
 * Embeddings as OpenAI has them, and those that are compatible with it. Sources: OpenAI API reference, "Create
 * embeddings"; OpenRouter API reference, "Create embeddings"; Mistral AI, "Embeddings".
 */
import type { Task } from "../../vectors.ts"
import { type AskedVectors, type Embeddings, taskIgnored, vectorsOf } from "../embeddings.ts"
import { present } from "../encode.ts"
import { objects } from "../failure.ts"
import { array, number, object, string } from "../json.ts"

const path = "/embeddings"

/** The body of a request. Its type is inferred, so that it can be held against the provider's own. */
export const encode = ({ dimensions, model, texts }: AskedVectors, format: "base64" | "float") => ({
  model,
  input: texts,
  encoding_format: format,
  ...present("dimensions", dimensions)
})

const response: Embeddings["response"] = (body) => {
  const items = objects(body["data"])
  const usage = object(body["usage"])
  // Some servers leave the places out, and then keep to the order.
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
 * OpenAI itself, or a server that is compatible with it. Of OpenAI the numbers are asked for as bytes, which take a
 * quarter of the room; not every other server can write those. An answer of numbers holds no more than are taken in.
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

// A request takes 16,384 tokens in all.
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
