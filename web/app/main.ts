/**
 * The watch page: SDK in, DOM out. No framework: the panel is a dozen text nodes, and each byte
 * of this file delays the first picture. React pages use sdk/react.ts.
 */

import "./mark";
import "./page.css";
import "./stage.css";
import "./panel.css";
import "./small_screen.css";

import { TickStream, type Snapshot } from "../sdk";
import { rememberAgreement, rememberedAgreement } from "./agreement";
import { hideLink } from "./link";
import { rememberedLimit } from "./own_limit";
import { rememberedPlay, rememberPlay } from "./visit";
import {
  canAgreeNext,
  digitsOf,
  figures,
  fineLine,
  limitLabel,
  LIMITS_S,
  nextPriceLine,
  noticeFor,
  priceLines,
  statusLine,
  toastLine,
  topUpAddress,
  warningLine,
  type Action,
} from "./messages";

declare global {
  interface Window {
    /** For tests and consoles: the snapshot as it is now. */
    vilokanam?: Snapshot & { stream_: TickStream };
  }
}

// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- index.html, built with this file, decides the type
const $ = <T extends HTMLElement>(id: string): T => {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`no element ${id}`);
  return element as T;
};

const video = $<HTMLVideoElement>("video");
// As a property too: the attribute alone does not mute an element that a script plays.
video.muted = true;

const slug = window.__boot?.stream ?? location.pathname.split("/").at(-2) ?? "";
const stream = new TickStream({
  video,
  page: location.href,
  boot: window.__boot ?? null,
  agreed: rememberedAgreement(slug),
  playedS: rememberedPlay(slug),
  ...(window.__early && { early: window.__early }),
  renamed: hideLink,
});
stream.start();
// Of what is free nobody loses anything: that address stays as it was opened.
if (stream.snapshot().isPriced && stream.snapshot().session !== null) {
  hideLink(stream.snapshot().path);
}
performance.mark("vilokanam:started");

// The way in anew, from this very address: the server's page asks who comes, and for what limit.
addEventListener("hashchange", () => {
  if (location.hash === "#watch") location.reload();
});

// --- showing

const root = document.documentElement;
const stage = $("stage");
const notice = $("notice");
const noticeButton = $<HTMLButtonElement>("notice-button");
const noticeLink = $<HTMLAnchorElement>("notice-link");
const gauge = $("gauge");
const noticeOther = $<HTMLButtonElement>("notice-other");
const limitChoice = $<HTMLSelectElement>("limit-choice");
let pending: Action = "play";
let pendingOther: Action = "play";
/** The largest balance so far, in seconds: the full length of the gauge. */
let secondsMost = 1;
/** Digits behind the point, enough for every price since the page opened: they never get fewer. */
let digits = 0;
const ownLimit = rememberedLimit(slug);

function text(id: string, value: string): void {
  const element = $(id);
  if (element.textContent !== value) element.textContent = value;
}

function show(shown: Snapshot): void {
  root.dataset["state"] = shown.state;
  root.dataset["muted"] = String(shown.isMuted);
  document.title = shown.state === "live" ? `\u25cf ${shown.title}` : shown.title;
  text("title", shown.title);
  text("status", statusLine(shown));
  showNotice(shown);
  showMeter(shown);

  const toast = toastLine(shown);
  $("toast").hidden = toast === null;
  if (toast !== null) text("toast", toast);
  $("toast").dataset["tone"] = shown.state === "live" ? "warn" : "calm";

  $("sound").hidden = !shown.isMuted || shown.state !== "live" || shown.firstFrameMs === null;
  const isPaused = shown.state === "paused";
  $("toggle").setAttribute("aria-label", isPaused ? "Play" : "Pause");
  $("mute").setAttribute("aria-label", shown.isMuted ? "Turn sound on" : "Turn sound off");
  $("mute").setAttribute("aria-pressed", String(!shown.isMuted));
  text("live-word", shown.state === "live" ? "Live" : "");
  text("latency", shown.latencyS === null ? "" : `${shown.latencyS.toFixed(1)} s behind`);
  text("behind", shown.latencyS === null ? "\u2013" : `${shown.latencyS.toFixed(1)}\u00a0s`);
  text("fine", fineLine(shown));
  // Of a stream by invitation only who has a link may know.
  $<HTMLAnchorElement>("report").href = `${shown.path}report`;
}

