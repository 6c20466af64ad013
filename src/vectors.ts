/**
 * The vocabulary of embeddings. `Embeddings` is the module to import.
 */

/** The numbers of one text. */
export type Vector = ReadonlyArray<number>

/** What vectors are for: some models make others for a question than for the texts that it is asked of. */
export type Task =
  | "query"
  | "document"
  | "similarity"
  | "classification"
  | "clustering"
  | "questionAnswering"
  | "factChecking"
  | "codeRetrieval"
