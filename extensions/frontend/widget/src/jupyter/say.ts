// What is shown instead of an image that cannot be: why, and how to go on.
import { CAVEAT, type LoadError } from "@cohortlab/core";

const PAUSE = 3000; // ms until it is tried again by itself, where that makes sense

/** Shows what is wrong with a button; resolves when it should be tried again, or when `signal` ends. */
export function say(el: HTMLElement, { message, passing, signedOut }: LoadError, signal: AbortSignal, signIn?: () => void): Promise<void> {
  return new Promise((resolve) => {
    const box = document.createElement("div");
    const text = document.createElement("p");
    const button = document.createElement("button");
    text.setAttribute("role", "alert");
    text.textContent = `${message} (${CAVEAT}.)`;
    button.textContent = signedOut && signIn !== undefined ? "Sign in" : "Try again";
    button.className = "jp-Button jp-mod-styled";
    box.append(text, button);
    el.replaceChildren(box);
    const timer = passing ? setTimeout(resolve, PAUSE) : undefined;
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    button.addEventListener("click", () => {
      if (signedOut) signIn?.();
      done();
    });
    signal.addEventListener("abort", done);
  });
}
