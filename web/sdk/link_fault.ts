/** Why a link opens nothing. */

const FAULTS = ["expired", "key", "malformed", "signature", "stream"] as const;

/** The server's reason; `token` where it names none of these. */
export type LinkFault = (typeof FAULTS)[number] | "token";

/** Return the fault that the `reason` of a problem document names. */
export function linkFault(reason: unknown): LinkFault {
  return FAULTS.find((fault) => fault === reason) ?? "token";
}
