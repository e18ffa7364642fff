/**
 * One stream being watched: the SDK's public class. Joins the picture (playback.ts), the meter and
 * the session, and decides what a refusal, a stop or a deposit means for them. Framework-free;
 * React binds to `subscribe` and `snapshot` (react.ts).
 */

import { delayMs, OFFLINE, RECONNECT } from "./backoff";
import { fetchBoot } from "./boot";
import { Counter } from "./counter";
import { tellEnd } from "./ending";
import { warningFor } from "./meter";
import { Paying } from "./paying";
import { Playback } from "./playback";
import type { Stop } from "./playback_options";
import type { StreamOptions } from "./stream_options";
import { Presence } from "./presence";
import type { Early } from "./prefetch";
import type { Refusal } from "./refusal";
import { failureOf, request, safeUrl } from "./request";
import { pageAnsweredMs, ServerClock } from "./server_clock";
import { Sleep } from "./sleep";
import { emptyBoot, firstSnapshot, SnapshotStore, type Reason, type Snapshot } from "./snapshot";
import { MeterSocket } from "./socket";
import { TokenRenewal } from "./token_renewal";
import { parseObject, parsePlanck, type Boot, type MeterMessage, type Minted } from "./types";

export type { StreamOptions };

const TICK_MS = 200;
/** A publisher whom our restart cut off is back by then, or their own connection is gone. */
const BLAME_AFTER_MS = 60_000;

export class TickStream {
  #boot: Boot | null;
  readonly #renamed: (path: string) => void;
  readonly #store: SnapshotStore;
  readonly #playback: Playback;
  readonly #socket: MeterSocket;
  readonly #renewal: TokenRenewal;
  #counter: Counter;
  readonly #sleep: Sleep;
  readonly #presence: Presence;
  readonly #clock = new ServerClock(Date.now(), performance.now());
  readonly #paying: Paying;
  #bootAttempt = 0;
  #isDestroyed = false;
  #meterLostMs = Number.NEGATIVE_INFINITY;
  #page: string;
  #ticker: ReturnType<typeof setInterval> | undefined;
  #bootRetry: ReturnType<typeof setTimeout> | undefined;
  #hasRenewed = false;
  #balanceAtStop: bigint | null = null;

