package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"consilium/internal/events"
)

// verdict is how a delivery ended.
type verdict string

const (
	delivered verdict = "delivered"
	refused   verdict = "refused" // the receiver does not want this very message
	away      verdict = "away"    // nobody is there to take any message
	gone      verdict = "gone"    // the receiver wants none ever again
)

// outcome is a verdict with its code, and how long the receiver asks to be left alone.
type outcome struct {
	verdict verdict
	code    string // timeout, dns, connect, tls, address, http_404 …; empty when delivered
	after   time.Duration
}

// maxAnswer is how much of an answer is read, so that its connection can be used again. Nothing of it is kept.
const maxAnswer = 64 << 10

// longestAfter bounds what a receiver can ask for.
const longestAfter = time.Hour

// carrier sends messages.
type carrier struct {
	client *http.Client
	now    func() time.Time
}

func newCarrier(rules Rules, timeout time.Duration, roots *x509.CertPool, now func() time.Time) *carrier {
	return &carrier{now: now, client: &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:       nil, // a proxy would look names up for us
			DialContext: rules.dial, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: timeout, MaxResponseHeaderBytes: maxAnswer,
		},
	}}
}

// send makes one request. It reports an error only when no request could be made of the event, or ctx has ended.
func (c *carrier) send(ctx context.Context, to string, secrets []secret, e events.Stored) (outcome, error) {
	content, err := body(e)
	if err != nil {
		return outcome{}, err
	}
	at := c.now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(content))
	if err != nil {
		return outcome{}, fmt.Errorf("make request: %w", err)
	}
	h := req.Header
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "Consilium-Webhooks/1")
	h.Set("webhook-id", e.ID)
	h.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	h.Set("webhook-signature", signatures(secrets, e.ID, at, content))
	resp, err := c.client.Do(req)
	if ctx.Err() != nil {
		return outcome{}, ctx.Err()
	}
	if err != nil {
		return outcome{verdict: away, code: codeOf(err)}, nil
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	return c.judge(resp), nil
}

// judge reads an answer as the specification suggests. What a gateway says, or an answer that sends elsewhere, would be
// said of every message.
func (c *carrier) judge(resp *http.Response) outcome {
	o := outcome{code: "http_" + strconv.Itoa(resp.StatusCode), after: c.retryAfter(resp.Header.Get("Retry-After"))}
	switch status := resp.StatusCode; {
	case status >= 200 && status <= 299:
		return outcome{verdict: delivered}
	case status == http.StatusGone:
		o.verdict = gone
	case status >= 300 && status <= 399, status == http.StatusRequestTimeout, status == http.StatusTooManyRequests,
		status == http.StatusBadGateway, status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		o.verdict = away
	default:
		o.verdict = refused
	}
	return o
}

// retryAfter reads seconds or a date.
func (c *carrier) retryAfter(value string) time.Duration {
	var d time.Duration
	if seconds, err := strconv.Atoi(value); err == nil {
		d = time.Duration(min(max(seconds, 0), int(longestAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		d = at.Sub(c.now())
	}
	return min(max(d, 0), longestAfter)
}

// codeOf gives a stable code to what went wrong before an answer came. The error's own text holds the address.
func codeOf(err error) string {
	var (
		lookup    *net.DNSError
		timeout   interface{ Timeout() bool }
		handshake tls.RecordHeaderError
		untrusted *tls.CertificateVerificationError
		alert     tls.AlertError
	)
	switch {
	case errors.Is(err, errDenied):
		return "address"
	case errors.As(err, &lookup):
		return "dns"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.As(err, &handshake), errors.As(err, &untrusted), errors.As(err, &alert):
		return "tls"
	default:
		return "connect"
	}
}
