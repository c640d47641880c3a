// The module federation container that JupyterLab's loader expects of a prebuilt extension.
//
// A container is only an object with `init(sharedScope)` and `get(module)`; a bundler's plugin would write the same with
// some 40 MB of packages. `sharedScope` holds JupyterLab's own modules: tokens must be those very objects.
import { plugins } from "./plugin";
import type {
  ApplicationModule,
  ApputilsModule,
  FileBrowserModule,
  LauncherModule,
  NotebookModule,
  ServicesModule,
  SharedScope,
  WidgetsModule,
} from "./jupyter";

declare global {
  interface Window {
    _JUPYTERLAB?: Record<string, unknown>;
  }
}

let scope: SharedScope | undefined;

/** The module that JupyterLab shares under this name (it shares one version of each of its own packages). */
async function shared<T>(name: string): Promise<T> {
  const offer = Object.values(scope?.[name] ?? {})[0];
  if (offer === undefined) throw new Error(`This JupyterLab does not share ${name}; Cohortlab's extension needs JupyterLab 4.`);
  return (await offer.get())() as T;
}

const container = {
  init(sharedScope: SharedScope): void {
    scope = sharedScope;
  },
  async get(module: string): Promise<() => unknown> {
    if (module !== "./extension") throw new Error(`No module ${module} in @cohortlab/labextension.`);
    const [launcher, services, apputils, widgets, filebrowser, application, notebook] = await Promise.all([
      shared<LauncherModule>("@jupyterlab/launcher"),
      shared<ServicesModule>("@jupyterlab/services"),
      shared<ApputilsModule>("@jupyterlab/apputils"),
      shared<WidgetsModule>("@lumino/widgets"),
      shared<FileBrowserModule>("@jupyterlab/filebrowser"),
      shared<ApplicationModule>("@jupyterlab/application"),
      shared<NotebookModule>("@jupyterlab/notebook"),
    ]);
    const extension = { __esModule: true, default: plugins({ launcher, services, apputils, widgets, filebrowser, application, notebook }) };
    return () => extension;
  },
};

(window._JUPYTERLAB ??= {})["@cohortlab/labextension"] = container;
