// Package auth says who somebody is and what they may do: roles, the table of permissions, and the signed tokens that
// carry a role.
//
// In come a token and the time; out come claims, or one of three reasons why not. The package touches no network, disk
// or clock, and keeps no list of users: whoever may sign is believed.
package auth

import "consilium/internal/events"

// The roles, as tokens and events spell them.
const (
	RoleClinician   = events.RoleClinician
	RolePatient     = events.RolePatient
	RoleInterpreter = events.RoleInterpreter
	RoleObserver    = events.RoleObserver
	RoleDevice      = events.RoleDevice
	RoleCompliance  = "compliance"
	RoleAuditor     = "auditor" // the log, never the media
	RoleAdmin       = "admin"   // the machine, never the media
	RoleService     = "service" // the calling system
)

// Roles lists all roles in the order of docs/permissions.md.
var Roles = []string{
	RoleClinician, RolePatient, RoleInterpreter, RoleObserver, RoleDevice,
	RoleCompliance, RoleAuditor, RoleAdmin, RoleService,
}

// Action is something that a role may or may not do.
type Action string

// The actions. Each is one or a few routes of the API.
const (
	CreateConsultation Action = "create a consultation"
	ListConsultations  Action = "list consultations"
	ViewConsultation   Action = "view a consultation"
	InviteParticipant  Action = "invite a participant"
	RemoveParticipant  Action = "remove a participant"
	AnswerConsent      Action = "answer the recording notice"
	AssertConsent      Action = "assert the consent of others"
	ControlRecording   Action = "pause and resume the recording"
	EndConsultation    Action = "end a consultation"
	ReopenConsultation Action = "reopen a consultation"
	ViewEvents         Action = "read the events"
	ViewTimeline       Action = "read the timeline"
	ListArchives       Action = "list archives"
	RequestArchive     Action = "request an archive"
	ViewArchive        Action = "watch and download an archive"
	ViewManifest       Action = "read an archive's manifest and tracks of text"
	ViewAccess         Action = "see who opened archives and took things out"
	ExportEvents       Action = "take the events out as a file"
	ViewHolds          Action = "see the holds of a consultation"
	PlaceHold          Action = "place a hold"
	ReleaseHold        Action = "release a hold, with a second person"
	Join               Action = "take part in the conference"
	Publish            Action = "send audio and video"
	ViewStorage        Action = "see how much storage is left"
	ViewOverview       Action = "see how the whole is doing"
	ViewWebhooks       Action = "see which systems are told of events"
	ManageWebhooks     Action = "say which systems are told of events"
)

// Scope is how far a permission reaches.
type Scope int

// The scopes. None is what every pair has that the table does not list.
const (
	None Scope = iota
	Own        // the consultation that the token names; for Personal actions only the token's own participant
	Any        // every consultation
)

func (s Scope) String() string {
	switch s {
	case Own:
		return "own"
	case Any:
		return "any"
	default:
		return "none"
	}
}

// rule is one row of the table: what an action covers and who may do it.
type rule struct {
	action   Action
	covers   string // routes, for docs/permissions.md
	personal bool   // Own means the token's own participant
	may      map[string]Scope
}

