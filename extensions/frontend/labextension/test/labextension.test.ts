import { describe, expect, it } from "vitest";
import { codeLine, matches } from "../src/panel";
import { seriesOf } from "../src/tabs";

describe("folders of series", () => {
  it.each([
    ["datasets/prostatex/images/mr-0320775a07be.zarr", "prostatex/mr-0320775a07be"],
    ["datasets/lesions/segmentations/seg-41993c9cc129.zarr", "lesions/seg-41993c9cc129"],
    ["lesions/images/ct-1.zarr", "lesions/ct-1"],
    ["datasets/prostatex/images", null],
    ["datasets/prostatex/images/mr-0320775a07be.zarr/scale0", null],
    ["mine/results.zarr", null],
  ])("%s", (path, series) => {
    expect(seriesOf(path)).toBe(series);
  });
});

describe("the panel", () => {
  const dataset = { id: "lesions", title: "Liver lesions", series: [] };
  const series = { id: "ct-1", kind: "image" as const, modality: "CT", description: "Thin slices", source_series: null };

  it.each([
    ["", true],
    ["ct thin", true],
    ["LIVER", true],
    ["ct mr", false],
  ])("finds by all words: %j", (search, found) => {
    expect(matches(search, dataset, series)).toBe(found);
  });

  it("gives the line that opens a series", () => {
    expect(codeLine("lesions", "ct-1")).toBe('cl.open("lesions/ct-1")');
  });
});
