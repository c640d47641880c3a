import { describe, expect, it } from "vitest";
import { basePath, xsrfToken } from "../src/page";
import { colorTable, defaultColor } from "../src/engine/colors";
import { windowLevels } from "../src/engine/shaders";

const page = (config: string | null, baseUrl?: string): Document =>
  ({
    getElementById: () => (config === null ? null : { textContent: config }),
    body: { dataset: baseUrl === undefined ? {} : { baseUrl } },
  }) as unknown as Document;

describe("page", () => {
  it("takes the base path from the page and never assumes one", () => {
    expect(basePath(page('{"baseUrl": "/user/someone/"}'))).toBe("/user/someone/");
    expect(basePath(page('{"baseUrl": "/user/someone"}'))).toBe("/user/someone/");
    expect(basePath(page(null, "/hub/"))).toBe("/hub/");
    expect(() => basePath(page(null))).toThrow("does not say");
  });

  it("finds the XSRF token among the cookies", () => {
    expect(xsrfToken("a=1; _xsrf=2|abc%7C; b=2")).toBe("2|abc|");
    expect(xsrfToken('_xsrf="quoted"')).toBe("quoted");
    expect(xsrfToken("not_xsrf=1")).toBeUndefined();
  });
});

describe("window", () => {
  it("is DICOM's LINEAR for integers: PS3.3 C.11.2.1.2.1, its examples", () => {
    expect(windowLevels([2048, 4096], true)).toEqual([0, 4095]);
    expect(windowLevels([2048, 1], true)).toEqual([2047.5, 1e-6]);
    expect(windowLevels([0, 100], true)).toEqual([-50, 99]);
  });

  it("is LINEAR_EXACT for real values", () => {
    expect(windowLevels([0.5, 0.25], false)).toEqual([0.375, 0.25]);
  });
});

describe("colours", () => {
  it("leave the background clear and keep a segment's own colour", () => {
    const table = colorTable(new Map([[2, [9, 8, 7] as const]]));
    expect([...table.slice(0, 4)]).toEqual([0, 0, 0, 0]);
    expect([...table.slice(4, 8)]).toEqual([...defaultColor(1), 255]);
    expect([...table.slice(8, 12)]).toEqual([9, 8, 7, 255]);
  });
});
