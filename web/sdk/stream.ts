/**
 * One stream being watched: the SDK's public class. Joins the picture (playback.ts), the meter and
 * the session, and decides what a refusal, a stop or a deposit means for them. Framework-free;
 * React binds to `subscribe` and `snapshot` (react.ts).
 */

import { Counter } from "./counter";
import { warningFor } from "./meter";
import { Playback, type Stop } from "./playback";
import type { Early, EarlyMap } from "./prefetch";
import type { Refusal } from "./refusal";
import { failureOf, request, safeUrl } from "./request";
import { emptyBoot, firstSnapshot, SnapshotStore, type Reason, type Snapshot } from "./snapshot";
import { MeterSocket } from "./socket";
import { prefixOf } from "./token_path";
import { TokenRenewal } from "./token_renewal";
import { parseObject, parsePlanck, type Boot, type MeterMessage, type Minted } from "./types";

export interface StreamOptions {
  video: HTMLVideoElement;
  /** Absolute URL of the watch page, `/[w/<token>/]<stream>/`. */
  page: string;
  /** What the server put into its own page; null in any other: the SDK then asks at once. */
  boot: Boot | null;
  /** Responses already requested; the SDK adds its own. */
  early?: EarlyMap;
  /** Called with the page's new path when the token changes, to put it into the address bar. */
  renamed?: (path: string) => void;
}

const TICK_MS = 200;

export class TickStream {
  readonly #boot: Boot | null;
  /** True with a token: there is a session to meter. */
  readonly #hasMeter: boolean;
  /** False without a token, and for a page of another origin, whose renewals cannot be read. */
  readonly #canRenew: boolean;
  readonly #renamed: (path: string) => void;
  readonly #store: SnapshotStore;
  readonly #playback: Playback;
  readonly #socket: MeterSocket;
  readonly #renewal: TokenRenewal;
  readonly #counter: Counter;
  /** The server's clock less ours, ms. */
  readonly #clockSkewMs: number;
  #page: string;
  #ticker: ReturnType<typeof setInterval> | undefined;
  #hasRenewed = false;
  #balanceAtStop: bigint | null = null;

