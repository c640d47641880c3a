// A cohort as thumbnails: hundreds or thousands, of which only those in sight are in the page. Thumbnails are <img> of pictures that
// the server makes: the browser decodes, caches and drops them off the main thread, and no WebGL context is needed.
import { CAVEAT, type Loader } from "@cohortlab/core";
import { found, gridOf, stepped } from "./gallery/grid";
import style from "./gallery/gallery.css";
import type { Model } from "./jupyter/bind";
import { loaderFor } from "./jupyter/page";

interface Item {
  series: string;
  version: string;
  title: string;
  text: string;
}

const TEXT_HEIGHT = 44; // CSS pixels of the two lines below a thumbnail
const PADDING = 8;
const LEAST_SIZE = 48;
const MOST_SIZE = 512; // the gateway's

function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Record<string, string> = {},
  ...children: Node[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "text") made.textContent = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Put the thumbnail into the picture as soon as it is here. */
function fill(picture: HTMLImageElement, loader: Loader, { series, version }: Item, size: number, signal: AbortSignal): void {
  const [dataset = "", id = ""] = series.split("/");
  const path = `series/${encodeURIComponent(dataset)}/${encodeURIComponent(id)}/thumbnail`;
  loader.picture(path, { size: String(Math.min(MOST_SIZE, Math.max(16, Math.round(size * devicePixelRatio)))), v: version }, signal).then(
    (address) => {
      picture.src = address;
      if (address.startsWith("blob:"))
        picture.addEventListener(
          "load",
          () => {
            URL.revokeObjectURL(address);
          },
          { once: true },
        );
    },
    () => {
      picture.dataset["failed"] = "";
    },
  );
}

