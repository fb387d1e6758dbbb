// Dictates a sound file to OpenAI's own client for Node; prints the types of its events and the transcript as JSON.
import { readFileSync } from "node:fs";
import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

const [url, path] = process.argv.slice(2);
const client = new OpenAI({ baseURL: url, apiKey: "none" });
const socket = new OpenAIRealtimeWS({ model: "gpt-4o-transcribe" }, client);
const types = [];
const pcm = readFileSync(path);
const step = 4800;

socket.socket.on("open", () => {
  socket.send({
    type: "session.update",
    session: { type: "transcription", audio: { input: { turn_detection: { type: "server_vad", silence_duration_ms: 500 } } } },
  });
  for (let start = 0; start < pcm.length; start += step) {
    const audio = pcm.subarray(start, start + step).toString("base64");
    socket.send({ type: "input_audio_buffer.append", audio });
  }
});
socket.on("error", (error) => {
  console.error(error);
  process.exit(1);
});
socket.on("event", (event) => types.push(event.type));
socket.on("conversation.item.input_audio_transcription.completed", (event) => {
  console.log(JSON.stringify({ types, transcript: event.transcript }));
  socket.close();
});
