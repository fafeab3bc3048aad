package telemetry

import "runtime/debug"

// Build says which build this is.
type Build struct {
	Version  string // of the module, "(devel)" for a build from a checkout
	Revision string // commit, with "+changes" when files were changed; "unknown" when the build does not say
	Go       string // version of the compiler
}

// ReadBuild reads what the compiler wrote into this program.
func ReadBuild() Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Build{Version: "unknown", Revision: "unknown", Go: "unknown"}
	}
	b := Build{Version: info.Main.Version, Revision: "unknown", Go: info.GoVersion}
	changed := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			changed = s.Value == "true"
		}
	}
	if changed {
		b.Revision += "+changes"
	}
	return b
}

// String is one line for a person.
func (b Build) String() string {
	return "consilium " + b.Version + " (" + b.Revision + ", " + b.Go + ")"
}
