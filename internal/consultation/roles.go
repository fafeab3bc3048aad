package consultation

import "slices"

// The roles that can take part in a consultation, as tokens and events spell them.
const (
	RoleClinician   = "clinician"
	RolePatient     = "patient"
	RoleInterpreter = "interpreter"
	RoleObserver    = "observer"
	RoleDevice      = "device"
)

// MayTakePart says whether somebody with this role can be invited.
func MayTakePart(role string) bool {
	return slices.Contains([]string{RoleClinician, RolePatient, RoleInterpreter, RoleObserver, RoleDevice}, role)
}

// IsHost says whether the role may end, pause and admit.
func IsHost(role string) bool { return role == RoleClinician }

// mayHaveTracks says whether p sends anything: an observer sees and hears only.
func (p Participant) mayHaveTracks() bool { return p.Role != RoleObserver }
