import { describe, expect, it, vi } from "vitest";
import { presets } from "../src/presets";
import {
  advanced,
  corrected,
  createStore,
  dragged,
  flipped,
  initialState,
  quarterTurned,
  reset,
  scrolled,
  shownPlane,
  withPlane,
  withPreset,
  zoomed,
  type ViewState,
} from "../src/state";
import { spotAt, place } from "../src/placement";
import { valueText, windowText } from "../src/ui/words";
import { sample } from "./sample";

const meta = sample();

describe("state", () => {
  it("opens in the middle of the acquisition's stack with the series' window", () => {
    expect(initialState(meta)).toMatchObject({
      series: "lungs/ct-0123456789ab",
      plane: "axial",
      index: 20,
      window: [40, 400],
      overlay: true,
    });
  });

  it("scrolls to the ends and no further", () => {
    const first = initialState(meta);
    expect(scrolled(meta, first, 3).index).toBe(23);
    expect(scrolled(meta, first, -500).index).toBe(0);
    expect(scrolled(meta, first, 500).index).toBe(39);
  });

  it("opens another plane in its middle, and stays where it is on the same", () => {
    const first = { ...initialState(meta), index: 3, zoom: 2 };
    expect(withPlane(meta, first, "sagittal")).toMatchObject({ plane: "sagittal", index: 40, zoom: 1 });
    expect(withPlane(meta, first, "axial")).toBe(first);
  });

  it.each([
    [{ index: 1e9 }, { index: 39 }],
    [{ index: -3 }, { index: 0 }],
    [{ index: NaN }, { index: 0 }],
    [{ plane: "oblique" }, { plane: "axial" }],
    [{ window: [40, 0] as const }, { window: [40, 400] }],
    [{ window: [NaN, 10] as const }, { window: [40, 400] }],
    [{ opacity: 3 }, { opacity: 1 }],
    [{ frame: 5 }, { frame: 0 }],
    [{ zoom: 1e6 }, { zoom: 32 }],
  ])("brings %o to what can be", (wrong, right) => {
    expect(corrected(meta, { ...initialState(meta), ...wrong })).toMatchObject(right);
  });

  it("widens to the right, darkens downwards, and never closes the window", () => {
    const [center, width] = dragged([40, 400], 100, 50, 1);
    expect(width).toBeGreaterThan(400);
    expect(center).toBeGreaterThan(40);
    expect(dragged([40, 400], -1e6, 0, 1)[1]).toBe(1);
    expect(dragged([0.5, 0.01], 10, 0, 0.00004)[1]).toBeLessThan(0.02);
  });

  it("resets window, zoom and place but keeps plane and frame", () => {
    const diffusion = sample({ axis: { name: "b_value", values: [50, 800], unit: "s/mm2" } });
    const changed = { ...initialState(diffusion), plane: "coronal", index: 1, window: [0, 1] as const, zoom: 3, frame: 1 };
    expect(reset(diffusion, changed)).toMatchObject({ plane: "coronal", index: 32, window: [40, 400], zoom: 1, frame: 1 });
  });

  it.each([
    ["CT", "CHEST", "Lung"],
    ["CT", "HEAD", "Brain"],
    ["CT", "LIVER", "Abdomen"],
    ["CT", null, "Soft tissue"],
    ["MR", "PROSTATE", "More contrast"],
  ])("offers %s of the %s the window %s second, after its own", (modality, part, expected) => {
    const found = presets(sample({ modality, body_part: part, description: null }));
    expect(found.slice(0, 2).map(({ name }) => name)).toEqual(["As stored", expected]);
    expect(found.length).toBeLessThanOrEqual(9);
    expect(new Set(found.map(({ name }) => name)).size).toBe(found.length);
  });

  it("gives presets in stored values where the array is not rescaled, and PET by uptake", () => {
    const stored = sample({ body_part: null, rescale: { slope: 2, intercept: -1000, applied: false, per_slice: null } });
    expect(withPreset(stored, initialState(stored), 1).window).toEqual([520, 200]);
    const pet = sample({ modality: "PT", suv: { bw: 0.001, reason: null }, rescale: null });
    expect(presets(pet)[1]).toEqual({ name: "SUV 0–5", window: [2500, 5000] });
    expect(withPreset(meta, initialState(meta), 77)).toEqual(initialState(meta));
  });

  it("turns and mirrors as the screen shows it, whatever was done before", () => {
    const edges = (state: ReturnType<typeof initialState>) => {
      const { right, down } = shownPlane(meta, state);
      return [right.axis, right.sign, down.axis, down.sign].join(" ");
    };
    const turnedOnce = quarterTurned(initialState(meta), 1);
    expect(edges(turnedOnce)).toBe("y -1 x 1");
    expect(edges(flipped(turnedOnce, "across"))).toBe("y 1 x 1");
    expect(edges(flipped(turnedOnce, "down"))).toBe("y -1 x -1");
    expect(edges(flipped(flipped(turnedOnce, "down"), "down"))).toBe(edges(turnedOnce));
    expect(quarterTurned(turnedOnce, -1)).toEqual(initialState(meta));
  });

  it("zooms about the pointer", () => {
    const viewport = { width: 400, height: 300 };
    const before: ViewState = { ...initialState(meta), zoom: 1.5, pan: [10, -4] };
    const after = zoomed(before, 1.7, 120, -60);
    const at = (state: ViewState) => spotAt(place(shownPlane(meta, state), viewport, state.zoom, state.pan), 200 + 120, 150 - 60);
    expect(at(after).right).toBeCloseTo(at(before).right);
    expect(at(after).down).toBeCloseTo(at(before).down);
    expect(zoomed(before, 1000).zoom).toBe(32);
  });

  it("plays slices in a ring, and frames where there is one slice", () => {
    expect(advanced(meta, { ...initialState(meta), index: 39 }).index).toBe(0);
    const clip = sample({
      planes: meta.planes.map((plane) => ({ ...plane, count: 1 })),
      axis: { name: "time", values: [0, 1, 2], unit: "s" },
    });
    expect(advanced(clip, { ...initialState(clip), frame: 2 }).frame).toBe(0);
  });
});

describe("store", () => {
  it("tells of changes only, with what was before, until unsubscribed", () => {
    const store = createStore(initialState(meta));
    const heard = vi.fn();
    const stop = store.subscribe(heard);
    const first = store.get();
    store.set({ ...first });
    expect(heard).not.toHaveBeenCalled();
    store.set({ ...first, index: 4 });
    expect(heard).toHaveBeenCalledExactlyOnceWith({ ...first, index: 4 }, first);
    stop();
    store.set({ ...first, index: 5 });
    expect(heard).toHaveBeenCalledTimes(1);
  });
});

describe("words", () => {
  it("gives values in units, after a rescale that the array does not hold", () => {
    expect(valueText(meta, -42)).toBe("−42 HU");
    const stored = { slope: 2, intercept: -1, applied: false, per_slice: null };
    expect(valueText(sample({ units: null, rescale: stored }), 5)).toBe("9");
    expect(valueText(sample({ units: "Bq/ml", rescale: null, suv: { bw: 0.01, reason: null } }), 250)).toBe("250 Bq/ml  SUV 2.5");
    expect(windowText([0.12345, 1500.4])).toBe("C 0.123  W 1500");
  });
});
