/**
 * One stream being watched: joins player, meter and session, and keeps the snapshot that pages show.
 * Framework-free; React binds to `subscribe` and `snapshot` (react.ts).
 */

import { delayMs, OFFLINE, RECONNECT, REFUSED, type Backoff } from "./backoff";
import { Counter } from "./counter";
import { keepText, type EarlyMap } from "./prefetch";
import { findShow } from "./probe";
import { Lease } from "./token_renewal";
import { warningFor } from "./meter";
import { Player } from "./player";
import { prefixOf } from "./token_path";
import type { Refusal } from "./refusal";
import { failureOf, request, safeUrl } from "./request";
import { edgeTarget, firstVariant, partTargetOf, scanOpening } from "./playlist";
import type { Snapshot, State } from "./snapshot";
import { MeterSocket } from "./socket";
import { parseObject, parsePlanck, type Boot, type MeterMessage, type Minted } from "./types";

export interface StreamOptions {
  video: HTMLVideoElement;
  /** Absolute URL of the watch page, `/[w/<token>/]<stream>/`. */
  page: string;
  boot: Boot | null;
  /** Answers already on their way; the SDK adds its own. */
  early?: EarlyMap;
  /** Called with the page's new path when the token changes, to put it into the address bar. */
  renamed?: (path: string) => void;
}

const TICK_MS = 200;
/** A stall shorter than this is not worth a word. */
const WAIT_SHOWN_MS = 1_200;
/** After a stall this long the page asks for itself whether the show goes on without it. */
const STUCK_MS = 6_000;
/** Buffer that counts as played out. */
const DRAINED_S = 0.12;
const NO_PRICE = { planck_per_s: "0", symbol: "", decimals: 0 };

export class TickStream {
  readonly #video: HTMLVideoElement;
  readonly #early: EarlyMap;
  readonly #boot: Boot;
  readonly #renamed: (path: string) => void;
  readonly #player: Player;
  readonly #socket: MeterSocket;
  readonly #lease: Lease;
  readonly #counter: Counter;
  readonly #listeners = new Set<() => void>();
  /** The server's clock less ours, ms. */
  readonly #clockSkewMs: number;
  #page: string;
  #snapshot: Snapshot;
  #ticker: ReturnType<typeof setInterval> | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #attempt = 0;
  #hasRenewed = false;
  #stalledSinceMs: number | null = null;
  /** What follows once the paid buffer is played. */
  #drain: "stopped" | "kicked" | "denied" | null = null;
  #balanceAtStop: bigint | null = null;
  #endedShow: string | null = null;
  #show: string | null = null;
  /** The playlist that a stuck page saw last: one that grew since is played from its edge. */
  #seen: string | null = null;
  #isDestroyed = false;

