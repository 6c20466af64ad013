/**
 * The requests, independent of the clients.
 */
export const question = "Why is the sky blue?"

const paragraph =
  "Sunlight is made of all colours, and the molecules of the air scatter the short waves among them far more than "
  + "the long ones; so blue reaches the eye from every direction, and red mostly from the sun itself. "

export interface Turn {
  readonly role: "user" | "assistant"
  readonly text: string
}

/** 200 messages, ending with a user message. */
export const turns: ReadonlyArray<Turn> = Array.from({ length: 200 }, (_, index) => ({
  role: index % 2 === 1 ? "user" : "assistant",
  text: `${index}: ${paragraph}`
}))

export interface ToolDeclaration {
  readonly name: string
  readonly description: string
  readonly parameters: {
    readonly type: "object"
    readonly properties: {
      readonly city: { readonly type: "string"; readonly description: string }
      readonly day: { readonly type: "string"; readonly description: string }
      readonly unit: { readonly type: "string"; readonly enum: Array<string> }
      readonly hours: { readonly type: "integer"; readonly minimum: number; readonly maximum: number }
    }
    readonly required: Array<string>
    readonly additionalProperties: false
  }
}

export const tools: ReadonlyArray<ToolDeclaration> = Array.from({ length: 20 }, (_, index) => ({
  name: `weather_${index}`,
  description: "The weather of a city on a day, by the hour, from the service of that number.",
  parameters: {
    type: "object",
    properties: {
      city: { type: "string", description: "The city, with its country where the name is not unique" },
      day: { type: "string", description: "The day as YYYY-MM-DD" },
      unit: { type: "string", enum: ["celsius", "fahrenheit"] },
      hours: { type: "integer", minimum: 1, maximum: 24 }
    },
    required: ["city", "day", "unit", "hours"],
    additionalProperties: false
  }
}))
