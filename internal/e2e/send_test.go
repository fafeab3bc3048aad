package e2e

import (
	"context"
	"testing"
	"time"

	"consilium/internal/simpeer"
	"consilium/internal/testenv"
)

// small is the nth simulated participant with a picture that costs little.
func small(n int) simpeer.Spec {
	s := simpeer.Someone(n)
	s.Width, s.Height, s.Seconds = 320, 180, 5
	return s
}

// within20 bounds one step of a simulated participant.
func within20() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 20*time.Second)
}

// enters brings a participant in by its link, with sound and picture of the nth simulated participant.
func enters(t testing.TB, p *testenv.Product, who participant, n int) *simpeer.Participant {
	t.Helper()
	ctx, cancel := within20()
	defer cancel()
	s, err := simpeer.JoinWebSocket(ctx, signalingURL(p), who.token(t), simpeer.Options{Media: made(t, small(n))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Drop)
	return s
}

// publishes brings a device in by WHIP.
func publishes(t testing.TB, p *testenv.Product, consultation string, who participant, n int) *simpeer.Participant {
	t.Helper()
	ctx, cancel := within20()
	defer cancel()
	s, err := simpeer.PublishWHIP(ctx, whipURL(p, consultation), who.token(t), simpeer.Options{Media: made(t, small(n)), NoAudio: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Drop)
	return s
}

// leaves says goodbye.
func leaves(t testing.TB, s *simpeer.Participant) {
	t.Helper()
	ctx, cancel := within20()
	defer cancel()
	if err := s.Leave(ctx); err != nil {
		t.Fatal(err)
	}
}

// returns comes back after leaving or being cut off.
func returns(t testing.TB, s *simpeer.Participant) {
	t.Helper()
	ctx, cancel := within20()
	defer cancel()
	if err := s.Rejoin(ctx); err != nil {
		t.Fatal(err)
	}
}

// frames counts what of a participant's pictures came to s.
func frames(s *simpeer.Participant, from string) int {
	n := 0
	for _, r := range s.Received() {
		if r.Participant == from {
			n += r.Frames
		}
	}
	return n
}

// sees waits until pictures of the other go on coming to s.
func sees(t testing.TB, s *simpeer.Participant, other participant) {
	t.Helper()
	before := frames(s, other.ID)
	await(t, 20*time.Second, func() string { return "pictures of " + other.Role + " " + other.ID }, func() bool {
		return frames(s, other.ID) >= before+10
	})
}

// twoTalk lets a doctor and a patient, who both agreed, meet in a consultation of theirs and see one another.
func twoTalk(t testing.TB, p *testenv.Product, service *client, title string) (c consultation, doctor, patient *simpeer.Participant) {
	t.Helper()
	c = service.schedule(title, "required", person{Name: "Dr A", Role: "clinician"}, person{Name: "Pat B", Role: "patient"})
	for _, who := range c.Participants {
		service.answer(c.ID, who, "given")
	}
	doctor, patient = enters(t, p, c.Participants[0], 0), enters(t, p, c.Participants[1], 1)
	sees(t, doctor, c.Participants[1])
	sees(t, patient, c.Participants[0])
	return c, doctor, patient
}
