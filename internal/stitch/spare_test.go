package stitch

import "testing"

const (
	statBefore = "cpu  100 50 100 1000 10 0 5 0 0 0\ncpu0 50 25 50 500 5 0 2 0 0 0\ncpu1 50 25 50 500 5 0 3 0 0 0\nintr 1 2 3\n"
)

func TestWhatTheKernelCounts(t *testing.T) {
	m, err := parseMachine(statBefore, "some avg10=7.25 avg60=0.10 avg300=0.00 total=12345\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := (machine{processors: 2, idle: 1010, total: 1265, pressure: 7.25}); m != want {
		t.Errorf("got %+v, want %+v", m, want)
	}
	if _, err := parseMachine("nonsense\n", ""); err == nil {
		t.Error("nonsense counts as a machine")
	}
	if _, err := parseMachine("cpu a b c d e f\n", ""); err == nil {
		t.Error("a line without numbers counts as a machine")
	}
}

// A chunk of a call is begun only after the machine was calm for a while, one at a time, and after each one the machine is
// looked at again without it.
func TestSpareTime(t *testing.T) {
	s := newSpare()
	at := machine{processors: 2, total: 1000}
	look := func(idle float64) {
		at.total += 200 // a second of two processors
		at.idle += idle * 100
		s.look(at, true)
	}
	can := func(want bool, when string) (done func(bool)) {
		t.Helper()
		done, ok := s.take()
		if ok != want {
			t.Fatalf("%s: %v, want %v", when, ok, want)
		}
		return done
	}
	s.look(at, true)
	can(false, "nothing is known yet")
	look(1.9)
	look(1.9)
	can(false, "it was calm for two looks")
	look(1.9)
	done := can(true, "it was calm for three looks")
	can(false, "one is being made")
	look(0.8) // our own
	done(true)
	can(false, "one has just been made")
	look(0.8) // still partly our own
	look(1.9)
	look(1.9)
	can(false, "two looks without it")
	look(1.9)
	can(true, "three looks without it")(false)
	done = can(true, "there was none to make")
	done(false)
	look(1.9) // what was asked for in between does not count
	look(1.1)
	can(false, "a processor and a bit is needed")
	if s.isCalm() {
		t.Error("it is calm with one idle processor of two")
	}
	for range 5 {
		look(1.9)
	}
	can(false, "after a calm that ended it waits for longer")
	look(1.9)
	can(true, "six looks")
	at.pressure = 40
	s.end(false)
	look(1.9)
	look(1.9)
	can(false, "somebody waits for a processor")
	s.look(machine{}, false)
	can(false, "the machine cannot be looked at")
}

func TestOneProcessorIsEnoughWhenItIsIdle(t *testing.T) {
	before := machine{processors: 1, total: 100, idle: 50}
	if !(machine{processors: 1, total: 200, idle: 130}).isCalm(before) {
		t.Error("80 % of one processor are not enough")
	}
	if (machine{processors: 1, total: 200, idle: 120}).isCalm(before) {
		t.Error("70 % of one processor are enough")
	}
}
