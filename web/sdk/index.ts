/** The Vilokanam SDK: everything a page needs to play a metered stream. No framework. */

export { fetchEarly, keepText, type Early, type EarlyMap } from "./prefetch";
export { WARNINGS, type Warning } from "./meter";
export { digitsFor, formatClock, formatPlanck, formatShort, formatSpan } from "./money";
export type { Reason, Snapshot, State } from "./snapshot";
export { TickStream, type StreamOptions } from "./stream";
export type { Boot, MeterMessage, MeterReading, Minted, Price, StopReason } from "./types";
