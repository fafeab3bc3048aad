// One person's visit to the join page: from the link over the notice into the call, and over a reload.

import { computed, effect, signal, untracked } from "@preact/signals";
import { answerConsent, type ConsentAnswer, controlRecording, type PauseReason } from "../api/rest.ts";
import { recall, remember, tabStorage } from "../api/token.ts";
import { Call, signalingURL } from "../call/call.ts";
import type { Choice } from "../call/devices.ts";
import { LocalMedia } from "../call/media.ts";
import { PreCheck } from "../call/precheck.ts";
import type { Consent, Policy, Role, Welcome } from "../signaling/messages.ts";
import { notice, noticeText, sha256 } from "../text/notice.ts";
import { language } from "../text/text.ts";

/** check: camera and microphone; notice: the recording notice; refused: said no where yes is needed; ready; call. */
export type Stage = "check" | "notice" | "refused" | "ready" | "call";

/** Whose answer decides what: the part of Welcome that the way through the page depends on. */
export interface Situation {
  policy: Policy;
  consent: Consent;
  role: Role;
}

/** Observers see and hear only: they have nothing to check and nothing to be recorded. */
export function sends(role: Role): boolean {
  return role !== "observer";
}

/** Whether the notice must be shown: recording is possible and there is no answer that stands. */
export function needsNotice({ policy, consent, role }: Situation): boolean {
  return sends(role) && policy !== "forbidden" && (consent === "" || consent === "withdrawn");
}

/** Whether the answer keeps the person out. */
export function isShutOut({ policy, consent, role }: Situation): boolean {
  return sends(role) && policy === "required" && consent === "refused";
}

/** Where a person starts who opens the page; `wasIn` says that this tab was in the call before a reload. */
export function firstStage(situation: Situation, wasIn: boolean): Stage {
  if (isShutOut(situation)) return "refused";
  if (wasIn && !needsNotice(situation)) return "call";
  return sends(situation.role) ? "check" : "ready";
}

/** Where Continue leads. */
export function afterCheck(situation: Situation): Stage {
  if (isShutOut(situation)) return "refused";
  return needsNotice(situation) ? "notice" : "ready";
}

/** The steps that this person sees, for "Step 2 of 3". */
export function stepsOf(situation: Situation, noticeSeen: boolean): Stage[] {
  const steps: Stage[] = sends(situation.role) ? ["check"] : [];
  if (noticeSeen || needsNotice(situation)) steps.push("notice");
  return [...steps, "ready"];
}

interface Memory {
  joined: boolean;
  choice: Choice;
  microphone: boolean;
  camera: boolean;
}

const MEMORY = "consilium.visit";

export class Visit {
  readonly media: LocalMedia;
  readonly call: Call;
  readonly check: PreCheck;
  readonly stage = signal<Stage | undefined>(undefined); // undefined until the server has said who we are
  readonly noticeSeen = signal(false);
  readonly answering = signal<"no" | "sending" | "failed">("no");
  /** What this person answered, as far as this page or the server knows. */
  readonly consent = signal<Consent>("");
  readonly situation = computed<Situation | undefined>(() => {
    const welcome = this.call.welcome.value;
    return welcome && { policy: welcome.policy, role: welcome.role, consent: this.consent.value };
  });
  readonly #token: string;
  readonly #storage = tabStorage();

