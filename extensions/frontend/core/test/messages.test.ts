import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { createLoader } from "../src/loader";
import { messageTransport, type Messenger } from "../src/messages";

interface Sent {
  kind: string;
  id: number;
  path: string;
  query: Record<string, string>;
}

/** A kernel's side of the messages. */
function kernel() {
  const sent: Sent[] = [];
  const listeners = new Set<(content: unknown, buffers: DataView[]) => void>();
  const model: Messenger = {
    send: (content) => sent.push(content as Sent),
    on: (_, listener) => listeners.add(listener),
    off: (_, listener) => listeners.delete(listener),
  };
  const say = (content: object, ...buffers: Uint8Array[]) => {
    for (const listener of listeners)
      listener(
        content,
        buffers.map((bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)),
      );
  };
  return { model, sent, say, listeners };
}

const address = { series: "lungs/ct-1", version: "ab", plane: "axial", index: 3, level: 0, frame: 0 };
const headers = { "X-Cohortlab-Type": "int16", "X-Cohortlab-Shape": "1,3" };
const bytes = new Uint8Array(Int16Array.from([7, -8, 9]).buffer);

describe("messages", () => {
  it("carry a slice, in parts", async () => {
    const { model, sent, say } = kernel();
    const asked = createLoader({ transport: messageTransport(model) }).slice(address);
    expect(sent).toEqual([
      { kind: "get", id: 1, path: "series/lungs/ct-1/slice", query: { plane: "axial", index: "3", level: "0", v: "ab" }, headers: {} },
    ]);
    say({ kind: "answer", id: 1, status: 200, headers, parts: 2, part: 0, encoding: "" }, bytes.slice(0, 4));
    say({ kind: "answer", id: 99, status: 200, headers, parts: 1, part: 0, encoding: "" }, bytes);
    say({ kind: "answer", id: 1, status: 200, headers, parts: 2, part: 1, encoding: "" }, bytes.slice(4));
    expect((await asked).values).toEqual(Int16Array.from([7, -8, 9]));
  });

  it("carry it gzip-coded", async () => {
    const { model, say } = kernel();
    const asked = createLoader({ transport: messageTransport(model) }).slice(address);
    say({ kind: "answer", id: 1, status: 200, headers, parts: 1, part: 0, encoding: "gzip" }, Uint8Array.from(gzipSync(bytes)));
    expect((await asked).values).toEqual(Int16Array.from([7, -8, 9]));
  });

  it("carry problems, in words", async () => {
    const { model, say } = kernel();
    const asked = createLoader({ transport: messageTransport(model) }).slice(address);
    const problem = new TextEncoder().encode(JSON.stringify({ detail: "The array is gone.", code: "array-gone" }));
    say({ kind: "answer", id: 1, status: 404, headers: { "Content-Type": "application/problem+json" }, parts: 1, part: 0 }, problem);
    await expect(asked).rejects.toMatchObject({ message: "The array is gone.", code: "array-gone", status: 404 });
  });

  it("tell the kernel what nobody waits for any more", async () => {
    const { model, sent } = kernel();
    const stop = new AbortController();
    const asked = createLoader({ transport: messageTransport(model) }).slice(address, stop.signal);
    stop.abort();
    await expect(asked).rejects.toThrow();
    expect(sent.at(-1)).toEqual({ kind: "cancel", id: 1 });
  });

  it("say that a kernel does not answer, and leave nothing behind", async () => {
    const { model, listeners } = kernel();
    const transport = messageTransport(model, 5);
    await expect(transport.get("datasets", {}, new AbortController().signal)).rejects.toMatchObject({ code: "unavailable" });
    transport.dispose();
    expect(listeners.size).toBe(0);
  });
});
