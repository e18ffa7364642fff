/**
 * hls.js' loading by `fetch` without credentials: media and playlists carry no cookie of who is
 * signed in (hls.js' own two loaders send those of the same origin). Time-outs, retries, aborts and
 * progress are as its XHR loader has them.
 */

import {
  BaseLoader,
  type LoaderConfiguration,
  type LoaderContext,
} from "hls.js/dist/hls.light.min.mjs";

/** hls.js' rule, which it does not export: no repeat after a refusal, nor where nothing answered. */
function isPassing(code: number): boolean {
  return code === 0 ? !navigator.onLine : code < 400 || code > 499;
}

export class FetchLoader extends BaseLoader {
  /** Body of the newest answer that was no success; a problem is some hundred bytes. */
  protected refusal = "";
  #response: Response | null = null;
  #controller: AbortController | null = null;

  protected override loadInternal(): void {
    const { config, context, stats } = this;
    if (config === null || context === null) return;
    stats.loading.first = 0;
    stats.loaded = 0;
    stats.aborted = false;
    this.refusal = "";
    const controller = (this.#controller = new AbortController());
    const { maxTimeToFirstByteMs, maxLoadTimeMs } = config.loadPolicy;
    const hasFirst = maxTimeToFirstByteMs > 0 && Number.isFinite(maxTimeToFirstByteMs);
    this.#expire(hasFirst ? maxTimeToFirstByteMs : maxLoadTimeMs);
    void this.#run(config, context, controller);
  }

  protected override abortInternal(): void {
    self.clearTimeout(this.requestTimeout);
    self.clearTimeout(this.retryTimeout);
    const controller = this.#controller;
    this.#controller = null;
    if (controller === null) return;
    this.stats.aborted = true;
    controller.abort();
  }

  protected override getNetworkDetails(): Response | null {
    return this.#response;
  }

  protected override resetInternalLoader(): void {
    this.#response = null;
  }

  override getCacheAge(): number | null {
    const age = this.#response?.headers.get("Age") ?? null;
    return age === null ? null : Number.parseFloat(age);
  }

  override getResponseHeader(name: string): string | null {
    return this.#response?.headers.get(name) ?? null;
  }

  /** One attempt. Who aborts takes `#controller` away: what comes after that is nobody's. */
  async #run(
    config: LoaderConfiguration,
    context: LoaderContext,
    controller: AbortController,
  ): Promise<void> {
    const { stats, callbacks } = this;
    let code = 0;
    let text: string;
    try {
      const response = await fetch(context.url, {
        headers: headersOf(context),
        credentials: "omit",
        signal: controller.signal,
      });
      if (this.#controller !== controller) return;
      this.#response = response;
      stats.loading.first = Math.max(performance.now(), stats.loading.start);
      const { maxLoadTimeMs } = config.loadPolicy;
      this.#expire(maxLoadTimeMs - (stats.loading.first - stats.loading.start));
      stats.total = Number(response.headers.get("Content-Length") ?? 0) || stats.total;
      const bytes = await this.#read(response);
      if (this.#controller !== controller) return;
      if (response.ok) {
        this.#finish();
        const isText = context.responseType !== "arraybuffer";
        const data = isText ? new TextDecoder().decode(bytes) : bytes.buffer;
        stats.loading.end = Math.max(performance.now(), stats.loading.first);
        stats.loaded = stats.total = bytes.length;
        callbacks?.onProgress?.(stats, context, data, response);
        const answer = { url: response.url, data, code: response.status };
        callbacks?.onSuccess(answer, stats, context, response);
        return;
      }
      ({ status: code, statusText: text } = response);
      this.refusal = new TextDecoder().decode(bytes);
    } catch (error) {
      // Nothing answered, or its body broke off.
      if (this.#controller !== controller) return;
      text = String(error);
    }
    this.#finish();
    const policy = config.loadPolicy.errorRetry;
    if (policy !== null && stats.retry < policy.maxNumRetry && isPassing(code)) this.retry(policy);
    else callbacks?.onError({ code, text }, context, this.#response, stats);
  }

  async #read(response: Response): Promise<Uint8Array<ArrayBuffer>> {
    const reader = response.body?.getReader();
    const pieces: Uint8Array[] = [];
    let length = 0;
    for (;;) {
      const piece = await reader?.read();
      if (piece?.value === undefined) break;
      pieces.push(piece.value);
      length += piece.value.length;
      // An estimate of the rate, and whether to change to a smaller picture, are made from it.
      this.stats.loaded = length;
    }
    const whole = new Uint8Array(length);
    let at = 0;
    for (const piece of pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }

  #finish(): void {
    this.#controller = null;
    self.clearTimeout(this.requestTimeout);
  }

  #expire(afterMs: number): void {
    self.clearTimeout(this.requestTimeout);
    this.requestTimeout = self.setTimeout(() => this.loadtimeout(), afterMs);
  }
}

function headersOf(context: LoaderContext): Headers {
  const headers = new Headers(context.headers ?? {});
  const { rangeStart, rangeEnd } = context;
  if (rangeEnd) headers.set("Range", `bytes=${String(rangeStart ?? 0)}-${String(rangeEnd - 1)}`);
  return headers;
}
