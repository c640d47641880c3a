// The form of `cl.launch()` as a Jupyter widget (anywidget): chooses, submits, shows each site's progress and the result.
import { isOver, isSet, isSiteOver } from "./launch/contract";
import type { Form, Offer, Outcome, Problem, Progress, SiteProgress } from "./launch/contract";
import { h } from "./launch/dom";
import { fields } from "./launch/fields";
import { parametersOf, problems, taskOf } from "./launch/form";
import style from "./launch/launch.css";
import { result } from "./launch/result";
import { jobWords, siteWords } from "./launch/words";

/** The part of anywidget's model that is used. */
interface Model {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  save_changes(): void;
  send(content: unknown): void;
  on(event: string, listener: () => void): void;
  off(event: string, listener: () => void): void;
}

type Unset = Record<string, never>;

function siteLine(site: SiteProgress): HTMLElement {
  const share = isSiteOver(site.state) ? 1 : site.progress;
  const bar = h("progress", { max: 1, value: share, "aria-label": `${site.title}: ${siteWords(site.state)}` }, `${Math.round(share * 100)} %`);
  const failed = isSiteOver(site.state) && site.state !== "released";
  const kind = failed ? "cl-refused" : site.state === "released" ? "cl-released" : "";
  const line = h("li", { "data-site": site.site, "data-state": site.state }, h("span", {}, site.title), h("span", { class: kind }, siteWords(site.state)));
  line.append(failed ? h("span", {}) : bar);
  if (site.message !== "") line.append(h("span", { class: "cl-why cl-muted" }, site.message));
  return line;
}

function mount(model: Model, el: HTMLElement): () => void {
  const read = {
    offer: (): Offer => model.get("offer") as Offer,
    form: (): Form => model.get("form") as Form,
    progress: (): Progress | Unset => model.get("progress") as Progress | Unset,
    outcome: (): Outcome | Unset => model.get("outcome") as Outcome | Unset,
    problem: (): Problem | Unset => model.get("problem") as Problem | Unset,
  };
  let form = read.form();
  let sending = false;

  const place = h("div", {});
  const submit = h("button", { type: "submit" }, "Submit");
  const cancel = h("button", { type: "button", class: "cl-plain" }, "Cancel job");
  const note = h("span", { class: "cl-muted" });
  const formElement = h("form", { novalidate: true, "aria-label": "Federated job" }, place, h("div", { class: "cl-buttons" }, submit, cancel, note));
  const problem = h("div", { role: "alert" });
  const status = h("strong", { role: "status" });
  const list = h("ul", { "aria-label": "Progress of each site" });
  const progress = h("section", { class: "cl-progress", "aria-label": "Progress" }, status, list);
  const outcome = h("section", { "aria-label": "Result" });
  // JupyterLab listens for keys before the page does: the attribute keeps its shortcuts out of the form.
  const root = h("div", { class: "cl-launch", "data-lm-suppress-shortcuts": "true" }, h("h3", {}, "Federated job"), formElement, problem, progress, outcome);
  el.replaceChildren(h("style", {}, style), root);

  const underWay = (): boolean => {
    const now = read.progress();
    return isSet(now) && !isOver(now.state);
  };

  function say(message: string, hint = ""): void {
    problem.replaceChildren(...(message === "" ? [] : [h("p", { class: "cl-problem" }, message, ...(hint === "" ? [] : [" ", hint]))]));
  }

  function keep(next: Form): void {
    form = next;
    model.set("form", next);
    model.save_changes();
  }

  function drawForm(): void {
    const focused = root.querySelector<HTMLElement>(":focus")?.dataset["field"];
    const busy = sending || underWay();
    const changed = (next: Form, rebuild: boolean): void => {
      keep(next);
      say("");
      if (rebuild) drawForm();
    };
    const view = {
      offer: read.offer(),
      busy,
      changed,
      get form(): Form {
        return form;
      },
    };
    place.replaceChildren(...fields(view));
    if (focused !== undefined) place.querySelector<HTMLElement>(`[data-field="${focused}"]`)?.focus();
    drawButtons();
  }

  function drawButtons(): void {
    const busy = sending || underWay();
    submit.disabled = busy || read.offer().datasets.length === 0;
    cancel.hidden = !underWay();
    note.textContent = sending ? "Submitting …" : read.offer().datasets.length === 0 ? "You have no dataset to run jobs on. Ask a data steward for access." : "";
  }

  function drawProgress(): void {
    const now = read.progress();
    progress.hidden = !isSet(now);
    if (!isSet(now)) return;
    const ended = isOver(now.state);
    status.textContent = `${now.task} on ${now.dataset}: ${jobWords(now.state)}, ${now.summary}${ended ? "" : " so far"}`;
    root.dataset["state"] = now.state;
    list.replaceChildren(...now.sites.map(siteLine));
  }

  function drawOutcome(): void {
    const [numbers, now] = [read.outcome(), read.progress()];
    outcome.replaceChildren(...(isSet(numbers) && isSet(now) ? result(numbers, now) : []));
  }

  function onSubmit(event: Event): void {
    event.preventDefault();
    const found = problems(form, read.offer());
    const first = found[0];
    if (first !== undefined) {
      say(found.map((one) => one.text).join(" "));
      place.querySelector<HTMLElement>(`[data-field="${first.field}"]`)?.focus();
      return;
    }
    sending = true;
    say("");
    keep({ ...form, parameters: parametersOf(taskOf(read.offer(), form.task), form.parameters) });
    // The form goes with the request: a change of a trait may be held back until the kernel is idle.
    model.send({ action: "submit", form });
    drawForm();
  }

  const listeners: [string, () => void][] = [
    ["change:offer", drawForm],
    [
      "change:form",
      () => {
        if (JSON.stringify(read.form()) === JSON.stringify(form)) return;
        form = read.form();
        drawForm();
      },
    ],
    [
      "change:progress",
      () => {
        const wasBusy = submit.disabled;
        if (isSet(read.progress())) sending = false;
        drawProgress();
        if (wasBusy !== (sending || underWay())) drawForm();
        else drawButtons();
        drawOutcome();
      },
    ],
    ["change:outcome", drawOutcome],
    [
      "change:problem",
      () => {
        const now = read.problem();
        if (isSet(now)) sending = false;
        say(isSet(now) ? now.message : "", isSet(now) ? now.hint : "");
        drawForm();
      },
    ],
  ];
  for (const [event, listener] of listeners) model.on(event, listener);
  formElement.addEventListener("submit", onSubmit);
  cancel.addEventListener("click", () => model.send({ action: "cancel" }));
  drawForm();
  drawProgress();
  drawOutcome();
  const before = read.problem();
  if (isSet(before)) say(before.message, before.hint);
  return () => {
    for (const [event, listener] of listeners) model.off(event, listener);
  };
}

export default {
  render({ model, el }: { model: Model; el: HTMLElement }): () => void {
    return mount(model, el);
  },
};
