/** What is told of a link that opens nothing: the server's own words (api/notice_page.py). */

import type { LinkFault } from "../sdk/link_fault";
import type { Snapshot } from "../sdk/snapshot";

const WORDS: Record<Exclude<LinkFault, "token">, [string, string]> = {
  malformed: [
    "This link is damaged",
    "A part of it is missing or changed: open it again from where you got it.",
  ],
  key: [
    "This link has ended",
    "The server's keys were changed since it was made. Ask for a new one where you got it.",
  ],
  signature: [
    "This link is not from here",
    "This server did not make it, or it was changed. Ask for a new one where you got it.",
  ],
  expired: ["This link has expired", "Ask for a new one where you got it."],
  stream: [
    "This link is for another stream",
    "It opens only that one. Ask for a link for this stream where you got it.",
  ],
};

/** Return title and text for a state `denied`. */
export function linkLines(shown: Snapshot): [string, string] {
  const { reason } = shown;
  return reason !== null && reason in WORDS
    ? WORDS[reason as keyof typeof WORDS]
    : ["This link does not work", "Ask for a new one where you got it."];
}

/** True where the same link may work later: for a known fault it never does. */
export function mayTryAgain(shown: Snapshot): boolean {
  return shown.reason === null || !(shown.reason in WORDS);
}
