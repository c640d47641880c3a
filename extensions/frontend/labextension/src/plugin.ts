// The extension's plug-ins: the launcher card "First steps", series in tabs, the dataset panel, and the banner before a stop.
import icon from "./icon.svg";
import type { Application, FileBrowser, Launcher, Modules, NotebookTracker, Plugin, Restorer } from "./jupyter";
import { addBanner } from "./notices";
import { addPanel } from "./panel";
import { serverOf } from "./server";
import style from "./style.css";
import { addTabs } from "./tabs";
import { addViews } from "./views";

const FIRST_STEPS = "cohortlab:first-steps";

/** The classes of the panel and of the icon; an SVG as background needs no icon package. */
function addStyle(): void {
  const sheet = document.createElement("style");
  sheet.textContent = `${style}\n.cohortlab-icon { background-image: url("data:image/svg+xml,${encodeURIComponent(icon)}"); background-repeat: no-repeat; background-position: center; background-size: contain; }`;
  document.head.append(sheet);
}

function firstSteps(modules: Modules): Plugin {
  return {
    id: "@cohortlab/labextension:first-steps",
    description: "Opens Cohortlab's first tutorial from the launcher.",
    autoStart: true,
    optional: [modules.launcher.ILauncher],
    activate(app: Application, launcher: Launcher | null) {
      addStyle();
      const server = serverOf(app, modules);
      app.commands.addCommand(FIRST_STEPS, {
        label: "First steps",
        caption: "Datasets, images and a federated job in ten minutes",
        iconClass: "cohortlab-icon",
        async execute() {
          try {
            const { path } = await server.ask<{ path: string }>("api/tutorial", "POST");
            await app.commands.execute("docmanager:open", { path, factory: "Notebook" });
          } catch (error) {
            modules.apputils.Notification.error(error instanceof Error ? error.message : "The tutorial could not be opened.");
          }
        },
      });
      launcher?.add({ command: FIRST_STEPS, category: "Cohortlab", rank: 0 });
    },
  };
}

function datasets(modules: Modules): Plugin {
  return {
    id: "@cohortlab/labextension:datasets",
    description: "Opens series in tabs, and lists the datasets of the session at the left.",
    autoStart: true,
    optional: [modules.filebrowser.IDefaultFileBrowser, modules.application.ILayoutRestorer],
    activate(app: Application, browser: FileBrowser | null, restorer: Restorer | null) {
      const server = serverOf(app, modules);
      addTabs(app, modules, server, browser, restorer);
      const panel = addPanel(app, modules, server);
      restorer?.add(panel, panel.id);
      void app.restored.then(() => {
        if (typeof requestIdleCallback === "function") requestIdleCallback(server.prepare);
        else server.prepare();
      });
    },
  };
}

function notices(modules: Modules): Plugin {
  return {
    id: "@cohortlab/labextension:notices",
    description: "Tells before the session is stopped, and saves open documents.",
    autoStart: true,
    optional: [],
    activate(app: Application) {
      addBanner(app, serverOf(app, modules));
    },
  };
}

function views(modules: Modules): Plugin {
  return {
    id: "@cohortlab/labextension:views",
    description: "Shows views of saved notebooks in words when their kernel has ended.",
    autoStart: true,
    optional: [modules.notebook.INotebookTracker],
    activate(_app: Application, tracker: NotebookTracker | null) {
      if (tracker !== null) addViews(modules, tracker);
    },
  };
}

export function plugins(modules: Modules): Plugin[] {
  return [firstSteps(modules), datasets(modules), notices(modules), views(modules)];
}
