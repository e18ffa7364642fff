/** What one watches: players now, limits of one's own, and what was watched and paid. */

import { formatExact, formatShort, formatSpan, parseAmount } from "../sdk/money";
import type {
  Asset,
  Letters,
  Limits,
  LimitValues,
  OwnPass,
  Player,
  PlayerSettings,
  WatchedShow,
} from "./api";
import { button, day, el, section } from "./dom";
import { coveredText, passes } from "./passes";

export interface Watching {
  players: Player[];
  limits: Limits;
  settings: PlayerSettings;
  letters: Letters;
  asset: Asset;
  shows: WatchedShow[];
  passes: OwnPass[];
  hasMorePasses: boolean;
  hasOlder: boolean;
}

export interface WatchingActs {
  endPlayer: (player: string) => void;
  limit: (values: LimitValues) => void;
  setLetters: (planck: string, address: string) => void;
  setPlayers: (settings: PlayerSettings) => void;
  older: () => void;
}

const FIELDS = {
  session_planck: "For one player",
  stream_planck: "For one stream, in all",
  day_planck: "A day",
};
type Field = keyof typeof FIELDS;

export function watching(seen: Watching, acts: WatchingActs): HTMLElement[] {
  return [
    players(seen.players, acts),
    limits(seen, acts),
    stops(seen.settings, acts),
    ...(seen.letters.can_send ? [letters(seen, acts)] : []),
    ...passes(seen.passes, seen.hasMorePasses, seen.asset),
    history(seen, acts),
  ];
}

function players(list: Player[], acts: WatchingActs): HTMLElement {
  if (list.length === 0) {
    return section("Playing now", el("p", {}, "No player of yours is open."));
  }
  const items = list.map((item) => {
    const name = agentText(item.agent);
    const title = item.title ?? HIDDEN;
    const text = ` ${name}, since ${moment(item.began_ms)}${lastSeen(item)} `;
    const end = `End ${title} on ${name}`;
    return el(
      "li",
      {},
      el("b", {}, title),
      text,
      button("End", "plain", () => acts.endPlayer(item.player), end),
    );
  });
  return section("Playing now", el("ul", {}, ...items));
}

const HIDDEN = "A stream that is not for you any more";

function lastSeen({ seen_ms }: Player): string {
  return seen_ms === null ? "" : `, last picture ${moment(seen_ms)}`;
}

function limits({ limits: known, asset }: Watching, acts: WatchingActs): HTMLElement {
  const inputs = (Object.keys(FIELDS) as Field[]).map((field) => {
    const input = el("input", {
      name: field,
      inputMode: "decimal",
      autocomplete: "off",
      value: known[field] === "0" ? "" : formatExact(BigInt(known[field]), asset.decimals),
    });
    input.addEventListener("input", () => input.setCustomValidity(""));
    return input;
  });
  const form = el(
    "form",
    {
      className: "fields",
      onsubmit: (event) => {
        event.preventDefault();
        const values = read(inputs, asset);
        if (values !== null) acts.limit(values);
      },
    },
    ...inputs.map((input) => {
      const field = input.name as Field;
      const hint = inForce(known, field, asset);
      return el("label", {}, `${FIELDS[field]}, ${asset.symbol}`, input, el("small", {}, hint));
    }),
    el("button", { type: "submit", className: "button quiet" }, "Keep these limits"),
  );
  const text = "The picture stops where a limit is reached, on every device. Empty is no limit.";
  return section("Your limits", el("p", {}, text), form);
}

/** Return the limits that are written, null after telling at its field which is none. */
function read(inputs: HTMLInputElement[], asset: Asset): LimitValues | null {
  const values: LimitValues = { session_planck: "0", stream_planck: "0", day_planck: "0" };
  for (const input of inputs) {
    const planck = amountOf(input, asset);
    if (planck === null) return null;
    values[input.name as Field] = String(planck);
  }
  return values;
}

/** Return the planck of a field, 0 of an empty one, null after telling there that it is no amount. */
function amountOf(input: HTMLInputElement, asset: Asset): bigint | null {
  if (input.value.trim() === "") return 0n;
  const fault = amountFault(input.value, asset.decimals);
  if (fault === "") return parseAmount(input.value, asset.decimals);
  input.setCustomValidity(fault);
  input.reportValidity();
  return null;
}

/** Return what is wrong with an amount that somebody wrote, or "". */
export function amountFault(text: string, decimals: number): string {
  const planck = parseAmount(text, decimals);
  if (planck === null) {
    return `Write an amount such as 2.5, with at most ${decimals} digits behind the point; empty is none.`;
  }
  return planck === 0n ? "0 would never be reached: leave it empty for none." : "";
}

function inForce(known: Limits, field: Field, asset: Asset): string {
  if (known.in_force[field] === known[field]) return "";
  const planck = BigInt(known.in_force[field]);
  return `This server allows ${formatShort(planck, asset.decimals)} ${asset.symbol}.`;
}

