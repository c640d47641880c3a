// The little of JupyterLab's interface that the extension uses, written down here so that the build needs none of its
// packages. The objects themselves come from the running JupyterLab (see container.ts).

/** A module federation sharing scope: package name -> version -> how to get it. */
export type SharedScope = Readonly<Record<string, Readonly<Record<string, { get(): Promise<() => unknown> }>>>>;

/** A Lumino token: JupyterLab finds the service by the identity of this object. */
export type Token = object;

export interface Command {
  label: string;
  caption: string;
  iconClass?: string;
  isVisible?: () => boolean;
  execute(args: Record<string, unknown>): Promise<unknown> | void;
}

export interface Signal<T> {
  connect(slot: (sender: T) => void): boolean;
}

export interface LabWidget {
  id: string;
  node: HTMLElement;
  title: { label: string; caption: string; iconClass: string; closable: boolean };
  isDisposed: boolean;
  disposed: Signal<LabWidget>;
  dispose(): void;
}

export interface MainWidget extends LabWidget {
  content: LabWidget;
}

export interface Application {
  /** When the page is as it was left. */
  restored: Promise<void>;
  commands: {
    addCommand(id: string, command: Command): void;
    execute(id: string, options: Record<string, unknown>): Promise<unknown>;
  };
  contextMenu: { addItem(item: { command: string; selector: string; rank: number }): void };
  shell: {
    add(widget: LabWidget, area: "main" | "left", options?: { rank?: number }): void;
    activateById(id: string): void;
  };
  serviceManager: { serverSettings: ServerSettings };
}

export interface Launcher {
  add(item: { command: string; category: string; rank: number }): void;
}

export interface ServerSettings {
  baseUrl: string;
}

export interface ContentsModel {
  path: string;
  type: string;
}

export interface FileBrowser {
  node: HTMLElement;
  modelForClick(event: MouseEvent): ContentsModel | undefined;
  selectedItems(): Iterable<ContentsModel>;
}

export interface Tracker {
  add(widget: LabWidget): Promise<void>;
}

export interface Restorer {
  add(widget: LabWidget, name: string): void;
  restore(
    tracker: Tracker,
    options: { command: string; args: (widget: MainWidget) => object; name: (widget: MainWidget) => string },
  ): Promise<unknown>;
}

export interface LauncherModule {
  ILauncher: Token;
}

export interface ServicesModule {
  ServerConnection: {
    makeRequest(url: string, init: RequestInit, settings: ServerSettings): Promise<Response>;
  };
}

export interface ApputilsModule {
  Notification: { error(message: string): void };
  MainAreaWidget: new (options: { content: LabWidget }) => MainWidget;
  WidgetTracker: new (options: { namespace: string }) => Tracker;
}

export interface Panel extends LabWidget {
  addWidget(widget: LabWidget): void;
}

export interface WidgetsModule {
  Widget: new (options?: { node: HTMLElement }) => LabWidget;
  Panel: new () => Panel;
}

export interface MimeModel {
  trusted: boolean;
  data: Readonly<Record<string, unknown>>;
}

export interface Renderer {
  renderModel(model: MimeModel): Promise<void>;
  dispose(): void;
}

export interface Rendermime {
  mimeTypes: readonly string[];
  createRenderer(mimeType: string): Renderer;
  addFactory(factory: { safe: boolean; mimeTypes: string[]; createRenderer: () => Renderer }, rank: number): void;
}

export interface NotebookPanel {
  content: { rendermime: Rendermime };
}

export interface NotebookTracker {
  forEach(visit: (panel: NotebookPanel) => void): void;
  widgetAdded: { connect(slot: (sender: unknown, panel: NotebookPanel) => void): boolean };
}

export interface NotebookModule {
  INotebookTracker: Token;
}

export interface FileBrowserModule {
  IDefaultFileBrowser: Token;
}

export interface ApplicationModule {
  ILayoutRestorer: Token;
}

/** JupyterLab's modules that the extension takes from the shared scope. */
export interface Modules {
  launcher: LauncherModule;
  services: ServicesModule;
  apputils: ApputilsModule;
  widgets: WidgetsModule;
  filebrowser: FileBrowserModule;
  application: ApplicationModule;
  notebook: NotebookModule;
}

export interface Plugin {
  id: string;
  description: string;
  autoStart: boolean;
  optional: Token[];
  activate(app: Application, ...services: never[]): void;
}
