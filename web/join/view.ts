/** Where the join page shows things: below the server's words, one step at a time. */

import { button, el } from "../me/dom";
import * as passkey from "../me/passkey";

export const root = document.getElementById("join");
const view = el("div", {});
view.setAttribute("aria-live", "polite");
const line = el("p", { className: "error" });
line.setAttribute("role", "alert");
root?.append(view, line);

export function show(...children: Node[]): void {
  view.replaceChildren(...children);
}

/** Do one thing after a press; what is refused is said, and can be pressed again. */
export async function run(act: () => Promise<void>): Promise<void> {
  line.textContent = "";
  const buttons = [...view.querySelectorAll("button")];
  for (const item of buttons) item.disabled = true;
  try {
    await act();
  } catch (error) {
    line.textContent = passkey.refusalText(error);
  }
  for (const item of buttons) item.disabled = false;
}

export const press = (label: string, tone: string, act: () => Promise<void>): HTMLButtonElement =>
  button(label, tone, () => void run(act));

export const text = (words: string): HTMLElement => el("p", {}, words);

/** Put other words in place of the server's. */
export function retitle(title: string, ...lines: string[]): void {
  const heading = document.querySelector("h1");
  if (heading !== null) heading.textContent = title;
  for (const old of document.querySelectorAll("main > p")) old.remove();
  root?.before(...lines.map(text));
  document.title = title;
}