function mount(el: HTMLElement, model: Model, loader: Loader): () => void {
  el.setAttribute("data-lm-suppress-shortcuts", "true");
  const shadow = el.shadowRoot ?? el.attachShadow({ mode: "open" });
  const search = h("input", { type: "search", placeholder: "Search", "aria-label": "Search" });
  const count = h("span", { role: "status" });
  const space = h("div", { role: "presentation" });
  const seen = h("div", { class: "window", role: "listbox", "aria-multiselectable": "true", "aria-label": "Series", tabindex: "0" }, space);
  const root = h(
    "div",
    { class: "gallery" },
    h("div", { class: "bar" }, search, count),
    seen,
    h(
      "div",
      { class: "foot" },
      h("span", { text: "Click or Space selects · arrows move · Esc selects none" }),
      h("strong", { text: CAVEAT }),
    ),
  );
  shadow.replaceChildren(h("style", { text: style }), root);
  const life = new AbortController();
  const cells = new Map<string, HTMLElement>(); // by series, those in the page
  let shown: number[] = [];
  let focus = 0;
  let asked = 0;

  const items = (): Item[] => model.get("items") as Item[];
  const selected = (): string[] => model.get("selected") as string[];
  const size = (): number => Math.min(MOST_SIZE, Math.max(LEAST_SIZE, Number(model.get("size")) || 128));

  function cell(item: Item): HTMLElement {
    const picture = h("img", { alt: "", decoding: "async", draggable: "false" });
    const made = h(
      "div",
      { class: "cell", role: "option", "data-series": item.series, title: `${item.title}\n${item.text}` },
      picture,
      h("b", { text: item.title }),
      h("small", { text: item.text }),
    );
    picture.addEventListener("error", () => {
      picture.dataset["failed"] = "";
    });
    fill(picture, loader, item, size(), life.signal);
    return made;
  }

  function draw(): void {
    asked = 0;
    const all = items();
    shown = found(all, search.value);
    const box = { width: size() + PADDING, height: size() + TEXT_HEIGHT };
    const grid = gridOf(shown.length, box, seen.clientWidth, seen.scrollTop, seen.clientHeight);
    space.style.height = `${String(grid.height)}px`;
    const chosen = new Set(selected());
    const kept = new Set<string>();
    for (let at = grid.first; at < grid.end; at += 1) {
      const item = all[shown[at] ?? -1];
      if (item === undefined) continue;
      kept.add(item.series);
      const known = cells.get(item.series);
      const made = known ?? cell(item);
      if (known === undefined) {
        cells.set(item.series, made);
        space.append(made);
      }
      const [row, column] = [Math.floor(at / grid.columns), at % grid.columns];
      Object.assign(made.style, {
        left: `${String(column * box.width)}px`,
        top: `${String(row * box.height)}px`,
        width: `${String(box.width)}px`,
        height: `${String(box.height)}px`,
      });
      made.id = `cell-${String(at)}`;
      made.classList.toggle("focus", at === focus && shadow.activeElement === seen);
      made.setAttribute("aria-selected", String(chosen.has(item.series)));
      made.setAttribute("aria-posinset", String(at + 1));
      made.setAttribute("aria-setsize", String(shown.length));
    }
    for (const [series, made] of cells) {
      if (kept.has(series)) continue;
      made.remove();
      cells.delete(series);
    }
    seen.setAttribute("aria-activedescendant", `cell-${String(focus)}`);
    count.textContent = `${String(shown.length)} of ${String(all.length)} series${chosen.size > 0 ? `, ${String(chosen.size)} selected` : ""}`;
  }

  const ask = (): void => {
    asked ||= requestAnimationFrame(draw);
  };

  function choose(next: string[]): void {
    model.set("selected", next);
    model.save_changes();
    ask();
  }

  function toggle(at: number): void {
    const series = items()[shown[at] ?? -1]?.series;
    if (series === undefined) return;
    const now = selected();
    choose(now.includes(series) ? now.filter((one) => one !== series) : [...now, series]);
  }

  seen.addEventListener("scroll", ask, { passive: true });
  search.addEventListener("input", () => {
    focus = 0;
    seen.scrollTop = 0;
    ask();
  });
  seen.addEventListener("click", (event) => {
    const hit = (event.target as HTMLElement).closest<HTMLElement>(".cell");
    if (hit === null) return;
    focus = Number(hit.id.slice("cell-".length));
    seen.focus();
    toggle(focus);
  });
  for (const name of ["focus", "blur"] as const) seen.addEventListener(name, ask);
  seen.addEventListener("keydown", (event) => {
    const box = { width: size() + PADDING, height: size() + TEXT_HEIGHT };
    const { columns } = gridOf(shown.length, box, seen.clientWidth, 0, 0);
    const to = stepped(event.key, focus, shown.length, columns, Math.max(1, Math.floor(seen.clientHeight / box.height)));
    if (to !== null) {
      focus = to;
      const top = Math.floor(to / columns) * box.height;
      seen.scrollTop = Math.min(Math.max(seen.scrollTop, top + box.height - seen.clientHeight), top);
      ask();
    } else if (event.key === " " || event.key === "Enter") toggle(focus);
    else if (event.key === "Escape") choose([]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  const again = (): void => {
    for (const made of cells.values()) made.remove();
    cells.clear();
    ask();
  };
  model.on("change:items", again);
  model.on("change:size", again);
  model.on("change:selected", ask);
  const unheard = loader.onEnded((dataset) => {
    for (const [series, made] of [...cells].filter(([series]) => series.startsWith(`${dataset}/`))) {
      made.remove();
      cells.delete(series);
    }
    ask();
  });
  const room = new ResizeObserver(ask);
  room.observe(seen);
  return () => {
    life.abort();
    unheard();
    room.disconnect();
    cancelAnimationFrame(asked);
    model.off("change:items", again);
    model.off("change:size", again);
    model.off("change:selected", ask);
    shadow.replaceChildren();
  };
}

export default {
  render({ model, el, transport }: { model: Model; el: HTMLElement; transport?: "messages" }): () => void {
    const place = document.createElement("div");
    el.replaceChildren(place);
    return mount(place, model, loaderFor(transport === "messages" ? model : undefined));
  },
};
