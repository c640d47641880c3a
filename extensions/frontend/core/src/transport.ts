// How a question reaches the pixel gateway: by HTTP, or where there is none, by messages to the kernel. Both carry the same routes.
import { createDoor } from "./door";

export interface Answer {
  status: number;
  /** A header's value, by its name in lower case. */
  header(name: string): string | null;
  body: ArrayBuffer;
}

export type Query = Readonly<Record<string, string>>;

export interface Transport {
  /** What is shown to the person where this way is a poor one. */
  readonly hint: string;
  /** Ask for `path` below the gateway's `api/`. Rejects with `LoadError` when nobody answers. */
  get(path: string, query: Query, signal: AbortSignal): Promise<Answer>;
  /** An address that an `<img>` can load, where there is one. */
  address(path: string, query: Query): string | null;
  /** Lets the person sign in again, in another tab, where there is such a way. */
  signIn?(): void;
}

/** The gateway answered with a problem, or did not answer. `message` is for the person at the screen. */
export class LoadError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly code: string,
  ) {
    super(message);
  }

  /** Whether asking again by itself makes sense: nobody answered, or a proxy for a server that is not there, or not to us. */
  get passing(): boolean {
    return this.code === "unavailable" || this.code === "busy" || this.signedOut;
  }

  /** Whether the server does not know (any more) who asks. */
  get signedOut(): boolean {
    return this.code === SIGNED_OUT;
  }

  /** Whether this may not be seen (any more). */
  get refused(): boolean {
    return this.code === "refused";
  }
}

export const NO_ANSWER = "The server does not answer. The image comes back by itself when it does.";
const STOPPED = "Your session does not run. The image comes back by itself when it does.";
const SIGNED_OUT = "unauthenticated";
const SIGN_IN = "You are signed out. Sign in again: the image comes back by itself.";
const NOBODY = [424, 502, 503, 504]; // of a proxy whose server is away; 424: of JupyterHub, whose session does not run

export interface HttpOptions {
  /** Where the gateway's routes begin, as a URL with a slash at its end. */
  api: string;
  xsrf?: () => string | undefined;
  /** Sent in the Authorization header, at the hub. */
  token?: string;
  /** A page of the server that only those get who are signed in: the way back in for a page that stayed open (see `door.ts`). */
  page?: string;
  fetch?: typeof globalThis.fetch;
}

export function httpTransport(options: HttpOptions): Transport {
  const { api, xsrf, token } = options;
  const ask = options.fetch ?? globalThis.fetch.bind(globalThis);
  const address = (path: string, query: Query): string => {
    const text = new URLSearchParams(query).toString();
    return `${api}${path}${text === "" ? "" : `?${text}`}`;
  };
  const door = options.page === undefined ? undefined : createDoor({ page: options.page, fetch: ask });

  async function once(path: string, query: Query, signal: AbortSignal): Promise<Answer> {
    const headers: Record<string, string> = {};
    const known = xsrf?.();
    if (known !== undefined) headers["X-XSRFToken"] = known;
    if (token !== undefined) headers["Authorization"] = `token ${token}`;
    try {
      const response = await ask(address(path, query), { credentials: "same-origin", headers, signal });
      const body = await response.arrayBuffer();
      return { status: response.status, header: (name) => response.headers.get(name), body };
    } catch (error) {
      if (signal.aborted) throw error;
      throw new LoadError(NO_ANSWER, 0, "unavailable");
    }
  }

  return {
    hint: "",
    address: (path, query) => (token === undefined ? address(path, query) : null),
    async get(path, query, signal) {
      const first = await once(path, query, signal);
      if (door === undefined) return first;
      if (!isSignedOut(first)) {
        if (first.status < 400 && !("v" in query)) door.passed(); // what names its version may come from the browser's cache
        return first;
      }
      if (!(await door.knock())) return first;
      signal.throwIfAborted();
      const second = await once(path, query, signal); // with the cookies that there are now
      if (second.status < 400) door.passed();
      return second;
    },
    ...(door === undefined
      ? {}
      : {
          signIn() {
            door.open();
          },
        }),
  };
}

interface Problem {
  detail?: string;
  title?: string;
  code?: string;
  hint?: string;
}

/** What a problem's answer says; null for any other. */
function problemOf(answer: Answer): Problem | null {
  if (!(answer.header("content-type")?.startsWith("application/problem+json") ?? false)) return null;
  return JSON.parse(new TextDecoder().decode(answer.body)) as Problem;
}

function isSignedOut(answer: Answer): boolean {
  return [401, 403].includes(answer.status) && problemOf(answer)?.code === SIGNED_OUT;
}

/** The answer, or what is wrong as a `LoadError` in words. */
export function checked(answer: Answer): Answer {
  if (answer.status >= 200 && answer.status < 300) return answer;
  const problem = problemOf(answer);
  if (problem === null && NOBODY.includes(answer.status))
    throw new LoadError(answer.status === 424 ? STOPPED : NO_ANSWER, answer.status, "unavailable");
  if (problem?.code === SIGNED_OUT) throw new LoadError(SIGN_IN, answer.status, SIGNED_OUT);
  const hidden = problem === null && [401, 403].includes(answer.status);
  const words = hidden
    ? "You are signed out, or may not see this image any more. Reload the page."
    : `The server answered ${String(answer.status)}.`;
  const said = problem?.detail ?? problem?.title ?? words;
  const hint = problem?.hint !== undefined && !said.includes(problem.hint) ? ` ${problem.hint}` : "";
  throw new LoadError(said + hint, answer.status, problem?.code ?? (hidden ? "refused" : "error"));
}
