package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"consilium/internal/auth"
	"consilium/internal/webhook"
)

// startWebhooks tells other systems what happens. Nothing waits for it.
func (l *live) startWebhooks(context.Context) error {
	rules, err := l.cfg.Webhooks.Rules()
	if err != nil {
		return err
	}
	l.webhooks = webhook.NewEndpoints(l.pool, l.log, l.authority, rules, time.Now)
	sender, err := webhook.NewSender(webhook.Config{Rules: rules, Registerer: l.metrics.Registerer()}, l.log, l.pool, l.authority, time.Now, l.logger)
	if err != nil {
		return err
	}
	l.parts.run("webhooks", sender.Run)
	return nil
}

// webhooksCmd shows and changes which systems are told of events.
type webhooksCmd struct {
	List   webhooksListCmd   `cmd:"" default:"withargs" help:"Print all systems, and how far each of them is (default)."`
	Add    webhooksAddCmd    `cmd:"" help:"Tell one more system, and print the secret that signs its messages."`
	Dead   webhooksDeadCmd   `cmd:"" help:"Print what a system has refused."`
	Again  webhooksAgainCmd  `cmd:"" help:"Send dead letters once more."`
	Replay webhooksReplayCmd `cmd:"" help:"Tell what was told before once more."`
	Pause  webhooksPauseCmd  `cmd:"" help:"Tell a system nothing until it is resumed."`
	Resume webhooksResumeCmd `cmd:"" help:"Go on where it stopped, after a pause or a suspension."`
	Secret webhooksSecretCmd `cmd:"" help:"Make a new secret and print it. The one before signs as well for a day."`
	Remove webhooksRemoveCmd `cmd:"" help:"Tell a system nothing any more."`
}

// remoteWebhook is a system as the REST interface tells it.
type remoteWebhook struct {
	ID          string     `json:"id"`
	URL         string     `json:"url"`
	State       string     `json:"state"`
	Reason      string     `json:"reason"`
	Position    uint64     `json:"position"`
	Behind      uint64     `json:"behind"`
	Waiting     int        `json:"waitingLetters"`
	Dead        int        `json:"deadLetters"`
	LastCode    string     `json:"lastCode"`
	DeliveredAt *time.Time `json:"deliveredAt"`
}

type webhooksListCmd struct {
	remote
}

// Run prints the list on standard output.
func (c *webhooksListCmd) Run(ctx context.Context) error {
	server, err := c.open(auth.RoleAdmin)
	if err != nil {
		return err
	}
	return printWebhooks(ctx, server, os.Stdout)
}

func printWebhooks(ctx context.Context, server *rest, w io.Writer) error {
	var page struct {
		Items []remoteWebhook `json:"items"`
	}
	if err := server.get(ctx, "/webhooks", &page); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tSTATE\tPOSITION\tBEHIND\tWAITING\tDEAD\tLAST FAILURE\tDELIVERED (UTC)\tURL")
	for _, e := range page.Items {
		state, failure, at := e.State, "-", "-"
		if e.Reason != "" {
			state += " (" + e.Reason + ")"
		}
		if e.LastCode != "" {
			failure = e.LastCode
		}
		if e.DeliveredAt != nil {
			at = e.DeliveredAt.UTC().Format("2006-01-02 15:04:05")
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\n", e.ID, state, e.Position, e.Behind, e.Waiting, e.Dead, failure, at, visible(e.URL))
	}
	return t.Flush()
}

type webhooksAddCmd struct {
	remote
	To   string   `arg:"" name:"url" help:"Where messages go, https://…"`
	Type []string `help:"Types of events, with commas; none: those that docs/webhooks.md names."`
	From uint64   `help:"Position in the log of the first event that is told; 0: what comes from now on."`
}

// Run prints id and secret on standard output.
func (c *webhooksAddCmd) Run(ctx context.Context) error {
	server, err := c.open(auth.RoleAdmin)
	if err != nil {
		return err
	}
	asked := map[string]any{"url": c.To, "from": c.From}
	if len(c.Type) > 0 {
		asked["types"] = c.Type
	}
	var made struct {
		Webhook remoteWebhook `json:"webhook"`
		Secret  string        `json:"secret"`
	}
	if err := server.post(ctx, "/webhooks", asked, &made); err != nil {
		return err
	}
	_, err = fmt.Printf("id:     %s\nsecret: %s\n", made.Webhook.ID, made.Secret)
	return err
}

type webhooksDeadCmd struct {
	remote
	ID  string `arg:"" help:"Id of the system."`
	All bool   `help:"Also what is still tried."`
}

// Run prints the letters on standard output.
func (c *webhooksDeadCmd) Run(ctx context.Context) error {
	server, err := c.open(auth.RoleAdmin)
	if err != nil {
		return err
	}
	return c.print(ctx, server, os.Stdout)
}

func (c *webhooksDeadCmd) print(ctx context.Context, server *rest, w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "POSITION\tCONSULTATION\tSEQ\tTYPE\tSTATE\tATTEMPTS\tCODE\tSINCE (UTC)")
	for after := uint64(0); ; {
		var page struct {
			Items []struct {
				Position     uint64    `json:"position"`
				Consultation string    `json:"consultation"`
				Seq          uint64    `json:"seq"`
				Type         string    `json:"type"`
				Dead         bool      `json:"dead"`
				Attempts     int       `json:"attempts"`
				Code         string    `json:"code"`
				SetAsideAt   time.Time `json:"setAsideAt"`
			} `json:"items"`
		}
		if err := server.get(ctx, webhookPath(c.ID)+"/letters?limit=1000&after="+strconv.FormatUint(after, 10), &page); err != nil {
			return err
		}
		for _, l := range page.Items {
			after = l.Position
			state := "waiting"
			if l.Dead {
				state = "dead"
			}
			if l.Dead || c.All {
				fmt.Fprintf(t, "%d\t%s\t%d\t%s\t%s\t%d\t%s\t%s\n", l.Position, l.Consultation, l.Seq, l.Type, state, l.Attempts, l.Code,
					l.SetAsideAt.UTC().Format("2006-01-02 15:04:05"))
			}
		}
		if len(page.Items) < 1000 {
			return t.Flush()
		}
	}
}

