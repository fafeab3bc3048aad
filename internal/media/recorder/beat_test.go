package recorder

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

func TestThePicturesOfARoomAreCutTogetherAfterAWhile(t *testing.T) {
	start := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		// Two people come at any moments; each answers a question for a keyframe within half a second.
		var newest [2]time.Time
		for i := range newest {
			b := beatOf(Track{Room: fmt.Sprint("room ", seed), Owner: fmt.Sprint("owner ", i)}, 25*time.Second)
			begun := start.Add(time.Duration(random.IntN(60_000)) * time.Millisecond)
			for end := start.Add(8 * time.Minute); begun.Before(end); {
				age := b.cut(begun)
				if age < 25*time.Second || age > 28500*time.Millisecond {
					t.Fatalf("seed %d: a segment is cut at %v", seed, age)
				}
				begun = begun.Add(age + time.Duration(random.IntN(500))*time.Millisecond)
			}
			newest[i] = begun
		}
		// At the end of the eight minutes one of them may be a beat ahead.
		if d := newest[0].Sub(newest[1]).Abs(); min(d, (26*time.Second-d).Abs()) > time.Second {
			t.Errorf("seed %d: after eight minutes the cuts are %v apart", seed, d)
		}
	}
}

func TestRoomsAreNotCutTogether(t *testing.T) {
	moments := map[time.Duration]int{}
	for n := range 260 {
		b := beatOf(Track{Room: fmt.Sprint("room ", n)}, 25*time.Second)
		moments[(b.shift%b.every).Truncate(time.Second)]++
	}
	for at, rooms := range moments {
		if rooms > 40 { // ten on average
			t.Errorf("%d of 260 rooms are cut %v after the others' beat", rooms, at)
		}
	}
	if len(moments) < 20 {
		t.Errorf("all rooms are cut at %d moments", len(moments))
	}
}

func TestOwnersOfARoomAreAskedOneAfterAnother(t *testing.T) {
	moments := map[time.Duration]bool{}
	for n := range 9 {
		b := beatOf(Track{Room: "room", Owner: fmt.Sprint("owner ", n)}, 25*time.Second)
		moments[b.shift] = true
	}
	if len(moments) < 8 {
		t.Errorf("nine people are asked at %d moments", len(moments))
	}
}
