package netlab

import (
	"cmp"
	"fmt"
	"net"
	"strings"
	"testing"

	"consilium/internal/simpeer"
	"consilium/internal/testenv"
)

// TestVirtualNetwork holds a call over every kind of network that a virtual one can show. It needs no root.
func TestVirtualNetwork(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute; ./task test:network:virtual runs it")
	}
	testenv.Require(t, "ffmpeg")
	for who := range 2 { // once, not in every agent
		if _, err := simpeer.Make(t.Context(), "", look(who)); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := newCertificate(t.TempDir(), nil, net.ParseIP("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	computer, err := newComputer(cert)
	if err != nil {
		t.Fatal(err)
	}
	computer.patience = *patience
	defer func() {
		if err := computer.close(); err != nil {
			t.Error(err)
		}
	}()
	var kinds []Kind
	var missing strings.Builder
	for _, k := range chosen(t) {
		if why := notVirtual[k.Number]; why != "" {
			fmt.Fprintf(&missing, "%d %s did not run: %s\n", k.Number, k.Name, why)
			continue
		}
		k.Name = cmp.Or(instead[k.Number], k.Name)
		kinds = append(kinds, k)
	}
	results := runAll(kinds, *parallel, func(k Kind) Result { return runVirtual(k, computer) })
	text := missing.String() + "\nOver a virtual network, without root:\n\n" + table(results)
	t.Log("\n" + text)
	if *output != "" {
		appendFile(t, *output, text)
	}
	for _, r := range results {
		if r.Err != nil {
			t.Errorf("%d %s: %v", r.Kind.Number, r.Kind.Name, r.Err)
		}
	}
}
