// A series in a tab of its own: by a double click on its folder in the file browser, from its menu, or from the dataset panel.
import type { Application, ContentsModel, FileBrowser, LabWidget, MainWidget, Modules, Restorer } from "./jupyter";
import type { Server } from "./server";

export const OPEN = "cohortlab:open-series";
const OPEN_SELECTED = "cohortlab:open-selected-series";
const SERIES_FOLDER = /(?:^|\/)([a-z0-9-]+)\/(?:images|segmentations)\/([a-z0-9-]+)\.zarr\/?$/;

/** "dataset/series" when a path is the folder of a series in a mounted dataset. */
export function seriesOf(path: string): string | null {
  const found = SERIES_FOLDER.exec(path);
  return found === null ? null : `${found[1] ?? ""}/${found[2] ?? ""}`;
}

export function addTabs(app: Application, modules: Modules, server: Server, browser: FileBrowser | null, restorer: Restorer | null): void {
  const { MainAreaWidget, WidgetTracker, Notification } = modules.apputils;
  const tracker = new WidgetTracker({ namespace: "cohortlab-series" });
  const open = new Map<string, MainWidget>();

  function tab(series: string): MainWidget {
    const content: LabWidget = new modules.widgets.Widget({ node: document.createElement("div") });
    const host = document.createElement("div");
    content.node.append(host);
    content.node.classList.add("cohortlab-tab");
    const widget = new MainAreaWidget({ content });
    widget.id = `cohortlab-${series.replace("/", "-")}`;
    Object.assign(widget.title, { label: series.split("/")[1] ?? series, caption: series, iconClass: "cohortlab-icon", closable: true });
    const mounted = server.viewer().then(({ openSeries }) => openSeries(host, series));
    mounted.catch((error: unknown) => {
      host.textContent = error instanceof Error ? error.message : String(error);
    });
    widget.disposed.connect(() => {
      open.delete(series);
      mounted.then(
        (close) => {
          close();
        },
        () => undefined,
      );
    });
    return widget;
  }

  app.commands.addCommand(OPEN, {
    label: "Open series",
    caption: "Show a series in the viewer",
    iconClass: "cohortlab-icon",
    async execute(args) {
      const series = String(args["series"] ?? "");
      const known = open.get(series);
      const widget = known ?? tab(series);
      if (known === undefined) {
        open.set(series, widget);
        app.shell.add(widget, "main");
        await tracker.add(widget);
      }
      app.shell.activateById(widget.id);
      return widget;
    },
  });
  void restorer?.restore(tracker, {
    command: OPEN,
    args: (widget) => ({ series: widget.title.caption }),
    name: (widget) => widget.title.caption,
  });
  if (browser === null) return;

  const openModel = (model: ContentsModel | undefined): boolean => {
    const series = model?.type === "directory" ? seriesOf(model.path) : null;
    if (series === null) return false;
    app.commands.execute(OPEN, { series }).catch((error: unknown) => {
      Notification.error(String(error));
    });
    return true;
  };
  const selected = (): ContentsModel | undefined => [...browser.selectedItems()][0];
  // in the capture phase: the file browser would go into the folder
  browser.node.addEventListener(
    "dblclick",
    (event) => {
      if (!openModel(browser.modelForClick(event))) return;
      event.preventDefault();
      event.stopPropagation();
    },
    true,
  );
  browser.node.addEventListener(
    "keydown",
    (event) => {
      const inList = event.target instanceof HTMLElement && event.target.closest(".jp-DirListing-content, .jp-DirListing-item") !== null;
      if (event.key !== "Enter" || !inList || !openModel(selected())) return;
      event.preventDefault();
      event.stopPropagation();
    },
    true,
  );
  app.commands.addCommand(OPEN_SELECTED, {
    label: "Open in the viewer",
    caption: "Show this series in the viewer",
    iconClass: "cohortlab-icon",
    isVisible: () => seriesOf(selected()?.path ?? "") !== null,
    execute: () => void openModel(selected()),
  });
  app.contextMenu.addItem({ command: OPEN_SELECTED, selector: '.jp-DirListing-item[data-isdir="true"]', rank: 0 });
}
