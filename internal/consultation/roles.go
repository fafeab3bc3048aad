package consultation

import (
	"slices"

	"consilium/internal/events"
)

// MayTakePart says whether somebody with this role can be invited.
func MayTakePart(role string) bool {
	return slices.Contains([]string{
		events.RoleClinician, events.RolePatient, events.RoleInterpreter, events.RoleObserver, events.RoleDevice,
	}, role)
}

// IsHost says whether the role may end, pause and admit.
func IsHost(role string) bool { return role == events.RoleClinician }

// mayHaveTracks says whether p sends anything: an observer sees and hears only.
func (p Participant) mayHaveTracks() bool { return p.Role != events.RoleObserver }
