package main

import (
	"fmt"
	"net"
	"path/filepath"
	"time"

	"consilium/internal/config"
	"consilium/internal/localca"
)

// overLAN changes the settings so that a phone on the same network can join: https by a certificate authority of this
// machine's own, on all addresses. It gives the authority's certificate, which the phone may be told to trust.
func overLAN(cfg *config.Live) (authority string, err error) {
	hosts, err := localca.Hosts()
	if err != nil {
		return "", err
	}
	files, err := localca.Ensure(filepath.Join(cfg.Data, "tls"), hosts, time.Now())
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return "", fmt.Errorf("CONSILIUM_LISTEN: %w", err)
	}
	cfg.Listen = net.JoinHostPort("", port)
	cfg.TLSCert, cfg.TLSKey = files.Cert, files.Key
	if cfg.URL == "" {
		cfg.URL = "https://" + net.JoinHostPort(hosts[0], port)
	}
	return files.CA, nil
}
