package localpg

import (
	"log/slog"
	"testing"
)

// What an operator finds in the log of a server that starts and stops as it should is nothing to worry about.
func TestWhatTheDatabaseSaysIsAsLoudAsItMatters(t *testing.T) {
	for line, want := range map[string]slog.Level{
		"FATAL:  the database system is starting up":                  slog.LevelDebug,
		"FATAL:  terminating connection due to administrator command": slog.LevelDebug,
		"LOG:  database system is ready":                              slog.LevelDebug,
		"FATAL:  could not write lock file: No space left":            slog.LevelWarn,
		"ERROR:  relation \"nothing\" does not exist":                 slog.LevelWarn,
		"PANIC:  could not write to file \"pg_wal/xlogtemp\"":         slog.LevelError,
	} {
		if got := level(line); got != want {
			t.Errorf("%q is told as %v, want %v", line, got, want)
		}
	}
}
