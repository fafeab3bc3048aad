// Written by `go test ./internal/failures -update` from the table in internal/failures. Do not edit.

/** What the patient is told, by the code of the failure. */
export const failures = {
  "TOKEN-EXPIRED": {
    en: "This link is too old; please ask your clinic for a new one.",
    de: "Dieser Link ist zu alt; bitte lassen Sie sich von Ihrer Klinik einen neuen geben.",
  },
  "TOKEN-EARLY": {
    en: "You are early; please open this link again at the time of your appointment.",
    de: "Sie sind zu früh; bitte öffnen Sie diesen Link zur Zeit Ihres Termins noch einmal.",
  },
  "TOKEN-INVALID": {
    en: "This link does not work here; please open the link from your invitation once more, all of it.",
    de: "Dieser Link funktioniert hier nicht; bitte öffnen Sie den vollständigen Link aus Ihrer Einladung noch einmal.",
  },
  "PAGE-INSECURE": {
    en: "Camera and microphone work on secure pages only; please ask for a link that begins with https.",
    de: "Kamera und Mikrofon gehen nur auf sicheren Seiten; bitte verlangen Sie einen Link, der mit https beginnt.",
  },
  "BROWSER-UNSUPPORTED": {
    en: "This window cannot use camera and microphone; please copy the link and open it in Safari, Chrome or Firefox.",
    de: "Dieses Fenster kann Kamera und Mikrofon nicht benutzen; bitte kopieren Sie den Link und öffnen Sie ihn in Safari, Chrome oder Firefox.",
  },
  "CAM-DENIED": {
    en: "The camera is blocked; please allow it beside the address of this page, then try again.",
    de: "Die Kamera ist gesperrt; bitte erlauben Sie sie neben der Adresse dieser Seite und versuchen Sie es dann noch einmal.",
  },
  "MIC-DENIED": {
    en: "The microphone is blocked; please allow it beside the address of this page, then try again.",
    de: "Das Mikrofon ist gesperrt; bitte erlauben Sie es neben der Adresse dieser Seite und versuchen Sie es dann noch einmal.",
  },
  "CAM-BUSY": {
    en: "The camera is used by another program; please close that program, then try again.",
    de: "Die Kamera wird von einem anderen Programm benutzt; bitte schließen Sie es und versuchen Sie es dann noch einmal.",
  },
  "MIC-BUSY": {
    en: "The microphone is used by another program; please close that program, then try again.",
    de: "Das Mikrofon wird von einem anderen Programm benutzt; bitte schließen Sie es und versuchen Sie es dann noch einmal.",
  },
  "NO-CAMERA": {
    en: "No camera was found; please connect one, or go on without.",
    de: "Es wurde keine Kamera gefunden; bitte schließen Sie eine an, oder machen Sie ohne weiter.",
  },
  "NO-MICROPHONE": {
    en: "No microphone was found; please connect one, or go on without.",
    de: "Es wurde kein Mikrofon gefunden; bitte schließen Sie eines an, oder machen Sie ohne weiter.",
  },
  "NO-DEVICE": {
    en: "Neither camera nor microphone was found; please connect them, or use a phone.",
    de: "Es wurden weder Kamera noch Mikrofon gefunden; bitte schließen Sie sie an, oder nehmen Sie ein Telefon.",
  },
  "CAM-FAILED": {
    en: "The camera did not start; please unplug it and plug it in again, or restart the browser.",
    de: "Die Kamera ist nicht angelaufen; bitte stecken Sie sie aus und wieder ein, oder starten Sie den Browser neu.",
  },
  "MIC-FAILED": {
    en: "The microphone did not start; please unplug it and plug it in again, or restart the browser.",
    de: "Das Mikrofon ist nicht angelaufen; bitte stecken Sie es aus und wieder ein, oder starten Sie den Browser neu.",
  },
  "MIC-SILENT": {
    en: "We hear nothing from your microphone; please check its switch, or choose another one.",
    de: "Von Ihrem Mikrofon kommt kein Ton; bitte prüfen Sie seinen Schalter, oder wählen Sie ein anderes.",
  },
  "NET-UDP-BLOCKED": {
    en: "Your network slows calls down; if sound or picture falter, please try mobile data or another Wi-Fi.",
    de: "Ihr Netzwerk bremst Gespräche; wenn Ton oder Bild stocken, versuchen Sie bitte mobile Daten oder ein anderes WLAN.",
  },
  "NET-BLOCKED": {
    en: "Your network lets the page through but no sound and picture; please try mobile data or another Wi-Fi.",
    de: "Ihr Netzwerk lässt die Seite durch, aber weder Ton noch Bild; bitte versuchen Sie mobile Daten oder ein anderes WLAN.",
  },
  "SIG-LOST": {
    en: "The connection is lost and is coming back by itself; if it takes long, please check your Wi-Fi or mobile data.",
    de: "Die Verbindung ist verloren und kommt von selbst wieder; wenn es lange dauert, prüfen Sie bitte Ihr WLAN oder Ihre mobilen Daten.",
  },
  "SIGNALING-TIMEOUT": {
    en: "Your page has stopped responding; please reload it.",
    de: "Ihre Seite reagiert nicht mehr; bitte laden Sie sie neu.",
  },
  "ICE-TIMEOUT": {
    en: "Your network does not let the call through; please try mobile data or another Wi-Fi.",
    de: "Ihr Netzwerk lässt das Gespräch nicht durch; bitte versuchen Sie es mit mobilen Daten oder einem anderen WLAN.",
  },
  "DTLS-TIMEOUT": {
    en: "The secure connection is not coming about; please reload the page, or try another network.",
    de: "Die sichere Verbindung kommt nicht zustande; bitte laden Sie die Seite neu, oder versuchen Sie ein anderes Netzwerk.",
  },
  "DTLS-FAIL": {
    en: "The secure connection could not be made; please update your browser or try another one.",
    de: "Die sichere Verbindung kam nicht zustande; bitte aktualisieren Sie Ihren Browser oder nehmen Sie einen anderen.",
  },
  "MEDIA-TIMEOUT": {
    en: "We neither see nor hear you yet; please check that your camera and microphone are on and not used by another program.",
    de: "Wir sehen und hören Sie noch nicht; bitte prüfen Sie, ob Kamera und Mikrofon eingeschaltet und von keinem anderen Programm belegt sind.",
  },
  "MEDIA-STALL": {
    en: "Your sound or picture does not arrive at the moment; please keep this page in front, and check your network.",
    de: "Ihr Ton oder Bild kommt im Moment nicht an; bitte lassen Sie diese Seite im Vordergrund, und prüfen Sie Ihr Netzwerk.",
  },
} as const;

export type FailureCode = keyof typeof failures;
