// One RTCPeerConnection: what this participant sends, what it receives, and the offers that keep both sides agreed.
// Only the client offers, and one offer is in flight at a time.

import { ConnectionLost } from "../signaling/client.ts";
import type {
  Answer,
  Candidate,
  ClientMessage,
  IceServer,
  Offer,
  ServerMessage,
  Source,
} from "../signaling/messages.ts";
import { forDirect } from "./ways.ts";

/** A remote track and whose it is. */
export interface Received {
  participant: string;
  source: Source;
  /** The conference's id of the track, not the browser's. */
  trackId: string;
  mid: string;
  track: MediaStreamTrack;
}

export interface PeerEvents {
  /** The whole list after each answer. */
  received(list: Received[]): void;
  ice(state: RTCIceConnectionState): void;
  /** An offer was refused, or its answer does not fit: this connection will not become better. */
  unusable(error: Error): void;
}

export interface Signaling {
  request(message: ClientMessage): Promise<ServerMessage>;
  send(message: ClientMessage): boolean;
}

export interface PeerOptions {
  iceServers: IceServer[];
  signaling: Signaling;
  events: PeerEvents;
  make?: (configuration: RTCConfiguration) => RTCPeerConnection;
}

/** Receiving m-lines that the first offer already has, so that the first two others need no second round. */
const SPARE = { audio: 2, video: 2 } as const;
/** No more m-lines than this: a server that keeps asking cannot make the page allocate without end. */
const MOST_LINES = 100;

const BITRATES: Partial<Record<Source, number>> = { camera: 1_500_000, screen: 2_500_000 };
const CAPTURE_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";

export class Peer {
  readonly pc: RTCPeerConnection;
  #signaling: Signaling;
  #events: PeerEvents;
  #servers: IceServer[];
  #sending = new Map<Source, RTCRtpTransceiver>();
  // What is in one stream is played in step: microphone and camera are, a shared screen stands alone.
  #person = new MediaStream();
  #screen = new MediaStream();
  #carrying = new Map<string, Received>(); // by mid
  #early: RTCIceCandidateInit[] = []; // remote candidates that belong to an answer still under way
  #wanted = false;
  #restart = false;
  #relay = false; // only relays are tried
  #running: Promise<void> | undefined;
  #fresh = true; // the server does not know this connection yet
  #fingerprint = "";
  #closed = false;

