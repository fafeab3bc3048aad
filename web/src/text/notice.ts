// The recording notice. What a participant agreed to is proved by the SHA-256 of the exact text that was shown: the
// text is therefore apart from the other sentences, and each version that was ever shown stays in web/notices/ under
// its digest (`npm test -- --update` adds a new one).

import type { Policy } from "../signaling/messages.ts";
import type { Language } from "./text.ts";

type Answerable = Exclude<Policy, "forbidden">;

const shared: Record<Language, string[]> = {
  en: [
    "This consultation is recorded: the sound, the camera picture and the shared screen of everybody who agrees.",
    "When it has ended, the recordings are put together into one video.",
    "The video may be seen by the clinicians of this consultation and by staff whose task is to keep and check medical records.",
    "Your voice may also be heard on the recordings of other people in the call, because their microphones pick up what their loudspeakers play.",
    "Nothing of you is recorded before you agree.",
  ],
  de: [
    "Diese Konsultation wird aufgezeichnet: Ton, Kamerabild und geteilter Bildschirm von allen, die zustimmen.",
    "Nach dem Ende werden die Aufnahmen zu einem Video zusammengesetzt.",
    "Das Video können die behandelnden Personen dieser Konsultation sehen und Mitarbeitende, deren Aufgabe es ist, medizinische Unterlagen aufzubewahren und zu prüfen.",
    "Ihre Stimme kann auch auf den Aufnahmen anderer Personen im Gespräch zu hören sein, weil deren Mikrofone aufnehmen, was ihre Lautsprecher wiedergeben.",
    "Nichts von Ihnen wird aufgezeichnet, bevor Sie zustimmen.",
  ],
};

const last: Record<Language, Record<Answerable, string>> = {
  en: {
    required:
      "You may say no. This consultation can only be held with a recording: if you say no, you do not join it, and your doctor is told so.",
    optional: "You may say no. Then you take part all the same, and your own sound and picture are not recorded.",
  },
  de: {
    required:
      "Sie dürfen ablehnen. Diese Konsultation kann nur mit Aufzeichnung stattfinden: Wenn Sie ablehnen, nehmen Sie nicht teil, und Ihre Ärztin oder Ihr Arzt erfährt davon.",
    optional:
      "Sie dürfen ablehnen. Dann nehmen Sie trotzdem teil, und Ihr eigener Ton und Ihr eigenes Bild werden nicht aufgezeichnet.",
  },
};

/** The sentences of the notice, in the order in which they are shown. */
export function notice(language: Language, policy: Answerable): string[] {
  return [...shared[language], last[language][policy]];
}

/** The text whose digest is the evidence: one sentence a line, UTF-8, no newline at the end. */
export function noticeText(sentences: string[]): string {
  return sentences.join("\n");
}

/** Hex SHA-256 of the UTF-8 bytes of text. */
export async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
