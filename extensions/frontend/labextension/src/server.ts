// What the extension asks of the session's server: the datasets, and the viewer's bundle.
import { xsrfToken } from "../../core/src/page";
import type { Application, Modules } from "./jupyter";

export interface ListedSeries {
  id: string;
  kind: "image" | "segmentation";
  modality: string;
  description: string | null;
  source_series: string | null;
}

export interface ListedDataset {
  id: string;
  version?: string;
  title?: string;
  series?: ListedSeries[];
  error?: string;
}

/** The part of the viewer's bundle (widget/src/viewer.ts) that opens a series without a kernel. */
interface ViewerBundle {
  openSeries(host: HTMLElement, series: string): Promise<() => void>;
}

export interface Server {
  /** An address below `<base>/cohortlab/`. */
  address(path: string): string;
  /** GET or POST; rejects with the server's words when it refuses. */
  ask<T>(path: string, method?: "GET" | "POST"): Promise<T>;
  viewer(): Promise<ViewerBundle>;
  /** Have the viewer's program fetched when the page is at rest, so that the first image need not wait for it. */
  prepare(): void;
}

export function serverOf(app: Application, { services }: Modules): Server {
  const { serverSettings } = app.serviceManager;
  const address = (path: string): string => `${serverSettings.baseUrl.replace(/\/*$/, "/")}cohortlab/${path}`;
  let bundle: Promise<ViewerBundle> | undefined;

  async function ask<T>(path: string, method: "GET" | "POST" = "GET"): Promise<T> {
    // JupyterLab adds a time to the address of what it reads, which the gateway would refuse as an unknown parameter
    const response =
      method === "GET"
        ? await fetch(address(path), { credentials: "same-origin", headers: { "X-XSRFToken": xsrfToken() ?? "" } })
        : await services.ServerConnection.makeRequest(address(path), { method }, serverSettings);
    if (response.ok) return (await response.json()) as T;
    const problem = (await response.json().catch(() => ({}))) as { title?: string; detail?: string };
    throw new Error(problem.detail ?? problem.title ?? `The server answered ${String(response.status)}.`);
  }

  async function place(): Promise<string> {
    const names = await ask<Record<string, string>>("static/manifest.json");
    return new URL(address(`static/${names["viewer"] ?? ""}`), location.href).href;
  }

  async function load(): Promise<ViewerBundle> {
    return (await import(await place())) as ViewerBundle;
  }

  async function fetchAhead(): Promise<void> {
    const link = document.createElement("link");
    link.rel = "modulepreload";
    link.href = await place();
    document.head.append(link);
  }

  return {
    address,
    ask,
    prepare() {
      fetchAhead().catch(() => undefined); // who opens the viewer is told what is wrong
    },
    viewer() {
      bundle ??= load().catch((error: unknown) => {
        bundle = undefined; // a server that was away is asked again
        throw error;
      });
      return bundle;
    },
  };
}
