/** The live meter's WebSocket: reconnects by itself, with growing delays. */

import { delayMs, SOCKET } from "./backoff";
import { parseMeterMessage, type MeterMessage } from "./types";

export interface SocketEvents {
  message(message: MeterMessage): void;
  /** Connected, or lost. */
  changed(isOpen: boolean): void;
}

export interface SocketOptions {
  /** Absolute ws(s) URL; asked again for each connection, as the token in it changes. */
  url: () => string;
  events: SocketEvents;
  random?: () => number;
  /** For tests: used in place of the browser's WebSocket. */
  connect?: (url: string) => WebSocket;
}

/** After a connection that lasted this long the next reconnect starts from a short delay. */
const GOOD_AFTER_MS = 5_000;
/** The server sends more often than this; a longer silence means a dead connection. */
const SILENCE_MAX_MS = 30_000;

export class MeterSocket {
  readonly #options: SocketOptions;
  #socket: WebSocket | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #attempt = 0;
  /** By the monotonic clock; null while it is not open. */
  #openedMs: number | null = null;

  constructor(options: SocketOptions) {
    this.#options = options;
  }

  /** Connect now, closing any earlier connection. */
  open(): void {
    this.close();
    const connect = this.#options.connect ?? ((url: string) => new WebSocket(url));
    const socket = connect(this.#options.url());
    this.#socket = socket;
    socket.onopen = () => {
      this.#openedMs = performance.now();
      this.#expectMessage();
      this.#options.events.changed(true);
    };
    socket.onmessage = (event: MessageEvent) => {
      this.#expectMessage();
      const message = typeof event.data === "string" ? parseMeterMessage(event.data) : null;
      if (message !== null) this.#options.events.message(message);
    };
    socket.onclose = () => this.#lost();
  }

  /** Disconnect; `open` connects again. */
  close(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #expectMessage(): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#lost(), SILENCE_MAX_MS);
  }

  #lost(): void {
    this.close();
    this.#options.events.changed(false);
    const openMs = this.#openedMs === null ? 0 : performance.now() - this.#openedMs;
    if (openMs > GOOD_AFTER_MS) this.#attempt = 0;
    this.#openedMs = null;
    const wait = delayMs(SOCKET, this.#attempt, this.#options.random ?? Math.random);
    this.#attempt += 1;
    this.#timer = setTimeout(() => this.open(), wait);
  }
}
