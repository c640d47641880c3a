// Being let in again. A session that was stopped and started again has a new cookie secret, and the hub has forgotten the old server's
// tokens: the cookies of a page that stayed open count no more. A page that is opened anew goes through the hub's redirects and gets new
// ones; questions to the API are refused instead, as they must be. This goes through the redirects once, beside the page.
//
// It asks for a light page of the session as a picture would be asked for (`no-cors`, same origin, GET): JupyterHub lets such a request
// through by cookie alone since its asker reads nothing by it. Nobody is let in who would not be by opening a tab.

export interface Door {
  /** Go through the redirects, where that has a chance. True when that was tried: who waits may ask once more. */
  knock(): Promise<boolean>;
  /** The server knows us. */
  passed(): void;
  /** Let the person sign in, in a tab of its own. To be called while a click is handled. */
  open(): void;
}

export interface DoorOptions {
  /** The address of a page that only those get who are signed in. */
  page: string;
  fetch: typeof globalThis.fetch;
  open?: (url: string) => Pick<Window, "close"> | null;
  now?: () => number;
}

const FIRST_PAUSE = 2000; // ms; each try that comes to nothing leaves a cookie of some hundred bytes for ten minutes
const LONGEST_PAUSE = 60_000;

export function createDoor({ page, fetch, open, now = Date.now }: DoorOptions): Door {
  let under: Promise<void> | undefined;
  let pause = FIRST_PAUSE;
  let again = 0; // not before then
  let person = false; // the way ends at a form
  let tab: Pick<Window, "close"> | null = null;

  async function go(): Promise<void> {
    again = now() + pause;
    pause = Math.min(pause * 2, LONGEST_PAUSE);
    try {
      const answer = await fetch(page, { mode: "no-cors", credentials: "same-origin", cache: "no-store" });
      person = answer.type === "opaque" || (answer.ok && answer.url !== page);
    } catch {
      // nobody answered: the server or the hub is away, and it is tried again
    }
  }

  return {
    async knock() {
      if (under === undefined && (person || now() < again)) return false;
      under ??= go().finally(() => {
        under = undefined;
      });
      await under;
      return true;
    },
    passed() {
      [pause, again, person] = [FIRST_PAUSE, 0, false];
      tab?.close();
      tab = null;
    },
    open() {
      tab = (open ?? ((url) => window.open(url, "_blank")))(page);
    },
  };
}
