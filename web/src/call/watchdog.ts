// Is media really flowing? The browser's own state is late by many seconds, and a video element's currentTime runs on
// over a dead stream: only counters of what was received and decoded tell the truth.

/** What getStats counted at one moment. Every number only grows while the connection lives. */
export interface Sample {
  /** Anything at all that came from the server: media, RTCP, ICE checks. */
  transport: number;
  /** Media and RTCP that came from the server, without ICE checks, in bytes. */
  payload: number;
  /** Packets of the own media that were sent. */
  sent: number;
  /** By m-line. */
  lines: Map<string, { packets: number; frames: number }>;
}

/** A receiving m-line on which something should arrive. */
export interface Expected {
  mid: string;
  kind: "audio" | "video";
}

export interface Verdict {
  /**
   * Nothing came from the server for SILENT_AFTER although something had come before; or nothing but ICE checks, although
   * this side sends and every second there should be a report of it. Then the server sends by a way that is dead.
   */
  silent: boolean;
  /** M-lines on which no picture was decoded, or no packet came, for STALLED_AFTER. */
  stalled: Set<string>;
}

export const SILENT_AFTER = 5_000;
export const STALLED_AFTER = 4_000;

interface Progress {
  value: number;
  since: number;
}

export class Watchdog {
  #transport: Progress | undefined;
  #everMoved = false;
  #payload: Progress | undefined;
  #reported = false; // reports of what is sent have come
  #sent: Progress | undefined;
  #lines = new Map<string, Progress>();

  /** Takes a sample at `now` (milliseconds) and judges. */
  observe(now: number, sample: Sample, expected: Expected[]): Verdict {
    const before = this.#transport;
    this.#transport = follow(before, sample.transport, now);
    if (before && sample.transport > before.value) this.#everMoved = true;

    const stalled = new Set<string>();
    const lines = new Map<string, Progress>();
    for (const { mid, kind } of expected) {
      const line = sample.lines.get(mid);
      const value = kind === "video" ? (line?.frames ?? 0) : (line?.packets ?? 0);
      const progress = advance(this.#lines.get(mid), value, now);
      lines.set(mid, progress);
      if (now - progress.since >= STALLED_AFTER) stalled.add(mid);
    }
    this.#lines = lines; // what is not expected any more starts anew when it is again
    const silent = this.#everMoved && now - this.#transport.since >= SILENT_AFTER;
    return { silent: silent || this.#unreported(now, sample), stalled };
  }

  #unreported(now: number, sample: Sample): boolean {
    const [payload, sent] = [this.#payload, this.#sent];
    this.#payload = follow(payload, sample.payload, now);
    this.#sent = advance(sent, sample.sent, now);
    if (payload && sample.payload > payload.value) this.#reported = true;
    // Who has just begun to send again gets the time for a first report.
    const sending = sent !== undefined && sample.sent > sent.value;
    if (!sending) this.#payload = { value: sample.payload, since: now };
    return sending && this.#reported && now - this.#payload.since >= SILENT_AFTER;
  }
}

function advance(before: Progress | undefined, value: number, now: number): Progress {
  return before && value <= before.value ? before : { value, since: now };
}

// Sums over candidate pairs shrink when the browser drops a pair: any change is a sign of life.
function follow(before: Progress | undefined, value: number, now: number): Progress {
  return before && value === before.value ? before : { value, since: now };
}

/** Counts what a connection received so far. Browsers differ in what they report, so everything that grows is added. */
export async function sample(pc: RTCPeerConnection): Promise<Sample> {
  let transport = 0;
  let payload = 0;
  let sent = 0;
  const lines: Sample["lines"] = new Map();
  const report = await pc.getStats();
  report.forEach((stats: Record<string, unknown>) => {
    const count = (name: string) => (typeof stats[name] === "number" ? (stats[name] as number) : 0);
    switch (stats.type) {
      case "candidate-pair":
        transport += count("responsesReceived") + count("requestsReceived") + count("bytesReceived");
        payload += count("bytesReceived");
        break;
      case "outbound-rtp":
        sent += count("packetsSent");
        break;
      case "remote-inbound-rtp":
        transport += count("roundTripTimeMeasurements");
        break;
      case "inbound-rtp":
        transport += count("packetsReceived");
        if (typeof stats.mid === "string") {
          lines.set(stats.mid, { packets: count("packetsReceived"), frames: count("framesDecoded") });
        }
        break;
    }
  });
  return { transport, payload, sent, lines };
}