function showNotice(shown: Snapshot): void {
  const now = noticeFor(shown);
  notice.hidden = now === null;
  if (now === null) return;
  notice.dataset["eye"] = now.eye;
  text("notice-title", now.title);
  text("notice-text", now.text);
  text("notice-hint", now.hint);
  text("notice-error", shown.error);
  $("notice-error").hidden = shown.error === "";
  noticeButton.hidden = now.action === null;
  noticeButton.disabled = shown.isBusy;
  if (now.action !== null) {
    pending = now.action.kind;
    text("notice-button", shown.isBusy ? "One moment\u2026" : now.action.label);
  }
  noticeOther.hidden = now.other === null;
  if (now.other !== null) {
    pendingOther = now.other.kind;
    text("notice-other", now.other.label);
  }
  if (now.hasLimit) showLimits(shown);
  $("limit").hidden = !now.hasLimit;
  noticeLink.hidden = now.link === null;
  if (now.link !== null) {
    noticeLink.href = now.link.url;
    // A way of ours goes on in this tab; where one pays is another place.
    noticeLink.target = now.link.url.startsWith("/") ? "_self" : "_blank";
    text("notice-link", now.link.label);
  }
}

/** Offer limits in hours at the present price; what was chosen last stays chosen. */
function showLimits(shown: Snapshot): void {
  if (limitChoice.dataset["price"] === shown.pricePlanck) return;
  limitChoice.dataset["price"] = shown.pricePlanck;
  const price = BigInt(shown.pricePlanck);
  const options = LIMITS_S.map((seconds) => {
    const value = (price * BigInt(seconds)).toString();
    return new Option(limitLabel(shown, seconds), value, false, value === shown.limitPlanck);
  });
  const isNever = shown.reason !== "own_limit" && shown.limitPlanck === null;
  limitChoice.replaceChildren(...options, new Option("No limit", "", isNever, isNever));
}

function showMeter(shown: Snapshot): void {
  digits = Math.max(digits, digitsOf(shown));
  const { spent, balance, watched, billed, left, limit } = figures(shown, digits, ownLimit);
  $("own-limit").hidden = limit === "";
  text("own-limit-amount", limit);
  $("meter").classList.toggle("free", !shown.isPriced);
  text("spent", spent);
  text("symbol", shown.price.symbol);
  const [perSecond, perMore] = priceLines(shown);
  text("price", perSecond);
  text("price-more", perMore);
  const next = nextPriceLine(shown);
  $("price-next").hidden = next === null;
  text("price-next", next ?? "");
  const canAgree = canAgreeNext(shown);
  $("agree-next").hidden = !canAgree;
  if (canAgree) text("agree-next", "Go on at that price");
  text("watched", watched);
  text("billed", billed);
  text("balance", balance === "\u2013" ? balance : `${balance}\u00a0${shown.price.symbol}`);
  text("left", left);

  const { secondsLeft } = shown;
  if (secondsLeft !== null) {
    secondsMost = Math.max(secondsMost, secondsLeft);
    const share = secondsLeft / secondsMost;
    gauge.setAttribute("aria-valuenow", String(Math.round(share * 100)));
    gauge.setAttribute("aria-valuetext", `${left} left`);
    (gauge.firstElementChild as HTMLElement).style.transform = `scaleX(${share})`;
  }
  gauge.toggleAttribute("data-low", shown.warning !== null);
  const warning = warningLine(shown);
  $("warning").hidden = warning === null;
  $("warning").toggleAttribute("data-loud", shown.warning === 10);
  if (warning !== null) text("warning", warning);

  // While the picture is covered the same button is shown there.
  const isOnStage = shown.state === "stopped";
  $("top-up").hidden = !shown.isPriced || !shown.topUp.isOpen || isOnStage;
  $<HTMLButtonElement>("top-up").disabled = shown.isBusy;
  const link = $<HTMLAnchorElement>("top-up-link");
  // In a tab of its own: here it plays on.
  const address = topUpAddress(shown, false);
  link.hidden = !shown.isPriced || shown.topUp.isOpen || address === "" || isOnStage;
  if (!link.hidden) link.href = address;
  const receipts = $<HTMLAnchorElement>("receipts");
  receipts.hidden = shown.session === null || !shown.isPriced;
  receipts.href = `${shown.path}receipts`;
}

/** Keep the last picture under the video, so that a pause or reconnect does not show black. */
function keepStill(): void {
  const still = $<HTMLCanvasElement>("still");
  if (video.videoWidth === 0) return;
  still.width = video.videoWidth;
  still.height = video.videoHeight;
  still.getContext("2d")?.drawImage(video, 0, 0);
}

