package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"consilium/internal/simpeer"
	"consilium/internal/testenv"
)

// A doctor is in a consultation, and a patient comes, a hundred times: the whole way through live as a process, with
// consent, recording and everything that goes to the log. It runs once, whatever b.N says, and prints key=value lines:
// how long it takes from the moment in which the patient's WebSocket begins to be opened to the last packet of the first
// picture that the patient can decode, and what each step of that takes; how long the doctor waits for the first picture of
// the patient; and how long an ICE restart lasts, from the offer until media comes over the new way.
func BenchmarkJoin(b *testing.B) {
	const consultations, joins = 10, 10
	p := testenv.StartProduct(b, testenv.ProductOptions{NoStitcher: true})
	service := as(b, p, "service")
	var all joinFigures
	for range consultations {
		all.measure(b, p, service, joins)
	}
	all.print()
}

// joinFigures are durations, by step.
type joinFigures struct {
	media, seen, restart []time.Duration
	steps                [len(stepNames)][]time.Duration
}

var stepNames = [...]string{"open", "welcome", "join", "answer", "way", "keys", "picture"}

func (f *joinFigures) measure(b *testing.B, p *testenv.Product, service *client, joins int) {
	c := service.schedule("Joins", "required",
		person{Name: "Dr A", Role: "clinician", Consent: true}, person{Name: "Pat B", Role: "patient", Consent: true})
	host, guest := c.Participants[0], c.Participants[1]
	doctor := enters(b, p, host, 0)
	defer doctor.Drop()
	seen := make(chan time.Time, 1)
	for range joins {
		calm(b)
		before := wholePictures(doctor, guest.ID)
		began := time.Now()
		patient := enters(b, p, guest, 1)
		go func() { // ends with the picture
			for wholePictures(doctor, guest.ID) == before && b.Context().Err() == nil {
				time.Sleep(time.Millisecond / 2)
			}
			seen <- time.Now()
		}()
		var s simpeer.Steps
		await(b, 20*time.Second, func() string { return fmt.Sprintf("a picture: %+v", s) }, func() bool {
			s = patient.Steps()
			return !s.Picture.IsZero()
		})
		f.seen = append(f.seen, (<-seen).Sub(began))
		f.add(s)
		f.restart = append(f.restart, restarts(b, patient))
		ctx, cancel := within20()
		if err := patient.Leave(ctx); err != nil {
			b.Fatal(err)
		}
		cancel()
	}
}

// wholePictures counts those that can be decoded by themselves.
func wholePictures(s *simpeer.Participant, of string) (n int) {
	for _, r := range s.Received() {
		if r.Participant == of {
			n += r.Keyframes
		}
	}
	return n
}

// calm waits until what the last participant left behind is over: people do not come in the same second.
func calm(b *testing.B) {
	select {
	case <-time.After(600 * time.Millisecond):
	case <-b.Context().Done():
	}
}

func (f *joinFigures) add(s simpeer.Steps) {
	last := s.Dialed
	for i, at := range []time.Time{s.Opened, s.Welcomed, s.Joined, s.Answered, s.Way, s.Keys, s.Picture} {
		f.steps[i] = append(f.steps[i], at.Sub(last))
		last = at
	}
	f.media = append(f.media, s.Picture.Sub(s.Dialed))
}

// restarts looks for a way anew, and gives the time until something came over it.
func restarts(b *testing.B, s *simpeer.Participant) time.Duration {
	ctx, cancel := context.WithTimeout(b.Context(), 20*time.Second)
	defer cancel()
	began := time.Now()
	if err := s.RestartICE(ctx, false); err != nil {
		b.Fatal(err)
	}
	newest := func() (at time.Time) {
		for _, r := range s.Received() {
			if r.Last.After(at) {
				at = r.Last
			}
		}
		return at
	}
	for {
		way, last := s.Steps().Way, newest()
		if way.After(began) && last.After(way) {
			return last.Sub(began)
		}
		if ctx.Err() != nil {
			b.Fatal("nothing comes after a restart")
		}
		time.Sleep(time.Millisecond / 2)
	}
}

func (f *joinFigures) print() {
	quantile := func(name string, of []time.Duration, q float64) {
		slices.Sort(of)
		fmt.Printf("%s=%.1f\n", name, float64(of[min(len(of)-1, int(q*float64(len(of))))].Microseconds())/1000)
	}
	fmt.Printf("joins=%d\n", len(f.media))
	quantile("join_to_media_p50_ms", f.media, 0.5)
	quantile("join_to_media_p95_ms", f.media, 0.95)
	quantile("join_to_seen_p50_ms", f.seen, 0.5)
	quantile("join_to_seen_p95_ms", f.seen, 0.95)
	quantile("ice_restart_median_ms", f.restart, 0.5)
	quantile("ice_restart_p95_ms", f.restart, 0.95)
	for i, name := range stepNames {
		quantile("join_step_"+name+"_p50_ms", f.steps[i], 0.5)
		quantile("join_step_"+name+"_p95_ms", f.steps[i], 0.95)
	}
}
