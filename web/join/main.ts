/**
 * What a newcomer does at the address of a stream that costs something or is not for everybody: sign
 * in or stay as a guest, set a limit, pay in, watch. The server's page (mediaserver/api/watch_page.py)
 * says what it is; this adds the way in, and ends by opening the watch page with a link of one's own,
 * at the same address.
 */

import { beginGuest } from "./guest";
import { begin, choose, signedIn } from "./joining";
import { root } from "./view";

/** Return the secret of the guest link that the page was opened by; it is never sent in an address. */
function secretOfLink(): string {
  return new URLSearchParams(location.hash.slice(1)).get("guest") ?? "";
}

function main(): void {
  const secret = secretOfLink();
  if (secret !== "" || root?.dataset["isHidden"] !== undefined) beginGuest(secret);
  else begin("Watch", () => signedIn(choose));
}

addEventListener("hashchange", main);
main();
