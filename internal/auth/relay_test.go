package auth

import (
	"errors"
	"testing"
	"time"
)

func TestRelayCredential(t *testing.T) {
	const ann, bob = "019ab000-0000-7000-8000-000000000011", "019ab000-0000-7000-8000-000000000012"
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	clock := func() time.Time { return now }
	one, err := New([]byte("0123456789abcdef0123456789abcdef"), nil, clock)
	if err != nil {
		t.Fatal(err)
	}
	other, err := New([]byte("another secret of thirty-two byt"), nil, clock)
	if err != nil {
		t.Fatal(err)
	}
	given := one.Relay(ann)

	participant, password, expired, err := one.CheckRelay(given.Username)
	if err != nil || participant != ann || password != given.Password || expired {
		t.Errorf("its own credential: got %q, %t, %v", participant, expired, err)
	}
	if _, password, _, _ := other.CheckRelay(given.Username); password == given.Password {
		t.Error("another secret gives the same password")
	}
	if one.Relay(bob).Password == given.Password {
		t.Error("two participants have one password")
	}
	now = now.Add(RelayTTL - time.Second)
	if _, _, expired, _ := one.CheckRelay(given.Username); expired {
		t.Error("its time is over too early")
	}
	now = now.Add(2 * time.Second)
	if _, _, expired, _ := one.CheckRelay(given.Username); !expired {
		t.Error("its time is not over")
	}
	for _, username := range []string{"", ann, ":" + ann, "soon:" + ann, "1767323045:", "1767323045:somebody", "1767323045:" + ann + ":x"} {
		if _, _, _, err := one.CheckRelay(username); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: got %v, want %v", username, err, ErrInvalid)
		}
	}
}