// table is the whole of the permissions. Neither the auditor nor the admin sees media; the admin reads events because
// failed connections are found there and they hold no names.
var table = []rule{
	{action: CreateConsultation, covers: "POST /consultations", may: map[string]Scope{
		RoleClinician: Any, RoleAdmin: Any, RoleService: Any,
	}},
	{action: ListConsultations, covers: "GET /consultations, GET /changes", may: map[string]Scope{
		RoleClinician: Own, RolePatient: Own, RoleInterpreter: Own, RoleObserver: Own,
		RoleCompliance: Any, RoleAuditor: Any, RoleAdmin: Any, RoleService: Any,
	}},
	{action: ViewConsultation, covers: "GET /consultations/{id}", may: map[string]Scope{
		RoleClinician: Own, RolePatient: Own, RoleInterpreter: Own, RoleObserver: Own,
		RoleCompliance: Any, RoleAuditor: Any, RoleAdmin: Any, RoleService: Any,
	}},
	{action: InviteParticipant, covers: "POST /consultations/{id}/participants", may: map[string]Scope{
		RoleClinician: Own, RoleAdmin: Any, RoleService: Any,
	}},
	{action: RemoveParticipant, covers: "DELETE /consultations/{id}/participants/{pid}", may: map[string]Scope{
		RoleClinician: Own, RoleAdmin: Any, RoleService: Any,
	}},
	{action: AnswerConsent, covers: "POST …/participants/{pid}/consent for oneself", personal: true, may: map[string]Scope{
		RoleClinician: Own, RolePatient: Own, RoleInterpreter: Own, RoleObserver: Own,
	}},
	{action: AssertConsent, covers: "POST …/participants/{pid}/consent for others; `consent: true` in an invitation", may: map[string]Scope{
		RoleClinician: Own, RoleAdmin: Any, RoleService: Any,
	}},
	{action: ControlRecording, covers: "POST /consultations/{id}/recording/{pause,resume}", may: map[string]Scope{
		RoleClinician: Own, RoleService: Any,
	}},
	{action: EndConsultation, covers: "POST /consultations/{id}/end; `end` on the WebSocket", may: map[string]Scope{
		RoleClinician: Own, RoleAdmin: Any, RoleService: Any,
	}},
	{action: ReopenConsultation, covers: "POST /consultations/{id}/reopen", may: map[string]Scope{
		RoleClinician: Own, RoleService: Any,
	}},
	{action: ViewEvents, covers: "GET /consultations/{id}/events, …/markers, …/lanes, …/quality", may: map[string]Scope{
		RoleClinician: Own, RoleCompliance: Any, RoleAuditor: Any, RoleAdmin: Any, RoleService: Any,
	}},
	{action: ViewTimeline, covers: "GET /consultations/{id}/timeline", may: map[string]Scope{
		RoleClinician: Own, RoleCompliance: Any, RoleAuditor: Any, RoleAdmin: Any, RoleService: Any,
	}},
	{action: ListArchives, covers: "GET /consultations/{id}/archives", may: map[string]Scope{
		RoleClinician: Own, RoleCompliance: Any, RoleAuditor: Any, RoleAdmin: Any, RoleService: Any,
	}},
	{action: RequestArchive, covers: "POST /consultations/{id}/archives", may: map[string]Scope{
		RoleClinician: Own, RoleCompliance: Any, RoleAdmin: Any, RoleService: Any,
	}},
	{action: ViewArchive, covers: "GET …/archives/{version}/archive.mp4, its thumbnails and single voices; POST …/archives/{version}/receipts", may: map[string]Scope{
		RoleClinician: Own, RoleCompliance: Any, RoleService: Any,
	}},
	{action: ViewManifest, covers: "GET …/archives/{version}/manifest.json, chapters.vtt, events.vtt", may: map[string]Scope{
		RoleClinician: Own, RoleCompliance: Any, RoleAuditor: Any, RoleService: Any,
	}},
	{action: ViewAccess, covers: "GET /consultations/{id}/accesses", may: map[string]Scope{
		RoleCompliance: Any, RoleAuditor: Any, RoleService: Any,
	}},
	{action: ExportEvents, covers: "POST /consultations/{id}/exports", may: map[string]Scope{
		RoleCompliance: Any, RoleAuditor: Any, RoleService: Any,
	}},
	{action: ViewHolds, covers: "GET /consultations/{id}/holds; `holds` of a consultation and `held` of lists", may: map[string]Scope{
		RoleClinician: Own, RoleCompliance: Any, RoleAuditor: Any, RoleAdmin: Any, RoleService: Any,
	}},
	{action: PlaceHold, covers: "POST /consultations/{id}/holds; cases and names of holds", may: map[string]Scope{
		RoleCompliance: Any, RoleAuditor: Any, RoleService: Any,
	}},
	{action: ReleaseHold, covers: "POST …/holds/{hold}/release, …/release/approve, …/release/decline", may: map[string]Scope{
		RoleCompliance: Any,
	}},
	{action: Join, covers: "GET /signaling", personal: true, may: map[string]Scope{
		RoleClinician: Own, RolePatient: Own, RoleInterpreter: Own, RoleObserver: Own,
	}},
	{action: Publish, covers: "POST /consultations/{id}/whip; offers on the WebSocket", personal: true, may: map[string]Scope{
		RoleClinician: Own, RolePatient: Own, RoleInterpreter: Own, RoleDevice: Own,
	}},
	{action: ViewStorage, covers: "GET /storage", may: map[string]Scope{
		RoleCompliance: Any, RoleAuditor: Any, RoleAdmin: Any, RoleService: Any,
	}},
	{action: ViewOverview, covers: "GET /overview", may: map[string]Scope{
		RoleCompliance: Any, RoleAuditor: Any, RoleAdmin: Any, RoleService: Any,
	}},
	{action: ViewWebhooks, covers: "GET /webhooks and below", may: map[string]Scope{
		RoleAuditor: Any, RoleAdmin: Any, RoleService: Any,
	}},
	{action: ManageWebhooks, covers: "POST, PATCH and DELETE /webhooks and below", may: map[string]Scope{
		RoleAdmin: Any, RoleService: Any,
	}},
}

// Actions lists all actions in the order of docs/permissions.md.
func Actions() []Action {
	all := make([]Action, len(table))
	for i, r := range table {
		all[i] = r.action
	}
	return all
}

// Allowed says how far role may do action. A pair that the table does not list gets None, and so does anything unknown.
func Allowed(role string, action Action) Scope {
	return find(action).may[role]
}

// Can says whether the holder of c may do action to a participant of a consultation. Both ids may be empty where the
// action has none.
func (c Claims) Can(action Action, consultation, participant string) bool {
	r := find(action)
	switch r.may[c.Role] {
	case Any:
		return true
	case Own:
		mine := consultation != "" && c.Consultation == consultation
		return mine && (!r.personal || participant != "" && c.Participant == participant)
	default:
		return false
	}
}

// find gives the row of an action; an unknown one gets a row that allows nothing.
func find(action Action) rule {
	for _, r := range table {
		if r.action == action {
			return r
		}
	}
	return rule{}
}