  constructor(options: StreamOptions) {
    this.#renamed = options.renamed ?? (() => undefined);
    this.#page = new URL(".", options.page).href;
    const path = new URL(this.#page).pathname;
    this.#boot = options.boot;
    const boot = options.boot ?? emptyBoot(path.split("/").at(-2) ?? "");
    this.#clockSkewMs = boot.now_ms === undefined ? 0 : boot.now_ms - pageAnsweredMs();
    this.#hasMeter = this.#boot === null ? prefixOf(path) !== "" : this.#boot.session !== null;
    this.#canRenew = this.#hasMeter && new URL(this.#page).origin === location.origin;
    this.#store = new SnapshotStore(firstSnapshot(boot, path));
    this.#counter = new Counter(BigInt(this.#store.value.pricePlanck), performance.now());
    this.#playback = new Playback({
      video: options.video,
      early: options.early ?? new Map<string, Early>(),
      store: this.#store,
      at: (relative) => this.#at(relative),
      nowMs: () => this.#nowMs(),
      refused: (refusal) => this.#onRefused(refusal),
    });
    this.#renewal = new TokenRenewal({
      stream: boot.stream,
      url: () => this.#at("session"),
      nowMs: () => this.#nowMs(),
      minted: (minted) => this.#useToken(minted),
    });
    this.#socket = new MeterSocket({
      url: () => this.#at("meter").replace(/^http/, "ws"),
      events: {
        message: (message) => this.#onMeter(message),
        changed: (isMeterOpen) => this.#store.set({ isMeterOpen }),
      },
    });
  }

  /** The current snapshot; the same object until something changes. */
  readonly snapshot = (): Snapshot => this.#store.value;

  /** Call `listener` after each change; returns how to stop that. */
  readonly subscribe = (listener: () => void): (() => void) => this.#store.subscribe(listener);

  /** Begin: play what the page came with, or wait for the stream. */
  start(): void {
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    this.#playback.start(this.#boot);
    if (this.#hasMeter) this.#socket.open();
    if (this.#canRenew) this.#renewal.schedule(this.#boot?.expires_ms);
  }

  destroy(): void {
    clearInterval(this.#ticker);
    this.#renewal.stop();
    this.#socket.close();
    this.#playback.destroy();
  }

  /** Stop watching, and paying, until `play`. */
  pause(): void {
    this.#playback.pause();
  }

  /** Watch again from the live edge; also what "try again" does. */
  play(): void {
    this.#playback.play();
  }

  /** Sound on or off. A browser that refuses sound keeps the picture, muted. */
  setMuted(isMuted: boolean): void {
    this.#playback.setMuted(isMuted);
  }

  /** Make a deposit by the server's own (demo) top-up, then play on. */
  async topUp(): Promise<void> {
    const { topUp, isBusy } = this.#store.value;
    if (!topUp.isOpen || isBusy) return;
    this.#store.set({ isBusy: true, error: "" });
    const response = await request(this.#at("top-up"), "POST");
    const balance = response?.ok ? parsePlanck(parseObject(response.text)?.["balance"]) : null;
    const error = balance === null ? failureOf(response, "The top-up did not go through.") : "";
    this.#store.set({ isBusy: false, error });
    if (balance === null) return;
    this.#counter.deposited(balance);
    this.#afterDeposit();
    this.#tick();
  }

  /** Take the session to this player: mint again, replace the token, play. Only after a click. */
  async takeOver(): Promise<void> {
    const { state, isBusy } = this.#store.value;
    if (state !== "kicked" || isBusy) return;
    this.#store.set({ isBusy: true, error: "" });
    const isMinted = await this.#renewal.mint();
    const error = isMinted ? "" : "That did not work. Try again in a moment.";
    this.#store.set({ isBusy: false, error });
    if (isMinted) this.#playback.restart();
  }

  // --- refusals

  /** The player has been halted: decide what follows. */
  #onRefused(refusal: Refusal): void {
    if (refusal.topUpUrl) this.#offerTopUp(refusal.topUpUrl);
    switch (refusal.kind) {
      case "purse":
      case "limit":
        this.#playOut("stopped", refusal.kind);
        break;
      case "session":
        this.#playOut("kicked", "session");
        break;
      case "token":
        if (refusal.isExpired && this.#canRenew && !this.#hasRenewed) {
          this.#hasRenewed = true;
          void this.#renewal.mint().then((isMinted) => {
            if (isMinted) this.#playback.restart();
            else this.#playOut("denied", "token");
          });
        } else {
          this.#playOut("denied", "token");
        }
        break;
      default:
        this.#playback.slowDown(refusal.kind, refusal.retryAfterMs ?? 0);
    }
  }

  /** Play out what is paid for, then enter `stop`. */
  #playOut(stop: Stop, reason: Reason): void {
    this.#balanceAtStop = this.#counter.count().balance;
    this.#playback.playOut(stop, reason);
    if (stop !== "stopped") {
      // No longer this player's session: neither its meter nor its token is asked for again.
      this.#socket.close();
      this.#renewal.stop();
      this.#store.set({ isMeterOpen: false });
    }
    this.#tick();
  }

  #offerTopUp(url: string): void {
    const safe = safeUrl(url);
    if (safe) this.#store.set({ topUp: { ...this.#store.value.topUp, url: safe } });
  }

  /** A larger balance lets a stopped picture go on. */
  #afterDeposit(): void {
    const { state, reason } = this.#store.value;
    const isStopped = state === "stopped" || this.#playback.stop === "stopped";
    if (!isStopped || reason !== "purse") return;
    if (this.#counter.canGoOn(this.#balanceAtStop)) this.#playback.restart();
  }

  // --- the session and its meter

  #useToken(minted: Minted): void {
    const { session, isMeterOpen } = this.#store.value;
    this.#page = new URL(minted.path, this.#page).href;
    this.#hasRenewed = false;
    this.#store.set({ path: minted.path, session: minted.session });
    this.#renamed(minted.path);
    if (minted.session !== session || !isMeterOpen) this.#socket.open();
  }

  #onMeter(message: MeterMessage): void {
    if (message.type === "stopped") {
      if (message.topUpUrl) this.#offerTopUp(message.topUpUrl);
      const isStopped = ["stopped", "kicked"].includes(this.#store.value.state);
      if (isStopped || this.#playback.stop !== null) return;
      const isMoney = message.reason === "purse" || message.reason === "limit";
      this.#playOut(isMoney ? "stopped" : "kicked", message.reason);
    } else if (message.type === "meter") {
      this.#counter.read(message);
      this.#store.set({
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

  /** Count on and refresh what is shown. */
  #tick(): void {
    const now = performance.now();
    this.#counter.pass(now, this.#playback.isMoving);
    this.#playback.tick(now);
    const { seconds, spent, balance, secondsLeft } = this.#counter.show();
    this.#store.set({
      secondsWatched: seconds,
      spentPlanck: spent.toString(),
      balancePlanck: balance?.toString() ?? null,
      secondsLeft,
      warning: this.#store.value.isPriced ? warningFor(secondsLeft) : null,
      latencyS: this.#playback.latencyS,
      stalls: this.#playback.stalls,
    });
  }

  #nowMs(): number {
    return Date.now() + this.#clockSkewMs;
  }

  #at(relative: string): string {
    return new URL(relative, this.#page).href;
  }
}

/** Unix ms by our clock when the page's first byte came: the server wrote its time just before. */
function pageAnsweredMs(): number {
  const [entry] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  return performance.timeOrigin + (entry?.responseStart ?? performance.now());
}
