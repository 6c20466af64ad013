/**
 * How long a fuzz test goes on, and from which seed: a fixed number of cases as part of the tests, or as long as
 * `npm run fuzz` says. Each case has a seed of its own, and a failure says it.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { runs as runsOf } from "../effort.ts"
import { numberOf } from "./options.ts"
import { make, type Random } from "./random.ts"

const seconds = numberOf("FUZZ_SECONDS", process.env["FUZZ_SECONDS"], 0.1)
const seed = numberOf("FUZZ_SEED", process.env["FUZZ_SEED"], 0)

const first = Math.floor(seed ?? (seconds === undefined ? 1 : Date.now() % 2 ** 31))

/** How long a test may take. */
export const timeout: number = ((seconds ?? 0) + 60) * 1000

/** Runs cases until the time is up; where there is no time, as many as are given, or a third of them in `npm test`. */
export const cases = (
  runs: number,
  one: (random: Random, seed: number) => Effect.Effect<void>
): Effect.Effect<void> =>
  Effect.gen(function*() {
    const most = runsOf(Math.ceil(runs / 3), runs)
    const end = performance.now() + (seconds ?? 0) * 1000
    let index = 0
    for (; seconds === undefined ? index < most : performance.now() < end; index++) {
      yield* Effect.suspend(() => one(make(first + index), first + index)).pipe(
        Effect.timeoutOrElse({ duration: "20 seconds", orElse: () => Effect.die(new Error("it hangs")) }),
        Effect.catchDefect((defect) =>
          Effect.die(
            Object.assign(
              new Error(`seed ${first + index} (npm run fuzz -- --seed ${first + index}): ${String(defect)}`),
              {
                stack: defect instanceof Error ? defect.stack : undefined
              }
            )
          )
        )
      )
      // Lets timers and other tests run.
      if (index % 50 === 0) yield* Effect.yieldNow
    }
    assert.isAbove(index, 0, "no case ran")
  })