  constructor(options: StreamOptions) {
    this.#video = options.video;
    this.#early = options.early ?? new Map();
    this.#renamed = options.renamed ?? (() => undefined);
    this.#page = new URL(".", options.page).href;
    const path = new URL(this.#page).pathname;
    this.#boot = options.boot ?? {
      stream: path.split("/").at(-2) ?? "",
      title: "",
      state: "offline",
      multivariant: null,
      playlist: null,
      price: NO_PRICE,
      session: null,
      top_up: { open: false, url: "" },
    };
    const { price, top_up: topUp } = this.#boot;
    this.#clockSkewMs = this.#boot.now_ms === undefined ? 0 : this.#boot.now_ms - pageAnsweredMs();
    const planck = parsePlanck(price.planck_per_s) ?? 0n;
    this.#counter = new Counter(planck, performance.now());
    this.#snapshot = {
      state: "loading",
      reason: null,
      stream: this.#boot.stream,
      title: this.#boot.title || this.#boot.stream,
      session: this.#boot.session,
      isPriced: planck > 0n,
      pricePlanck: planck.toString(),
      price,
      secondsWatched: 0,
      spentPlanck: "0",
      balancePlanck: null,
      secondsLeft: null,
      warning: null,
      isMeterOpen: false,
      isMuted: true,
      latencyS: null,
      firstFrameMs: null,
      stalls: 0,
      topUp: { isOpen: topUp.open, url: safeUrl(topUp.url) },
      isBusy: false,
      error: "",
      retryAtMs: null,
      isPublisherAway: this.#boot.state === "waiting",
      path,
    };
    this.#player = new Player(this.#video, this.#early, () => prefixOf(this.#snapshot.path), {
      firstFrame: (atMs) => {
        if (this.#snapshot.firstFrameMs !== null) return;
        performance.mark("vilokanam:first-frame");
        this.#set({ firstFrameMs: Math.round(atMs) });
      },
      playing: () => this.#onPlaying(),
      stalled: () => {
        this.#stalledSinceMs ??= performance.now();
        this.#set({ stalls: this.#player.stalls });
      },
      ended: () => this.#onEnded(),
      refused: (refusal) => this.#onRefused(refusal),
      failed: () => this.#onFailed(),
    });
    this.#lease = new Lease({
      stream: this.#boot.stream,
      url: () => this.#at("session"),
      nowMs: () => this.#nowMs(),
      minted: (minted) => this.#useToken(minted),
    });
    this.#socket = new MeterSocket({
      url: () => this.#at("meter").replace(/^http/, "ws"),
      events: {
        message: (message) => this.#onMeter(message),
        changed: (isMeterOpen) => this.#set({ isMeterOpen }),
      },
    });
  }

  /** The current snapshot; the same object until something changes. */
  readonly snapshot = (): Snapshot => this.#snapshot;

  /** Call `listener` after each change; returns how to stop that. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Begin: play what the page came with, or wait for the stream. */
  start(): void {
    const { multivariant, playlist, state } = this.#boot;
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    if (multivariant !== null && state !== "offline") {
      this.#play(playlist?.uri ?? firstVariant(multivariant), playlist?.text ?? "");
    } else {
      this.#set({ state: "offline" });
      this.#pollAfter(OFFLINE);
    }
    if (this.#boot.session === null) return;
    this.#socket.open();
    this.#lease.keep(this.#boot.expires_ms);
  }

  destroy(): void {
    this.#isDestroyed = true;
    clearInterval(this.#ticker);
    clearTimeout(this.#retry);
    this.#lease.stop();
    this.#socket.close();
    this.#player.destroy();
  }

  /** Stop watching, and paying, until `play`. */
  pause(): void {
    if (!["live", "waiting", "loading"].includes(this.#snapshot.state) || this.#drain) return;
    clearTimeout(this.#retry);
    this.#player.halt();
    this.#video.pause();
    this.#set({ state: "paused", retryAtMs: null });
  }

  /** Watch again from the live edge; also what "try again" does. */
  play(): void {
    if (["live", "waiting", "loading", "stopped", "kicked"].includes(this.#snapshot.state)) {
      // A refused autoplay leaves the player loaded and the element paused.
      if (this.#player.isLoaded && this.#drain === null) void this.#startElement();
      return;
    }
    this.#attempt = 0;
    this.#set({ state: "loading", reason: null });
    void this.#poll();
  }

  /** Sound on or off. A browser that refuses sound keeps the picture, muted. */
  setMuted(isMuted: boolean): void {
    this.#video.muted = isMuted;
    this.#set({ isMuted });
    if (this.#player.isLoaded && this.#snapshot.state !== "paused") void this.#startElement();
  }

  /** Fill the purse by the server's own (demo) top-up, then play on. */
  async topUp(): Promise<void> {
    if (!this.#snapshot.topUp.isOpen || this.#snapshot.isBusy) return;
    this.#set({ isBusy: true, error: "" });
    const answer = await request(this.#at("top-up"), "POST");
    const balance = answer?.ok ? parsePlanck(parseObject(answer.text)?.["balance"]) : null;
    const error = balance === null ? failureOf(answer, "The top-up did not go through.") : "";
    this.#set({ isBusy: false, error });
    if (balance === null) return;
    this.#counter.deposited(balance);
    this.#afterDeposit();
    this.#tick();
  }

  /** Take the session to this player: mint again, swap the token, play. Only ever after a click. */
  async takeOver(): Promise<void> {
    if (this.#snapshot.state !== "kicked" || this.#snapshot.isBusy) return;
    this.#set({ isBusy: true, error: "" });
    const isMinted = await this.#lease.mint();
    const error = isMinted ? "" : "That did not work. Try again in a moment.";
    this.#set({ isBusy: false, error });
    if (isMinted) this.#begin();
  }

  // --- playing

  /** Load the player from playlist texts; `uri` is relative to the page. */
  #play(uri: string | null, playlist: string): void {
    clearTimeout(this.#retry);
    this.#drain = null;
    this.#stalledSinceMs = null;
    this.#show = uri?.split("/")[0] ?? null;
    this.#set({ state: "loading", reason: null, retryAtMs: null });
    const partTargetS = partTargetOf(playlist);
    this.#player.load({
      url: this.#at("index.m3u8"),
      start: uri === null ? null : this.#at(uri),
      partTargetS,
      startBehindS: partTargetS === null ? 0 : scanOpening(playlist, edgeTarget(partTargetS)).behindS,
    });
    void this.#startElement();
  }

  async #startElement(): Promise<void> {
    try {
      await this.#video.play();
    } catch (error) {
      if (!(error instanceof DOMException) || error.name !== "NotAllowedError") return;
      if (this.#video.muted) {
        // Not even muted (data saver, low power): the viewer's own click will do.
        this.#player.halt();
        this.#set({ state: "paused" });
      } else {
        this.#video.muted = true;
        this.#set({ isMuted: true });
        await this.#video.play().catch(() => undefined);
      }
    }
  }

  #onPlaying(): void {
    this.#stalledSinceMs = null;
    // A halted player that plays its last second has not come back.
    if (this.#drain !== null || ["paused", "slowed"].includes(this.#snapshot.state)) return;
    clearTimeout(this.#retry);
    this.#attempt = 0;
    this.#seen = null;
    this.#set({ state: "live", reason: null, retryAtMs: null });
  }

  #onEnded(): void {
    if (this.#drain !== null || !this.#player.isOver) return;
    this.#finish("ended");
    this.#endedShow = this.#show;
    this.#pollAfter(OFFLINE);
  }

  #onFailed(): void {
    if (this.#drain !== null || this.#snapshot.state === "paused") return;
    this.#set({ state: "reconnecting" });
    this.#pollAfter(RECONNECT);
  }

  /** Blank the picture and show why. */
  #finish(state: State): void {
    this.#drain = null;
    this.#player.unload();
    this.#set({ state, latencyS: null });
  }

  // --- refusals

  #onRefused(refusal: Refusal): void {
    if (this.#isDestroyed || this.#drain !== null) return;
    this.#player.halt();
    if (refusal.topUpUrl) this.#offerTopUp(refusal.topUpUrl);
    switch (refusal.kind) {
      case "purse":
      case "limit":
        this.#drainTo("stopped", refusal.kind);
        break;
      case "session":
        this.#drainTo("kicked", "session");
        break;
      case "token":
        if (refusal.isExpired && this.#boot.session !== null && !this.#hasRenewed) {
          this.#hasRenewed = true;
          void this.#lease.mint().then((isMinted) => {
            if (isMinted) this.#begin();
            else this.#drainTo("denied", "token");
          });
        } else {
          this.#drainTo("denied", "token");
        }
        break;
      default:
        this.#set({ state: "slowed", reason: refusal.kind });
        this.#pollAfter(REFUSED, refusal.retryAfterMs ?? 0);
    }
  }

  /** Play out what is paid for, then show `state`. */
  #drainTo(state: "stopped" | "kicked" | "denied", reason: NonNullable<Snapshot["reason"]>): void {
    clearTimeout(this.#retry);
    this.#player.halt();
    this.#drain = state;
    this.#balanceAtStop = this.#counter.count().balance;
    this.#set({ reason, retryAtMs: null });
    if (state !== "stopped") {
      // Not ours any more: neither its meter nor its token is asked for again.
      this.#socket.close();
      this.#lease.stop();
      this.#set({ isMeterOpen: false });
    }
    this.#tick();
  }

  #offerTopUp(url: string): void {
    const safe = safeUrl(url);
    if (safe) this.#set({ topUp: { ...this.#snapshot.topUp, url: safe } });
  }

  /** A fuller purse lets a stopped picture go on. */
  #afterDeposit(): void {
    const { state, reason } = this.#snapshot;
    const isStopped = state === "stopped" || this.#drain === "stopped";
    if (isStopped && reason === "purse" && this.#counter.canGoOn(this.#balanceAtStop)) this.#begin();
  }

  #begin(): void {
    this.#drain = null;
    this.#attempt = 0;
    this.#set({ state: "loading", reason: null });
    void this.#poll();
  }

  // --- waiting for the stream

  #pollAfter(backoff: Backoff, leastMs = 0): void {
    clearTimeout(this.#retry);
    if (this.#isDestroyed) return;
    const wait = Math.max(leastMs, delayMs(backoff, this.#attempt, Math.random));
    this.#attempt += 1;
    this.#retry = setTimeout(() => void this.#poll(), wait);
    this.#set({ retryAtMs: Date.now() + wait });
  }

  /** Ask whether there is something to play; play it, or ask again later. */
  async #poll(): Promise<void> {
    clearTimeout(this.#retry);
    const asked = this.#snapshot.state;
    const url = this.#at("index.m3u8");
    const found = await findShow(url);
    if (this.#isDestroyed || this.#drain !== null || this.#snapshot.state !== asked) return;
    if (found.kind === "refused") {
      this.#onRefused(found.refusal);
    } else if (asked === "waiting" && found.kind === "show" && this.#isAsSeen(found.playlist)) {
      this.#pollAfter(RECONNECT);
    } else if (found.kind === "show" && found.uri.split("/")[0] !== this.#endedShow) {
      keepText(this.#early, url, found.multivariant);
      keepText(this.#early, this.#at(found.uri), found.playlist);
      this.#play(found.uri, found.playlist);
    } else if (found.kind === "away") {
      if (asked === "loading" || asked === "waiting") this.#set({ state: "reconnecting" });
      this.#pollAfter(asked === "offline" || asked === "ended" ? OFFLINE : RECONNECT);
    } else {
      if (asked !== "ended") this.#finish(this.#snapshot.secondsWatched > 0 ? "ended" : "offline");
      this.#pollAfter(OFFLINE);
    }
  }

  /** True while the creator is away: the playlist stands still, and so may the picture. */
  #isAsSeen(playlist: string): boolean {
    const isSame = this.#seen === null || this.#seen === playlist;
    this.#seen = playlist;
    return isSame;
  }

  // --- the session

  #useToken(minted: Minted): void {
    const isOther = minted.session !== this.#snapshot.session;
    this.#page = new URL(minted.path, this.#page).href;
    this.#hasRenewed = false;
    this.#set({ path: minted.path, session: minted.session });
    this.#renamed(minted.path);
    if (isOther || !this.#snapshot.isMeterOpen) this.#socket.open();
  }

  // --- the meter

  #onMeter(message: MeterMessage): void {
    if (message.type === "stopped") {
      if (message.topUpUrl) this.#offerTopUp(message.topUpUrl);
      const isDone = this.#drain !== null || ["stopped", "kicked"].includes(this.#snapshot.state);
      if (isDone) return;
      const isMoney = message.reason === "purse" || message.reason === "limit";
      this.#drainTo(isMoney ? "stopped" : "kicked", message.reason);
    } else if (message.type === "meter") {
      this.#counter.read(message);
      this.#set({
        isPublisherAway: message.state === "waiting",
        isPriced: message.price > 0n,
        pricePlanck: message.price.toString(),
      });
      this.#afterDeposit();
      this.#tick();
    } else {
      this.#counter.warn(message.secondsLeft);
    }
  }

  /** Count on, watch the drain, refresh what is shown. */
  #tick(): void {
    const now = performance.now();
    const { state } = this.#snapshot;
    const isMoving = !this.#video.paused && this.#stalledSinceMs === null && state === "live";
    this.#counter.pass(now, isMoving);
    const stalledMs = this.#stalledSinceMs === null ? 0 : now - this.#stalledSinceMs;
    if (this.#drain !== null) {
      if (this.#isDrained()) this.#finish(this.#drain);
    } else if (stalledMs > WAIT_SHOWN_MS) {
      if (this.#player.isOver) this.#onEnded();
      else if (state === "live") this.#set({ state: "waiting" });
      else if (stalledMs > STUCK_MS && state === "waiting" && this.#snapshot.retryAtMs === null) {
        this.#pollAfter(RECONNECT);
      }
    }
    const { seconds, spent, balance, secondsLeft } = this.#counter.show();
    this.#set({
      secondsWatched: seconds,
      spentPlanck: spent.toString(),
      balancePlanck: balance?.toString() ?? null,
      secondsLeft,
      warning: this.#snapshot.isPriced ? warningFor(secondsLeft) : null,
      latencyS: this.#latencyS(),
      stalls: this.#player.stalls,
    });
  }

  #isDrained(): boolean {
    const isStill = this.#video.paused || this.#stalledSinceMs !== null;
    return isStill || !this.#player.isLoaded || this.#player.bufferS < DRAINED_S;
  }

  /** By PROGRAM-DATE-TIME where the clocks agree, else behind the newest listed media. */
  #latencyS(): number | null {
    if (!["live", "waiting"].includes(this.#snapshot.state)) return null;
    const picture = this.#player.pictureTimeMs;
    const byDate = picture === null ? Number.NaN : (this.#nowMs() - picture) / 1000;
    const byEdge = this.#player.edgeLatencyS;
    const isSane = byDate >= 0 && byDate < 120 && (byEdge === null || byDate > byEdge - 0.3);
    const latency = isSane ? byDate : byEdge;
    return latency === null ? null : Math.round(latency * 10) / 10;
  }

  // --- plumbing

  #nowMs(): number {
    return Date.now() + this.#clockSkewMs;
  }

  #at(relative: string): string {
    return new URL(relative, this.#page).href;
  }

  #set(change: Partial<Snapshot>): void {
    const keys = Object.keys(change) as (keyof Snapshot)[];
    if (keys.every((key) => Object.is(this.#snapshot[key], change[key]))) return;
    this.#snapshot = Object.freeze({ ...this.#snapshot, ...change });
    for (const listener of this.#listeners) listener();
  }
}

/** Unix ms by our clock when the page's first byte came: the server wrote its time just before. */
function pageAnsweredMs(): number {
  const [entry] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  return performance.timeOrigin + (entry?.responseStart ?? performance.now());
}
