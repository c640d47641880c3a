import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Slice, Volume } from "../src/contract";
import type { Loader, SliceAddress } from "../src/loader";
import { coarseLevel, createSession, levelFor, sliceOf } from "../src/session";
import { createStore, initialState } from "../src/state";
import { httpTransport, LoadError } from "../src/transport";
import { planes, sample } from "./sample";

const made = (index: number): Slice => ({ rows: 1, columns: 1, samples: 1, values: new Int16Array([index]) });

/** A loader of which the test decides when a slice arrives. */
function manual() {
  const waiting = new Map<string, { resolve(slice: Slice): void; reject(error: Error): void }>();
  const prefetched: SliceAddress[][] = [];
  let coarse: (volume: Volume) => void = () => undefined;
  let end: (dataset: string, why: LoadError) => void = () => undefined;
  const key = (address: SliceAddress) => `${address.plane} ${String(address.index)} ${String(address.level)}${address.on ? " on" : ""}`;
  const loader: Loader = {
    transport: httpTransport({ api: "http://loopback/" }),
    volume: () =>
      new Promise((resolve) => {
        coarse = resolve;
      }),
    picture: () => Promise.reject(new Error("not asked for here")),
    meta: () => Promise.reject(new Error("not asked for here")),
    allowed: () => Promise.resolve(),
    onEnded: (listener) => {
      end = listener;
      return () => undefined;
    },
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
  return {
    loader,
    waiting,
    prefetched,
    end: (dataset: string, why: LoadError) => {
      end(dataset, why);
    },
    coarse: (volume: Volume) => {
      coarse(volume);
    },
  };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));
const later = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => {
  vi.useRealTimers();
});

