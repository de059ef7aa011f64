// The OpenAI SDK for Node through Weir; prints what it saw as one JSON object. Usage: node client.mjs BASE_URL
import OpenAI, { toFile } from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "client-key", maxRetries: 0 });
const messages = [{ role: "user", content: "Hello" }];
const seen = {};

const chat = await client.chat.completions.create({ model: "demo", messages });
seen.chat = chat.choices[0].message.content;
seen.model = chat.model;
seen.tokens = chat.usage.total_tokens;

let text = "";
let empty = 0;
for await (const chunk of await client.chat.completions.create({ model: "demo", messages, stream: true })) {
  if (chunk.choices.length === 0) empty += 1;
  else text += chunk.choices[0].delta.content ?? "";
}
seen.stream = text;
seen.emptyChunks = empty;

seen.embedding = (await client.embeddings.create({ model: "e", input: "a" })).data[0].embedding.length;
seen.response = (await client.responses.create({ model: "demo", input: "Hello" })).output_text;
seen.models = [];
for await (const model of client.models.list()) seen.models.push(model.id);

try {
  await client.chat.completions.create({ model: "", messages });
} catch (error) {
  seen.error = { name: error.constructor.name, status: error.status, type: error.type };
}
try {
  const file = await toFile(Buffer.from("RIFF"), "a.wav");
  await client.audio.transcriptions.create({ model: "", file });
} catch (error) {
  seen.formError = { name: error.constructor.name, status: error.status };
}
console.log(JSON.stringify(seen));
