package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"consilium/internal/config"
	"consilium/internal/localca"
)

// serveCmd runs the server.
type serveCmd struct {
	config.Live
	LAN bool `name:"lan" help:"Serve https on all addresses with a certificate authority of this machine's own, for a phone on the same network."`
}

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context) error {
	logger, err := c.Logger(os.Stderr)
	if err != nil {
		return err
	}
	if c.LAN {
		if _, err := overLAN(&c.Live); err != nil {
			return err
		}
	}
	for _, w := range c.Warnings() {
		logger.Warn(w)
	}
	return serve(ctx, c.Live, logger)
}

// demoCmd prints the links of a demo consultation on a server that runs with the same settings.
type demoCmd struct {
	config.Live
	LAN bool `name:"lan" help:"The server runs with --lan."`
}

// Run creates the consultation and prints its links.
func (c *demoCmd) Run(ctx context.Context) error {
	client, authority := http.DefaultClient, ""
	if c.LAN {
		var err error
		if authority, err = overLAN(&c.Live); err != nil {
			return err
		}
		if client, err = trusting(authority); err != nil {
			return err
		}
	}
	signer, err := c.Authority(time.Now)
	if err != nil {
		return err
	}
	links, err := demo(ctx, c.BaseURL(), client, signer)
	if err != nil {
		return fmt.Errorf("demo consultation: %w", err)
	}
	links.print(os.Stdout)
	if !c.LAN {
		return nil
	}
	return showQR(os.Stdout, links.patient, authority)
}

// trusting makes a client that believes certificates of our own authority.
func trusting(authority string) (*http.Client, error) {
	pem, err := os.ReadFile(authority)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}, nil
}

// showQR prints a link as a picture that a phone's camera reads.
func showQR(w io.Writer, link, authority string) error {
	code, err := localca.QR(link)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\nThe patient's link for a phone in the same network. The phone will warn that it does not know\nthis machine's certificate authority; continue, or install %s on it once.\n\n%s\n", authority, code)
	return err
}

// rebuildCmd makes the read model anew.
type rebuildCmd struct {
	config.Live
}

// Run empties the read model and reads the whole log into it.
func (c *rebuildCmd) Run(ctx context.Context) error {
	logger, err := c.Logger(os.Stderr)
	if err != nil {
		return err
	}
	return rebuild(ctx, c.Live, logger)
}
