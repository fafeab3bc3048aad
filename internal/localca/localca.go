// Package localca makes certificates for a phone on the same network: browsers give camera and microphone to https pages
// only, and no public authority signs for an address such as 192.168.1.7.
//
// In come a folder and the names and addresses of this machine; out come the files of a server certificate and of the
// authority that signed it, which a person installs on the phone once. The authority can only sign for private
// addresses and local names, so nobody who gets its key can pretend to be a public site.
package localca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	caLife     = 5 * 365 * 24 * time.Hour
	serverLife = 365 * 24 * time.Hour // browsers refuse more than 398 days
	renewAt    = 30 * 24 * time.Hour  // before the end
	backdate   = time.Hour            // for a phone whose clock is behind
)

// Files are the paths of what Ensure made, all in PEM.
type Files struct {
	CA   string // certificate of the authority, to be installed on the phone
	Cert string // certificate of the server, followed by the authority's
	Key  string // private key of the server
}

// privateNets are what the authority may sign for.
var privateNets = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"), // RFC 1918
	netip.MustParsePrefix("100.64.0.0/10"),                                      // RFC 6598, overlay networks
	netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10"), // link-local
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"), // loopback
	netip.MustParsePrefix("fc00::/7"), // RFC 4193
}

// localNames are the names, with everything below them, that the authority may sign for.
var localNames = []string{"localhost", "local", "lan", "internal", "home.arpa"}

// Ensure gives a certificate for all hosts: the one in dir if it is still good, otherwise a new one. The authority is
// made once and kept, so that a phone trusts every later certificate as well. Hosts are private addresses or local
// names, at least one; the error names the first that is neither.
func Ensure(dir string, hosts []string, now time.Time) (Files, error) {
	names, addrs, err := split(hosts)
	if err != nil {
		return Files{}, fmt.Errorf("local certificates: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Files{}, fmt.Errorf("local certificates: %w", err)
	}
	ca, err := ensureCA(dir, now)
	if err != nil {
		return Files{}, fmt.Errorf("local authority: %w", err)
	}
	files := Files{CA: filepath.Join(dir, "ca.crt"), Cert: filepath.Join(dir, "server.crt"), Key: filepath.Join(dir, "server.key")}
	if stillGood(files, ca, names, addrs, now) {
		return files, nil
	}
	if err := issue(files, ca, names, addrs, now); err != nil {
		return Files{}, fmt.Errorf("server certificate: %w", err)
	}
	return files, nil
}

// split sorts hosts into names and addresses, each once.
func split(hosts []string) (names []string, addrs []netip.Addr, err error) {
	if len(hosts) == 0 {
		return nil, nil, errors.New("no host is named")
	}
	for _, host := range hosts {
		if a, err := netip.ParseAddr(host); err == nil {
			a = a.Unmap().WithZone("")
			if !private(a) {
				return nil, nil, fmt.Errorf("%s is not a private address", host)
			}
			addrs = append(addrs, a)
			continue
		}
		name := strings.ToLower(strings.TrimSuffix(host, "."))
		if !local(name) {
			return nil, nil, fmt.Errorf("%q is neither an address nor a name that ends in .%s", host, strings.Join(localNames, ", ."))
		}
		names = append(names, name)
	}
	slices.Sort(names)
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(names), slices.Compact(addrs), nil
}

func private(a netip.Addr) bool {
	return slices.ContainsFunc(privateNets, func(p netip.Prefix) bool { return p.Contains(a) })
}

func local(name string) bool {
	return slices.ContainsFunc(localNames, func(l string) bool {
		return name == l || strings.HasSuffix(name, "."+l)
	})
}

// authority is a certificate with its key.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// ensureCA reads the authority from dir, or makes one when there is none or it ends soon.
func ensureCA(dir string, now time.Time) (authority, error) {
	certFile, keyFile := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key")
	ca, err := readCA(certFile, keyFile)
	if err == nil && now.Before(ca.cert.NotAfter.Add(-serverLife)) {
		return ca, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return authority{}, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "this machine"
	}
	ca.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	var nets []*net.IPNet
	for _, p := range privateNets {
		nets = append(nets, &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())})
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "Consilium on " + host, Organization: []string{"Consilium local authority"}},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(caLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: localNames, PermittedIPRanges: nets,
	}
	if ca.cert, err = sign(template, template, &ca.key.PublicKey, ca.key); err != nil {
		return authority{}, err
	}
	if err := writeKey(keyFile, ca.key); err != nil {
		return authority{}, err
	}
	return ca, writePEM(certFile, certificate(ca.cert))
}

// issue signs a new server certificate and writes it. The certificate is written last: it does not count without its
// key.
func issue(files Files, ca authority, names []string, addrs []netip.Addr, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "Consilium"},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(serverLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, DNSNames: names,
	}
	for _, a := range addrs {
		template.IPAddresses = append(template.IPAddresses, a.AsSlice())
	}
	cert, err := sign(template, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		return err
	}
	if err := writeKey(files.Key, key); err != nil {
		return err
	}
	return writePEM(files.Cert, certificate(cert), certificate(ca.cert))
}

// sign gives the template a serial number of 128 random bits and signs it.
func sign(template, parent *x509.Certificate, public *ecdsa.PublicKey, by *ecdsa.PrivateKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// stillGood says whether the certificate in files is for exactly these hosts, from this authority, belongs to the key
// beside it and does not end soon.
func stillGood(files Files, ca authority, names []string, addrs []netip.Addr, now time.Time) bool {
	cert, err := readCertificate(files.Cert)
	if err != nil {
		return false
	}
	key, err := readKey(files.Key)
	if err != nil || !key.PublicKey.Equal(cert.PublicKey) || cert.CheckSignatureFrom(ca.cert) != nil {
		return false
	}
	var has []netip.Addr
	for _, ip := range cert.IPAddresses {
		a, _ := netip.AddrFromSlice(ip)
		has = append(has, a.Unmap())
	}
	return slices.Equal(cert.DNSNames, names) && slices.Equal(has, addrs) &&
		now.After(cert.NotBefore) && now.Before(cert.NotAfter.Add(-renewAt))
}
