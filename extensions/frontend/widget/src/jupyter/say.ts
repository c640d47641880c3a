// What is shown instead of an image that cannot be: why, and how to go on.
import { CAVEAT } from "@cohortlab/core";

const PAUSE = 3000; // ms until it is tried again by itself, where that makes sense

/** Shows `message` with a button; resolves when it should be tried again, or when `signal` ends. */
export function say(el: HTMLElement, message: string, again: boolean, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const box = document.createElement("div");
    const text = document.createElement("p");
    const button = document.createElement("button");
    text.setAttribute("role", "alert");
    text.textContent = `${message} (${CAVEAT}.)`;
    button.textContent = "Try again";
    button.className = "jp-Button jp-mod-styled";
    box.append(text, button);
    el.replaceChildren(box);
    const timer = again ? setTimeout(resolve, PAUSE) : undefined;
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    button.addEventListener("click", done);
    signal.addEventListener("abort", done);
  });
}
