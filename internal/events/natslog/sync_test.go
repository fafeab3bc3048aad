package natslog

import "testing"

// A kill leaves the system's cache alive, so only a power cut would show that the server does not sync.
func TestTheServerSyncsBeforeItAnswers(t *testing.T) {
	e, err := Start(t.Context(), ServerConfig{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	if !e.server.JetStreamConfig().SyncAlways {
		t.Error("SyncAlways is not set")
	}
}
