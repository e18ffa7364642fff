/** The smallest page that plays a stream and shows what it costs: SDK in, text out. */

import { formatClock, formatPlanck, TickStream } from "vilokanam-web";

const element = (id: string): HTMLElement => {
  const node = document.getElementById(id);
  if (node === null) throw new Error(`no element ${id}`);
  return node;
};

// "?watch=/w/<token>/<stream>/": the address that `vilokanam token mint` prints.
const watch = new URLSearchParams(location.search).get("watch");
if (watch === null) {
  const text = "no address to watch: add ?watch=/w/<token>/<stream>/";
  element("error").textContent = text;
  throw new Error(text);
}

const video = element("video") as HTMLVideoElement;
// As a property too: the attribute alone does not mute an element that a script plays.
video.muted = true;
const stream = new TickStream({
  video,
  page: new URL(watch, location.href).href,
  boot: null,
  // The token changed: a reload has to begin with the new one.
  renamed: (path) => {
    const next = new URL(path, new URL(watch, location.href)).href;
    history.replaceState(null, "", `?${new URLSearchParams({ watch: next }).toString()}`);
  },
});

/** Symbol and decimal places of the asset come with the price. */
const money = (planck: string | null): string => {
  const { decimals, symbol } = stream.snapshot().price;
  return planck === null
    ? "\u2013"
    : `${formatPlanck(BigInt(planck), decimals, decimals)} ${symbol}`;
};

function show(): void {
  const shown = stream.snapshot();
  const reason = shown.reason === null ? "" : ` (${shown.reason})`;
  element("title").textContent = shown.title;
  element("state").textContent = shown.state + reason;
  // Before the price is known nothing is fetched: it is never shown as free.
  element("price").textContent = !shown.isPriceKnown
    ? "\u2013"
    : shown.isPriced
      ? `${money(shown.pricePlanck)} a second`
      : "free";
  element("watched").textContent = formatClock(shown.secondsWatched);
  element("spent").textContent = money(shown.spentPlanck);
  element("balance").textContent = money(shown.balancePlanck);
  element("error").textContent = shown.error;
  // Set by a refusal: `top_up_url` under [price].
  const topUp = element("top-up") as HTMLAnchorElement;
  topUp.hidden = shown.topUp.url === "";
  topUp.href = shown.topUp.url;
  // Only a click may take a session from another player.
  element("take-over").hidden = shown.state !== "kicked";
}

element("toggle").addEventListener("click", () => {
  if (stream.snapshot().state === "live") stream.pause();
  else stream.play();
});
element("sound").addEventListener("click", () => stream.setMuted(!stream.snapshot().isMuted));
element("take-over").addEventListener("click", () => void stream.takeOver());
addEventListener("pagehide", () => stream.destroy());

stream.subscribe(show);
show();
stream.start();
