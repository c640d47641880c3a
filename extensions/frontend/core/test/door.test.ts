import { describe, expect, it } from "vitest";
import { createDoor } from "../src/door";

const PAGE = "https://hub.example/user/ana/cohortlab/signed-in";

/** A door behind which `ends` says where each try ends; a time that the test moves. */
function make(ends: (string | Error)[]) {
  const asked: RequestInit[] = [];
  const closed: string[] = [];
  const time = { now: 0 };
  const door = createDoor({
    page: PAGE,
    now: () => time.now,
    open: (url) => ({ close: () => closed.push(url) }),
    fetch: (_, how) => {
      asked.push(how ?? {});
      const end = ends.shift() ?? PAGE;
      return end instanceof Error ? Promise.reject(end) : Promise.resolve({ ok: true, type: "basic", url: end } as Response);
    },
  });
  return { door, asked, closed, time };
}

describe("door", () => {
  it("asks as a picture would be asked for, with cookies, once for all who wait", async () => {
    const { door, asked } = make([]);
    await Promise.all([door.knock(), door.knock()]);
    expect(asked).toEqual([{ mode: "no-cors", credentials: "same-origin", cache: "no-store" }]);
  });

  it("tries again after growing pauses while nobody answers", async () => {
    const { door, asked, time } = make([new TypeError(), new TypeError(), new TypeError()]);
    const tries: number[] = [];
    for (; time.now <= 20_000; time.now += 1000) {
      const before = asked.length;
      await door.knock();
      if (asked.length > before) tries.push(time.now);
    }
    expect(tries).toEqual([0, 2000, 6000, 14_000]);
  });

  it("leaves a form to the person, and closes the tab when it was filled in", async () => {
    const { door, asked, closed, time } = make(["https://hub.example/hub/login?next=x"]);
    await door.knock();
    time.now = 1e6;
    await door.knock();
    expect(asked).toHaveLength(1);
    door.open();
    door.passed();
    expect(closed).toEqual([PAGE]);
    await door.knock();
    expect(asked).toHaveLength(2);
  });
});
