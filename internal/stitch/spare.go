package stitch

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Chunks of a call that is going on are made of time that nobody else wants: one at a time, niced, and only while the
// processors of the machine, on which the call itself may run, have had enough of it for a while.

const (
	// spareLook is how often the machine is looked at.
	spareLook = time.Second
	// calmLooks is how many looks in a row must find it calm before a chunk is begun. It doubles, up to mostCalmLooks, each
	// time that the calm ends, and is what it was when a chunk was made.
	calmLooks, mostCalmLooks = 3, 24
	// chunkTakes is how many processors have to be idle for a chunk: one and a bit, of which three quarters must do where
	// there is only one.
	chunkTakes, chunkTakesOfOne = 1.25, 0.75
	// mostPressure is the share of the last ten seconds, in percent, in which somebody waited for a processor.
	mostPressure = 15.0
)

// spare says whether there is time for a chunk of a call that is going on. It is safe for concurrent use.
type spare struct {
	read func() (machine, error) // looks at the machine

	mu      sync.Mutex // guards what follows
	running bool       // such a chunk is being made: one at a time
	worked  bool       // one was being made since the last look, so what was busy may be ours
	before  machine
	calm    int  // looks in a row
	wanted  int  // calm looks before the next chunk
	good    bool // the newest look that told anything found it calm
}

func newSpare() *spare { return &spare{read: readMachine, wanted: calmLooks} }

// take begins a chunk, if there is time for it; done ends it and says whether there was one to make.
func (s *spare) take() (done func(made bool), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running || s.calm < s.wanted {
		return nil, false
	}
	s.running, s.worked = true, true
	return s.end, true
}

// end ends a chunk. What the machine does without it has to be seen before the next one.
func (s *spare) end(made bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = false
	if made {
		s.calm, s.wanted = 0, calmLooks
	}
}

// isCalm says whether the machine had time when it was looked at last.
func (s *spare) isCalm() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.good
}

// watch looks at the machine until ctx ends. Where it cannot be looked at, there is never time.
func (s *spare) watch(ctx context.Context) {
	tick := time.NewTicker(spareLook)
	defer tick.Stop()
	for {
		now, err := s.read()
		s.look(now, err == nil)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look takes in what the machine showed.
func (s *spare) look(now machine, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, ours := s.before, s.worked
	s.before, s.worked = now, s.running
	switch {
	case !known || before.total == 0:
		s.calm, s.good = 0, false
	case ours: // nothing is known of the others
	case now.isCalm(before):
		s.calm++
		s.good = true
	default:
		if s.calm >= s.wanted {
			s.wanted = min(2*s.wanted, mostCalmLooks)
		}
		s.calm, s.good = 0, false
	}
}

// machine is what the kernel counts.
type machine struct {
	processors  int
	idle, total float64 // ticks since the machine was started, of all processors
	pressure    float64 // percent of the last ten seconds in which somebody waited for a processor; 0 where it is not counted
}

// isCalm says whether the processors had time for a chunk since a moment before.
func (m machine) isCalm(before machine) bool {
	span := m.total - before.total
	if span <= 0 || m.pressure > mostPressure {
		return false
	}
	needed := chunkTakes
	if m.processors == 1 {
		needed = chunkTakesOfOne
	}
	return (m.idle-before.idle)/span*float64(m.processors) >= needed
}

// readMachine reads /proc/stat and /proc/pressure/cpu (proc(5), psi.rst of the kernel).
func readMachine() (machine, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return machine{}, err
	}
	pressure, _ := os.ReadFile("/proc/pressure/cpu") // not every kernel has it
	return parseMachine(string(stat), string(pressure))
}

func parseMachine(stat, pressure string) (machine, error) {
	var m machine
	for line := range strings.Lines(stat) {
		fields := strings.Fields(line)
		if len(fields) < 6 || !strings.HasPrefix(fields[0], "cpu") {
			continue
		}
		if fields[0] != "cpu" {
			m.processors++
			continue
		}
		// user, nice, system, idle, iowait, irq, softirq, steal; guests are counted as users already.
		for i, f := range fields[1:min(len(fields), 9)] {
			ticks, err := strconv.ParseFloat(f, 64)
			if err != nil {
				return machine{}, err
			}
			m.total += ticks
			if i == 3 || i == 4 {
				m.idle += ticks
			}
		}
	}
	if m.processors == 0 || m.total == 0 {
		return machine{}, errors.New("/proc/stat counts no processors")
	}
	if _, rest, found := strings.Cut(pressure, "some avg10="); found {
		value, _, _ := strings.Cut(rest, " ")
		m.pressure, _ = strconv.ParseFloat(value, 64)
	}
	return m, nil
}
