package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"consilium/internal/auth"
	"consilium/internal/config"
)

// remote are the settings of commands that ask a running server over its REST interface.
type remote struct {
	config.Live
	Server string `name:"server" env:"CONSILIUM_SERVER" help:"URL of the server. Empty: the one that runs with these settings."`
	Bearer string `name:"token" env:"CONSILIUM_TOKEN" help:"Bearer token. Empty: one is made with the API secret of these settings."`
	LAN    bool   `name:"lan" help:"The server runs with --lan."`
}

// rest speaks to one server with one token.
type rest struct {
	base, token string
	client      *http.Client
}

// open finds the server and a token of the role that the command needs.
func (r *remote) open(role string) (*rest, error) {
	out := &rest{base: strings.TrimSuffix(r.Server, "/"), token: r.Bearer, client: http.DefaultClient}
	if r.LAN {
		authority, err := overLAN(&r.Live)
		if err != nil {
			return nil, err
		}
		if out.client, err = trusting(authority); err != nil {
			return nil, err
		}
	}
	if out.base == "" {
		out.base = r.BaseURL()
	}
	if out.token != "" {
		return out, nil
	}
	signer, err := r.Authority(time.Now)
	if err != nil {
		return nil, err
	}
	out.token, err = signer.Mint(auth.Claims{Subject: "command-line", Role: role}, 10*time.Minute)
	return out, err
}

// ask sends one request and gives the answer's body, which the caller closes. A refusal is an error in the server's words.
func (r *rest) ask(ctx context.Context, method, path string, body any) (io.ReadCloser, error) {
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, r.base+"/api/v1"+path, content)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("is live running? %w", err)
	}
	if resp.StatusCode < 300 {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	var p struct {
		Detail string   `json:"detail"`
		Fields []string `json:"fields"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&p); err != nil || p.Detail == "" {
		return nil, errors.New(resp.Status)
	}
	return nil, errors.New(strings.Join(append([]string{p.Detail}, p.Fields...), " "))
}

// get reads JSON.
func (r *rest) get(ctx context.Context, path string, into any) error {
	body, err := r.ask(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(into); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}

// consultationPath is where one consultation is.
func consultationPath(id string) string { return "/consultations/" + url.PathEscape(id) }

// remoteConsultation is a consultation as the REST interface tells it, as far as it is printed.
type remoteConsultation struct {
	ID           string     `json:"id"`
	Title        string     `json:"title"`
	State        string     `json:"state"`
	ExternalRef  string     `json:"externalRef"`
	Recording    string     `json:"recording"`
	Language     string     `json:"language"`
	CreatedAt    time.Time  `json:"createdAt"`
	StartedAt    *time.Time `json:"startedAt"`
	EndedAt      *time.Time `json:"endedAt"`
	DurationMS   *int64     `json:"durationMs"`
	Bytes        int64      `json:"bytes"`
	ExpectedMS   int64      `json:"expectedMs"`
	RecordedMS   int64      `json:"recordedMs"`
	Awaited      int        `json:"awaitedSegments"`
	Missing      int        `json:"missingSegments"`
	Problems     []string   `json:"problems"`
	Holds        int        `json:"holds"`
	ReleaseAsked *time.Time `json:"releaseRequestedAt"`
	Participants []struct {
		ID       string     `json:"id"`
		Name     string     `json:"name"`
		Role     string     `json:"role"`
		Present  bool       `json:"present"`
		JoinedAt *time.Time `json:"joinedAt"`
		Consent  string     `json:"consent"`
	} `json:"participants"`
	Archive *remoteArchive `json:"archive"`
}

// holds says how many are in force, nothing for none.
func (c remoteConsultation) holds() string {
	switch {
	case c.Holds == 0:
		return ""
	case c.ReleaseAsked != nil:
		return fmt.Sprintf("%d, release requested", c.Holds)
	default:
		return strconv.Itoa(c.Holds)
	}
}

// remoteHold is one hold of a consultation.
type remoteHold struct {
	ID        string   `json:"id"`
	Reason    string   `json:"reason"`
	Reference string   `json:"reference"`
	Placed    holdStep `json:"placed"`
	Release   *struct {
		Requested holdStep  `json:"requested"`
		ExpiresAt time.Time `json:"expiresAt"`
	} `json:"release"`
	Released *holdStep `json:"released"`
}

type holdStep struct {
	At   time.Time `json:"at"`
	Role string    `json:"role"`
	Name string    `json:"name"`
}

// by says who did something and when.
func (s holdStep) by() string {
	who := s.Role
	if s.Name != "" {
		who = visible(s.Name)
	}
	return moment(&s.At) + " by " + who
}

// state says whether the hold is in force.
func (h remoteHold) state(now time.Time) string {
	switch {
	case h.Released != nil:
		return "released " + h.Released.by()
	case h.Release != nil && now.Before(h.Release.ExpiresAt):
		return "in force, release requested " + h.Release.Requested.by()
	default:
		return "in force"
	}
}

type remoteArchive struct {
	Version    int     `json:"version"`
	State      string  `json:"state"`
	Progress   float64 `json:"progress"`
	DurationMS int64   `json:"durationMs"`
	Bytes      int64   `json:"bytes"`
	Profile    string  `json:"profile"`
	Layout     string  `json:"layout"`
	Code       string  `json:"code"`
}

// heldAt is when it was held, or else scheduled.
func (c remoteConsultation) heldAt() time.Time {
	if c.StartedAt != nil {
		return *c.StartedAt
	}
	return c.CreatedAt
}

// visible makes a text that people typed safe for a terminal: nothing in it moves the cursor, colours, or turns the
// direction of writing round.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// clock writes a length as 1:02:03.4, or 2:03.4 below an hour.
func clock(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	d = d.Round(100 * time.Millisecond)
	h, m, s, tenth := d/time.Hour, d/time.Minute%60, d/time.Second%60, d/(100*time.Millisecond)%10
	if h > 0 {
		return fmt.Sprintf("%s%d:%02d:%02d.%d", sign, h, m, s, tenth)
	}
	return fmt.Sprintf("%s%d:%02d.%d", sign, m, s, tenth)
}
