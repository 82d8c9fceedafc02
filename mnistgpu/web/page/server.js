// Requests to the server: each carries the token of the page's own address and who sends it.
import { say } from "./words.js";

// Which of several browsers this is: chosen anew each time that the page is opened.
export const me = Array.from(crypto.getRandomValues(new Uint8Array(9)), n => n.toString(16).padStart(2, "0")).join("");
const TOKEN = new URLSearchParams(location.search).get("token") ?? "";

async function answered(response) {
  const found = await response.json();
  if (!response.ok) {
    const error = new Error(found.words ? say(found.words, found.values ?? {}) : found.error);
    error.status = response.status;
    throw error;
  }
  return found;
}

export async function get(path) {
  return answered(await fetch(path, { headers: { "X-Mnistgpu-Token": TOKEN } }));
}

export async function post(path, body = {}, options = {}) {
  const found = await answered(await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Mnistgpu-Token": TOKEN },
    body: JSON.stringify({ ...body, browser: me }),
    ...options,
  }));
  if (path === "do") dispatchEvent(new Event("done"));   // the page then asks for the state at once
  return found;
}

export async function send(path, file) {
  return answered(await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/octet-stream", "X-Mnistgpu-Token": TOKEN },
    body: file,
  }));
}
