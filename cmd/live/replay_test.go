package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/events"
)

const (
	testConsultation = "019ab000-0000-7000-8000-000000000001"
	testPatient      = "019ab000-0000-7000-8000-000000000011"
)

// testHistory is the stored form of a short consultation; times are seconds after a moment.
func testHistory(t *testing.T) string {
	t.Helper()
	var lines []string
	var at events.Version
	say := func(second int, who string, e events.Event) {
		d := events.NewDraft("/live/test", time.Date(2026, 11, 22, 9, 30, second, 0, time.UTC), e)
		d.Participant = who
		raw, next, err := events.Seal(testConsultation, at, d)
		if err != nil {
			t.Fatal(err)
		}
		at = next
		lines = append(lines, string(raw))
	}
	say(0, "", events.ConsultationScheduled{Policy: "required", Layout: "grid", Language: "en"})
	say(10, testPatient, events.ParticipantJoined{Role: "patient"})
	say(25, testPatient, events.ConnectionTimedOut{Phase: "ice", AfterMS: 30000, Code: "ICE-TIMEOUT"})
	say(25, testPatient, events.TrackEnded{Track: "t", Reason: "\x1b[31mred" + strings.Repeat("x", 100)})
	return strings.Join(lines, "\n") + "\n"
}

func TestReplay(t *testing.T) {
	history, err := readHistory(strings.NewReader(testHistory(t)))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{testPatient: "Pat Example"}
	for _, tt := range []struct {
		name string
		cmd  replayCmd
		want []string
	}{
		{name: "everything, with the times of the archive", want: []string{
			"    -0:10.0      1  consultation.scheduled                             language=en layout=grid policy=required",
			"     0:00.0      2  participant.joined           Pat Example           role=patient",
			"     0:15.0      3  connection.timed_out         Pat Example           after_ms=30000 code=ICE-TIMEOUT connection= phase=ice",
			"     0:15.0      4  track.ended                  Pat Example           reason=\ufffd[31mred" + strings.Repeat("x", 51) + "… track=t",
		}},
		{name: "some types", cmd: replayCmd{Type: []string{"participant.", "consent."}}, want: []string{
			"     0:00.0      2  participant.joined           Pat Example           role=patient",
		}},
		{name: "about nobody known", cmd: replayCmd{Participant: "x"}},
		{name: "as stored", cmd: replayCmd{JSON: true, Type: []string{"consultation"}}, want: []string{string(history[0].Raw)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := tt.cmd.replay(t.Context(), &out, history, names); err != nil {
				t.Fatal(err)
			}
			var got []string
			for line := range strings.Lines(out.String()) {
				got = append(got, strings.TrimSuffix(line, "\n"))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestReplaySpeed(t *testing.T) {
	history, err := readHistory(strings.NewReader(testHistory(t)))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		cmd := replayCmd{Speed: 5, Type: []string{"track."}} // what is not printed takes its time all the same
		if err := cmd.replay(t.Context(), &bytes.Buffer{}, history, nil); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("25 s at five times the speed took %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		cmd = replayCmd{Speed: 1}
		if err := cmd.replay(ctx, &bytes.Buffer{}, history, nil); err == nil {
			t.Error("it does not stop when it is told to")
		}
	})
}

func TestAChangedHistoryIsNotReplayed(t *testing.T) {
	good := testHistory(t)
	lines := strings.SplitAfter(good, "\n")
	for name, text := range map[string]string{
		"nothing":         "",
		"a changed event": strings.Replace(good, `"role":"patient"`, `"role":"observer"`, 1),
		"a missing event": lines[0] + lines[2],
		"no event":        "hello\n",
	} {
		if _, err := readHistory(strings.NewReader(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestTextsForATerminal(t *testing.T) {
	for text, want := range map[string]string{
		"Müller": "Müller", "a\nb": "a\ufffdb", "\x1b[2J": "\ufffd[2J", "\u202eevil": "\ufffdevil", "\u0085": "\ufffd",
	} {
		if got := visible(text); got != want {
			t.Errorf("visible(%q) = %q, want %q", text, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0:00.0", 59960 * time.Millisecond: "1:00.0", 3723400 * time.Millisecond: "1:02:03.4", -1500 * time.Millisecond: "-0:01.5",
	} {
		if got := clock(d); got != want {
			t.Errorf("clock(%s) = %s, want %s", d, got, want)
		}
	}
}
