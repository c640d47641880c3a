// The launcher card "First steps": puts the tutorial into the home, once, and opens it.
import icon from "./icon.svg";
import type { ApputilsModule, LauncherModule, Plugin, ServicesModule } from "./jupyter";

const COMMAND = "cohortlab:first-steps";
const ICON_CLASS = "cohortlab-icon";

/** The class by which the launcher shows the icon; an SVG as background needs no icon package. */
function addIconStyle(): void {
  const style = document.createElement("style");
  style.textContent = `.${ICON_CLASS} { background-image: url("data:image/svg+xml,${encodeURIComponent(icon)}"); background-repeat: no-repeat; background-position: center; background-size: contain; }`;
  document.head.append(style);
}

interface Problem {
  title?: string;
  detail?: string;
}

export function plugin(launcher: LauncherModule, services: ServicesModule, apputils: ApputilsModule): Plugin {
  return {
    id: "@cohortlab/labextension:first-steps",
    description: "Opens Cohortlab's first tutorial from the launcher.",
    autoStart: true,
    optional: [launcher.ILauncher],
    activate(app, launcherService) {
      addIconStyle();
      app.commands.addCommand(COMMAND, {
        label: "First steps",
        caption: "Datasets, images and a federated job in ten minutes",
        iconClass: ICON_CLASS,
        async execute() {
          const { serverSettings } = app.serviceManager;
          const url = `${serverSettings.baseUrl.replace(/\/*$/, "/")}cohortlab/api/tutorial`;
          const response = await services.ServerConnection.makeRequest(url, { method: "POST" }, serverSettings);
          if (!response.ok) {
            const problem = (await response.json()) as Problem;
            apputils.Notification.error(problem.detail ?? problem.title ?? "The tutorial could not be opened.");
            return;
          }
          const { path } = (await response.json()) as { path: string };
          await app.commands.execute("docmanager:open", { path, factory: "Notebook" });
        },
      });
      launcherService?.add({ command: COMMAND, category: "Cohortlab", rank: 0 });
    },
  };
}
