package disk

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const gb = int64(1) << 30

// tank is a place of any size.
type tank struct {
	mu    sync.Mutex // guards what follows
	space Space
	err   error
}

func (k *tank) place(name string) Place {
	return Place{Name: name, Space: func(context.Context) (Space, error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.space, k.err
	}}
}

// set changes what the place says from now on.
func (k *tank) set(free int64, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.space.Free, k.err = free, err
}

func newWatch(t *testing.T, cfg Config) *Watch {
	t.Helper()
	w, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestLevels(t *testing.T) {
	tests := []struct {
		name        string
		free, total int64
		cfg         Config
		want        Level
	}{
		{name: "a large disk has room", free: 11 * gb, total: 1000 * gb, want: Fine},
		{name: "a large disk is low below ten gigabytes", free: 9 * gb, total: 1000 * gb, want: Low},
		{name: "a large disk is full below two", free: 2*gb - 1, total: 1000 * gb, want: Full},
		{name: "a small disk that is new has room", free: 7 * gb, total: 8 * gb, want: Fine},
		{name: "a small disk is low below a tenth", free: gb / 2, total: 8 * gb, want: Low},
		{name: "a small disk is full below a fiftieth", free: gb / 10, total: 8 * gb, want: Full},
		{name: "a size that was set counts alone", free: 7 * gb, total: 8 * gb, cfg: Config{Refuse: Threshold{Bytes: 7*gb + 1}}, want: Full},
		{name: "a share that was set counts alone", free: 400 * gb, total: 1000 * gb, cfg: Config{Warn: Threshold{Bytes: math.MaxInt64, Share: 0.5}}, want: Low},
		{name: "a place may have thresholds of its own", free: gb, total: 16 * gb, cfg: Config{
			Refuse: Threshold{Bytes: 100 * gb}, Places: []Place{{Warn: Threshold{Bytes: 100 * gb, Share: 0.1}, Refuse: Threshold{Bytes: 100 * gb, Share: 0.02}}},
		}, want: Low},
		{name: "nothing at all is left", free: 0, total: gb, want: Full},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := &tank{space: Space{tt.free, tt.total}}
			place := k.place("data")
			if len(tt.cfg.Places) > 0 {
				place.Warn, place.Refuse = tt.cfg.Places[0].Warn, tt.cfg.Places[0].Refuse
			}
			tt.cfg.Places = []Place{place}
			w := newWatch(t, tt.cfg)
			if w.Level() != tt.want {
				t.Errorf("level %s, want %s", w.Level(), tt.want)
			}
			if got := errors.Is(w.Room(), ErrFull); got != (tt.want == Full) {
				t.Errorf("Room says %v", w.Room())
			}
		})
	}
}

func TestTheWorstPlaceCountsAndFlickerDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data, log := &tank{space: Space{100 * gb, 1000 * gb}}, &tank{space: Space{15 * gb, 16 * gb}}
		var said bytes.Buffer
		w := newWatch(t, Config{
			Places: []Place{data.place("data"), log.place("log")}, Logger: slog.New(slog.NewTextHandler(&said, nil)),
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		step := func(free int64, want Level) {
			t.Helper()
			data.set(free, nil)
			time.Sleep(6 * time.Second)
			if got := w.Level(); got != want {
				t.Errorf("with %d free: %s, want %s", free, got, want)
			}
		}
		step(1*gb, Full)
		step(2*gb+1, Full) // a little more than the threshold is not enough to begin again
		step(3*gb, Low)
		step(10*gb+1, Low)
		step(20*gb, Fine)
		log.set(gb/10, nil)
		step(20*gb, Full)
		log.set(0, errors.New("the log is away"))
		step(20*gb, Full) // what cannot be asked keeps what it was
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		for _, text := range []string{"level=ERROR", "nearly full", "running low", "enough storage again", "place=log"} {
			if !strings.Contains(said.String(), text) {
				t.Errorf("the log does not say %q:\n%s", text, &said)
			}
		}
	})
}

func TestDaysLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		history := filepath.Join(t.TempDir(), "new", "disk-history.json")
		k := &tank{space: Space{100 * gb, 1000 * gb}}
		run := func(d time.Duration, perSecond int64) Report {
			reg := prometheus.NewRegistry()
			w := newWatch(t, Config{Places: []Place{k.place("data")}, History: history, Registerer: reg})
			for range int64(d / (10 * time.Second)) {
				time.Sleep(10 * time.Second)
				k.space.Free -= 10 * perSecond
				if err := w.look(t.Context(), time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			families, err := reg.Gather()
			if err != nil || len(families) != 4 {
				t.Errorf("%d metrics, %v", len(families), err)
			}
			return w.Reports()[0]
		}
		within := func(name string, got, want float64) {
			t.Helper()
			if math.Abs(got-want) > want/10 {
				t.Errorf("%s: %.2f, want about %.2f", name, got, want)
			}
		}
		quiet := run(2*time.Hour, 0)
		if !math.IsInf(quiet.DaysByHistory, 1) || !math.IsInf(quiet.DaysNow, 1) {
			t.Errorf("nothing grows and yet the room ends: %+v", quiet)
		}
		const rate = 200_000 // bytes a second: somebody is recorded
		busy := run(2*time.Hour, rate)
		within("now", busy.DaysNow, float64(busy.Space.Free)/rate/86400)
		within("over four hours, two of them quiet", busy.DaysByHistory, 2*float64(busy.Space.Free)/rate/86400)
		k.space.Free = 900 * gb // somebody made room
		freed := run(2*time.Hour, 0)
		within("making room does not count as growth", freed.DaysByHistory, 3*float64(freed.Space.Free)/rate/86400)
	})
}

func TestAFolderIsItsFileSystem(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "not", "made", "yet")} {
		s, err := Folder("data", path).Space(t.Context())
		if err != nil || s.Total <= 0 || s.Free <= 0 || s.Free > s.Total {
			t.Errorf("%s: %+v, %v", path, s, err)
		}
	}
	if got := Apart([]string{"data", "blobs"}, []string{dir, filepath.Join(dir, "blobs")}); len(got) != 1 || got[0].Name != "data" {
		t.Errorf("one file system is %d places", len(got))
	}
}
