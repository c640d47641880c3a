import { describe, expect, it } from "vitest";
import { left, ofHub, toSave, words, type Notice } from "../src/notices";

const NOW = Date.parse("2026-03-02T09:00:00Z");

function notice(seconds: number | null, id = "n"): Notice {
  const stop = seconds === null ? null : new Date(NOW + seconds * 1000).toISOString();
  return { id, kind: "idle", message: "Nothing has happened.", stop_at: stop, extend_to: null };
}

describe("the banner before a stop", () => {
  it.each([
    [600, "in 10 min"],
    [119, "in 119 s"],
    [30, "in 30 s"],
    [0, "now"],
    [-5, "now"],
  ])("says what is left of %s seconds", (seconds, said) => {
    expect(left(notice(seconds).stop_at ?? "", NOW)).toBe(said);
  });

  it("names no time where there is none", () => {
    expect(words(notice(null), NOW)).toBe("Nothing has happened.");
    expect(words(notice(600), NOW)).toBe("Nothing has happened. It stops in 10 min.");
  });

  it.each([
    ['{"hubPrefix": "/hub/"}', true],
    ['{"hubPrefix": ""}', false],
    ['{"baseUrl": "/"}', false],
  ])("is asked for in a hub's session only: %s", (config, expected) => {
    expect(ofHub(config)).toBe(expected);
  });

  it("saves once, in the last minute", () => {
    const all = [notice(600, "far"), notice(60, "near"), notice(-1, "late"), notice(null, "never"), notice(10, "done")];
    expect(toSave(all, new Set(["done"]), NOW)).toEqual(["near", "late"]);
  });
});
