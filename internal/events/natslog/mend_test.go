package natslog

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"consilium/internal/events"
)

// What a server says of its disk is heard; the one that is started anew has all events, takes new ones, and whoever
// follows goes on following.
func TestAServerWhoseDiskHasFailedIsStartedAnew(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e, err := Start(ctx, ServerConfig{DataDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	l, err := e.Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	id := events.NewID()
	fact := func() events.Draft {
		return events.NewDraft("/live/test", time.Now(), events.ParticipantInvited{Role: "observer"})
	}
	at, err := l.Append(ctx, id, events.Version{}, fact())
	if err != nil {
		t.Fatal(err)
	}
	followed, stop := make(chan events.Stored, 10), make(chan struct{})
	following, end := context.WithCancel(ctx)
	go func() { // ends with following
		defer close(stop)
		for s, err := range l.Follow(following, 0, events.Filter{Consultation: id}) {
			if err == nil {
				followed <- s
			}
		}
	}()
	defer func() { end(); <-stop }()
	<-followed

	e.mu.Lock()
	old := e.server
	e.mu.Unlock()
	serverLog{e.cfg.Logger, e.broke}.Errorf("JetStream failed to store a msg on stream '%s > %s': %v", "$G", eventsStream, "no space left on device")
	d := fact()
	for {
		e.mu.Lock()
		anew := e.server != nil && e.server != old
		e.mu.Unlock()
		if anew {
			var v events.Version
			if v, err = l.Append(ctx, id, at, d); err == nil {
				at = v
				break
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("nothing is taken after the disk is well: started anew %v, %v", anew, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	if all, err := events.ReadAll(ctx, l, id); err != nil || len(all) != 2 || at.Seq != 2 {
		t.Errorf("%d events, %v; want both", len(all), err)
	}
	select {
	case s := <-followed:
		if s.ID != d.ID {
			t.Errorf("followed %s, want the second event", s.ID)
		}
	case <-ctx.Done():
		t.Error("whoever followed the log hears nothing any more")
	}
}
