package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"consilium/internal/auth"
)

// demoLinks are the ways into the demo consultation.
type demoLinks struct {
	base, doctor, patient, library string
}

// print shows them to the person at the terminal.
func (l demoLinks) print(w io.Writer) {
	fmt.Fprintf(w, `
Consilium is running at %s

  doctor   %s
  patient  %s
  library  %s

Open the first two in two tabs or browsers. Ctrl-C stops everything.
`, l.base, l.doctor, l.patient, l.library)
}

// demo creates a consultation through the REST API, as a hospital's own system would.
func demo(ctx context.Context, base string, client *http.Client, authority *auth.Authority) (demoLinks, error) {
	service, err := authority.Mint(auth.Claims{Subject: "demo", Role: auth.RoleService}, time.Minute)
	if err != nil {
		return demoLinks{}, err
	}
	library, err := authority.Mint(auth.Claims{Subject: "demo", Role: auth.RoleCompliance}, 12*time.Hour)
	if err != nil {
		return demoLinks{}, err
	}
	links, err := scheduleDemo(ctx, base, client, service)
	if err != nil {
		return demoLinks{}, err
	}
	return demoLinks{
		base: base, doctor: links[auth.RoleClinician], patient: links[auth.RolePatient],
		library: base + "/consultations#token=" + library,
	}, nil
}

// scheduleDemo gives the join links by role.
func scheduleDemo(ctx context.Context, base string, client *http.Client, token string) (map[string]string, error) {
	body, err := json.Marshal(map[string]any{
		"title": "Demonstration",
		"participants": []map[string]any{
			{"name": "Dr Demo", "role": auth.RoleClinician},
			{"name": "Pat Example", "role": auth.RolePatient},
		},
	})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/api/v1/consultations", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("is live running? %w", err)
	}
	defer resp.Body.Close()
	var made struct {
		Detail       string `json:"detail"`
		Participants []struct {
			Role    string `json:"role"`
			JoinURL string `json:"joinUrl"`
		} `json:"participants"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&made); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode != http.StatusCreated {
		return nil, errors.New(made.Detail)
	}
	links := map[string]string{}
	for _, p := range made.Participants {
		links[p.Role] = p.JoinURL
	}
	return links, nil
}
