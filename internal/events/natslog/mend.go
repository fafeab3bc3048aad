package natslog

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
)

// A server whose disk has failed once, by being full for a moment, never stores an event again: it keeps the error until
// it is started anew. So that is done here as soon as the disk takes bytes again. Whoever is connected connects again, and
// facts wait until then.

// mendEvery is how often it is looked whether the disk is well again.
const mendEvery = time.Second

// probe is how much must fit on the disk: more than the files that a start writes.
const probe = 1 << 20

var _ nats.InProcessConnProvider = (*Embedded)(nil)

// InProcessConn gives a connection to the server that runs now.
func (e *Embedded) InProcessConn() (net.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server == nil {
		return nil, errors.New("the event log is being started anew")
	}
	return e.server.InProcessConn()
}

// broke notes that the server could not store. It does not wait.
func (e *Embedded) broke() {
	select {
	case e.broken <- struct{}{}:
	default:
	}
}

// mend starts the server anew after its disk has failed, until ctx ends.
func (e *Embedded) mend(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.broken:
		}
		e.cfg.Logger.Error("the disk of the event log has failed; it is started anew as soon as the disk takes bytes again")
		for again := true; again; {
			select {
			case <-ctx.Done():
				return
			case <-time.After(mendEvery):
			}
			again = !e.restart(ctx)
		}
	}
}

// restart starts the server anew if the disk is well, and says whether it did.
func (e *Embedded) restart(ctx context.Context) bool {
	if err := tryDisk(e.store()); err != nil {
		e.cfg.Logger.Warn("the disk of the event log still fails", "error", err)
		return false
	}
	e.mu.Lock()
	old := e.server
	e.server = nil
	e.mu.Unlock()
	if old != nil {
		old.Shutdown()
		old.WaitForShutdown()
	}
	if err := e.serve(ctx); err != nil {
		e.cfg.Logger.Error("the event log does not start anew", "error", err)
		return false
	}
	select {
	case <-e.broken: // said by the old one
	default:
	}
	e.cfg.Logger.Info("the event log was started anew")
	return true
}

// tryDisk writes and syncs a file, and removes it.
func tryDisk(dir string) error {
	path := filepath.Join(dir, "probe")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, probe))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(path))
}
