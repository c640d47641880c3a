// The pure parts of the launch form: what may be submitted, and what the chart shows.
import { describe, expect, it } from "vitest";
import { bars, countTicks, explanation, roundTop, sentence, short, SIZE, valueTicks } from "../src/launch/chart";
import { isOver, isSet, isSiteOver, type Form, type Offer, type Outcome } from "../src/launch/contract";
import { expectation, parametersOf, parsed, problems, taskOf, withDataset, withSite } from "../src/launch/form";
import { jobWords, siteWords } from "../src/launch/words";

const offer: Offer = {
  datasets: [
    {
      id: "lesions",
      title: "Lesions",
      description: "",
      sites: [
        { name: "north", title: "North", connected: true },
        { name: "south", title: "South", connected: false },
      ],
    },
    { id: "other", title: "Other", description: "", sites: [{ name: "west", title: "West", connected: true }] },
  ],
  projects: [{ id: "study", title: "Study", purpose: "" }],
  tasks: [
    {
      name: "histogram",
      title: "Histogram",
      parameters: {
        properties: {
          bins: { type: "integer", title: "Bins", default: 64, minimum: 1, maximum: 1024 },
          low: { type: "number", default: -1024 },
          high: { type: "number", default: 1024 },
          modality: { type: "string", title: "Modality", default: "CT", pattern: "^[A-Z]{2,8}$" },
          region: { type: "string", default: "all", enum: ["all", "segmentation"] },
        },
      },
    },
  ],
};

const form: Form = { dataset: "lesions", task: "histogram", sites: ["north", "south"], parameters: {}, project: "study", purpose: "" };

const outcome: Outcome = {
  merged: {
    low: 0,
    high: 40,
    cells: [
      { count: 80, suppressed: 0 },
      { count: 40, suppressed: 0 },
      { count: 0, suppressed: 0 },
      { count: 7, suppressed: 1 },
    ],
    below: { count: 0, suppressed: 0 },
    above: { count: 0, suppressed: 1 },
    count: 1130,
    count_suppressed: 0,
    moments: { count: 127, mean: 12.3456, sd: 4.2 },
    subjects: 7,
    series: 8,
  },
  sites: [
    { site: "north", minimum_count: 10, suppressed: 2, count: 1000, moments: null, subjects: 4, series: 4 },
    { site: "south", minimum_count: 20, suppressed: 0, count: 130, moments: null, subjects: 3, series: 4 },
  ],
  summary: "2 of 3 sites",
};

describe("form", () => {
  const task = taskOf(offer, "histogram");

  it("fills in the task's defaults and keeps what was given", () => {
    expect(parametersOf(task, { bins: 8, unknown: 1 })).toEqual({ bins: 8, low: -1024, high: 1024, modality: "CT", region: "all" });
    expect(parametersOf(undefined, { bins: 8 })).toEqual({});
  });

  it("chooses all sites of another dataset, and none of one that does not exist", () => {
    expect(withDataset(form, offer, "other").sites).toEqual(["west"]);
    expect(withDataset(form, offer, "none").sites).toEqual([]);
  });

  it("keeps the sites in the order in which they are offered, and only those", () => {
    const none = withSite(withSite(form, offer, "north", false), offer, "south", false);
    expect(none.sites).toEqual([]);
    expect(withSite(withSite(none, offer, "south", true), offer, "north", true).sites).toEqual(["north", "south"]);
    expect(withSite(form, offer, "west", true).sites).toEqual(["north", "south"]);
  });

  it.each([
    ["bins", "64", 64],
    ["bins", " 7 ", 7],
    ["bins", "6.5", null],
    ["bins", "0", null],
    ["bins", "1025", null],
    ["bins", "", null],
    ["bins", "many", null],
    ["low", "-1e3", -1000],
    ["low", "Infinity", null],
    ["low", "NaN", null],
    ["modality", "MR", "MR"],
    ["modality", "mr", null],
    ["region", "segmentation", "segmentation"],
    ["region", "none", null],
  ])("%s: reads %j as %j", (name, text, value) => {
    expect(parsed(task?.parameters.properties?.[name] ?? {}, text)).toBe(value);
  });

  it("says what a parameter should be", () => {
    expect(expectation({ type: "integer", minimum: 1, maximum: 9 })).toBe("a whole number from 1 to 9");
    expect(expectation({ type: "number" })).toBe("a number");
  });

  it.each<[string, Partial<Form>, string[]]>([
    ["nothing", {}, []],
    ["no dataset", { dataset: "" }, ["dataset"]],
    ["a project of others", { project: "theirs" }, ["project"]],
    ["no site", { sites: [] }, ["sites"]],
    ["a purpose in words", { purpose: "research" }, ["purpose"]],
    ["a purpose", { purpose: "DUO:0000007" }, []],
    ["a wrong number", { parameters: { bins: "x" } }, ["bins"]],
    ["an empty range", { parameters: { low: 5, high: 5 } }, ["high"]],
  ])("finds %s", (_what, change, fields) => {
    expect(problems({ ...form, ...change }, offer).map((one) => one.field)).toEqual(fields);
  });
});

