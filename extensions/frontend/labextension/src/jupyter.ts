// The little of JupyterLab's interface that the extension uses, written down here so that the build needs none of its
// packages. The objects themselves come from the running JupyterLab (see container.ts).

/** A module federation sharing scope: package name -> version -> how to get it. */
export type SharedScope = Readonly<Record<string, Readonly<Record<string, { get(): Promise<() => unknown> }>>>>;

/** A Lumino token: JupyterLab finds the service by the identity of this object. */
export type Token = object;

export interface Command {
  label: string;
  caption: string;
  iconClass: string;
  execute(): Promise<void>;
}

export interface Application {
  commands: {
    addCommand(id: string, command: Command): void;
    execute(id: string, options: Record<string, string>): Promise<unknown>;
  };
  serviceManager: { serverSettings: ServerSettings };
}

export interface Launcher {
  add(item: { command: string; category: string; rank: number }): void;
}

export interface ServerSettings {
  baseUrl: string;
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
}

export interface Plugin {
  id: string;
  description: string;
  autoStart: boolean;
  optional: Token[];
  activate(app: Application, launcher: Launcher | null): void;
}
