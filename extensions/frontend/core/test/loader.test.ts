import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createLoader, type Loader, type SliceAddress } from "../src/loader";
import { httpTransport, LoadError } from "../src/transport";

// A real HTTP server: it keeps each request until the test lets it go.
interface Held {
  url: URL;
  request: IncomingMessage;
  response: ServerResponse;
  gone: Promise<void>;
}

let server: Server;
let base: string;
let held: Held[];
let arrived: (() => void)[];
let hold: boolean;

function answer({ url, response }: Held, values = new Int16Array([1, 2, 3, 4, 5, Number(url.searchParams.get("index"))])): void {
  response.setHeader("X-Cohortlab-Type", "int16");
  response.setHeader("X-Cohortlab-Shape", "2,3");
  response.end(Buffer.from(values.buffer));
}

/** The request number `count`, as soon as it is there. */
async function request(count: number): Promise<Held> {
  while (held.length < count) await new Promise<void>((resolve) => arrived.push(resolve));
  return held[count - 1] as Held;
}

beforeEach(async () => {
  [held, arrived, hold] = [[], [], false];
  server = createServer((incoming, response) => {
    const gone = new Promise<void>((resolve) => response.once("close", resolve));
    const one = { url: new URL(incoming.url ?? "", "http://loopback"), request: incoming, response, gone };
    held.push(one);
    for (const wake of arrived.splice(0)) wake();
    if (!hold) answer(one);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/user/someone/`;
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const at = (index: number): SliceAddress => ({ series: "lungs/ct-1", version: "abcd", plane: "axial", index, level: 0, frame: 0 });
const make = (cacheBytes?: number): Loader =>
  createLoader({
    transport: httpTransport({ api: `${base}cohortlab/api/`, xsrf: () => "token" }),
    ...(cacheBytes === undefined ? {} : { cacheBytes }),
  });

describe("loader", () => {
  it("asks below the page's base path with the XSRF token, and reads typed values", async () => {
    const slice = await make().slice({ ...at(7), frame: 2, on: { series: "lungs/mr-2", version: "ef01" } });
    expect(slice).toEqual({ rows: 2, columns: 3, samples: 1, values: new Int16Array([1, 2, 3, 4, 5, 7]) });
    const { url, request: incoming } = await request(1);
    expect(url.pathname).toBe("/user/someone/cohortlab/api/series/lungs/ct-1/slice");
    expect(Object.fromEntries(url.searchParams)).toEqual({ plane: "axial", index: "7", level: "0", t: "2", on: "mr-2", v: "abcd-ef01" });
    expect(incoming.headers["x-xsrftoken"]).toBe("token");
  });

  it("asks once for what is cached or on its way", async () => {
    const loader = make();
    const [one, other] = await Promise.all([loader.slice(at(1)), loader.slice(at(1))]);
    expect(other).toBe(one);
    expect(loader.cached(at(1))).toBe(one);
    await loader.slice(at(1));
    expect(held).toHaveLength(1);
  });

  it("forgets what was used longest ago when its cache is full", async () => {
    const loader = make(30); // two slices of 12 bytes
    for (const index of [1, 2, 1, 3]) await loader.slice(at(index));
    expect([1, 2, 3].map((index) => loader.cached(at(index)) !== undefined)).toEqual([true, false, true]);
  });

  it("closes the connection when the last asker leaves, not before", async () => {
    hold = true;
    const loader = make();
    const [first, second] = [new AbortController(), new AbortController()];
    const asked = [loader.slice(at(1), first.signal), loader.slice(at(1), second.signal)];
    const { response, gone } = await request(1);
    first.abort();
    await expect(asked[0]).rejects.toThrow();
    expect(response.destroyed).toBe(false);
    second.abort();
    await expect(asked[1]).rejects.toThrow();
    await gone;
    expect(loader.cached(at(1))).toBeUndefined();
  });

  it("prefetches a few at once, and drops the rest when the direction changes", async () => {
    hold = true;
    const loader = make();
    loader.prefetch([1, 2, 3, 4, 5, 6].map(at));
    const first = await Promise.all([1, 2, 3].map(request));
    loader.prefetch([at(9)]);
    const turned = await request(4);
    await Promise.all(first.map(({ gone }) => gone));
    expect(turned.url.searchParams.get("index")).toBe("9");
    answer(turned);
    await loader.slice(at(9));
    expect(held).toHaveLength(4);
  });

  it("names an image of another dataset in full", async () => {
    await make().slice({ ...at(7), on: { series: "other/mr-2", version: "ef01" } });
    expect((await request(1)).url.searchParams.get("on")).toBe("other/mr-2");
  });

  it("reads a whole level, in colour too", async () => {
    hold = true;
    const asked = make().volume({ series: "lungs/ct-1", version: "abcd", level: 2, frame: 0 });
    const { url, response } = await request(1);
    expect(`${url.pathname}${url.search}`).toBe("/user/someone/cohortlab/api/series/lungs/ct-1/volume?level=2&v=abcd");
    response.setHeader("X-Cohortlab-Type", "uint8");
    response.setHeader("X-Cohortlab-Shape", "2,1,2,3");
    response.end(Buffer.from([...Array(12).keys()]));
    expect(await asked).toEqual({ shape: [2, 1, 2], samples: 3, values: Uint8Array.from(Array(12).keys()) });
  });

  it("says what the server says, as a problem", async () => {
    hold = true;
    const asked = make().slice(at(1));
    const { response } = await request(1);
    response.writeHead(404, { "Content-Type": "application/problem+json" });
    response.end(JSON.stringify({ detail: "There is no such series.", code: "not-found" }));
    await expect(asked).rejects.toMatchObject({ message: "There is no such series.", status: 404, code: "not-found" });
  });

  it("says that the server does not answer, and works when it does again", async () => {
    const loader = make();
    hold = true;
    const asked = loader.slice(at(1));
    (await request(1)).request.socket.destroy();
    await expect(asked).rejects.toThrow(LoadError);
    hold = false;
    await expect(loader.slice(at(1))).resolves.toMatchObject({ rows: 2 });
  });

  it.each([
    [502, "text/html", { passing: true, status: 502 }],
    [424, "text/html", { passing: true, message: "Your session does not run. The image comes back by itself when it does." }],
    [403, "text/html", { passing: false, code: "refused" }],
    [503, "application/problem+json", { passing: false, code: "storage", message: "A chunk is corrupt." }],
    [429, "application/problem+json", { passing: true, code: "busy" }],
  ])("tells what passes from what stays: %i as %s", async (status, type, expected) => {
    hold = true;
    const asked = make().slice(at(1));
    const { response } = await request(1);
    response.writeHead(status, { "Content-Type": type });
    response.end(JSON.stringify({ detail: "A chunk is corrupt.", code: status === 429 ? "busy" : "storage" }));
    await expect(asked).rejects.toMatchObject(expected);
  });

  it("is let in again once when the server does not know who asks", async () => {
    hold = true;
    const loader = createLoader({ transport: httpTransport({ api: `${base}cohortlab/api/`, page: `${base}cohortlab/signed-in` }) });
    const described = loader.meta("lungs/ct-1");
    (await request(1)).response.end("{}");
    await described;
    await loader.allowed("lungs/ct-1");
    held = [];
    const asked = loader.slice(at(1));
    const unknown = async (count: number): Promise<void> => {
      const { response } = await request(count);
      response.writeHead(403, { "Content-Type": "application/problem+json" });
      response.end(JSON.stringify({ title: "Forbidden", code: "unauthenticated" }));
    };
    await unknown(1);
    const door = await request(2);
    expect(door.url.pathname).toBe("/user/someone/cohortlab/signed-in");
    door.response.end();
    answer(await request(3));
    await expect(asked).resolves.toMatchObject({ rows: 2 });
    for (const index of [2, 3]) {
      const other = loader.slice(at(index));
      await unknown(held.length + 1);
      if (index === 2) {
        (await request(5)).response.end(); // lets nobody in, and is not tried again at once
        await unknown(6);
      }
      await expect(other).rejects.toMatchObject({ signedOut: true, passing: true });
    }
    expect(held).toHaveLength(7);
    const allowed = loader.allowed("lungs/ct-1"); // that slices may be seen is asked anew
    expect((await request(8)).url.pathname).toMatch(/meta$/);
    held[7]?.response.end("{}");
    await allowed;
  });

  it("forgets what may not be seen any more, and asks before it takes anything of it again", async () => {
    const loader = make();
    const why: string[] = [];
    loader.onEnded((dataset, { message }) => why.push(`${dataset}: ${message}`));
    await loader.slice(at(1));
    await loader.slice({ ...at(1), series: "liver/ct-1" });
    hold = true;
    const over = [2, 3].map((index) => expect(loader.slice(at(index))).rejects.toThrow("It was revoked."));
    const { response } = await request(4);
    const refuse = (response: ServerResponse): void => {
      response.writeHead(403, { "Content-Type": "application/problem+json" });
      response.end(JSON.stringify({ detail: "It was revoked.", code: "refused" }));
    };
    refuse(response);
    await Promise.all(over); // also who was not answered yet
    const cleared = await request(5); // its answer makes the browser forget too
    expect(cleared.url.pathname).toMatch(/meta$/);
    refuse(cleared.response);
    await cleared.gone;
    expect(why).toEqual(["lungs: It was revoked."]);
    expect(loader.cached(at(1))).toBeUndefined();
    expect(loader.cached({ ...at(1), series: "liver/ct-1" })).toBeDefined();
    await expect(loader.slice(at(1))).rejects.toThrow("It was revoked.");
    await expect(loader.picture("series/lungs/ct-1/thumbnail", {}, new AbortController().signal)).rejects.toThrow("It was revoked.");
    expect(held).toHaveLength(5);
    const described = loader.meta("lungs/ct-1"); // as a person does who tries again
    const { url, response: yes } = await request(6);
    expect(url.pathname).toMatch(/meta$/);
    yes.end("{}");
    await described;
    hold = false;
    await expect(loader.slice(at(1))).resolves.toMatchObject({ rows: 2 });
    expect(why).toHaveLength(1);
  });

  it("refuses an answer that is not what its headers say", async () => {
    hold = true;
    const asked = make().slice(at(1));
    answer(await request(1), new Int16Array(4));
    await expect(asked).rejects.toThrow(TypeError);
  });
});
