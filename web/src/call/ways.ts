// The ways to this server that media can take, tried one by one before the call: each asks the server's own relay for a
// place, over the real port and by the real transport. Nothing is sent through it.

import type { CheckResult, IceServer, WayName } from "../signaling/messages.ts";

/** How long one way may take. All are tried at once, so the whole takes no longer. */
export const WAY_LIMIT = 8_000;

export const WAYS: WayName[] = ["udp", "tcp", "tls"];

/** The way that an address of a relay stands for; undefined for a STUN server. */
export function wayOf(url: string): WayName | undefined {
  if (/^turns:/i.test(url)) return "tls";
  if (!/^turn:/i.test(url)) return undefined;
  return /[?&]transport=tcp\b/i.test(url) ? "tcp" : "udp";
}

/** This server's relay by each way; those that it does not have are missing. */
export function relaysOf(servers: IceServer[]): Partial<Record<WayName, RTCIceServer>> {
  const found: Partial<Record<WayName, RTCIceServer>> = {};
  for (const { urls, username, credential } of servers) {
    if (!username || !credential) continue;
    for (const url of urls) {
      const way = wayOf(url);
      if (way) found[way] ??= { urls: [url], username, credential };
    }
  }
  return found;
}

/**
 * The servers for a connection that may go directly: without this server's own relay over UDP. It stands on the port that
 * media itself goes to, and Chromium, which asks both from one socket, takes everything that comes from a relay's address
 * for the relay's: checks and media of the direct way would be lost, and the call would go over TCP.
 */
export function forDirect(servers: IceServer[]): IceServer[] {
  return servers.flatMap((server) => {
    if (!server.username) return [server]; // of somebody else, at another address
    const urls = server.urls.filter((url) => wayOf(url) !== "udp");
    return urls.length > 0 ? [{ ...server, urls }] : [];
  });
}

export interface Tried {
  result: CheckResult;
  /** Milliseconds until the relay answered; 0 if it did not. */
  ms: number;
}

export type Make = (configuration: RTCConfiguration) => RTCPeerConnection;

const makeConnection: Make = (configuration) => new RTCPeerConnection(configuration);

/** Tries one way. Never rejects. */
export async function tryWay(relay: RTCIceServer, make = makeConnection, limit = WAY_LIMIT): Promise<Tried> {
  const began = performance.now();
  let connection: RTCPeerConnection | undefined;
  try {
    const pc = make({ iceServers: [relay], iceTransportPolicy: "relay" });
    connection = pc;
    const reached = new Promise<boolean>((resolve) => {
      pc.onicecandidate = ({ candidate }) => {
        if (candidate === null) resolve(false);
        else if (/ typ relay /.test(`${candidate.candidate} `)) resolve(true);
      };
      setTimeout(() => resolve(false), limit);
    });
    pc.addTransceiver("audio", { direction: "recvonly" });
    await pc.setLocalDescription(await pc.createOffer());
    const ok = await reached;
    return { result: ok ? "ok" : "failed", ms: ok ? Math.max(1, Math.round(performance.now() - began)) : 0 };
  } catch {
    return { result: "failed", ms: 0 };
  } finally {
    if (connection) connection.onicecandidate = null;
    connection?.close();
  }
}
