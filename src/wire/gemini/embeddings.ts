/**
 * Embeddings of Gemini. Source: Gemini API documentation, "Embeddings", and its reference, "Embeddings".
 */
import type { Task } from "../../vectors.ts"
import { type AskedVectors, type Embeddings, normalized, vectorsOf } from "../embeddings.ts"
import { present } from "../encode.ts"
import { objects } from "../failure.ts"
import { number, object } from "../json.ts"
import { modelName, modelPath } from "./shape.ts"

const taskTypes = {
  query: "RETRIEVAL_QUERY",
  document: "RETRIEVAL_DOCUMENT",
  similarity: "SEMANTIC_SIMILARITY",
  classification: "CLASSIFICATION",
  clustering: "CLUSTERING",
  questionAnswering: "QUESTION_ANSWERING",
  factChecking: "FACT_VERIFICATION",
  codeRetrieval: "CODE_RETRIEVAL_QUERY"
} as const satisfies Record<Task, string>

const query = (task: string) => (text: string): string => `task: ${task} | query: ${text}`

// From Gemini Embedding 2 on, the task is a prefix of the text; the field for it is refused.
const written: Record<Task, (text: string) => string> = {
  query: query("search result"),
  document: (text) => `title: none | text: ${text}`,
  similarity: query("sentence similarity"),
  classification: query("classification"),
  clustering: query("clustering"),
  questionAnswering: query("question answering"),
  factChecking: query("fact checking"),
  codeRetrieval: query("code retrieval")
}

const hasTaskTypes = (model: string): boolean => !/(^|\/)gemini-embedding-[1-9]\d*(?!\d)/.test(model)

/** The body of a request. Its type is inferred, so that tests can compare it with the SDK's type. */
export const encode = ({ dimensions, model, task, texts }: AskedVectors) => ({
  requests: texts.map((text) => ({
    model: modelName(model),
    content: { parts: [{ text: task === undefined || hasTaskTypes(model) ? text : written[task](text) }] },
    ...present("taskType", task !== undefined && hasTaskTypes(model) ? taskTypes[task] : undefined),
    ...present("outputDimensionality", dimensions)
  }))
})

export const embeddings: Embeddings = {
  most: { texts: 100, tokens: 100_000 },
  request: (asked) => ({ path: `${modelPath(asked.model)}:batchEmbedContents`, body: encode(asked) }),
  response: (body, { dimensions }) => {
    const vectors = vectorsOf(objects(body["embeddings"]).map(({ values }) => values))
    return vectors && vectors.length > 0
      ? {
        // With fewer dimensions, some models return vectors that are not of length 1, which comparisons rely on.
        vectors: dimensions === undefined ? vectors : vectors.map(normalized),
        inputTokens: number(object(body["usageMetadata"])["promptTokenCount"])
      }
      : undefined
  }
}
