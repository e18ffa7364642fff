/** Elements in one line: text is text, never markup. */

type Child = Node | string;

export function el<K extends keyof HTMLElementTagNameMap>(
  name: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export function button(
  label: string,
  className: string,
  run: () => void,
  name = label,
): HTMLButtonElement {
  const made = el(
    "button",
    { type: "button", className: `button ${className}`, onclick: run },
    label,
  );
  made.setAttribute("aria-label", name);
  return made;
}

export function section(title: string, ...children: Node[]): HTMLElement {
  return el("section", {}, el("h2", {}, title), ...children);
}

export function day(ms: number): string {
  return new Date(ms).toLocaleDateString(undefined, { dateStyle: "medium" });
}
