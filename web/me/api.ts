/** The API as the account page uses it: JSON, this origin's cookie, and problems as errors. */

export interface Credential {
  id: string;
  kind: "passkey" | "wallet" | "oidc" | "mail";
  label: string;
  subject: string | null;
  created_ms: number;
  used_ms: number | null;
}

export interface Me {
  person: string;
  name: string;
  account: string | null;
  roles: string[];
  credentials: Credential[];
  recovery_codes: number;
  streams: { id: string; slug: string; roles: string[] }[];
  balance: string | null;
  /** What of the balance's last payments went back after it was spent; planck. */
  debt: string | null;
  advice: string[];
}

export interface Session {
  id: string;
  is_this: boolean;
  seen_ms: number;
  address: string;
  agent: string;
}

/** A player that one's account pays for; a stream that is not for them any more has no name. */
export interface Player {
  player: string;
  stream: string | null;
  title: string | null;
  agent: string;
  began_ms: number;
  seen_ms: number | null;
}

export interface WatchedShow {
  stream: string | null;
  title: string | null;
  show: number | null;
  from_ms: number;
  to_ms: number;
  seconds: number;
  covered_seconds: number;
  planck: string;
  given_back: string;
  receipts_url: string;
}

/** A pass that one bought; without an end it is for one show. */
export interface OwnPass {
  stream: string;
  show: number | null;
  planck: string;
  from_tick: number;
  until_ms: number | null;
  created_ms: number;
  refunded_ms: number | null;
}

export interface Watched {
  shows: WatchedShow[];
  next_before: string | null;
}

/** Planck as text; "0" is no limit. */
export interface LimitValues {
  session_planck: string;
  stream_planck: string;
  day_planck: string;
}

export interface Limits extends LimitValues {
  in_force: LimitValues;
}

/** When players stop by themselves, seconds; 0 is never. */
export interface PlayerSettings {
  hidden_stop_s: number;
  ask_after_s: number;
}

/** Whether one is written to when one's balance runs down. */
export interface Letters {
  low_balance_planck: string;
  address: string | null;
  addresses: string[];
  can_send: boolean;
}

export interface Asset {
  symbol: string;
  decimals: number;
}

export interface Invitation {
  kind: "viewer" | "stream" | "role";
  role: string | null;
  name: string;
}

export interface Ways {
  passkey: boolean;
  sign_up: boolean;
  mail: boolean;
  oidc: string[];
  is_signed_in: boolean;
  origin: string;
}

/** What the server refused, in its own words. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly reason: string,
    detail: string,
    readonly balance = "",
    /** What a join on the chain lacks: `escrow`, `join`, `price`. */
    readonly missing: readonly string[] = [],
    /** What somebody earned and was not paid, in planck. */
    readonly earnings = "",
  ) {
    super(detail);
  }
}

interface ProblemBody {
  detail?: string;
  reason?: string;
  balance?: string;
  missing?: string[];
  earnings_planck?: string;
}

/** Ask the API; the answer's shape is the caller's to know. Throws a `Problem`. */
export async function ask<T>(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<T> {
  const answer = await fetch(`/api/v1/${path}`, {
    method,
    credentials: "same-origin",
    headers: { Accept: "application/json", "Content-Type": "application/json", ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const answered: unknown = await answer.json().catch(() => ({}));
  if (answer.ok) return answered as T;
  const {
    detail = `The server answered ${answer.status}.`,
    reason = "",
    balance = "",
    missing = [],
    earnings_planck = "",
  } = answered as ProblemBody;
  throw new Problem(answer.status, reason, detail, balance, missing, earnings_planck);
}
