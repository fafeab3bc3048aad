package events

// The roles of those who can take part in a consultation, as events and tokens spell them.
const (
	RoleClinician   = "clinician" // hosts the consultation
	RolePatient     = "patient"
	RoleInterpreter = "interpreter"
	RoleObserver    = "observer" // sees and hears, sends nothing
	RoleDevice      = "device"   // an examination camera or the like
)