function dropStill(): void {
  $<HTMLCanvasElement>("still").width = 0;
}

let lastState = stream.snapshot().state;
function changed(): void {
  const shown = stream.snapshot();
  if (shown.state !== lastState) {
    if (["paused", "reconnecting", "slowed", "loading"].includes(shown.state)) keepStill();
    // What is not paid for is not shown, not even as a still picture.
    if (
      ["asking", "stuck", "stopped", "kicked", "denied", "ended", "offline"].includes(shown.state)
    ) {
      dropStill();
    }
    lastState = shown.state;
  }
  rememberPlay(slug, shown.secondsPlayed);
  window.vilokanam = { ...shown, stream_: stream };
  show(shown);
}
stream.subscribe(changed);
changed();
performance.mark("vilokanam:shown");

// --- acting

function toggle(): void {
  const { state } = stream.snapshot();
  if (state === "asking") act("agree");
  else if (state === "paused" || state === "stuck") stream.play();
  else stream.pause();
}

function act(kind: Action): void {
  if (kind === "agree") agree(limitChoice.value || null, false);
  else if (kind === "smaller") stream.playSmaller();
  else if (kind === "top-up") void stream.topUp();
  else if (kind === "take-over") void stream.takeOver();
  else stream.play();
}

function agree(limit: string | null, isNextIncluded: boolean): void {
  stream.agree(limit === null ? null : BigInt(limit), isNextIncluded);
  const { agreedPlanck, limitPlanck } = stream.snapshot();
  if (agreedPlanck !== null) rememberAgreement(slug, agreedPlanck, limitPlanck);
}

function setSound(isMuted: boolean): void {
  if (!isMuted && video.volume === 0) $<HTMLInputElement>("volume").value = "1";
  video.volume = Number($<HTMLInputElement>("volume").value);
  stream.setMuted(isMuted);
}

function fullScreen(): void {
  // iPhones know full screen only for the video element itself.
  const native = video as HTMLVideoElement & { webkitEnterFullscreen?: () => void };
  if (document.fullscreenElement) void document.exitFullscreen();
  else if ("requestFullscreen" in stage) void stage.requestFullscreen().catch(() => undefined);
  else native.webkitEnterFullscreen?.();
}

$("toggle").addEventListener("click", toggle);
$("sound").addEventListener("click", () => setSound(false));
$("mute").addEventListener("click", () => setSound(!stream.snapshot().isMuted));
$("volume").addEventListener("input", () => {
  video.volume = Number($<HTMLInputElement>("volume").value);
  stream.setMuted(video.volume === 0);
});
$("full").addEventListener("click", fullScreen);
$("top-up").addEventListener("click", () => act("top-up"));
$("agree-next").addEventListener("click", () => agree(stream.snapshot().limitPlanck, true));
noticeButton.addEventListener("click", () => act(pending));
noticeOther.addEventListener("click", () => act(pendingOther));
video.addEventListener("click", () => {
  // The first tap on a touch screen only shows the controls.
  if (!wasIdle) toggle();
});
video.addEventListener("dblclick", fullScreen);

addEventListener("keydown", (event) => {
  const isControl =
    event.target instanceof Element && event.target.closest("button,a,input,select");
  if (isControl || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " " || event.key === "k") toggle();
  else if (event.key === "m") setSound(!stream.snapshot().isMuted);
  else if (event.key === "f") fullScreen();
  else return;
  event.preventDefault();
});

/** The controls are hidden after the pointer has rested this long. */
const IDLE_MS = 2_800;
let idle: ReturnType<typeof setTimeout> | undefined;
let wasIdle = false;
function showControls(): void {
  stage.classList.remove("idle");
  clearTimeout(idle);
  idle = setTimeout(() => {
    if (stream.snapshot().state === "live") stage.classList.add("idle");
  }, IDLE_MS);
}
stage.addEventListener("pointermove", showControls);
stage.addEventListener("pointerdown", (event) => {
  wasIdle = event.pointerType === "touch" && stage.classList.contains("idle");
  showControls();
});
stage.addEventListener("focusin", showControls);
showControls();

addEventListener("pagehide", () => {
  // Another player may have the place at once; this one takes it again by what it asks for next.
  const { session, path } = stream.snapshot();
  if (session !== null) {
    void fetch(`${path}session`, { method: "DELETE", keepalive: true, credentials: "omit" });
  }
  stream.destroy();
});
addEventListener("pageshow", (event) => {
  // From the back-forward cache: everything was released.
  if (event.persisted) location.reload();
});
