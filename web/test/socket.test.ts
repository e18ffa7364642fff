import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { MeterSocket } from "../sdk/socket";

class FakeSocket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  isClosed = false;
  close(): void {
    this.isClosed = true;
  }
}

let made: FakeSocket[] = [];
let urls: string[] = [];
let events: unknown[] = [];
let token = "t1";

const make = (): MeterSocket =>
  new MeterSocket({
    url: () => `ws://a.example/w/${token}/cam/meter`,
    random: () => 1,
    connect: (url) => {
      urls.push(url);
      const socket = new FakeSocket();
      made.push(socket);
      return socket as unknown as WebSocket;
    },
    events: {
      message: (message) => events.push(message),
      changed: (isOpen) => events.push(isOpen),
    },
  });

beforeEach(() => {
  vi.useFakeTimers();
  [made, urls, events, token] = [[], [], [], "t1"];
});
afterEach(() => vi.useRealTimers());

it("reconnects with growing delays, and with the current token", () => {
  const socket = make();
  socket.open();
  made[0]!.onclose?.();
  vi.advanceTimersByTime(499);
  expect(made).toHaveLength(1);
  token = "t2";
  vi.advanceTimersByTime(1);
  expect(urls[1]).toContain("/w/t2/");
  made[1]!.onclose?.();
  vi.advanceTimersByTime(999);
  expect(made).toHaveLength(2);
  vi.advanceTimersByTime(1);
  expect(made).toHaveLength(3);
  socket.close();
});

it("starts from a short delay again after a good connection", () => {
  const socket = make();
  socket.open();
  made[0]!.onclose?.();
  vi.advanceTimersByTime(500);
  made[1]!.onopen?.();
  vi.advanceTimersByTime(6_000);
  made[1]!.onclose?.();

  vi.advanceTimersByTime(500);

  expect(made).toHaveLength(3);
  socket.close();
});

it("R8: a connection was good though the viewer's clock was set back meanwhile", () => {
  const socket = make();
  socket.open();
  made[0]!.onclose?.();
  vi.advanceTimersByTime(500);
  made[1]!.onopen?.();
  vi.advanceTimersByTime(6_000);
  vi.setSystemTime(Date.now() - 3_600_000);
  made[1]!.onclose?.();

  vi.advanceTimersByTime(500);

  expect(made).toHaveLength(3);
  socket.close();
});

it("closes a connection that has fallen silent", () => {
  const socket = make();
  socket.open();
  made[0]!.onopen?.();

  vi.advanceTimersByTime(30_000);

  expect(made[0]!.isClosed).toBe(true);
  expect(events).toEqual([true, false]);
  socket.close();
});

it("stays closed after close", () => {
  const socket = make();
  socket.open();
  made[0]!.onclose?.();
  socket.close();

  vi.advanceTimersByTime(60_000);

  expect(made).toHaveLength(1);
});

it("drops what is not a message", () => {
  const socket = make();
  socket.open();
  made[0]!.onmessage?.({ data: "?" });
  made[0]!.onmessage?.({ data: '{"type":"warning","reason":"low_balance","seconds_left":30}' });

  expect(events).toEqual([{ type: "warning", secondsLeft: 30 }]);
  socket.close();
});
