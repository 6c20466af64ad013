/**
 * The vocabulary of embeddings. Import it from `Embeddings`.
 */

/** The numbers of one text. */
export type Vector = ReadonlyArray<number>

/** The purpose of vectors. Some models embed a question differently from the documents to search. */
export type Task =
  | "query"
  | "document"
  | "similarity"
  | "classification"
  | "clustering"
  | "questionAnswering"
  | "factChecking"
  | "codeRetrieval"
