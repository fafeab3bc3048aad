package localca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"rsc.io/qr"
)

var hosts = []string{"192.168.1.7", "127.0.0.1", "localhost", "doctor-pc.local", "fd00::7"}

func ensure(t *testing.T, dir string, hosts []string, now time.Time) Files {
	t.Helper()
	f, err := Ensure(dir, hosts, now)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// trust makes a pool of the authority alone, as a phone does that installed it.
func trust(t *testing.T, f Files) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(read(t, f.CA))) {
		t.Fatal("the authority is no certificate")
	}
	return pool
}

func TestBrowserTrusts(t *testing.T) {
	f := ensure(t, t.TempDir(), hosts, time.Now())
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	s.StartTLS()
	defer s.Close()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust(t, f)}}}
	defer client.CloseIdleConnections()
	resp, err := client.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()

	leaf := pair.Leaf
	for _, host := range hosts {
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: trust(t, f)}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{DNSName: "192.168.1.8", Roots: trust(t, f)}); err == nil {
		t.Error("it is good for a neighbour's address as well")
	}
	if life := leaf.NotAfter.Sub(leaf.NotBefore); life > 397*24*time.Hour {
		t.Errorf("it lives for %s; browsers refuse more than 397 days", life)
	}
}

// TestAuthorityIsOnlyLocal signs for a public site with the authority's key, as a thief of it would.
func TestAuthorityIsOnlyLocal(t *testing.T) {
	f := ensure(t, t.TempDir(), hosts, time.Now())
	ca, err := readCA(f.CA, filepath.Join(filepath.Dir(f.CA), "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"bank.example", "93.184.216.34", "localhost.bank.example", "2001:db8::1"} {
		template := &x509.Certificate{
			Subject: pkix.Name{CommonName: host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = []net.IP{ip}
		} else {
			template.DNSNames = []string{host}
		}
		cert, err := sign(template, ca.cert, &key.PublicKey, ca.key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cert.Verify(x509.VerifyOptions{DNSName: host, Roots: trust(t, f)}); err == nil {
			t.Errorf("a phone would take it for %s", host)
		}
	}
}

func TestEnsureAgain(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name             string
		hosts            []string
		later            time.Duration
		before           func(t *testing.T, f Files)
		sameCA, sameLeaf bool
		wantErr          string
	}{
		{name: "the next day nothing changes", hosts: hosts, later: 24 * time.Hour, sameCA: true, sameLeaf: true},
		{name: "the order of hosts does not matter", hosts: []string{"fd00::7", "localhost", "LOCALHOST", "127.0.0.1", "doctor-pc.local.", "192.168.1.7"}, sameCA: true, sameLeaf: true},
		{name: "a new address needs a new certificate", hosts: append([]string{"10.0.0.9"}, hosts...), sameCA: true},
		{name: "an address that went needs a new certificate", hosts: hosts[1:], sameCA: true},
		{name: "a month before its end it is renewed", hosts: hosts, later: serverLife - renewAt + time.Hour, sameCA: true},
		{name: "an authority that would end before its certificate is made anew", hosts: hosts, later: caLife - serverLife + time.Hour},
		{name: "a lost key needs a new certificate", hosts: hosts, sameCA: true, before: func(t *testing.T, f Files) {
			if err := os.Remove(f.Key); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "a damaged certificate is made anew", hosts: hosts, sameCA: true, before: func(t *testing.T, f Files) {
			if err := os.WriteFile(f.Cert, []byte("half a cert"), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "a damaged authority is not replaced behind the phone's back", hosts: hosts, wantErr: "PEM", before: func(t *testing.T, f Files) {
			if err := os.WriteFile(f.CA, []byte("half a cert"), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			f := ensure(t, dir, hosts, now)
			ca, leaf := read(t, f.CA), read(t, f.Cert)
			if tt.before != nil {
				tt.before(t, f)
			}
			again, err := Ensure(dir, tt.hosts, now.Add(tt.later))
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Errorf("error = %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if again != f {
				t.Errorf("paths changed: %+v", again)
			}
			if same := read(t, f.CA) == ca; same != tt.sameCA {
				t.Errorf("same authority = %t", same)
			}
			if same := read(t, f.Cert) == leaf; same != tt.sameLeaf {
				t.Errorf("same certificate = %t", same)
			}
			if _, err := tls.LoadX509KeyPair(f.Cert, f.Key); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFilesAreClosed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	ensure(t, dir, hosts, time.Now())
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range found {
		names = append(names, e.Name())
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", e.Name(), info.Mode().Perm())
		}
	}
	if diff := cmp.Diff([]string{"ca.crt", "ca.key", "server.crt", "server.key"}, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestWrongHosts(t *testing.T) {
	for name, hosts := range map[string][]string{
		"none":                   nil,
		"a public address":       {"127.0.0.1", "93.184.216.34"},
		"a public name":          {"clinic.example"},
		"a bare name":            {"laptop"},
		"an empty name":          {""},
		"a name that ends alike": {"notlocalhost"},
	} {
		if _, err := Ensure(t.TempDir(), hosts, time.Now()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestHosts(t *testing.T) {
	addrs := []netip.Addr{
		netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1"), netip.MustParseAddr("93.184.216.34"), netip.MustParseAddr("fd00::7"),
		netip.MustParseAddr("fe80::1%eth0"), netip.MustParseAddr("169.254.3.4"), netip.MustParseAddr("192.168.1.7"), netip.MustParseAddr("10.0.0.2"),
	}
	want := []string{"10.0.0.2", "192.168.1.7", "fd00::7", "127.0.0.1", "::1", "doctor-pc.local", "localhost"}
	if diff := cmp.Diff(want, hostsOf(addrs, netip.MustParseAddr("10.0.0.2"), "Doctor-PC.clinic.example")); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
	mine, err := Hosts()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Ensure(t.TempDir(), mine, time.Now()); err != nil {
		t.Errorf("no certificate for this machine's own hosts %v: %v", mine, err)
	}
}

// TestQR reads the drawing back dot by dot.
func TestQR(t *testing.T) {
	const text = "https://192.168.1.7:8443/join#token=eyJhbGciOiJIUzI1NiJ9.eyJhdWQiOiJjb25zaWxpdW0ifQ.c2lnbmF0dXJl"
	drawing, err := QR(text)
	if err != nil {
		t.Fatal(err)
	}
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(drawing, "\n"), "\n")
	if want := (code.Size + 2*quiet + 1) / 2; len(lines) != want {
		t.Fatalf("%d lines, want %d", len(lines), want)
	}
	for i, line := range lines {
		row := []rune(line)
		if len(row) != code.Size+2*quiet {
			t.Fatalf("line %d has %d dots", i, len(row))
		}
		for j, r := range row {
			x, y := j-quiet, 2*i-quiet
			upper, lower := r == '█' || r == '▀', r == '█' || r == '▄'
			if upper == code.Black(x, y) {
				t.Fatalf("dot %d, %d is wrong", x, y)
			}
			if y+1 < code.Size+quiet && lower == code.Black(x, y+1) {
				t.Fatalf("dot %d, %d is wrong", x, y+1)
			}
		}
	}
	if _, err := QR(strings.Repeat("x", 5000)); err == nil {
		t.Error("a text that does not fit is drawn")
	}
}
