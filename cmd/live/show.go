package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"consilium/internal/auth"
)

// showCmd prints one consultation: who, when, how it went, what there is of it.
type showCmd struct {
	remote
	ID string `arg:"" help:"Id of the consultation."`
}

// Run prints it on standard output.
func (c *showCmd) Run(ctx context.Context) error {
	server, err := c.open(auth.RoleCompliance)
	if err != nil {
		return err
	}
	return c.print(ctx, server, os.Stdout)
}

func (c *showCmd) print(ctx context.Context, server *rest, w io.Writer) error {
	var one remoteConsultation
	if err := server.get(ctx, consultationPath(c.ID), &one); err != nil {
		return err
	}
	var archives []remoteArchive
	if err := server.get(ctx, consultationPath(c.ID)+"/archives", &archives); err != nil {
		return err
	}
	var held struct {
		Holds []remoteHold `json:"holds"`
	}
	if err := server.get(ctx, consultationPath(c.ID)+"/holds", &held); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s\n\n", visible(one.Title))
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s\t%s\n", name, value)
		}
	}
	line("id", one.ID)
	line("reference", visible(one.ExternalRef))
	line("state", one.State)
	line("recording", one.Recording)
	line("scheduled", moment(&one.CreatedAt))
	line("started", moment(one.StartedAt))
	line("ended", moment(one.EndedAt))
	if one.DurationMS != nil {
		line("length", clock(time.Duration(*one.DurationMS)*time.Millisecond))
	}
	line("problems", strings.Join(one.Problems, ", "))
	line("holds", one.holds())
	if one.ExpectedMS > 0 {
		line("tracks", fmt.Sprintf("%s expected, %s recorded, %s gaps", clock(time.Duration(one.ExpectedMS)*time.Millisecond),
			clock(time.Duration(one.RecordedMS)*time.Millisecond), clock(time.Duration(one.ExpectedMS-one.RecordedMS)*time.Millisecond)))
	}
	line("stored", fmt.Sprintf("%s, %d segments awaited, %d missing", size(one.Bytes), one.Awaited, one.Missing))
	fmt.Fprintln(t, "\nPARTICIPANT\tROLE\tCONSENT\tJOINED (UTC)\tID")
	for _, p := range one.Participants {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", orDash(visible(p.Name)), p.Role, orDash(p.Consent), orDash(moment(p.JoinedAt)), p.ID)
	}
	if len(archives) > 0 {
		fmt.Fprintln(t, "\nARCHIVE\tSTATE\tLENGTH\tSIZE\tPROFILE\tLAYOUT")
	}
	for _, a := range archives {
		state := a.State
		switch {
		case a.Code != "":
			state += " (" + a.Code + ")"
		case a.State == "rendering":
			state += fmt.Sprintf(" (%.0f %%)", a.Progress*100)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\n", a.Version, state, clock(time.Duration(a.DurationMS)*time.Millisecond), size(a.Bytes), a.Profile, a.Layout)
	}
	if len(held.Holds) > 0 {
		fmt.Fprintln(t, "\nHOLD\tCASE\tPLACED (UTC)\tSTATE\tID")
	}
	for _, h := range held.Holds {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", h.Reason, orDash(visible(h.Reference)), h.Placed.by(), h.state(time.Now()), h.ID)
	}
	return t.Flush()
}

// moment writes a time in UTC, nothing for none.
func moment(at *time.Time) string {
	if at == nil {
		return ""
	}
	return at.UTC().Format("2006-01-02 15:04:05")
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
