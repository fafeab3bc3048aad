import assert from "node:assert/strict";

export class FakeTransceiver {
  mid: string | null = null;
  receiver: { track: { kind: string; id: string } };
  sender: { track: unknown; replaceTrack(track: unknown): Promise<void> };
  extensions: { uri: string; direction: string }[] | undefined;
  constructor(
    readonly kind: string,
    public direction: string,
    track: unknown,
  ) {
    this.receiver = { track: { kind, id: `receiving ${kind}` } };
    this.sender = {
      track,
      async replaceTrack(next: unknown) {
        this.track = next;
      },
    };
  }
  getHeaderExtensionsToNegotiate() {
    return [
      { uri: "urn:ietf:params:rtp-hdrext:sdes:mid", direction: "sendrecv" },
      { uri: "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time", direction: "stopped" },
    ];
  }
  setHeaderExtensionsToNegotiate(extensions: { uri: string; direction: string }[]) {
    this.extensions = extensions;
  }
}

/** The states and the order of calls of a PeerConnection, without any media. */
export class FakePC {
  transceivers: FakeTransceiver[] = [];
  signalingState = "stable";
  iceConnectionState = "new";
  localDescription: { sdp: string } | null = null;
  remoteDescription: { sdp: string } | null = null;
  candidates: string[] = [];
  restarts = 0;
  closed = false;
  onicecandidate: unknown = null;
  oniceconnectionstatechange: unknown = null;
  addTransceiver(kindOrTrack: string | { kind: string }, init: { direction: string }) {
    const track = typeof kindOrTrack === "string" ? null : kindOrTrack;
    const kind = typeof kindOrTrack === "string" ? kindOrTrack : kindOrTrack.kind;
    const made = new FakeTransceiver(kind, init.direction, track);
    this.transceivers.push(made);
    return made;
  }
  getTransceivers() {
    return this.transceivers;
  }
  async createOffer() {
    return { type: "offer", sdp: `offer of ${this.transceivers.length}` };
  }
  async setLocalDescription(offer: { sdp: string }) {
    for (const [index, transceiver] of this.transceivers.entries()) transceiver.mid ??= String(index);
    this.localDescription = offer;
    this.signalingState = "have-local-offer";
  }
  async setRemoteDescription(answer: { sdp: string }) {
    assert.equal(this.signalingState, "have-local-offer");
    this.remoteDescription = answer;
    this.signalingState = "stable";
  }
  async addIceCandidate(candidate: { candidate: string }) {
    this.candidates.push(candidate.candidate);
  }
  configuration: RTCConfiguration = { bundlePolicy: "max-bundle" };
  getConfiguration() {
    return this.configuration;
  }
  setConfiguration(configuration: RTCConfiguration) {
    this.configuration = configuration;
  }
  restartIce() {
    this.restarts++;
  }
  close() {
    this.closed = true;
  }
}
