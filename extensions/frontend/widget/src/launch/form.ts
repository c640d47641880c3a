// The form's state: pure functions. What is chosen always fits what is offered.
import type { Form, Offer, ParameterSchema, TaskOffer } from "./contract";

export const taskOf = (offer: Offer, name: string): TaskOffer | undefined => offer.tasks.find((task) => task.name === name);

/** The parameters of a task in full: the form's own where it has them, else the task's defaults. */
export function parametersOf(task: TaskOffer | undefined, given: Form["parameters"]): Form["parameters"] {
  const all: Form["parameters"] = {};
  for (const [name, schema] of Object.entries(task?.parameters.properties ?? {})) {
    const value = given[name] ?? schema.default;
    if (value !== undefined) all[name] = value;
  }
  return all;
}

/** The form after another dataset was chosen: all its sites. */
export function withDataset(form: Form, offer: Offer, id: string): Form {
  const dataset = offer.datasets.find((one) => one.id === id);
  return { ...form, dataset: id, sites: dataset?.sites.map((site) => site.name) ?? [] };
}

/** The form with one site added or taken away, in the order in which they are offered. */
export function withSite(form: Form, offer: Offer, name: string, chosen: boolean): Form {
  const order = offer.datasets.find((one) => one.id === form.dataset)?.sites.map((site) => site.name) ?? [];
  const wanted = new Set(form.sites);
  if (chosen) wanted.add(name);
  else wanted.delete(name);
  return { ...form, sites: order.filter((site) => wanted.has(site)) };
}

/** What was typed as the value that the schema means; null when it does not fit. */
export function parsed(schema: ParameterSchema, text: string): string | number | null {
  if (schema.type === "integer" || schema.type === "number") {
    const value = Number(text.trim());
    if (text.trim() === "" || !Number.isFinite(value)) return null;
    if (schema.type === "integer" && !Number.isInteger(value)) return null;
    if (schema.minimum !== undefined && value < schema.minimum) return null;
    if (schema.maximum !== undefined && value > schema.maximum) return null;
    return value;
  }
  if (schema.enum !== undefined && !schema.enum.includes(text)) return null;
  if (schema.pattern !== undefined && !new RegExp(schema.pattern, "u").test(text)) return null;
  return text;
}

/** What the schema asks for, in words. */
export function expectation(schema: ParameterSchema): string {
  const kind = schema.type === "integer" ? "a whole number" : schema.type === "number" ? "a number" : "capital letters, such as CT or MR";
  if (schema.type === "integer" && schema.minimum !== undefined && schema.maximum !== undefined) {
    return `${kind} from ${schema.minimum} to ${schema.maximum}`;
  }
  return kind;
}

/** What keeps the form from being submitted, each with the field that it is about; empty when nothing does. */
export function problems(form: Form, offer: Offer): { field: string; text: string }[] {
  const found: { field: string; text: string }[] = [];
  if (!offer.datasets.some((one) => one.id === form.dataset)) found.push({ field: "dataset", text: "Choose a dataset." });
  if (!offer.projects.some((one) => one.id === form.project)) found.push({ field: "project", text: "Choose a project." });
  if (form.sites.length === 0) found.push({ field: "sites", text: "Choose at least one site." });
  if (form.purpose !== "" && !/^DUO:[0-9]{7}$/.test(form.purpose)) {
    found.push({ field: "purpose", text: "A purpose is a DUO code such as DUO:0000007, or empty." });
  }
  for (const [name, schema] of Object.entries(taskOf(offer, form.task)?.parameters.properties ?? {})) {
    const value = form.parameters[name] ?? schema.default;
    if (value === undefined || parsed(schema, String(value)) === null) {
      found.push({ field: name, text: `${schema.title ?? name} must be ${expectation(schema)}.` });
    }
  }
  const { low, high } = parametersOf(taskOf(offer, form.task), form.parameters);
  if (typeof low === "number" && typeof high === "number" && low >= high) {
    found.push({ field: "high", text: "High must be above low." });
  }
  return found;
}
