package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"consilium/internal/auth"
)

// listCmd prints the consultations that a filter chooses, newest first.
type listCmd struct {
	remote
	Query   string `help:"Words of title, names or external reference."`
	Person  string `help:"Words of one participant's name."`
	State   string `help:"scheduled, open, ended, completed or archived."`
	Problem string `help:"any, no, or a code such as gap (docs/read-model.md)."`
	Consent string `help:"given, refused, withdrawn or none."`
	Held    string `help:"true, false, or release_requested: holds that forbid to delete it."`
	From    string `help:"Held at or after this time (RFC 3339)."`
	To      string `help:"Held before this time (RFC 3339)."`
	Limit   int    `default:"50" help:"At most so many; 0: all."`
	JSON    bool   `name:"json" help:"One JSON object a line, as the server gave it."`
}

// Run prints the list on standard output.
func (c *listCmd) Run(ctx context.Context) error {
	server, err := c.open(auth.RoleCompliance)
	if err != nil {
		return err
	}
	return c.print(ctx, server, os.Stdout)
}

func (c *listCmd) print(ctx context.Context, server *rest, w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if !c.JSON {
		fmt.Fprintln(t, "WHEN (UTC)\tSTATE\tLENGTH\tTITLE\tPEOPLE\tPROBLEMS\tHOLDS\tID")
	}
	asked := c.filter()
	for left := c.Limit; ; {
		var page struct {
			Items      []json.RawMessage `json:"items"`
			NextCursor string            `json:"nextCursor"`
		}
		n := 200
		if c.Limit > 0 {
			n = min(n, left)
		}
		asked.Set("limit", strconv.Itoa(n))
		if err := server.get(ctx, "/consultations?"+asked.Encode(), &page); err != nil {
			return err
		}
		for _, raw := range page.Items {
			if err := c.row(t, raw); err != nil {
				return err
			}
		}
		left -= len(page.Items)
		if page.NextCursor == "" || c.Limit > 0 && left <= 0 {
			return t.Flush()
		}
		asked.Set("cursor", page.NextCursor)
	}
}

func (c *listCmd) filter() url.Values {
	asked := url.Values{}
	for name, value := range map[string]string{
		"query": c.Query, "person": c.Person, "state": c.State, "problem": c.Problem, "consent": c.Consent, "held": c.Held, "from": c.From, "to": c.To,
	} {
		if value != "" {
			asked.Set(name, value)
		}
	}
	return asked
}

func (c *listCmd) row(w io.Writer, raw json.RawMessage) error {
	if c.JSON {
		_, err := fmt.Fprintf(w, "%s\n", raw)
		return err
	}
	var one remoteConsultation
	if err := json.Unmarshal(raw, &one); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	length := "-"
	if one.DurationMS != nil {
		length = clock(time.Duration(*one.DurationMS) * time.Millisecond)
	}
	var people []string
	for _, p := range one.Participants {
		people = append(people, visible(p.Name))
	}
	problems := strings.Join(one.Problems, ",")
	if problems == "" {
		problems = "-"
	}
	_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", one.heldAt().UTC().Format("2006-01-02 15:04"), one.State, length, visible(one.Title),
		strings.Join(people, ", "), problems, orDash(one.holds()), one.ID)
	return err
}
