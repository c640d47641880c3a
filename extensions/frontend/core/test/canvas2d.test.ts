import { describe, expect, it } from "vitest";
import type { PixelArray, Slice } from "../src/contract";
import { blend, greyTable, partShown, tint, tone, type Part } from "../src/engine/canvas2d";
import { colorTable } from "../src/engine/colors";
import { isProgram } from "../src/engine/renderer";

const slice = (values: PixelArray, columns: number, samples: 1 | 3 = 1): Slice => ({
  rows: values.length / columns / samples,
  columns,
  samples,
  values,
});
const whole = ({ rows, columns }: Slice): Part => ({ row: 0, column: 0, rows, columns });
const plain = { window: [40, 400] as const, inverted: false };

function toned(image: Slice, part = whole(image), window: Parameters<typeof greyTable>[0] = plain): number[][] {
  const pixels = new Uint32Array(part.rows * part.columns);
  tone(pixels, image, part, window, greyTable(window, image.values instanceof Int16Array || image.values instanceof Int8Array));
  return [...pixels].map((pixel) => [pixel & 255, (pixel >> 8) & 255, (pixel >> 16) & 255, pixel >>> 24]);
}

describe("drawing by the processor", () => {
  it.each([
    ["the darkest value", -2000, 0],
    ["below the window", -160, 0],
    ["PS3.3 C.11.2.1.2.1", 0, 102], // ((0 - 39.5) / 399 + 0.5) * 255 = 102.26
    ["the centre", 40, 128],
    ["the brightest", 239, 255],
    ["above it", 3000, 255],
  ])("gives %s its grey", (_, value, grey) => {
    for (const values of [new Int16Array([value]), new Float32Array([value])]) {
      const [pixel] = toned(slice(values, 1));
      if (values instanceof Int16Array) expect(pixel).toEqual([grey, grey, grey, 255]);
      else expect(Math.abs((pixel?.[0] ?? 0) - grey)).toBeLessThanOrEqual(1); // LINEAR_EXACT: half a value aside
    }
    const turned = toned(slice(new Int16Array([value]), 1), undefined, { ...plain, inverted: true });
    expect(turned[0]?.[0]).toBe(255 - grey);
  });

  it("reads every stored type, and colours as they are", () => {
    const ramp = { window: [128, 256] as const, inverted: false };
    for (const values of [new Uint8Array([0, 100, 255]), new Uint16Array([0, 100, 255])])
      expect(toned(slice(values, 3), undefined, ramp).map(([red]) => red)).toEqual([0, 100, 255]);
    expect(toned(slice(new Int8Array([-128, -28, 127]), 3), undefined, { ...ramp, window: [0, 256] }).map(([red]) => red)).toEqual([0, 100, 255]);
    expect(toned(slice(new Uint8Array([1, 2, 3, 4, 5, 6]), 2, 3))).toEqual([
      [1, 2, 3, 255],
      [4, 5, 6, 255],
    ]);
  });

  it("tones a part alone", () => {
    const image = slice(Int16Array.from({ length: 20 }, (_, at) => at * 10), 5);
    const all = toned(image);
    expect(toned(image, { row: 1, column: 2, rows: 2, columns: 3 })).toEqual([7, 8, 9, 12, 13, 14].map((at) => all[at]));
  });

  it("mixes labels with the grey before it is rounded", () => {
    const image = slice(new Int16Array([0, 0, 0, 0]), 2);
    const labels = slice(new Uint16Array([0, 1, 1, 2]), 2);
    const table = colorTable(new Map([[1, [200, 100, 0]]]), [2]);
    const pixels = new Uint32Array(4);
    tone(pixels, image, whole(image), plain, greyTable(plain, true));
    blend(pixels, image, labels, whole(image), plain, { table, opacity: 0.25, outline: false });
    const grey = ((0 - 39.5) / 399 + 0.5) * 255;
    const mixed = [200, 100, 0].map((color) => Math.round(grey * 0.75 + color * 0.25));
    const bytes = [...new Uint8Array(pixels.buffer)];
    expect(bytes.slice(4, 8)).toEqual([...mixed, 255]);
    expect(bytes.slice(8, 12)).toEqual([...mixed, 255]);
    expect(bytes.slice(0, 3)).toEqual([102, 102, 102]);
    expect(bytes.slice(12, 15)).toEqual([102, 102, 102]); // hidden
  });

  it("draws the edges of an area fully", () => {
    const labels = slice(Uint8Array.from({ length: 25 }, () => 3), 5);
    const pixels = new Uint32Array(25);
    tint(pixels, labels, whole(labels), { table: colorTable(new Map()), opacity: 0.5, outline: true });
    const alpha = [...pixels].map((pixel) => pixel >>> 24);
    expect(alpha.filter((one) => one === 255)).toHaveLength(16);
    expect(alpha[12]).toBe(128);
  });

  it("takes of a large slice what is on the screen", () => {
    const small = slice(new Uint8Array(16), 4);
    expect(partShown({ slice: small, map: [1, 0, 100, 0, 1, 100] }, 2, 2)).toEqual(whole(small));
    const large = slice(new Uint8Array(2000 * 1000), 1000);
    expect(partShown({ slice: large, map: [0.5, 0, 300, 0, 0.5, 1900] }, 400, 300)).toEqual({ row: 1899, column: 299, rows: 101, columns: 202 });
    expect(partShown({ slice: large, map: [0, -0.5, 300, 0.5, 0, 10] }, 400, 300)).toEqual({ row: 9, column: 149, rows: 202, columns: 152 });
    expect(partShown({ slice: large, map: [0.5, 0, 1200, 0, 0.5, 0] }, 400, 300)).toBeNull();
  });
});

describe("names of renderers", () => {
  it.each([
    ["ANGLE (Google, Vulkan 1.3.0 (SwiftShader Device (Subzero) (0x0000C0DE)), SwiftShader driver)", true],
    ["llvmpipe (LLVM 15.0.7, 256 bits)", true],
    ["ANGLE (Microsoft, Microsoft Basic Render Driver Direct3D11 vs_5_0 ps_5_0)", true],
    ["Apple Software Renderer", true],
    ["ANGLE (NVIDIA, NVIDIA GeForce RTX 3060 Direct3D11 vs_5_0 ps_5_0)", false],
    ["Mali-G78", false],
    ["ANGLE (Intel, Mesa Intel(R) UHD Graphics 620 (KBL GT2), OpenGL 4.6)", false],
  ])("%s", (name, program) => {
    expect(isProgram(name)).toBe(program);
  });
});
