// A few lines instead of a framework.
type Values = Record<string, string | number | boolean | undefined>;

function fill<E extends Element>(element: E, values: Values, children: (Node | string)[]): E {
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children);
  return element;
}

export function h<K extends keyof HTMLElementTagNameMap>(tag: K, values: Values = {}, ...children: (Node | string)[]): HTMLElementTagNameMap[K] {
  return fill(document.createElement(tag), values, children);
}

export function s<K extends keyof SVGElementTagNameMap>(tag: K, values: Values = {}, ...children: (Node | string)[]): SVGElementTagNameMap[K] {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), values, children);
}
