// The banner before a stop: why and when this session ends, a button to put that off where it may be, and a save of all open
// documents shortly before, so that what is on screen is in the home when the session goes.
import type { Application } from "./jupyter";
import type { Server } from "./server";

export interface Notice {
  id: string;
  kind: string;
  message: string;
  stop_at: string | null;
  extend_to: string | null;
}

const ASK_MS = 20_000;
const TICK_MS = 1000;
const SAVE_SECONDS = 60;

/** "3 min", "45 s": what is left until `stop`; "now" when nothing is. */
export function left(stop: string, now: number): string {
  const seconds = Math.round((Date.parse(stop) - now) / 1000);
  if (seconds <= 0) return "now";
  return seconds >= 120 ? `in ${String(Math.floor(seconds / 60))} min` : `in ${String(seconds)} s`;
}

/** What the banner says of a notice. */
export function words(notice: Notice, now: number): string {
  return notice.stop_at === null ? notice.message : `${notice.message} It stops ${left(notice.stop_at, now)}.`;
}

/** Ids of notices whose stop is so near that documents are saved, and that were not saved for yet. */
export function toSave(notices: readonly Notice[], saved: ReadonlySet<string>, now: number): string[] {
  return notices
    .filter((one) => one.stop_at !== null && !saved.has(one.id) && Date.parse(one.stop_at) - now <= SAVE_SECONDS * 1000)
    .map((one) => one.id);
}

/** Whether the page belongs to a hub's session, by Jupyter's page configuration: only a hub stops sessions. */
export function ofHub(config: string): boolean {
  const { hubPrefix } = JSON.parse(config) as { hubPrefix?: unknown };
  return typeof hubPrefix === "string" && hubPrefix !== "";
}

/** Show the banner of `server`'s notices in JupyterLab, for as long as the page lives. */
export function addBanner(app: Application, server: Server): void {
  if (!ofHub(document.getElementById("jupyter-config-data")?.textContent ?? "{}")) return;
  const banner = document.createElement("aside");
  banner.id = "cohortlab-notices";
  banner.setAttribute("role", "alert");
  banner.hidden = true;
  document.body.append(banner);
  const saved = new Set<string>();
  let notices: Notice[] = [];

  function button(notice: Notice): HTMLButtonElement {
    const made = document.createElement("button");
    made.textContent = "Keep it running";
    made.addEventListener("click", () => {
      made.disabled = true;
      void server.ask(`api/notices/${notice.id}/extend`, "POST").then(ask, ask);
    });
    return made;
  }

  function show(): void {
    banner.replaceChildren(
      ...notices.map((notice) => {
        const line = document.createElement("p");
        const text = document.createElement("span");
        text.textContent = words(notice, Date.now());
        text.dataset["notice"] = notice.id;
        line.append(text, ...(notice.extend_to === null ? [] : [button(notice)]));
        return line;
      }),
    );
    banner.hidden = notices.length === 0;
  }

  function tick(): void {
    for (const notice of notices) {
      const text = banner.querySelector<HTMLElement>(`[data-notice="${notice.id}"]`);
      if (text !== null) text.textContent = words(notice, Date.now());
    }
    const now = toSave(notices, saved, Date.now());
    if (now.length === 0) return;
    for (const id of now) saved.add(id);
    void app.commands.execute("docmanager:save-all", {});
  }

  async function ask(): Promise<void> {
    try {
      notices = await server.ask<Notice[]>("api/notices");
    } catch {
      return; // the hub is away for a moment: what was told still holds
    }
    show();
    tick();
  }

  void ask();
  setInterval(() => void ask(), ASK_MS);
  setInterval(tick, TICK_MS);
}
