/** What is said of a picture that does not come, or does not move, and what there is to do. Pure. */

import type { Snapshot } from "../sdk/snapshot";
import type { Notice } from "./messages";

/** Return title and text of a start that takes long; empty before. */
export function openingLines(shown: Snapshot): [string, string] {
  if (shown.reason === null) return ["", ""];
  return shown.reason === "no_answer"
    ? ["The server has not answered yet", "Still trying. You pay nothing meanwhile."]
    : ["No picture has come yet", "The server has answered. Still trying to get the picture."];
}

/** Return what there is to do about a picture that does not come or move. */
export function ways(shown: Snapshot): Pick<Notice, "action" | "other"> {
  const again = { kind: "play", label: "Try again" } as const;
  if (!shown.canPlaySmaller) return { action: again, other: null };
  return { action: { kind: "smaller", label: "Try a smaller picture" }, other: again };
}

/** Return title and text of media that comes and is not shown. */
export function stuckLines(shown: Snapshot): [string, string] {
  const stopped = "Fetching has stopped, and so has the meter.";
  return shown.reason === "frozen"
    ? ["The picture stopped moving", `The stream arrives, but is not shown. ${stopped}`]
    : ["There is no picture yet", `The stream arrives, but no picture of it appears. ${stopped}`];
}
