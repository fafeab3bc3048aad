package stitch

import (
	"runtime/debug"
	"testing"
)

// A manifest does not call a stitcher by the name of a revision that it is not.
func TestWhatAStitcherIsCalled(t *testing.T) {
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "1234"}
	for name, test := range map[string]struct {
		settings []debug.BuildSetting
		want     string
	}{
		"built without a repository":    {nil, "v1"},
		"built from a revision":         {[]debug.BuildSetting{revision, {Key: "vcs.modified", Value: "false"}}, "1234"},
		"built from what came after it": {[]debug.BuildSetting{revision, {Key: "vcs.modified", Value: "true"}}, "1234+changes"},
	} {
		if got := versionOf(&debug.BuildInfo{Main: debug.Module{Version: "v1"}, Settings: test.settings}); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
