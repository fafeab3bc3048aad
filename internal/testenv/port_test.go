package testenv

import "testing"

func TestNoTwoTestsAreGivenOnePort(t *testing.T) {
	given := map[int]bool{}
	for range 50 {
		port := FreePort(t)
		if given[port] || port < firstPort || port > lastPort {
			t.Fatalf("port %d was given before: %v", port, given[port])
		}
		given[port] = true
		if release, err := reserve(port); err == nil {
			release()
			t.Fatalf("port %d could be given again", port)
		}
	}
}
