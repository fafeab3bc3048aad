package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// history is how much of a place was used at regular moments, the oldest first.
type history struct {
	step, keep time.Duration
	samples    []sample
}

// sample is one moment. Its JSON is in the history file.
type sample struct {
	At   time.Time `json:"at"`
	Used int64     `json:"used"` // bytes
}

// add notes a moment unless the newest one is younger than a step. A clock that was set back begins anew.
func (h *history) add(at time.Time, used int64) {
	if n := len(h.samples); n > 0 {
		switch since := at.Sub(h.samples[n-1].At); {
		case since < 0:
			h.samples = h.samples[:0]
		case since < h.step:
			return
		}
	}
	h.samples = append(h.samples, sample{At: at, Used: used})
	for len(h.samples) > 1 && at.Sub(h.samples[0].At) > h.keep {
		h.samples = h.samples[1:]
	}
}

// rate is how fast the place fills in bytes a second, 0 when less than least is known. What was deleted meanwhile does
// not count: making room once says nothing of the next days.
func (h *history) rate(least time.Duration) float64 {
	n := len(h.samples)
	if n < 2 || h.samples[n-1].At.Sub(h.samples[0].At) < least {
		return 0
	}
	var grown int64
	for i := 1; i < n; i++ {
		grown += max(0, h.samples[i].Used-h.samples[i-1].Used)
	}
	return float64(grown) / h.samples[n-1].At.Sub(h.samples[0].At).Seconds()
}

// load reads what earlier processes saw. A file that cannot be read is no loss.
func (w *Watch) load() {
	if w.cfg.History == "" {
		return
	}
	raw, err := os.ReadFile(w.cfg.History)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			w.cfg.Logger.Warn("the history of free space cannot be read", "error", err)
		}
		return
	}
	var kept map[string][]sample
	if err := json.Unmarshal(raw, &kept); err != nil {
		w.cfg.Logger.Warn("the history of free space cannot be read", "error", err)
		return
	}
	for i, p := range w.cfg.Places {
		for _, s := range kept[p.Name] {
			w.seen[i].days.add(s.At, s.Used)
		}
	}
}

// save writes the history once an hour. A full disk must not lose it, so it is written beside and renamed.
func (w *Watch) save(now time.Time) {
	w.mu.Lock()
	due := w.cfg.History != "" && now.Sub(w.saved) >= time.Hour
	kept := map[string][]sample{}
	if due {
		w.saved = now
		for i, p := range w.cfg.Places {
			kept[p.Name] = append([]sample(nil), w.seen[i].days.samples...)
		}
	}
	w.mu.Unlock()
	if !due {
		return
	}
	if err := writeBeside(w.cfg.History, kept); err != nil {
		w.cfg.Logger.Warn("the history of free space cannot be written", "error", err)
	}
}

func writeBeside(path string, content any) error {
	raw, err := json.Marshal(content)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", raw, 0o600); err != nil {
		return errors.Join(err, os.Remove(path+".new"))
	}
	return os.Rename(path+".new", path)
}
