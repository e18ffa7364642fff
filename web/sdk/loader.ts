/**
 * The player's loader: puts the current token's prefix into every URL, uses responses that were
 * prefetched, and separates refusals from errors before hls.js retries or changes level.
 */

import type {
  Fragment,
  FragmentLoaderContext,
  HlsConfig,
  Loader,
  LoaderCallbacks,
  LoaderConfiguration,
  LoaderContext,
} from "hls.js/dist/hls.light.min.mjs";

import { FetchLoader } from "./fetch_loader";
import type { EarlyMap } from "./prefetch";
import { swapPrefix } from "./token_path";
import { readRefusal, type Refusal } from "./refusal";

export interface LoaderHooks {
  early: EarlyMap;
  /** Returns the current token prefix, or "". */
  prefix: () => string;
  refused: (refusal: Refusal) => void;
  /**
   * False: media at this URL is not asked for; the player has been halted, or is about to be. A promise:
   * it waits for that.
   */
  allows: (fragment: Fragment, url: string) => boolean | Promise<boolean>;
}

type Callbacks = LoaderCallbacks<LoaderContext>;
type LoaderClass = new (config: HlsConfig) => Loader<LoaderContext>;

/** Return a loader class for hls.js, bound to `hooks`. */
export function makeLoader(hooks: LoaderHooks): LoaderClass {
  return class TickLoader extends FetchLoader {
    /** Who waits for a response that was asked for early, or for leave to ask. */
    #early: Callbacks | null = null;

    override load(context: LoaderContext, config: LoaderConfiguration, callbacks: Callbacks): void {
      // hls.js passes on the raw string of loadSource: resolve it before looking it up.
      context.url = swapPrefix(new URL(context.url, location.href).href, hooks.prefix());
      const { frag } = context as Partial<FragmentLoaderContext>;
      // As after a refusal hls.js hears nothing, and is halted.
      const isMedia = frag !== undefined && frag.sn !== "initSegment";
      const isAllowed = isMedia ? hooks.allows(frag, context.url) : true;
      if (isAllowed === false) return;
      const wrapped: Callbacks = {
        ...callbacks,
        onError: (error, failed, details, stats) => {
          const retryAfter = this.getResponseHeader("Retry-After");
          const refusal = refusalOf(error.code, failed, this.refusal, retryAfter);
          // hls.js gets no error, which it would count against the level: it is halted.
          if (refusal !== null) queueMicrotask(() => hooks.refused(refusal));
          else callbacks.onError(error, failed, details, stats);
        },
      };
      if (isAllowed === true) {
        this.#send(context, config, wrapped);
        return;
      }
      this.context = context;
      this.#early = wrapped;
      const { loading } = this.stats;
      loading.start = performance.now();
      void isAllowed.then((isNow) => {
        if (!isNow || this.#early !== wrapped) return;
        this.#early = null;
        loading.start = 0;
        this.#send(context, config, wrapped);
      });
    }

    #send(context: LoaderContext, config: LoaderConfiguration, callbacks: Callbacks): void {
      const early = hooks.early.get(context.url);
      // A range that ends at 0 is how hls.js asks for the whole resource.
      if (early === undefined || context.rangeEnd) {
        super.load(context, config, callbacks);
        return;
      }
      hooks.early.delete(context.url);
      this.context = context;
      this.#early = callbacks;
      const { loading } = this.stats;
      loading.start = performance.now();
      early.data.then(
        (data) => {
          if (this.#early === null) return;
          this.#early = null;
          const now = performance.now();
          // Bandwidth is estimated from the time of the transfer, not from the time in the map.
          const tookMs = Math.max(1, (early.endMs || now) - early.startMs);
          loading.start = now - tookMs;
          loading.first = now - tookMs / 2;
          loading.end = now;
          const bytes = typeof data === "string" ? data.length : data.byteLength;
          this.stats.loaded = this.stats.total = bytes;
          callbacks.onProgress?.(this.stats, context, data, null);
          callbacks.onSuccess({ url: context.url, data, code: 200 }, this.stats, context, null);
        },
        () => {
          if (this.#early === null) return;
          this.#early = null;
          loading.start = 0;
          super.load(context, config, callbacks);
        },
      );
    }

    override abort(): void {
      const pending = this.#early;
      this.#early = null;
      if (pending === null) super.abort();
      else if (this.context !== null) pending.onAbort?.(this.stats, this.context, null);
    }

    override destroy(): void {
      this.#early = null;
      super.destroy();
    }
  };
}

/** Statuses of a playlist that are a refusal; after its 429 and 503 hls.js backs off itself. */
const PLAYLIST_REFUSALS = [401, 402, 403];

function refusalOf(
  status: number,
  context: LoaderContext,
  body: string,
  retryAfter: string | null,
): Refusal | null {
  const isMedia = (context as Partial<FragmentLoaderContext>).frag !== undefined;
  if (!isMedia && !PLAYLIST_REFUSALS.includes(status)) return null;
  return readRefusal(status, body, retryAfter);
}
