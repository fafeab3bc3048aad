package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"consilium/internal/auth"
)

// holdCmd places holds and releases them: what officers do on the page of a consultation.
type holdCmd struct {
	Place   holdPlaceCmd   `cmd:"" help:"Forbid to delete anything of a consultation, and print the id of the hold."`
	Release holdReleaseCmd `cmd:"" help:"Request the release of a hold. Another person has to approve it within seven days."`
	Approve holdApproveCmd `cmd:"" help:"Release a hold, as another person than the one who requested it."`
	Decline holdDeclineCmd `cmd:"" help:"Decline a requested release, or take one's own request back."`
}

// officer is who asks. Two people are two subjects, so without a token of one's own one has to be named.
type officer struct {
	remote
	Subject string `help:"User id of who asks, where no token is given: two people have two."`
	Name    string `help:"Name of who asks, as it is shown."`
}

// order sends one request about the holds of a consultation and reads the answer into into, unless it is nil. A refusal is
// an error in the server's words.
func (o *officer) order(ctx context.Context, consultation, path string, body, into any) error {
	server, err := o.open(auth.RoleCompliance)
	if err != nil {
		return err
	}
	if o.Bearer == "" && o.Subject != "" {
		signer, err := o.Authority(time.Now)
		if err != nil {
			return err
		}
		server.token, err = signer.Mint(auth.Claims{Subject: o.Subject, Name: o.Name, Role: auth.RoleCompliance}, 10*time.Minute)
		if err != nil {
			return err
		}
	}
	answer, err := server.ask(ctx, http.MethodPost, consultationPath(consultation)+"/holds"+path, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(answer).Decode(into); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}

type holdPlaceCmd struct {
	officer
	ID     string `arg:"" help:"Id of the consultation."`
	Reason string `required:"" help:"litigation, authority, complaint, incident, patient_request, audit or other."`
	Case   string `help:"Number or name of the case. It does not become part of the log."`
}

// Run places a hold and prints its id.
func (c *holdPlaceCmd) Run(ctx context.Context) error {
	body := map[string]string{"reason": c.Reason}
	if c.Case != "" {
		body["reference"] = c.Case
	}
	var placed struct {
		ID string `json:"id"`
	}
	if err := c.order(ctx, c.ID, "", body, &placed); err != nil {
		return err
	}
	fmt.Println(placed.ID)
	return nil
}

// heldOne names one hold.
type heldOne struct {
	officer
	ID   string `arg:"" help:"Id of the consultation."`
	Hold string `arg:"" help:"Id of the hold, as live show prints it."`
}

func (h *heldOne) release(ctx context.Context, step string, body any) error {
	return h.order(ctx, h.ID, "/"+url.PathEscape(h.Hold)+"/release"+step, body, nil)
}

type holdReleaseCmd struct {
	heldOne
	Reason string `required:"" help:"resolved, mistake, superseded or other."`
}

// Run requests a release.
func (c *holdReleaseCmd) Run(ctx context.Context) error {
	return c.release(ctx, "", map[string]string{"reason": c.Reason})
}

type holdApproveCmd struct{ heldOne }

// Run approves a release.
func (c *holdApproveCmd) Run(ctx context.Context) error { return c.release(ctx, "/approve", nil) }

type holdDeclineCmd struct{ heldOne }

// Run declines a release.
func (c *holdDeclineCmd) Run(ctx context.Context) error { return c.release(ctx, "/decline", nil) }