function letters({ letters: known, asset }: Watching, acts: WatchingActs): HTMLElement {
  const title = "When your balance runs down";
  if (known.addresses.length === 0) {
    const text = "Add an e-mail address below, and you can be written to when little is left.";
    return section(title, el("p", {}, text));
  }
  const planck = BigInt(known.low_balance_planck);
  const input = el("input", { inputMode: "decimal", autocomplete: "off" });
  input.value = planck === 0n ? "" : formatExact(planck, asset.decimals);
  input.addEventListener("input", () => input.setCustomValidity(""));
  const address = el("select", {});
  for (const item of known.addresses) {
    address.append(new Option(item, item, false, item === known.address));
  }
  const form = el(
    "form",
    {
      className: "fields",
      onsubmit: (event) => {
        event.preventDefault();
        const wanted = amountOf(input, asset);
        if (wanted !== null) acts.setLetters(String(wanted), address.value);
      },
    },
    el("label", {}, `Write to me below, ${asset.symbol}`, input),
    el("label", {}, "To", address),
    el("button", { type: "submit", className: "button quiet" }, "Keep this"),
  );
  const text =
    "One letter when less than this is left while you watch, and one when it is used up; again " +
    "only after you paid in. Empty is no letters.";
  return section(title, el("p", {}, text), form);
}

const HIDDEN_STOPS_S = [10, 60, 300, 900, 3600, 0];
const ASKS_AFTER_S = [1800, 3600, 7200, 14_400, 28_800, 0];

function stops(known: PlayerSettings, acts: WatchingActs): HTMLElement {
  const hidden = choice(HIDDEN_STOPS_S, known.hidden_stop_s, 60);
  const ask = choice(ASKS_AFTER_S, known.ask_after_s, 14_400);
  const form = el(
    "form",
    {
      className: "fields",
      onsubmit: (event) => {
        event.preventDefault();
        acts.setPlayers({ hidden_stop_s: Number(hidden.value), ask_after_s: Number(ask.value) });
      },
    },
    el("label", {}, "Stop a page that is hidden and silent after", hidden),
    el("label", {}, "Ask whether I still watch, untouched for", ask),
    el("button", { type: "submit", className: "button quiet" }, "Keep this"),
  );
  const text =
    "What costs something stops by itself where nobody watches: unseen without sound, or when " +
    "the question had no answer for a minute.";
  return section("When nobody watches", el("p", {}, text), form);
}

function choice(offered: number[], chosen: number, usual: number): HTMLSelectElement {
  const made = el("select", {});
  const all = offered.includes(chosen) ? offered : [chosen, ...offered];
  for (const seconds of all) {
    const words = seconds === 0 ? "never" : formatSpan(seconds);
    const label = seconds === usual ? `${words} (as usual)` : words;
    made.append(new Option(label, String(seconds), false, seconds === chosen));
  }
  return made;
}

function history(
  { shows, passes: own, asset, hasOlder }: Watching,
  acts: WatchingActs,
): HTMLElement {
  if (shows.length === 0) {
    const text = "Nothing that costs something was watched yet.";
    return section("What you watched", el("p", {}, text));
  }
  const items = shows.map((item) => {
    const cost = `${formatShort(BigInt(item.planck), asset.decimals)} ${asset.symbol}${backText(item, asset)}`;
    const free = coveredText(item, own);
    const title = item.title ?? HIDDEN;
    const link = el("a", { href: item.receipts_url, rel: "noreferrer" }, "Receipt");
    link.setAttribute("aria-label", `Receipt of ${title}, ${day(item.from_ms)}`);
    return el(
      "li",
      {},
      el("b", {}, title),
      ` ${moment(item.from_ms)}, ${formatSpan(item.seconds)}${free}, ${cost} `,
      link,
    );
  });
  const made = section("What you watched", el("ul", {}, ...items));
  if (hasOlder) made.append(button("Show older", "quiet", acts.older));
  return made;
}

/** Return what of a show came back because its seconds were bad, empty when nothing did. */
export function backText(item: WatchedShow, asset: Asset): string {
  const back = BigInt(item.given_back);
  if (back === 0n) return "";
  return `, of which ${formatShort(back, asset.decimals)} ${asset.symbol} came back`;
}

function moment(ms: number): string {
  return new Date(ms).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

/** A browser's own word for itself, in two words. */
export function agentText(agent: string): string {
  const browser = ["Firefox", "Edg", "OPR", "Chrome", "Safari"].find((name) =>
    agent.includes(`${name}/`),
  );
  const system = ["iPhone", "iPad", "Android", "Windows", "Macintosh", "Linux"].find((name) =>
    agent.includes(name),
  );
  const names: Record<string, string> = { Edg: "Edge", OPR: "Opera", Macintosh: "Mac" };
  const words = [browser, system].filter((word) => word !== undefined);
  return words.map((word) => names[word] ?? word).join(" on ") || "A program";
}
