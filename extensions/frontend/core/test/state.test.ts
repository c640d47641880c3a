import { describe, expect, it, vi } from "vitest";
import { corrected, createStore, dragged, initialState, presets, reset, scrolled, withPlane } from "../src/state";
import { valueText, windowText } from "../src/ui/words";
import { sample } from "./sample";

const meta = sample();

describe("state", () => {
  it("opens in the middle of the acquisition's stack with the series' window", () => {
    expect(initialState(meta)).toMatchObject({ series: "lungs/ct-0123456789ab", plane: "axial", index: 20, window: [40, 400], overlay: true });
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

  it("offers CT windows for CT only", () => {
    expect(presets(meta).map(({ name }) => name)).toContain("Lung");
    expect(presets(sample({ modality: "MR" }))).toHaveLength(1);
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
    expect(valueText(meta, -42, 0)).toBe("−42 HU");
    const pet = { slope: 1, intercept: 0, applied: false, per_slice: [[2, 0], [0.5, 1]] as [number, number][] };
    expect(valueText(sample({ units: "Bq/ml", rescale: pet }), 100, 1)).toBe("51 Bq/ml");
    const stored = { slope: 2, intercept: -1, applied: false, per_slice: null };
    expect(valueText(sample({ units: null, rescale: stored }), 5, 0)).toBe("9");
    expect(windowText([0.12345, 1500.4])).toBe("C 0.123  W 1500");
  });
});
