// The form on the page: built from what is offered; tells each change.
import { h } from "./dom";
import { parametersOf, parsed, taskOf, withDataset, withSite } from "./form";
import type { Form, Offer, ParameterSchema } from "./contract";

export interface FormView {
  /** As it is now: a field that was typed into is not built again, so the others read this when they change. */
  readonly form: Form;
  offer: Offer;
  busy: boolean;
  /** The form after a change; `rebuild` when other fields depend on it. */
  changed(form: Form, rebuild: boolean): void;
}

function field(label: string, control: HTMLElement): HTMLElement {
  return h("label", { class: "cl-field" }, h("span", { class: "cl-label" }, label), control);
}

interface Choice {
  value: string;
  text: string;
}

function select(name: string, choices: Choice[], value: string, busy: boolean, chosen: (value: string) => void): HTMLSelectElement {
  const options = choices.map((choice) => h("option", { value: choice.value, selected: choice.value === value }, choice.text));
  const control = h("select", { "data-field": name, disabled: busy }, ...options);
  control.addEventListener("change", () => chosen(control.value));
  return control;
}

function sites(view: FormView): HTMLElement {
  const { form, offer, busy, changed } = view;
  const offered = offer.datasets.find((one) => one.id === form.dataset)?.sites ?? [];
  const boxes = offered.map((site, i) => {
    const box = h("input", {
      type: "checkbox",
      "data-field": i === 0 ? "sites" : `site-${site.name}`,
      disabled: busy,
      checked: form.sites.includes(site.name),
    });
    box.addEventListener("change", () => changed(withSite(view.form, offer, site.name, box.checked), true));
    return h("label", {}, box, h("span", {}, site.title), ...(site.connected ? [] : [h("span", { class: "cl-away" }, "(not connected)")]));
  });
  return h("fieldset", {}, h("legend", {}, "Sites"), h("div", { class: "cl-sites" }, ...boxes));
}

function parameter(view: FormView, name: string, schema: ParameterSchema, value: string | number | undefined): HTMLElement {
  const { busy, changed } = view;
  const set = (next: string | number, rebuild: boolean): void => changed({ ...view.form, parameters: { ...view.form.parameters, [name]: next } }, rebuild);
  const title = schema.title ?? name;
  if (schema.enum !== undefined) {
    const choices = schema.enum.map((one) => ({ value: one, text: one === "all" ? "whole image" : one }));
    return field(title, select(name, choices, String(value ?? ""), busy, (next) => set(next, true)));
  }
  const numeric = schema.type === "integer" || schema.type === "number";
  const control = h("input", {
    type: "text",
    inputmode: numeric ? "decimal" : "text",
    "data-field": name,
    disabled: busy,
    value: String(value ?? ""),
    spellcheck: "false",
    autocomplete: "off",
  });
  control.addEventListener("input", () => {
    const next = parsed(schema, control.value);
    control.setAttribute("aria-invalid", String(next === null));
    set(next ?? control.value, false);
  });
  return field(title, control);
}

/** The fields of the form, all but its buttons. */
export function fields(view: FormView): HTMLElement[] {
  const { form, offer, busy, changed } = view;
  const task = taskOf(offer, form.task);
  const values = parametersOf(task, form.parameters);
  const project = offer.projects.find((one) => one.id === form.project);
  const purpose = h("input", {
    type: "text",
    "data-field": "purpose",
    disabled: busy || (project?.purpose ?? "") !== "",
    value: project?.purpose || form.purpose,
    placeholder: "DUO code, optional",
    spellcheck: "false",
    autocomplete: "off",
  });
  purpose.addEventListener("input", () => changed({ ...view.form, purpose: purpose.value.trim() }, false));
  const named = <T extends { title: string }>(all: T[], id: (one: T) => string): Choice[] => all.map((one) => ({ value: id(one), text: one.title }));
  return [
    h(
      "div",
      { class: "cl-grid" },
      field("Dataset", select("dataset", named(offer.datasets, (d) => d.id), form.dataset, busy, (id) => changed(withDataset(view.form, offer, id), true))),
      field("Task", select("task", named(offer.tasks, (t) => t.name), form.task, busy, (name) => changed({ ...view.form, task: name, parameters: {} }, true))),
      field("Project", select("project", named(offer.projects, (p) => p.id), form.project, busy, (id) => changed({ ...view.form, project: id, purpose: "" }, true))),
      field("Purpose", purpose),
    ),
    sites(view),
    h(
      "fieldset",
      {},
      h("legend", {}, "Parameters"),
      h(
        "div",
        { class: "cl-grid cl-small" },
        ...Object.entries(task?.parameters.properties ?? {}).map(([name, schema]) => parameter(view, name, schema, values[name])),
      ),
    ),
  ];
}
