import { assert, describe, it } from "@effect/vitest"
import { Completion, Estimate, Message, TokenUsage } from "../src/index.ts"
import { answer } from "./clients.ts"

const base64 = (bytes: number, mediaType: string) => Message.base64("A".repeat(bytes * 4 / 3), mediaType)

const tokensOf = (content: Message.UserContent): number =>
  Estimate.inputTokens(Completion.make({ prompt: Message.user([content]) }))

const megabytes = 3_000_000

describe("an estimate of what a request makes a model read", () => {
  const contents: ReadonlyArray<readonly [string, Message.UserContent, number]> = [
    ["text, by its characters", Message.text("x".repeat(700)), 200],
    ["an image, as one of usual size", Message.image(base64(megabytes, "image/png")), 1500],
    ["a document of text, by its size", Message.document(base64(700_002, "text/plain")), 200_001],
    ["a document of JSON, by its size", Message.document(base64(6999, "application/json; charset=utf-8")), 2000],
    ["a small document of text", Message.document(base64(3, "text/markdown")), 1],
    ["a PDF of 3 MB, by its size: 60 pages", Message.document(base64(megabytes, "application/pdf")), 120_000],
    ["a small PDF, as a page", Message.document(base64(3000, "application/pdf")), 1500],
    ["a minute of sound, by its size", Message.audio(base64(960_000, "audio/mp3")), 2400],
    ["a short video", Message.video(base64(30_000, "video/mp4")), 1500],
    ["a long video, by its size", Message.video(base64(9 * megabytes, "video/mp4")), 67_500],
    ["what lies behind a URL", Message.document(Message.url("https://example.com/a.pdf")), 1500]
  ]
  it.each(contents)("%s", (_, content, tokens) => {
    assert.strictEqual(tokensOf(content), tokens)
  })

  it("has the preamble, the history, the tools and the schema in it", () => {
    const prompt = "Hello"
    const plain = Estimate.inputTokens(Completion.make({ prompt }))
    for (
      const more of [
        { preamble: "x".repeat(350) },
        { history: [Message.user("x".repeat(350)), Message.assistant("Hi")] },
        { tools: [{ name: "look", description: "x".repeat(350), parameters: { type: "object" } }] },
        { outputSchema: { type: "object", description: "x".repeat(350) } }
      ]
    ) assert.isAtLeast(Estimate.inputTokens(Completion.make({ prompt, ...more })), plain + 100)
  })

  it("counts an answer as far as it came", () => {
    const choice = [Message.text("x".repeat(70)), Message.toolCall({ id: "1", name: "look", arguments: {} })]
    assert.isAbove(Estimate.outputTokens(answer({}, { choice })), 20)
  })
})

describe("what broke off", () => {
  const usage = (inputTokens: number, outputTokens: number) => TokenUsage.make({ inputTokens, outputTokens })

  it.each([
    ["all is estimated where nothing was reported", usage(0, 0), usage(10, 20)],
    ["what was reported before it came is not the count of it", usage(70, 1), usage(70, 20)],
    ["a count that is near the estimate is right", usage(70, 15), usage(70, 15)],
    ["as is one that is above it", usage(70, 50), usage(70, 50)]
  ])("%s", (_, reported, expected) => {
    assert.deepStrictEqual(Estimate.ofBroken(reported, { inputTokens: 10, outputTokens: 20 }), expected)
  })
})
