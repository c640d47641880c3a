// What the page says about its server: the base path and the XSRF token. Nothing is assumed.

/** The base path, with a slash at its end, from Jupyter's page configuration. */
export function basePath(page: Document = document): string {
  const text = page.getElementById("jupyter-config-data")?.textContent;
  const config = text ? (JSON.parse(text) as { baseUrl?: unknown }) : {};
  const base = typeof config.baseUrl === "string" ? config.baseUrl : page.body.dataset["baseUrl"];
  if (base === undefined || base === "") throw new Error("This page does not say where its Jupyter server is.");
  return base.replace(/\/*$/, "/");
}

/** The XSRF token of the `_xsrf` cookie; the server set it for this base path. */
export function xsrfToken(cookies: string = document.cookie): string | undefined {
  const found = /(?:^|;\s*)_xsrf=([^;]*)/.exec(cookies)?.[1];
  return found === undefined ? undefined : decodeURIComponent(found.replace(/^"|"$/g, ""));
}
