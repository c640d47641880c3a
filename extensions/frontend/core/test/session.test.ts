import { describe, expect, it } from "vitest";
import type { Slice } from "../src/contract";
import { LoadError, type Loader, type SliceAddress } from "../src/loader";
import { createSession, previewLevel } from "../src/session";
import { createStore, initialState } from "../src/state";
import { planes, sample } from "./sample";

const made = (index: number): Slice => ({ rows: 1, columns: 1, values: new Int16Array([index]) });

/** A loader of which the test decides when a slice arrives. */
function manual() {
  const waiting = new Map<string, { resolve(slice: Slice): void; reject(error: Error): void }>();
  const prefetched: SliceAddress[][] = [];
  const key = (address: SliceAddress) => `${address.plane} ${String(address.index)} ${String(address.level)}${address.on ? " on" : ""}`;
  const loader: Loader = {
    meta: () => Promise.reject(new Error("not asked for here")),
    cached: () => undefined,
    slice: (address, signal) =>
      new Promise((resolve, reject) => {
        waiting.set(key(address), { resolve, reject });
        signal?.addEventListener("abort", () => {
          reject(signal.reason as Error);
        });
      }),
    prefetch: (addresses) => prefetched.push([...addresses]),
    dispose: () => undefined,
  };
  return { loader, waiting, prefetched };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe("session", () => {
  it("shows the latest wish, also when an older slice arrives after it", async () => {
    const { loader, waiting } = manual();
    const store = createStore(initialState(sample()));
    const session = createSession(loader, store, sample(), null);
    store.set({ ...store.get(), index: 21 });
    waiting.get("axial 21 0")?.resolve(made(21));
    waiting.get("axial 20 0")?.resolve(made(20));
    await settled();
    expect(session.shown()).toMatchObject({ image: made(21), loading: false });
  });

  it("fetches on in the direction of scrolling, and a little behind", async () => {
    const { loader, waiting, prefetched } = manual();
    const store = createStore({ ...initialState(sample()), index: 3 });
    createSession(loader, store, sample(), null);
    store.set({ ...store.get(), index: 2 });
    waiting.get("axial 2 0")?.resolve(made(2));
    await settled();
    expect(prefetched.at(-1)?.map(({ index }) => index)).toEqual([1, 0, 3, 4]);
  });

  it("looks at a coarse slice first where the exact one is large", async () => {
    const large = sample({
      shape: [40, 2000, 2000],
      levels: [[40, 2000, 2000], [40, 1000, 1000], [20, 500, 500]],
      planes: planes.map((plane) => ({ ...plane })),
    });
    const axial = large.planes[0];
    expect(axial && previewLevel(large, axial)).toBe(1);
    expect(previewLevel(sample(), planes[0] as (typeof planes)[0])).toBeNull();
    const { loader, waiting } = manual();
    const session = createSession(loader, createStore(initialState(large)), large, null);
    waiting.get("axial 20 1")?.resolve(made(1));
    await settled();
    expect(session.shown()).toMatchObject({ level: 1, loading: true });
    waiting.get("axial 20 0")?.resolve(made(0));
    await settled();
    expect(session.shown()).toMatchObject({ level: 0, image: made(0), loading: false });
  });

  it("shows image and labels of the same slice together", async () => {
    const { loader, waiting } = manual();
    const label = sample({ kind: "segmentation", series: "seg-1" });
    const session = createSession(loader, createStore(initialState(sample(), "lungs/seg-1")), sample(), label);
    waiting.get("axial 20 0")?.resolve(made(20));
    await settled();
    expect(session.shown().image).toBeNull();
    waiting.get("axial 20 0 on")?.resolve(made(1));
    await settled();
    expect(session.shown()).toMatchObject({ image: made(20), label: made(1) });
  });

  it("shows a problem instead of an old image, and asks again on demand", async () => {
    const { loader, waiting } = manual();
    const session = createSession(loader, createStore(initialState(sample())), sample(), null);
    waiting.get("axial 20 0")?.reject(new LoadError("The grant has ended.", 403, "refused"));
    await settled();
    expect(session.shown()).toMatchObject({ image: null, loading: false, problem: "The grant has ended." });
    session.retry();
    waiting.get("axial 20 0")?.resolve(made(20));
    await settled();
    expect(session.shown()).toMatchObject({ image: made(20), problem: "" });
  });
});