describe("chart", () => {
  it("scales bars to a round top and hatches those that a site withheld", () => {
    const [first, second, third, last] = bars(outcome.merged, 2);
    const height = SIZE.height - SIZE.top - SIZE.bottom;
    expect(first?.height).toBeCloseTo(height * 0.8);
    expect(second?.height).toBeCloseTo(height * 0.4);
    expect(third).toMatchObject({ height: 0, hatched: false, label: "20 to 30: 0 voxels" });
    expect(last).toMatchObject({ hatched: true, label: "30 to 40: 7 voxels, withheld by 1 of 2 sites" });
    expect((last?.x ?? 0) + (last?.width ?? 0)).toBeCloseTo(SIZE.width - SIZE.right);
  });

  it("has an axis also when all counts are withheld or nought", () => {
    const merged = { ...outcome.merged, cells: [{ count: 0, suppressed: 2 }] };
    expect(bars(merged, 2)[0]).toMatchObject({ height: 0, hatched: true });
    expect(countTicks(merged).map((tick) => tick.text)).toEqual(["0", "0.5", "1"]);
    expect(valueTicks(merged).map((tick) => tick.text)).toEqual(["0", "10", "20", "30", "40"]);
  });

  it.each([
    [0, 1],
    [1, 1],
    [3, 5],
    [80, 100],
    [101, 200],
    [2400, 2500],
  ])("rounds the top %d up to %d", (most, top) => {
    expect(roundTop(most)).toBe(top);
  });

  it.each([
    [0, "0"],
    [-1024, "-1.02k"],
    [12.3456, "12.3"],
    [2_500_000, "2.5M"],
    [3e9, "3G"],
  ])("writes %d as %s", (value, text) => {
    expect(short(value)).toBe(text);
  });

  it("says the result in a sentence, and what was withheld", () => {
    expect(sentence(outcome)).toBe("Result of 2 of 3 sites: 1,130 voxels of 7 subjects, mean 12.35, standard deviation 4.2.");
    const none = { ...outcome, merged: { ...outcome.merged, moments: null, count_suppressed: 1 } };
    expect(sentence(none)).toContain("1,130 or more voxels of 7 subjects, mean and deviation withheld");
  });

  it("explains hatched cells, and only when there are some", () => {
    expect(explanation(outcome)).toMatch(/^2 counts were withheld .*\(10 to 20, by site\)/);
    expect(explanation({ ...outcome, sites: outcome.sites.map((site) => ({ ...site, suppressed: 0 })) })).toBe("");
  });
});

describe("states", () => {
  it("knows the final ones", () => {
    expect(["succeeded", "partial", "lost"].every(isOver)).toBe(true);
    expect(["queued", "running", "releasing"].some(isOver)).toBe(false);
    expect([isSiteOver("released"), isSiteOver("releasing")]).toEqual([true, false]);
    expect([isSet({}), isSet({ id: "x" })]).toEqual([false, true]);
  });

  it("has words for states, and shows one that it does not know as it is", () => {
    expect([siteWords("running"), jobWords("partial"), jobWords("new")]).toEqual(["computing", "done at some of the sites", "new"]);
  });
});
