import { assert, describe, it } from "@effect/vitest"
import * as Window from "../../src/middleware/window.ts"

describe("a window of a minute", () => {
  it("counts what happened in it, and no more", () => {
    const window = Window.make(60_000)
    assert.deepStrictEqual(window.add(true, 0), { attempts: 1, failures: 1 })
    assert.deepStrictEqual(window.add(false, 500), { attempts: 2, failures: 1 })
    assert.deepStrictEqual(window.add(true, 30_000), { attempts: 3, failures: 2 })
    assert.deepStrictEqual(window.add(false, 59_999), { attempts: 4, failures: 2 })
    assert.deepStrictEqual(window.add(false, 60_000), { attempts: 3, failures: 1 })
    assert.isFalse(window.isEmpty(119_998))
    assert.isTrue(window.isEmpty(119_999))
  })

  it("keeps sixty counts, however many there are", () => {
    const window = Window.make(60_000)
    for (let at = 0; at < 1_000_000; at += 10) window.add(at % 20 === 0, at)
    const { attempts, failures } = window.add(false, 1_000_000)
    assert.isAtMost(attempts, 6001)
    assert.isAtLeast(attempts, 5900)
    assert.approximately(failures / attempts, 0.5, 0.01)
  })

  it("starts from zero when it is cleared", () => {
    const window = Window.make(60_000)
    window.add(true, 0)
    const epoch = window.epoch()
    window.clear()
    assert.notStrictEqual(window.epoch(), epoch)
    assert.isTrue(window.isEmpty(0))
    assert.deepStrictEqual(window.add(true, 1), { attempts: 1, failures: 1 })
  })
})