  /** `fresh`: the link was opened just now, so what this tab remembers belongs to another visit. */
  constructor(token: string, location: Location, fresh: boolean) {
    this.#token = token;
    const memory = fresh ? undefined : this.#recall();
    this.media = new LocalMedia(memory?.choice);
    if (memory?.joined) {
      this.media.on.microphone.value = memory.microphone;
      this.media.on.camera.value = memory.camera;
    }
    this.call = new Call({ url: signalingURL(location), token, media: this.media });
    this.check = new PreCheck(this.media);
    // What follows from a change must not be followed itself: hence untracked.
    effect(() => {
      const welcome = this.call.welcome.value;
      untracked(() => this.#welcomed(welcome, memory?.joined ?? false));
    });
    effect(() => {
      const code = this.call.refusal.value;
      untracked(() => this.#turnedAway(code));
    });
    effect(() => {
      if (this.call.farewell.value) untracked(() => this.#ended());
    });
    effect(() => this.#remember());
    effect(() => {
      const codes = this.check.codes.value;
      untracked(() => this.call.tell(codes));
    });
    this.call.start();
  }

  /** From the camera check onwards. */
  goOn(): void {
    const situation = this.situation.value;
    if (!situation) return;
    this.call.checked(this.check.result());
    this.#go(afterCheck(situation));
  }

  /** Back to the notice after a no. */
  readAgain(): void {
    this.#go("notice");
  }

  /** Sends the answer to the notice, with the digest of the text that was on the screen. */
  async answer(answer: "given" | "refused"): Promise<void> {
    const welcome = this.call.welcome.value;
    if (!welcome || welcome.policy === "forbidden" || this.answering.value === "sending") return;
    this.answering.value = "sending";
    try {
      // The same no twice is one answer: it stands already.
      if (this.consent.value !== answer) await this.#send(welcome, welcome.policy, answer);
      this.answering.value = "no";
      this.consent.value = answer;
      this.#go(isShutOut({ ...welcome, consent: answer }) ? "refused" : "ready");
    } catch {
      this.answering.value = "failed";
    }
  }

  /** During the call: takes the consent back, or gives it after all. Throws when that cannot be saved. */
  async changeAnswer(answer: "given" | "withdrawn"): Promise<void> {
    const welcome = this.call.welcome.value;
    if (!welcome || welcome.policy === "forbidden") return;
    await this.#send(welcome, welcome.policy, answer);
    this.consent.value = answer;
  }

  join(): void {
    this.check.close();
    this.media.releaseUnused();
    this.call.join();
    this.#go("call");
  }

  /** Pauses or resumes the recording of everybody. Only the host may. */
  async controlRecording(what: "pause" | "resume", reason: PauseReason): Promise<void> {
    const welcome = this.call.welcome.value;
    if (welcome) await controlRecording(this.#token, welcome.consultation, what, reason);
  }

  /** Starts the page anew: after leaving, or to take the call over from another window. */
  comeBack(joined: boolean): void {
    this.#write(joined);
    window.location.reload();
  }

  /** The digest is that of the notice, also where the consent to it is taken back. */
  async #send(welcome: Welcome, policy: Exclude<Policy, "forbidden">, answer: ConsentAnswer["answer"]): Promise<void> {
    const textSha256 = await sha256(noticeText(notice(language.value, policy)));
    await answerConsent(this.#token, welcome.consultation, welcome.participant, {
      answer,
      textSha256,
      language: language.value,
    });
  }

  #go(stage: Stage): void {
    if (stage === "notice") this.noticeSeen.value = true;
    this.stage.value = stage;
  }

  #welcomed(welcome: Welcome | undefined, wasIn: boolean): void {
    if (!welcome) return;
    this.consent.value = welcome.consent;
    if (this.stage.peek()) return; // a later welcome only refreshes
    const stage = firstStage(welcome, wasIn);
    this.#go(stage);
    if (sends(welcome.role) && stage !== "refused") void this.media.open();
    if (stage === "check") void this.check.try(welcome.iceServers);
    if (stage !== "call") return;
    this.check.close();
    this.call.join();
  }

  #turnedAway(code: string): void {
    if (code === "consent_needed") {
      this.consent.value = "";
      this.#go("notice");
    } else if (code === "consent_refused") {
      this.consent.value = "refused";
      this.#go("refused");
    }
  }

  #ended(): void {
    this.check.close();
    this.media.close();
    this.#write(false);
  }

  #remember(): void {
    const joined = this.stage.value === "call" && !this.call.farewell.value;
    // Read here, so that each change of a switch is remembered.
    void this.media.on.microphone.value;
    void this.media.on.camera.value;
    if (this.stage.value) this.#write(joined);
  }

  #write(joined: boolean): void {
    const memory: Memory = {
      joined,
      choice: this.media.choice,
      microphone: this.media.on.microphone.peek(),
      camera: this.media.on.camera.peek(),
    };
    remember(this.#storage, MEMORY, JSON.stringify(memory));
  }

  #recall(): Memory | undefined {
    try {
      return JSON.parse(recall(this.#storage, MEMORY) ?? "null") ?? undefined;
    } catch {
      return undefined;
    }
  }
}
