package events_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"consilium/internal/events"
	"consilium/internal/events/logtest"

	"github.com/google/go-cmp/cmp"
)

func TestTheBacklogIsWhatBeganAndDidNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		log := logtest.NewMemory()
		finished, open, later := events.NewID(), events.NewID(), events.NewID()
		versions := map[string]events.Version{}
		add := func(id string, e events.Event) {
			t.Helper()
			v, err := log.Append(ctx, id, versions[id], events.NewDraft("/live/test", time.Now(), e))
			if err != nil {
				t.Fatal(err)
			}
			versions[id] = v
		}
		add(finished, events.ConsultationOpened{})
		add(open, events.ConsultationOpened{})
		add(finished, events.ConsultationCompleted{})

		var taken []string
		failures := 1
		watched := make(chan error, 1)
		go func() {
			watched <- events.WatchBacklog(ctx, log,
				[]events.Type{events.TypeConsultationOpened, events.TypeConsultationCompleted},
				func(set map[string]bool, e events.Stored) {
					if e.Type == events.TypeConsultationOpened {
						set[e.Subject] = true
					} else {
						delete(set, e.Subject)
					}
				},
				func(_ context.Context, id string) error {
					if failures > 0 {
						failures--
						return errors.New("not now")
					}
					taken = append(taken, id)
					return nil
				})
		}()
		time.Sleep(10 * time.Second) // of the bubble's clock: longer than every pause
		synctest.Wait()
		if d := cmp.Diff([]string{open}, taken); d != "" {
			t.Fatal(d)
		}
		add(later, events.ConsultationOpened{})
		time.Sleep(50 * time.Millisecond) // somebody waits for what has just begun
		synctest.Wait()
		if d := cmp.Diff([]string{open, later}, taken); d != "" {
			t.Fatal(d)
		}
		cancel()
		if err := <-watched; err != nil {
			t.Fatal(err)
		}
	})
}
