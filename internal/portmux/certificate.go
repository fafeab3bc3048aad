package portmux

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookAgain is how often the files of a certificate are looked at, at most.
const lookAgain = 10 * time.Second

// Files is a certificate in two PEM files. When they change, the next handshake uses what they hold then, so that a new
// certificate needs no restart. What cannot be read is logged, and the one before goes on.
type Files struct {
	cert, key string
	logger    *slog.Logger
	now       func() time.Time

	mu      sync.Mutex // guards what follows
	current *tls.Certificate
	stamp   [2]time.Time // of the files that current was read from
	looked  time.Time
}

// NewFiles reads the files once, so that a mistake shows at the start.
func NewFiles(cert, key string, logger *slog.Logger) (*Files, error) {
	f := &Files{cert: cert, key: key, logger: logger, now: time.Now}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.readLocked(); err != nil {
		return nil, err
	}
	return f, nil
}

// Certificate is for Config.Certificate.
func (f *Files) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.now(); now.Sub(f.looked) >= lookAgain {
		f.looked = now
		if f.stampsLocked() != f.stamp {
			if err := f.readLocked(); err != nil {
				f.logger.Error("the new certificate cannot be used; the one before goes on", "error", err)
			} else {
				f.logger.Info("a new certificate is in use")
			}
		}
	}
	return f.current, nil
}

func (f *Files) readLocked() error {
	stamp := f.stampsLocked()
	certificate, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return fmt.Errorf("read certificate: %w", err)
	}
	f.current, f.stamp = &certificate, stamp
	return nil
}

// stampsLocked are the times of the two files' last change, zero of what is not there.
func (f *Files) stampsLocked() (stamps [2]time.Time) {
	for i, name := range []string{f.cert, f.key} {
		if info, err := os.Stat(name); err == nil {
			stamps[i] = info.ModTime()
		}
	}
	return stamps
}
