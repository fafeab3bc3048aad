package render

import (
	"fmt"
	"maps"
	"strings"

	"consilium/internal/events"
	"consilium/internal/timeline"
)

// words are the texts of an archive in one language. Formats take a name.
type words struct {
	causes     map[timeline.Cause]string
	roles      map[string]string
	someone    string // a participant without name and role
	nobody     string // present at the moment
	neverAny   string // nobody ever joined
	noPicture  string // present without any video track
	screenOf   string // "%s"
	joined     string // "%s"
	left       string // "%s"
	paused     string
	resumed    string
	begins     string
	ends       string
	recordedOn string // "%s", a date
	day        string // form of a date, as package time wants it
	neverOn    string // on every card where the policy forbids recording
}

// wordsOf finds the texts of a BCP 47 language, English where there are none.
func wordsOf(language string) *words {
	primary, _, _ := strings.Cut(strings.ToLower(language), "-")
	if w, ok := languages[primary]; ok {
		return w
	}
	return languages["en"]
}

// under is w for a consultation of this policy: where nothing may ever be recorded, nobody's consent is the reason.
func (w *words) under(policy events.Policy) *words {
	if policy != events.PolicyForbidden {
		return w
	}
	off := *w
	off.causes = maps.Clone(w.causes)
	off.causes[timeline.NotConsented] = w.neverOn
	return &off
}

func (w *words) cause(c timeline.Cause) string {
	if text, ok := w.causes[c]; ok {
		return text
	}
	return w.noPicture
}

func (w *words) role(role string) string {
	if text, ok := w.roles[role]; ok {
		return text
	}
	return w.someone
}

func (w *words) screen(name string) string { return fmt.Sprintf(w.screenOf, name) }

// marker is the text of an event worth a line beside the video, false for one that is not.
func (w *words) marker(event, name string) (string, bool) {
	switch events.Type(event) {
	case events.TypeParticipantJoined:
		return fmt.Sprintf(w.joined, name), true
	case events.TypeParticipantLeft:
		return fmt.Sprintf(w.left, name), true
	case events.TypeRecordingPaused:
		return w.paused, true
	case events.TypeRecordingResumed:
		return w.resumed, true
	case events.TypeConsultationEnded:
		return w.ends, true
	default:
		return "", false
	}
}

var languages = map[string]*words{
	"en": {
		causes: map[timeline.Cause]string{
			timeline.NotConsented: "not recorded: no consent",
			timeline.CameraOff:    "camera off",
			timeline.Muted:        "camera off",
			timeline.Loss:         "no picture received",
			timeline.Stall:        "no picture received",
			timeline.Disconnected: "connection lost",
			connecting:            "connecting",
			timeline.Paused:       "recording paused",
			timeline.Overrun:      "recorder overloaded",
			timeline.Corrupt:      "recording damaged",
			timeline.Crash:        "recorder stopped",
			timeline.Missing:      "recording missing",
		},
		roles: map[string]string{
			"clinician": "Clinician", "patient": "Patient", "interpreter": "Interpreter", "observer": "Observer",
			"device": "Device",
		},
		someone: "Participant", nobody: "Nobody is present", neverAny: "Nobody joined this consultation",
		noPicture: "no picture", screenOf: "%s: screen", joined: "%s joined", left: "%s left",
		paused: "Recording paused", resumed: "Recording resumed", begins: "Start", ends: "Consultation ended",
		recordedOn: "Recorded on %s", day: "2 January 2006", neverOn: "recording is switched off",
	},
	"de": {
		causes: map[timeline.Cause]string{
			timeline.NotConsented: "nicht aufgezeichnet: keine Einwilligung",
			timeline.CameraOff:    "Kamera aus",
			timeline.Muted:        "Kamera aus",
			timeline.Loss:         "kein Bild empfangen",
			timeline.Stall:        "kein Bild empfangen",
			timeline.Disconnected: "Verbindung unterbrochen",
			connecting:            "Verbindung wird aufgebaut",
			timeline.Paused:       "Aufzeichnung angehalten",
			timeline.Overrun:      "Aufzeichnung überlastet",
			timeline.Corrupt:      "Aufzeichnung beschädigt",
			timeline.Crash:        "Aufzeichnung abgebrochen",
			timeline.Missing:      "Aufzeichnung fehlt",
		},
		roles: map[string]string{
			"clinician": "Ärztin/Arzt", "patient": "Patient/in", "interpreter": "Dolmetscher/in", "observer": "Gast",
			"device": "Gerät",
		},
		someone: "Teilnehmer/in", nobody: "Niemand ist anwesend", neverAny: "Niemand hat teilgenommen",
		noPicture: "kein Bild", screenOf: "%s: Bildschirm", joined: "%s ist gekommen", left: "%s ist gegangen",
		paused: "Aufzeichnung angehalten", resumed: "Aufzeichnung fortgesetzt", begins: "Beginn", ends: "Ende des Gesprächs",
		recordedOn: "Aufgezeichnet am %s", day: "02.01.2006", neverOn: "Aufzeichnung ist ausgeschaltet",
	},
	"ru": {
		causes: map[timeline.Cause]string{
			timeline.NotConsented: "запись не ведётся: нет согласия",
			timeline.CameraOff:    "камера выключена",
			timeline.Muted:        "камера выключена",
			timeline.Loss:         "нет изображения",
			timeline.Stall:        "нет изображения",
			timeline.Disconnected: "связь прервана",
			connecting:            "подключение",
			timeline.Paused:       "запись приостановлена",
			timeline.Overrun:      "запись не успевает",
			timeline.Corrupt:      "запись повреждена",
			timeline.Crash:        "запись прервана",
			timeline.Missing:      "запись отсутствует",
		},
		roles: map[string]string{
			"clinician": "Врач", "patient": "Пациент", "interpreter": "Переводчик", "observer": "Наблюдатель",
			"device": "Прибор",
		},
		someone: "Участник", nobody: "Никого нет", neverAny: "К консультации никто не подключился",
		noPicture: "нет изображения", screenOf: "%s: экран", joined: "Подключение: %s", left: "Отключение: %s",
		paused: "Запись приостановлена", resumed: "Запись продолжена", begins: "Начало", ends: "Консультация завершена",
		recordedOn: "Запись от %s", day: "02.01.2006", neverOn: "запись выключена",
	},
}
