/**
 * Whether a call has gone out yet, told by those below to those above: a call that is given up while it waits for its
 * turn was never sent, and costs nothing.
 */
import * as Context from "effect/Context"

/** Where a throttle says whether the call waits, for whoever provides it around the call. */
export const Sent = Context.Reference<{ waiting: boolean } | undefined>("effect-llm/Sent", {
  defaultValue: () => undefined
})