  constructor(options: PeerOptions) {
    const make = options.make ?? ((configuration) => new RTCPeerConnection(configuration));
    this.#signaling = options.signaling;
    this.#events = options.events;
    this.#servers = options.iceServers;
    this.pc = make({ iceServers: forDirect(this.#servers), bundlePolicy: "max-bundle" });
    this.pc.onicecandidate = ({ candidate }) => this.#tell(candidate);
    this.pc.oniceconnectionstatechange = () => {
      if (!this.#closed) this.#events.ice(this.pc.iceConnectionState);
    };
  }

  /** Sends track as source from now on; the caller asks for negotiate() when it has said everything. */
  publish(source: Source, track: MediaStreamTrack): void {
    const known = this.#sending.get(source);
    if (known) {
      known.direction = "sendonly";
      // The same kind of track into the same m-line: nothing to negotiate but the direction.
      void known.sender.replaceTrack(track);
      return;
    }
    const bitrate = BITRATES[source];
    const transceiver = this.pc.addTransceiver(track, {
      direction: "sendonly",
      streams: [source === "screen" ? this.#screen : this.#person],
      ...(bitrate ? { sendEncodings: [{ maxBitrate: bitrate }] } : {}),
    });
    offerCaptureTime(transceiver);
    if (track.kind === "audio") preferRedundancy(transceiver);
    this.#sending.set(source, transceiver);
  }

  /** Puts another device's track in the place of the one that is being sent. */
  async replace(source: Source, track: MediaStreamTrack): Promise<void> {
    await this.#sending.get(source)?.sender.replaceTrack(track);
  }

  /** Stops sending source. Its m-line stays and is used again by the next publish. */
  unpublish(source: Source): void {
    const transceiver = this.#sending.get(source);
    if (!transceiver) return;
    transceiver.direction = "inactive";
    void transceiver.sender.replaceTrack(null);
  }

  /** Makes sure that so many receiving m-lines carry nothing yet. */
  reserve(audio: number, video: number): void {
    this.#reserve("audio", audio);
    this.#reserve("video", video);
  }

  #reserve(kind: "audio" | "video", count: number): void {
    const lines = this.pc.getTransceivers();
    const free = lines.filter(
      (t) => t.direction === "recvonly" && t.receiver.track.kind === kind && !(t.mid && this.#carrying.has(t.mid)),
    ).length;
    const room = MOST_LINES - lines.length;
    for (let missing = Math.min(count - free, room); missing > 0; missing--) {
      this.pc.addTransceiver(kind, { direction: "recvonly" });
    }
  }

  /** Offers, now or as soon as the offer under way is answered. Resolves when nothing is left to offer. */
  negotiate(): Promise<void> {
    this.#wanted = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** A new offer with new ICE credentials: the way back after the network changed. With relay over the relays alone. */
  restart(relay = false): Promise<void> {
    if (relay !== this.#relay) {
      this.#relay = relay;
      this.pc.setConfiguration({
        ...this.pc.getConfiguration(), // it is replaced as a whole
        iceServers: relay ? this.#servers : forDirect(this.#servers),
        iceTransportPolicy: relay ? "relay" : "all",
      });
    }
    this.#restart = true;
    return this.negotiate();
  }

  /** A candidate of the server's. */
  candidate(message: Candidate): void {
    const init: RTCIceCandidateInit = { candidate: message.candidate };
    if (message.sdpMid !== undefined) init.sdpMid = message.sdpMid;
    if (message.sdpMLineIndex !== undefined) init.sdpMLineIndex = message.sdpMLineIndex;
    // While an offer is under way the candidate may belong to its answer.
    if (this.pc.signalingState !== "stable" || !this.pc.remoteDescription) this.#early.push(init);
    else this.#add(init);
  }

  close(): void {
    this.#closed = true;
    this.pc.onicecandidate = null;
    this.pc.oniceconnectionstatechange = null;
    this.pc.close();
  }

  async #run(): Promise<void> {
    if (this.#fresh) this.reserve(SPARE.audio, SPARE.video);
    while (this.#wanted && !this.#closed) {
      this.#wanted = false;
      try {
        await this.#offer();
      } catch (error) {
        // Without a connection nothing is decided: whoever brings it back negotiates again.
        if (error instanceof ConnectionLost || this.#closed) return;
        this.#events.unusable(error instanceof Error ? error : new Error(String(error)));
        return;
      }
    }
  }

  async #offer(): Promise<void> {
    if (this.#restart) this.pc.restartIce();
    await this.pc.setLocalDescription(await this.pc.createOffer());
    const answer = await this.#signaling.request(this.#describe());
    if (this.#closed) return;
    if (answer.type !== "answer") throw new Error(`an offer was answered with ${answer.type}`);
    this.#checkFingerprint(answer.sdp);
    await this.pc.setRemoteDescription({ type: "answer", sdp: answer.sdp });
    this.#fresh = false;
    this.#restart = false;
    for (const init of this.#early.splice(0)) this.#add(init);
    this.#take(answer);
  }

  #describe(): Offer {
    const tracks: Offer["tracks"] = [];
    for (const [source, transceiver] of this.#sending) {
      if (transceiver.direction !== "sendonly" || transceiver.mid === null) continue;
      tracks.push({ mid: transceiver.mid, source, muted: !transceiver.sender.track?.enabled });
    }
    const sdp = this.pc.localDescription?.sdp ?? "";
    return { type: "offer", sdp, tracks, ...(this.#fresh ? { new: true } : {}) };
  }

  // Another fingerprint means that another connection answers: the server started anew and has forgotten this one.
  #checkFingerprint(sdp: string): void {
    const fingerprint = /^a=fingerprint:(.*)$/m.exec(sdp)?.[1]?.trim() ?? "";
    if (this.#fingerprint && fingerprint && fingerprint !== this.#fingerprint) {
      throw new Error("the server has a new connection");
    }
    this.#fingerprint = fingerprint;
  }

  #take(answer: Answer): void {
    const lines = new Map(this.pc.getTransceivers().map((t) => [t.mid, t]));
    this.#carrying.clear();
    for (const { mid, participant, track, source } of answer.tracks) {
      const receiver = lines.get(mid)?.receiver;
      if (receiver) this.#carrying.set(mid, { participant, source, trackId: track, mid, track: receiver.track });
    }
    this.#events.received([...this.#carrying.values()]);
  }

  #tell(candidate: RTCIceCandidate | null): void {
    const message: Candidate = { type: "candidate", candidate: candidate?.candidate ?? "" };
    if (candidate?.sdpMid != null) message.sdpMid = candidate.sdpMid;
    if (candidate?.sdpMLineIndex != null) message.sdpMLineIndex = candidate.sdpMLineIndex;
    // Not delivered is not lost: the next offer's SDP holds every candidate gathered until then.
    this.#signaling.send(message);
  }

  // Candidates that this browser cannot use (mDNS names, other families) must not disturb the rest. Nor may late ones of a
  // connection that was given up: they name the same addresses, and Chromium takes them for those of a restart to come and
  // then refuses the right ones.
  #add(init: RTCIceCandidateInit): void {
    if (!init.candidate || !isOf(this.pc.remoteDescription?.sdp ?? "", init.candidate)) return;
    this.pc.addIceCandidate(init).catch(() => {});
  }
}

// Whether a candidate belongs to a description: it names the same ICE user fragment, or none.
function isOf(sdp: string, candidate: string): boolean {
  const fragment = / ufrag (\S+)/.exec(candidate)?.[1];
  const known = [...sdp.matchAll(/^a=ice-ufrag:(\S+)/gm)].map(([, ufrag]) => ufrag);
  return !fragment || known.length === 0 || known.includes(fragment);
}

// abs-capture-time tells the recorder when a frame was captured. Not every browser lets a page ask for it.
function offerCaptureTime(transceiver: RTCRtpTransceiver): void {
  type Extension = { uri: string; direction: RTCRtpTransceiverDirection };
  const capable = transceiver as RTCRtpTransceiver & {
    getHeaderExtensionsToNegotiate?(): Extension[];
    setHeaderExtensionsToNegotiate?(extensions: Extension[]): void;
  };
  try {
    const extensions = capable.getHeaderExtensionsToNegotiate?.() ?? [];
    for (const extension of extensions) {
      if (extension.uri === CAPTURE_TIME) extension.direction = "sendrecv";
    }
    if (extensions.length > 0) capable.setHeaderExtensionsToNegotiate?.(extensions);
  } catch {
    // Sender reports remain.
  }
}

// Redundant audio (RED): each packet holds the one before it once more, so that single losses cost nothing. Not
// every browser has it.
function preferRedundancy(transceiver: RTCRtpTransceiver): void {
  try {
    const codecs = globalThis.RTCRtpSender?.getCapabilities?.("audio")?.codecs ?? [];
    const redundant = codecs.filter(({ mimeType }) => mimeType.toLowerCase() === "audio/red");
    if (redundant.length === 0) return;
    transceiver.setCodecPreferences([...redundant, ...codecs.filter((codec) => !redundant.includes(codec))]);
  } catch {
    // Plain Opus remains.
  }
}
