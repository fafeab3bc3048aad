// Camera, microphone and screen of this device: asking for them, and why asking failed.

import type { FailureCode } from "../text/failures.ts";

export type DeviceKind = "microphone" | "camera";

/** Why there is no track; codesOf gives the stable codes. */
export type DeviceProblem = "denied" | "busy" | "none" | "insecure" | "unsupported" | "failed";

const CODES: Record<DeviceProblem, Record<DeviceKind, FailureCode>> = {
  denied: { camera: "CAM-DENIED", microphone: "MIC-DENIED" },
  busy: { camera: "CAM-BUSY", microphone: "MIC-BUSY" },
  none: { camera: "NO-CAMERA", microphone: "NO-MICROPHONE" },
  failed: { camera: "CAM-FAILED", microphone: "MIC-FAILED" },
  insecure: { camera: "PAGE-INSECURE", microphone: "PAGE-INSECURE" },
  unsupported: { camera: "BROWSER-UNSUPPORTED", microphone: "BROWSER-UNSUPPORTED" },
};

/** The codes of docs/failures.md for what is wrong with the own devices. */
export function codesOf(problems: Partial<Record<DeviceKind, DeviceProblem>>): FailureCode[] {
  if (problems.camera === "none" && problems.microphone === "none") return ["NO-DEVICE"];
  const codes = (["camera", "microphone"] as const).flatMap((kind) => {
    const problem = problems[kind];
    return problem ? [CODES[problem][kind]] : [];
  });
  return [...new Set(codes)];
}

export interface Devices {
  microphone?: MediaStreamTrack;
  camera?: MediaStreamTrack;
  problems: Partial<Record<DeviceKind, DeviceProblem>>;
}

export interface Choice {
  microphone?: string | undefined;
  camera?: string | undefined;
}

/** Whether this page may ask at all; if not, why. */
export function unavailable(scope: { isSecureContext: boolean; navigator: Navigator }): DeviceProblem | undefined {
  if (!scope.isSecureContext) return "insecure";
  if (!scope.navigator.mediaDevices?.getUserMedia) return "unsupported";
  return undefined;
}

/** The reason behind an error of getUserMedia (Media Capture and Streams §10.2; older names included). */
export function problemOf(error: unknown): DeviceProblem {
  switch ((error as DOMException | undefined)?.name) {
    case "NotAllowedError":
    case "PermissionDeniedError":
    case "SecurityError":
      return "denied";
    case "NotReadableError":
    case "TrackStartError":
    case "AbortError":
      return "busy";
    case "NotFoundError":
    case "DevicesNotFoundError":
    case "OverconstrainedError":
      return "none";
    case "TypeError":
      return "insecure";
    default:
      return "failed";
  }
}

/** Asks for the given kinds, together first so that the browser puts one question. Never rejects. */
export async function acquire(kinds: DeviceKind[], choice: Choice = {}): Promise<Devices> {
  const reason = unavailable({ isSecureContext: window.isSecureContext, navigator });
  if (reason) return { problems: Object.fromEntries(kinds.map((kind) => [kind, reason])) };
  try {
    return collect(await navigator.mediaDevices.getUserMedia(constraints(kinds, choice)));
  } catch (error) {
    const problem = problemOf(error);
    // A refusal is an answer: asking again for each kind would only pester.
    if (kinds.length === 1 || problem === "denied") return oneByOne(kinds, choice, problem);
    return oneByOne(kinds, choice);
  }
}

// One by one, so that a missing camera does not cost the microphone. With a problem given only those kinds are asked
// for that the browser already allows.
async function oneByOne(kinds: DeviceKind[], choice: Choice, problem?: DeviceProblem): Promise<Devices> {
  const found: Devices = { problems: {} };
  for (const kind of kinds) {
    if (problem && (kinds.length === 1 || !(await alreadyAllowed(kind)))) {
      found.problems[kind] = problem;
      continue;
    }
    try {
      Object.assign(found, tracksOf(await navigator.mediaDevices.getUserMedia(constraints([kind], choice))));
    } catch (error) {
      found.problems[kind] = problemOf(error);
    }
  }
  return found;
}

async function alreadyAllowed(kind: DeviceKind): Promise<boolean> {
  try {
    const status = await navigator.permissions.query({ name: kind as PermissionName });
    return status.state === "granted";
  } catch {
    return false;
  }
}

function constraints(kinds: DeviceKind[], choice: Choice): MediaStreamConstraints {
  const wanted: MediaStreamConstraints = {};
  if (kinds.includes("microphone")) {
    wanted.audio = {
      ...pick(choice.microphone),
      echoCancellation: true,
      noiseSuppression: true,
      autoGainControl: true,
    };
  }
  if (kinds.includes("camera")) {
    wanted.video = {
      ...pick(choice.camera),
      ...(choice.camera ? {} : { facingMode: "user" }),
      width: { ideal: 1280 },
      height: { ideal: 720 },
      frameRate: { ideal: 25, max: 30 },
    };
  }
  return wanted;
}

// ideal, not exact: the device of last time may be gone, and then any other one is better than none.
function pick(deviceId: string | undefined): MediaTrackConstraints {
  return deviceId ? { deviceId: { ideal: deviceId } } : {};
}

function collect(stream: MediaStream): Devices {
  return { ...tracksOf(stream), problems: {} };
}

function tracksOf(stream: MediaStream): Pick<Devices, DeviceKind> {
  const microphone = stream.getAudioTracks()[0];
  const camera = stream.getVideoTracks()[0];
  return { ...(microphone ? { microphone } : {}), ...(camera ? { camera } : {}) };
}

export interface DeviceInfo {
  id: string;
  label: string;
}

/** The devices to choose from. Labels are empty until a permission was given. */
export async function list(): Promise<Record<DeviceKind, DeviceInfo[]>> {
  const found: Record<DeviceKind, DeviceInfo[]> = { microphone: [], camera: [] };
  try {
    for (const { kind, deviceId, label } of await navigator.mediaDevices.enumerateDevices()) {
      if (kind === "audioinput") found.microphone.push({ id: deviceId, label });
      if (kind === "videoinput") found.camera.push({ id: deviceId, label });
    }
  } catch {
    // No list, no choice: the default devices serve.
  }
  return found;
}

export function canShareScreen(): boolean {
  return typeof navigator.mediaDevices?.getDisplayMedia === "function";
}

/** Lets the person pick a screen or window. Undefined when they changed their mind. */
export async function shareScreen(): Promise<MediaStreamTrack | undefined> {
  try {
    const stream = await navigator.mediaDevices.getDisplayMedia({
      // Larger screens are scaled down by the browser: nothing larger is recorded.
      video: { width: { max: 4096 }, height: { max: 2304 }, frameRate: { ideal: 15, max: 30 } },
      audio: false,
    });
    const track = stream.getVideoTracks()[0];
    if (track) track.contentHint = "detail"; // text stays sharp
    return track;
  } catch {
    return undefined;
  }
}