  constructor(options: StreamOptions) {
    this.#renamed = options.renamed ?? (() => undefined);
    this.#page = new URL(".", options.page).href;
    const path = new URL(this.#page).pathname;
    this.#boot = options.boot;
    const boot = options.boot ?? emptyBoot(path.split("/").at(-2) ?? "");
    if (boot.now_ms !== undefined) this.#clock.tell(boot.now_ms, pageAnsweredMs());
    this.#store = new SnapshotStore(firstSnapshot(boot, path, this.#boot !== null));
    this.#paying = new Paying({
      store: this.#store,
      agreed: options.agreed ?? null,
      nowMs: () => this.#nowMs(),
      asks: (question) => this.#playback.playOut("asking", question),
    });
    this.#paying.adopt(boot);
    const price = BigInt(this.#store.value.pricePlanck);
    this.#counter = new Counter(price, performance.now(), options.playedS);
    this.#playback = new Playback({
      video: options.video,
      early: options.early ?? new Map<string, Early>(),
      store: this.#store,
      at: (relative) => this.#at(relative),
      nowMs: () => this.#nowMs(),
      refused: (refusal) => this.#onRefused(refusal),
      mayFetch: (url) => this.#mayFetch(url),
      paying: this.#paying,
    });
    const settings = (): string => (this.#canRenew ? this.#at("settings") : "");
    this.#presence = new Presence(options.video, performance.now(), settings);
    this.#sleep = new Sleep({
      clock: this.#clock,
      page: () => this.#page,
      isPriced: () => this.#store.value.isPriced,
      woke: (sleptMs) => this.#onWoken(sleptMs),
    });
    this.#renewal = new TokenRenewal({
      stream: boot.stream,
      url: () => this.#at("session"),
      nowMs: () => this.#nowMs(),
      minted: (minted) => this.#useToken(minted),
      refused: (fault, words) => {
        if (words) this.#store.set({ error: words });
        // What is priced is refused by itself; a free picture goes on, without a meter that fails.
        if (!this.#store.value.isPriced) this.#socket.close();
        else if (fault !== "token") this.#playOut("denied", fault);
      },
    });
    this.#socket = new MeterSocket({
      url: () => this.#at("meter").replace(/^http/, "ws"),
      events: {
        message: (message) => this.#onMeter(message),
        changed: (isMeterOpen) => {
          this.#store.set({ isMeterOpen });
          if (isMeterOpen) return;
          // The server is away, or the line: until a while after, nobody else is blamed.
          this.#meterLostMs = performance.now();
          this.#store.set({ isPublisherAway: false });
        },
      },
    });
  }

  /** The current snapshot; the same object until something changes. */
  readonly snapshot = (): Snapshot => this.#store.value;

  /** Call `listener` after each change; returns how to stop that. */
  readonly subscribe = (listener: () => void): (() => void) => this.#store.subscribe(listener);

  /** Begin: play what the page came with, or wait for the stream. */
  start(): void {
    this.#sleep.resume();
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    this.#presence.listen();
    document.addEventListener("freeze", this.#onFreeze);
    document.addEventListener("resume", this.#onResume);
    if (this.#boot === null) void this.#askBoot();
    else this.#begin(this.#boot);
  }

  destroy(): void {
    this.#isDestroyed = true;
    clearTimeout(this.#bootRetry);
    clearInterval(this.#ticker);
    this.#presence.destroy();
    document.removeEventListener("freeze", this.#onFreeze);
    document.removeEventListener("resume", this.#onResume);
    this.#renewal.stop();
    this.#socket.close();
    this.#playback.destroy();
  }

  /** Stop watching, and paying, until `play`. */
  pause(): void {
    this.#playback.pause();
  }

  /**
   * Watch again from the live edge; also what "try again" does. Call it from a click: where the stream
   * asks, it agrees to the price that is shown.
   */
  play(): void {
    this.#presence.touch();
    if (this.#store.value.state === "asking") {
      this.agree(this.#paying.limitPlanck);
    } else if (this.#boot !== null) {
      this.#playback.play();
    } else {
      this.#store.set({ state: "loading", error: "" });
      void this.#askBoot();
    }
  }

  /** Watch again with the next smaller picture, after a picture that did not move. */
  playSmaller(): void {
    this.#presence.touch();
    this.#playback.playSmaller();
  }

  /**
   * The viewer agrees to the present price, with `isNextIncluded` to the one to come too, and to what
   * this visit may cost from here on, in planck (null: no limit). Only after a click.
   */
  agree(limitPlanck: bigint | null, isNextIncluded = false): void {
    this.#presence.touch();
    this.#paying.agree(limitPlanck, isNextIncluded);
    this.#playback.proceed();
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

  // --- beginning

  /** False without a token, and for a page of an origin that the operator does not list. */
  get #canRenew(): boolean {
    const hasSession = (this.#boot?.session ?? null) !== null;
    const isListed = this.#boot?.is_origin_listed ?? false;
    return hasSession && (isListed || new URL(this.#page).origin === location.origin);
  }

  #begin(boot: Boot): void {
    if (this.#store.value.state !== "paused") this.#playback.start(boot);
    if (boot.session !== null) this.#socket.open();
    if (this.#canRenew) this.#renewal.schedule(boot.expires_ms);
  }

  /** Ask what the stream is and costs, until that is known; then begin. */
  async #askBoot(): Promise<void> {
    clearTimeout(this.#bootRetry);
    const outcome = await fetchBoot(this.#page);
    if (this.#isDestroyed || this.#boot !== null) return;
    if (outcome.kind === "boot") {
      this.#adopt(outcome.boot, outcome.atMs);
      return;
    }
    if (outcome.kind === "refused") {
      this.#store.set({ state: "denied", reason: outcome.fault, error: outcome.detail });
      return;
    }
    const isAway = outcome.kind === "away";
    const isClosed = outcome.kind === "nothing" && outcome.isClosed;
    this.#store.set({
      state: isAway ? "reconnecting" : "offline",
      reason: isClosed ? "closed" : null,
    });
    const wait = delayMs(isAway ? RECONNECT : OFFLINE, this.#bootAttempt++, Math.random);
    this.#bootRetry = setTimeout(() => void this.#askBoot(), wait);
  }

  #adopt(boot: Boot, atMs: number): void {
    const { state, isMuted, path } = this.#store.value;
    this.#boot = boot;
    if (boot.now_ms !== undefined) this.#clock.tell(boot.now_ms, atMs);
    const price = parsePlanck(boot.price.planck_per_s) ?? 0n;
    this.#counter = new Counter(price, performance.now(), this.#counter.playedS);
    const kept = state === "paused" ? { state } : {};
    this.#store.set({ ...firstSnapshot(boot, path), isMuted, ...kept });
    this.#paying.adopt(boot);
    this.#begin(boot);
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
            else this.#playOut("denied", refusal.fault);
          });
        } else {
          this.#playOut("denied", refusal.fault);
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
      if (reason === "session" && this.#canRenew) void tellEnd(this.#at("settings"), this.#store);
    }
    this.#tick();
  }

  #offerTopUp(url: string): void {
    const safe = safeUrl(url);
    if (safe) this.#store.set({ topUp: { ...this.#store.value.topUp, url: safe } });
  }

  /** A larger balance lets a stopped picture go on. */
  #afterDeposit(): void {
    if (!this.#playback.isRefused || this.#store.value.reason !== "purse") return;
    if (this.#counter.canGoOn(this.#balanceAtStop)) this.#playback.restart();
  }

  // --- the session and its meter

  #useToken(minted: Minted): void {
    const { session, isMeterOpen } = this.#store.value;
    if (minted.session !== session) this.#counter.renew();
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
      if (message.nowMs !== null) this.#clock.tell(message.nowMs, performance.now());
      this.#counter.read(message);
      this.#paying.read(message);
      this.#store.set({
        isPublisherAway:
          message.state === "waiting" && performance.now() - this.#meterLostMs > BLAME_AFTER_MS,
        isServerAway: message.state === "restarting",
        ...{ isPriced: message.price > 0n, debtPlanck: message.debt.toString() },
      });
      this.#afterDeposit();
      this.#tick();
    } else {
      this.#counter.warn(message.secondsLeft);
    }
  }

  readonly #onFreeze = (): void => this.#playback.freeze();

  readonly #onResume = (): void => this.#playback.wake(this.#sleep.resume());

  /** The timers of a hidden page that costs nothing may run once a minute: it plays on. */
  #onWoken(sleptMs: number): void {
    const mayPlayOn = !this.#store.value.isPriced && document.hidden;
    if (!mayPlayOn && !this.#isDestroyed) this.#playback.wake(sleptMs);
  }

  #mayFetch(url: string): boolean | Promise<boolean> {
    const may = this.#sleep.mayFetch();
    if (typeof may === "boolean") return may && this.#paying.mayFetch(url);
    return may.then((isAwake) => isAwake && this.#paying.mayFetch(url));
  }

  /** Count on and refresh what is shown. */
  #tick(): void {
    const now = performance.now();
    this.#counter.pass(now, this.#playback.isMoving);
    this.#sleep.beat();
    const { isPriced, state } = this.#store.value;
    const absence = isPriced ? this.#presence.check(now, state === "live") : null;
    if (absence !== null) this.#playback.pause(absence);
    this.#playback.tick(now);
    const { seconds, spent, balance, secondsLeft, freeS, passUntilMs } = this.#counter.show(
      this.#playback.isRefused,
    );
    this.#store.set({
      secondsWatched: seconds,
      secondsPlayed: this.#counter.playedS,
      spentPlanck: spent.toString(),
      balancePlanck: balance?.toString() ?? null,
      ...{ secondsLeft, freeS, passUntilMs, isShowPaid: this.#counter.isShowPaid },
      warning: isPriced ? warningFor(secondsLeft) : null,
      isAsked: isPriced && state === "live" && this.#presence.isAsking,
      latencyS: this.#playback.latencyS,
    });
  }

  #nowMs(): number {
    return this.#clock.nowMs(performance.now());
  }

  #at(relative: string): string {
    return new URL(relative, this.#page).href;
  }
}
