// The panel at the left: the datasets of this session, with a search, thumbnails, and lines of code to drag into a cell.
import type { Application, LabWidget, Modules } from "./jupyter";
import type { ListedDataset, ListedSeries, Server } from "./server";
import { OPEN } from "./tabs";

/** The line that a series gives in a cell. */
export function codeLine(dataset: string, series: string): string {
  return `cl.open("${dataset}/${series}")`;
}

/** Whether all words of the search are in what is known of a series. */
export function matches(search: string, dataset: ListedDataset, series: ListedSeries): boolean {
  const text = [dataset.id, dataset.title, series.id, series.modality, series.description, series.kind].join(" ").toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

function element<K extends keyof HTMLElementTagNameMap>(
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

export function addPanel(app: Application, modules: Modules, server: Server): LabWidget {
  const search = element("input", { type: "search", placeholder: "Search series", "aria-label": "Search series" });
  const again = element("button", { class: "jp-Button jp-mod-styled", text: "Refresh", title: "Ask the server again" });
  const list = element("div", { class: "cohortlab-list" });
  const status = element("p", { class: "cohortlab-status", role: "status" });
  const node = element(
    "div",
    { class: "cohortlab-panel" },
    element("div", { class: "cohortlab-head" }, search, again),
    status,
    list,
    element("p", { class: "cohortlab-caveat", text: "For research, not for diagnosis" }),
  );
  const panel = new modules.widgets.Widget({ node });
  panel.id = "cohortlab-datasets";
  Object.assign(panel.title, { caption: "Cohortlab datasets", iconClass: "cohortlab-icon" });
  let datasets: ListedDataset[] = [];
  let loaded = false;

  function card(dataset: ListedDataset, series: ListedSeries): HTMLElement {
    const name = `${dataset.id}/${series.id}`;
    const address = server.address(`api/series/${encodeURIComponent(dataset.id)}/${encodeURIComponent(series.id)}/thumbnail?size=96`);
    const picture = element("img", {
      src: address,
      alt: "",
      loading: "lazy",
      decoding: "async",
      draggable: "false",
      width: "56",
      height: "56",
    });
    const words = element(
      "span",
      {},
      element("b", { text: series.modality }),
      element("span", { text: series.description ?? series.id }),
      element("small", { text: series.id }),
    );
    const made = element(
      "li",
      {
        draggable: "true",
        tabindex: "0",
        role: "button",
        title: `${codeLine(dataset.id, series.id)}: drag into a cell; double-click opens`,
        "aria-label": `${series.modality} ${series.description ?? ""} ${series.id}`,
      },
      picture,
      words,
    );
    const open = (): void => void app.commands.execute(OPEN, { series: name });
    made.addEventListener("dblclick", open);
    made.addEventListener("keydown", (event) => {
      if (event.key === "Enter") open();
    });
    made.addEventListener("dragstart", (event) => {
      event.dataTransfer?.setData("text/plain", codeLine(dataset.id, series.id));
      if (event.dataTransfer !== null) event.dataTransfer.effectAllowed = "copy";
    });
    return made;
  }

  function group(dataset: ListedDataset): HTMLElement | null {
    const head = element(
      "summary",
      { title: dataset.title ?? "" },
      element("b", { text: dataset.id }),
      element("small", { text: dataset.version ?? "" }),
    );
    if (dataset.error !== undefined)
      return element("details", { open: "" }, head, element("p", { class: "cohortlab-status", text: dataset.error }));
    const found = (dataset.series ?? []).filter((series) => matches(search.value.trim(), dataset, series));
    if (found.length === 0 && search.value.trim() !== "") return null;
    return element(
      "details",
      { open: "" },
      head,
      element("p", { class: "cohortlab-title", text: dataset.title ?? "" }),
      element("ul", {}, ...found.map((series) => card(dataset, series))),
    );
  }

  function draw(): void {
    const groups = datasets.map(group).filter((one) => one !== null);
    list.replaceChildren(...groups);
    status.textContent = datasets.length === 0 ? "No dataset is mounted in this session." : groups.length === 0 ? "Nothing found." : "";
  }

  async function load(): Promise<void> {
    loaded = true;
    status.textContent = "Asking the server …";
    try {
      ({ datasets } = await server.ask<{ datasets: ListedDataset[] }>("api/datasets"));
      draw();
    } catch (error) {
      loaded = false;
      status.textContent = error instanceof Error ? error.message : String(error);
    }
  }

  search.addEventListener("input", draw);
  again.addEventListener("click", () => void load());
  // the list is asked for when the panel is seen for the first time
  new IntersectionObserver((entries) => {
    if (!loaded && entries.some(({ isIntersecting }) => isIntersecting)) void load();
  }).observe(node);
  app.shell.add(panel, "left", { rank: 150 });
  return panel;
}