const axial = planes[0] as (typeof planes)[0];

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
    expect(prefetched.flat()).toEqual([]); // the first image comes alone
    await later(250);
    expect(prefetched.at(-1)?.map(({ index }) => index)).toEqual([1, 0, 3, 4, 5, 6]);
    store.set({ ...store.get(), index: 30 });
    expect(prefetched.at(-1)).toEqual([]); // the line is for the slice that is waited for
    waiting.get("axial 30 0")?.resolve(made(30));
    await settled();
    expect(prefetched.at(-1)?.[0]?.index).toBe(31);
  });

  it("shows a slice of the coarsest level where the exact one is late", async () => {
    const meta = sample({
      shape: [40, 640, 800],
      levels: [
        [40, 640, 800],
        [20, 320, 400],
        [20, 320, 200],
      ],
    });
    expect(coarseLevel(meta)).toBeNull(); // too large to be kept whole
    const { loader, waiting } = manual();
    const session = createSession(loader, createStore(initialState(meta)), meta, null);
    expect([...waiting.keys()]).toEqual(["axial 20 0"]);
    await later(150);
    expect([...waiting.keys()]).toEqual(["axial 20 0", "axial 10 2"]);
    waiting.get("axial 10 2")?.resolve(made(10));
    await settled();
    expect(session.shown()).toMatchObject({ image: made(10), level: 2, exact: false, loading: true });
    waiting.get("axial 20 0")?.resolve(made(20));
    await settled();
    expect(session.shown()).toMatchObject({ image: made(20), level: 0, exact: true, loading: false });
  });

  it("shows a slice of the coarse volume until the exact one is here, also in another plane", async () => {
    const meta = sample({
      levels: [
        [40, 64, 80],
        [20, 32, 40],
        [10, 16, 20],
      ],
    });
    expect(coarseLevel(meta)).toBe(1);
    const { loader, waiting, coarse } = manual();
    const store = createStore(initialState(meta));
    const session = createSession(loader, store, meta, null);
    const values = Int16Array.from({ length: 20 * 32 * 40 }, (_, at) => at);
    await later(150);
    coarse({ shape: [20, 32, 40], samples: 1, values });
    await settled();
    expect(session.shown()).toMatchObject({ exact: false, loading: true, image: { rows: 32, columns: 40 } });
    expect(session.shown().image?.values[0]).toBe(10 * 32 * 40); // slice 20 of 40 lies in slice 10 of 20
    store.set({ ...store.get(), plane: "sagittal", index: 41 });
    expect(session.shown()).toMatchObject({ exact: false, image: { rows: 20, columns: 32 } });
    expect(session.shown().image?.values[1]).toBe(40 + 20);
    waiting.get("sagittal 41 0")?.resolve(made(7));
    await settled();
    expect(session.shown()).toMatchObject({ exact: true, image: made(7), loading: false });
  });

  it("takes a coarser level of a large projection until it is zoomed in", async () => {
    const large = sample({
      shape: [1, 4000, 4000],
      levels: [
        [1, 4000, 4000],
        [1, 2000, 2000],
        [1, 1000, 1000],
      ],
      planes: [{ ...axial, count: 1, right: { ...axial.right, count: 4000 }, down: { ...axial.down, count: 4000 } }],
    });
    expect([0.5, 1, 1.9, 2, 3.9, 4, 9].map((ratio) => levelFor(large, large.planes[0] ?? axial, ratio))).toEqual([0, 0, 0, 1, 1, 2, 2]);
    const { loader, waiting } = manual();
    const session = createSession(loader, createStore(initialState(large)), large, null, 5);
    waiting.get("axial 0 2")?.resolve(made(2));
    await settled();
    expect(session.shown()).toMatchObject({ level: 2, exact: true });
    session.detail(0.8);
    waiting.get("axial 0 0")?.resolve(made(0));
    await settled();
    expect(session.shown()).toMatchObject({ level: 0, image: made(0) });
  });

  it("never takes a level with fewer slices for the slice itself", () => {
    expect(
      levelFor(
        sample({
          levels: [
            [40, 64, 80],
            [20, 32, 40],
          ],
        }),
        axial,
        4,
      ),
    ).toBe(0);
    expect(
      levelFor(
        sample({
          levels: [
            [40, 64, 80],
            [40, 32, 40],
          ],
        }),
        axial,
        4,
      ),
    ).toBe(1);
  });

  it("asks again by itself when the server was only away", async () => {
    const { loader, waiting } = manual();
    const session = createSession(loader, createStore(initialState(sample())), sample(), null);
    for (let pause = 700; pause <= 2800; pause *= 2) {
      waiting.get("axial 20 0")?.reject(new LoadError("The server does not answer.", 0, "unavailable"));
      await vi.advanceTimersByTimeAsync(0);
      expect(session.shown()).toMatchObject({ problem: "The server does not answer.", recovering: true, image: null });
      waiting.clear();
      await vi.advanceTimersByTimeAsync(pause - 1);
      expect(waiting.size).toBe(0);
      await vi.advanceTimersByTimeAsync(1);
      expect(waiting.size).toBe(1);
    }
    waiting.get("axial 20 0")?.resolve(made(20));
    await vi.advanceTimersByTimeAsync(0);
    expect(session.shown()).toMatchObject({ image: made(20), problem: "", recovering: false });
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
    expect(session.shown()).toMatchObject({ image: null, loading: false, problem: "The grant has ended.", recovering: false });
    session.retry();
    await settled(); // the series is asked for first: a refusal is believed for a while, but not when a person asks
    waiting.get("axial 20 0")?.resolve(made(20));
    await settled();
    expect(session.shown()).toMatchObject({ image: made(20), problem: "" });
  });

  it("shows nothing more when the dataset may not be seen any more, also no stand-in that it has", async () => {
    const { loader, waiting, coarse, end } = manual();
    const meta = sample();
    const store = createStore(initialState(meta));
    const session = createSession(loader, store, meta, null);
    waiting.get("axial 20 0")?.resolve(made(20));
    await settled();
    await later(250);
    coarse({ shape: [10, 1, 1], samples: 1, values: new Int16Array(10) });
    await settled();
    end("another", new LoadError("Over.", 403, "refused"));
    expect(session.shown()).toMatchObject({ image: made(20), problem: "" });
    end(meta.dataset, new LoadError("Over.", 403, "refused"));
    expect(session.shown()).toMatchObject({ image: null, label: null, problem: "Over.", recovering: false });
    store.set({ ...store.get(), index: 4 });
    expect(session.shown().image).toBeNull();
  });

  it("asks on by itself when the server does not know who asks, and says so", async () => {
    const { loader, waiting } = manual();
    const session = createSession(loader, createStore(initialState(sample())), sample(), null);
    waiting.get("axial 20 0")?.reject(new LoadError("You are signed out.", 403, "unauthenticated"));
    await settled();
    expect(session.shown()).toMatchObject({ image: null, signedOut: true, recovering: true });
    await later(1000);
    waiting.get("axial 20 0")?.resolve(made(20));
    await settled();
    expect(session.shown()).toMatchObject({ image: made(20), signedOut: false, problem: "" });
  });
});

describe("coarse volumes", () => {
  it.each([
    ["z", 1, [12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23]],
    ["y", 2, [8, 9, 10, 11, 20, 21, 22, 23]],
    ["x", 3, [3, 7, 11, 15, 19, 23]],
  ] as const)("cuts across %s", (axis, index, expected) => {
    const volume: Volume = { shape: [2, 3, 4], samples: 1, values: Int16Array.from(Array(24).keys()) };
    expect([...sliceOf(volume, axis, index).values]).toEqual(expected);
  });

  it("are not asked for where slices are no volume, or the levels are none", () => {
    expect(coarseLevel(sample())).toBeNull();
    expect(
      coarseLevel(
        sample({
          regular: false,
          levels: [
            [40, 64, 80],
            [20, 32, 40],
          ],
        }),
      ),
    ).toBeNull();
  });
});
