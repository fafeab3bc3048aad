import assert from "node:assert/strict";
import type { Socket } from "../src/signaling/client.ts";

/** A WebSocket that reaches nobody: a test reads what was sent, and says what the server would. */
export class FakeSocket implements Socket {
  sent: Record<string, unknown>[] = [];
  closed = false;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  constructor(readonly url: string) {}
  send(data: string): void {
    this.sent.push(JSON.parse(data));
  }
  close(): void {
    this.closed = true;
  }
  say(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
  last(type: string): Record<string, unknown> {
    const found = this.sent.filter((message) => message.type === type).at(-1);
    assert.ok(found, `no ${type} was sent`);
    return found;
  }
}