type webhooksAgainCmd struct {
	remote
	ID       string  `arg:"" help:"Id of the system."`
	Position *uint64 `arg:"" optional:"" help:"Position of the dead letter; none: all of them."`
}

// Run orders dead letters to be sent.
func (c *webhooksAgainCmd) Run(ctx context.Context) error {
	asked := map[string]any{}
	if c.Position != nil {
		asked["position"] = *c.Position
	}
	return c.order(ctx, http.MethodPost, webhookPath(c.ID)+"/letters/again", asked)
}

type webhooksReplayCmd struct {
	remote
	ID           string `arg:"" help:"Id of the system."`
	From         uint64 `help:"Everything from this position of the log on."`
	Consultation string `help:"This consultation only."`
	Seq          uint64 `default:"1" help:"With --consultation: from this event of it on."`
}

// Run orders the replay.
func (c *webhooksReplayCmd) Run(ctx context.Context) error {
	asked := map[string]any{"from": c.From}
	if c.Consultation != "" {
		asked = map[string]any{"consultation": c.Consultation, "seq": c.Seq}
	}
	return c.order(ctx, http.MethodPost, webhookPath(c.ID)+"/replay", asked)
}

type webhooksPauseCmd struct {
	remote
	ID string `arg:"" help:"Id of the system."`
}

// Run pauses.
func (c *webhooksPauseCmd) Run(ctx context.Context) error {
	return c.order(ctx, http.MethodPost, webhookPath(c.ID)+"/pause", nil)
}

type webhooksResumeCmd struct {
	remote
	ID string `arg:"" help:"Id of the system."`
}

// Run resumes.
func (c *webhooksResumeCmd) Run(ctx context.Context) error {
	return c.order(ctx, http.MethodPost, webhookPath(c.ID)+"/resume", nil)
}

type webhooksRemoveCmd struct {
	remote
	ID string `arg:"" help:"Id of the system."`
}

// Run removes.
func (c *webhooksRemoveCmd) Run(ctx context.Context) error {
	return c.order(ctx, http.MethodDelete, webhookPath(c.ID), nil)
}

type webhooksSecretCmd struct {
	remote
	ID string `arg:"" help:"Id of the system."`
}

// Run prints the new secret on standard output.
func (c *webhooksSecretCmd) Run(ctx context.Context) error {
	server, err := c.open(auth.RoleAdmin)
	if err != nil {
		return err
	}
	var made struct {
		Secret string `json:"secret"`
	}
	if err := server.post(ctx, webhookPath(c.ID)+"/secret", nil, &made); err != nil {
		return err
	}
	_, err = fmt.Println(made.Secret)
	return err
}

func webhookPath(id string) string { return "/webhooks/" + url.PathEscape(strings.TrimSpace(id)) }

// order sends a request whose answer has no body.
func (r *remote) order(ctx context.Context, method, path string, body any) error {
	server, err := r.open(auth.RoleAdmin)
	if err != nil {
		return err
	}
	answer, err := server.ask(ctx, method, path, body)
	if err != nil {
		return err
	}
	return answer.Close()
}

// post sends a request and reads its JSON answer.
func (r *rest) post(ctx context.Context, path string, body, into any) error {
	answer, err := r.ask(ctx, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	if err := json.NewDecoder(answer).Decode(into); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}
