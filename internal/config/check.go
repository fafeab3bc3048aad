package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Values that may hold a password (addresses of stores) are never repeated in an error.

var nodePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

func validNode(name string) bool { return nodePattern.MatchString(name) }

func (p *Process) validate() error {
	if p.Node != "" && !validNode(p.Node) {
		return fmt.Errorf("CONSILIUM_NODE: %q must be made of letters, digits, dots, dashes and underscores", p.Node)
	}
	return nil
}

func (s Stores) validate() error {
	return errors.Join(checkNATS("CONSILIUM_NATS_URL", s.NATSURL), checkBlobs("CONSILIUM_BLOB_URL", s.BlobURL))
}

func (r Recording) validate() error {
	if r.SegmentLength < time.Second || r.SegmentLength > 10*time.Minute {
		return fmt.Errorf("CONSILIUM_SEGMENT_LENGTH: %s is not from 1s to 10m", r.SegmentLength)
	}
	return nil
}

func checkListen(name, value string) error {
	_, port, err := net.SplitHostPort(value)
	if err != nil {
		return fmt.Errorf("%s: %q is not host:port, such as 127.0.0.1:8080 or :8080", name, value)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("%s: the port of %q is not a number from 0 to 65535", name, value)
	}
	return nil
}

func checkAddrs(name, value string) error {
	if value == "" {
		return nil
	}
	for part := range strings.SplitSeq(value, ",") {
		a, err := netip.ParseAddr(strings.TrimSpace(part))
		if err != nil || a.IsUnspecified() || a.IsMulticast() {
			return fmt.Errorf("%s: %q is not an address such as 203.0.113.7; names cannot be used here", name, part)
		}
	}
	return nil
}

func checkPair(cert, key string) error {
	if (cert == "") != (key == "") {
		return errors.New("CONSILIUM_TLS_CERT and CONSILIUM_TLS_KEY: set both or none")
	}
	if cert == "" {
		return nil
	}
	return errors.Join(checkFile("CONSILIUM_TLS_CERT", cert), checkFile("CONSILIUM_TLS_KEY", key))
}

func checkFile(name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return f.Close()
}

func checkPublicURL(name, value string) error {
	if value == "" {
		return nil
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%s: %q is not an address such as https://consilium.clinic.example, without a path", name, value)
	}
	return nil
}

func checkNATS(name, value string) error {
	if value == "" {
		return nil
	}
	for part := range strings.SplitSeq(value, ",") {
		u, err := url.Parse(strings.TrimSpace(part))
		if err != nil || u.Host == "" || u.Scheme != "nats" && u.Scheme != "tls" && u.Scheme != "ws" && u.Scheme != "wss" {
			return fmt.Errorf("%s: it must be one or several of nats://host:port or tls://host:port, with commas", name)
		}
	}
	return nil
}

func checkDatabase(name, value string) error {
	if value == "" || !strings.Contains(value, "://") && strings.Contains(value, "=") { // "host=… user=…" is PostgreSQL's other form
		return nil
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return fmt.Errorf("%s: it must be postgres://user:password@host:port/database", name)
	}
	return nil
}

func checkBlobs(name, value string) error {
	if value == "" {
		return nil
	}
	u, err := url.Parse(value)
	switch {
	case err == nil && u.Scheme == "file" && u.Host == "" && strings.HasPrefix(u.Path, "/"):
		return nil
	case err == nil && u.Scheme == "s3" && u.Host != "":
		return nil
	}
	return fmt.Errorf("%s: it must be file:///absolute/folder or s3://bucket?region=…", name)
}
