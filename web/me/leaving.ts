/** All that is held of somebody as a file, and the end of their account. */

import { button, el, section } from "./dom";

export interface LeavingActs {
  download: () => void;
  close: (forfeit: Pick<Left, "balance" | "isShare">) => void;
}

/** What closing was refused for: money that would be lost, `isShare` of what one earned. */
export interface Left {
  balance: string;
  isShare: boolean;
  words: string;
}

/** A page of an export: rows, and where the next one begins. */
interface Exported {
  rows: unknown[];
  next_after: string | null;
}

/** Return all rows that are held of somebody, a JSON object a line, page by page. */
export async function exported(ask: (path: string) => Promise<Exported>): Promise<string> {
  const lines: string[] = [];
  for (let after: string | null = ""; after !== null;) {
    const page: Exported = await ask(`me/export${after === "" ? "" : `?after=${after}`}`);
    lines.push(...page.rows.map((row) => JSON.stringify(row)));
    after = page.next_after;
  }
  return lines.map((line) => `${line}\n`).join("");
}

/** Hand a text to the browser's downloads. */
export function save(text: string, name: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "application/x-ndjson" }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

const NOTHING = { balance: "0", isShare: false };

export function leaving(left: Left | null, acts: LeavingActs): HTMLElement {
  const hint =
    "Closing ends every sign-in and player, and erases your name, your ways to sign in and what " +
    "is kept of your devices. What you paid stays in the books under a number. It cannot be undone.";
  const made = section(
    "Your data",
    button("Download all that is held of you", "quiet", acts.download),
  );
  const more = el("details", {}, el("summary", {}, "Close my account"), el("p", {}, hint));
  if (left === null) {
    more.append(button("Close my account for good", "quiet", () => acts.close(NOTHING)));
  } else {
    more.open = true;
    more.append(
      el("p", { className: "advice" }, left.words),
      button("Close it, and lose what is left", "quiet", () => acts.close(left)),
    );
  }
  made.append(more);
  return made;
}
