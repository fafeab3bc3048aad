// What codes say that stand in events and on the live page, each as a part of a sentence: why a connection was closed (close), a
// network address was not used (ignored) or a video could not be made (failed), the states of ICE (ice), and what kept somebody
// out or silent (code, by docs/failures.md). They stand apart from the other texts because guests have no use for them.

import { language } from "./text.ts";

export const codes = {
  "close.replaced": { en: "another one took its place", de: "eine andere trat an ihre Stelle" },
  "close.ice_failed": { en: "the network path was lost for good", de: "der Weg durchs Netz war endgültig verloren" },
  "close.dtls_failed": { en: "the keys could not be exchanged", de: "die Schlüssel konnten nicht ausgetauscht werden" },
  "close.closed": { en: "by the page", de: "von der Seite aus" },
  "close.too_many_streams": { en: "it sent too many streams", de: "sie schickte zu viele Ströme" },
  "close.left": { en: "the person left", de: "die Person ist gegangen" },
  "close.kicked": { en: "the person was removed", de: "die Person wurde entfernt" },
  "close.timeout": { en: "the person did not come back", de: "die Person kam nicht wieder" },
  "close.ended": { en: "the consultation ended", de: "die Konsultation endete" },
  "close.abandoned": { en: "everybody was gone", de: "alle waren fort" },
  "close.shutdown": { en: "the server was stopped", de: "der Server wurde angehalten" },
  "close.unknown": { en: "not known", de: "nicht bekannt" },
  "ignored.mdns": { en: "a hidden name", de: "ein verborgener Name" },
  "ignored.private": { en: "not reachable from the server", de: "vom Server nicht erreichbar" },
  "ignored.tcp": { en: "the server calls nobody", de: "der Server ruft niemanden an" },
  "ignored.malformed": { en: "not readable", de: "nicht lesbar" },
  "ignored.stale": { en: "of an earlier attempt", de: "von einem früheren Versuch" },
  "ignored.limit": { en: "too many", de: "zu viele" },
  "ignored.refused": { en: "not usable", de: "nicht brauchbar" },
  "ice.new": { en: "not begun", de: "nicht begonnen" },
  "ice.checking": { en: "ways are tried", de: "Wege werden versucht" },
  "ice.connected": { en: "connected", de: "verbunden" },
  "ice.completed": { en: "connected", de: "verbunden" },
  "ice.disconnected": { en: "interrupted", de: "unterbrochen" },
  "ice.failed": { en: "no way found", de: "kein Weg gefunden" },
  "ice.closed": { en: "closed", de: "geschlossen" },
  "failed.ffmpeg_missing": { en: "the program ffmpeg is missing", de: "das Programm ffmpeg fehlt" },
  "failed.source_damaged": { en: "the events contradict each other", de: "die Ereignisse widersprechen sich" },
  "failed.no_space": { en: "the disk is full", de: "der Datenträger ist voll" },
  "failed.render_failed": { en: "the program reported an error", de: "das Programm meldete einen Fehler" },
  "failed.internal": { en: "a fault in the service itself", de: "ein Fehler im Dienst selbst" },
  "code.TOKEN-EXPIRED": { en: "link too old", de: "Link zu alt" },
  "code.TOKEN-EARLY": { en: "link not valid yet", de: "Link noch nicht gültig" },
  "code.TOKEN-INVALID": { en: "link not valid", de: "Link ungültig" },
  "code.PAGE-INSECURE": { en: "page not opened over https", de: "Seite nicht über https geöffnet" },
  "code.BROWSER-UNSUPPORTED": { en: "browser without camera and microphone", de: "Browser ohne Kamera und Mikrofon" },
  "code.CAM-DENIED": { en: "camera not allowed", de: "Kamera nicht erlaubt" },
  "code.MIC-DENIED": { en: "microphone not allowed", de: "Mikrofon nicht erlaubt" },
  "code.CAM-BUSY": { en: "camera in use elsewhere", de: "Kamera anderswo in Gebrauch" },
  "code.MIC-BUSY": { en: "microphone in use elsewhere", de: "Mikrofon anderswo in Gebrauch" },
  "code.NO-CAMERA": { en: "no camera", de: "keine Kamera" },
  "code.NO-MICROPHONE": { en: "no microphone", de: "kein Mikrofon" },
  "code.NO-DEVICE": { en: "neither camera nor microphone", de: "weder Kamera noch Mikrofon" },
  "code.CAM-FAILED": { en: "camera did not start", de: "Kamera nicht angelaufen" },
  "code.MIC-FAILED": { en: "microphone did not start", de: "Mikrofon nicht angelaufen" },
  "code.MIC-SILENT": { en: "microphone without a sound", de: "Mikrofon ohne jeden Ton" },
  "code.NET-UDP-BLOCKED": { en: "network lets no UDP through", de: "Netz lässt kein UDP durch" },
  "code.NET-BLOCKED": { en: "network lets no media through", de: "Netz lässt weder Ton noch Bild durch" },
  "code.SIG-LOST": { en: "page without connection to the server", de: "Seite ohne Verbindung zum Server" },
  "code.SIGNALING-TIMEOUT": { en: "page offered no connection", de: "Seite bot keine Verbindung an" },
  "code.ICE-TIMEOUT": { en: "no way through the network", de: "kein Weg durchs Netz" },
  "code.DTLS-TIMEOUT": { en: "keys not exchanged in time", de: "Schlüssel nicht rechtzeitig ausgetauscht" },
  "code.DTLS-FAIL": { en: "keys could not be exchanged", de: "Schlüssel nicht austauschbar" },
  "code.MEDIA-TIMEOUT": { en: "neither sound nor picture came", de: "weder Ton noch Bild kam an" },
  "code.MEDIA-STALL": { en: "sound or picture stopped", de: "Ton oder Bild blieb aus" },
} as const;

/** The words for a code of a family; undefined for one that this page does not know. */
export function codeText(family: "close" | "ignored" | "ice" | "failed" | "code", code: string): string | undefined {
  const key = `${family}.${code}`;
  return key in codes ? codes[key as keyof typeof codes][language.value] : undefined;
}
