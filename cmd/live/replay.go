package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"consilium/internal/auth"
	"consilium/internal/events"
)

// replayCmd prints what happened in a consultation, event by event.
type replayCmd struct {
	remote
	ID          string   `arg:"" help:"Id of the consultation."`
	Speed       float64  `default:"0" help:"Print as it happened, so many times faster: 1 takes as long as it took. 0: everything at once."`
	Type        []string `help:"Only types that begin with one of these, for instance participant.,consent."`
	Participant string   `help:"Only what is about the participant with this id."`
	JSON        bool     `name:"json" help:"The stored events themselves, one a line."`
}

// Run prints the events on standard output, and says at the end whether their chain of digests is whole.
func (c *replayCmd) Run(ctx context.Context) error {
	if c.Speed < 0 {
		return fmt.Errorf("--speed: %g is less than 0", c.Speed)
	}
	server, err := c.open(auth.RoleAuditor)
	if err != nil {
		return err
	}
	return c.print(ctx, server, os.Stdout, os.Stderr)
}

func (c *replayCmd) print(ctx context.Context, server *rest, w, notes io.Writer) error {
	var one remoteConsultation
	if err := server.get(ctx, consultationPath(c.ID), &one); err != nil {
		return err
	}
	names := map[string]string{}
	for _, p := range one.Participants {
		names[p.ID] = visible(p.Name)
	}
	body, err := server.ask(ctx, http.MethodGet, consultationPath(c.ID)+"/events", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	history, err := readHistory(body)
	if err != nil {
		return err
	}
	if err := c.replay(ctx, w, history, names); err != nil {
		return err
	}
	fmt.Fprintf(notes, "%d events, the chain is whole, its end is %s\n", len(history), history[len(history)-1].Hash())
	return nil
}

// readHistory reads stored events, one a line, and checks that each links to the one before it.
func readHistory(r io.Reader) ([]events.Stored, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 2*events.MaxSize)
	var history []events.Stored
	var chain events.Chain
	for lines.Scan() {
		stored, err := events.Open(bytes.Clone(lines.Bytes()), 0)
		if err != nil {
			return nil, err
		}
		if err := chain.Next(stored); err != nil {
			return nil, err
		}
		history = append(history, stored)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	if len(history) == 0 {
		return nil, fmt.Errorf("read events: there are none")
	}
	return history, nil
}

// replay prints the events that are asked for. With a speed it waits between them as long as it took, divided by it.
func (c *replayCmd) replay(ctx context.Context, w io.Writer, history []events.Stored, names map[string]string) error {
	start := history[0].Time
	for _, e := range history {
		if e.Type == events.TypeParticipantJoined {
			start = e.Time // time 0 of the archive
			break
		}
	}
	before := history[0].Time
	for _, e := range history {
		if c.Speed > 0 && e.Time.After(before) {
			if err := pause(ctx, time.Duration(float64(e.Time.Sub(before))/c.Speed)); err != nil {
				return err
			}
			before = e.Time
		}
		if !c.wanted(e) {
			continue
		}
		line := string(e.Raw)
		if !c.JSON {
			line = sentence(e, start, names)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *replayCmd) wanted(e events.Stored) bool {
	if c.Participant != "" && e.Participant != c.Participant {
		return false
	}
	return len(c.Type) == 0 || slices.ContainsFunc(c.Type, func(begin string) bool { return strings.HasPrefix(string(e.Type), begin) })
}

// sentence is one event for people: when (time of the archive), which, what, about whom, and the rest as it is stored.
func sentence(e events.Stored, start time.Time, names map[string]string) string {
	who := names[e.Participant]
	if who == "" && e.Participant != "" {
		who = visible(e.Participant)
	}
	return strings.TrimRight(fmt.Sprintf("%11s  %5d  %-27s  %-20s  %s", clock(e.Time.Sub(start)), e.Seq, visible(string(e.Type)), who, details(e.Data)), " ")
}

// details writes the fields of an event's data in alphabetical order. What is long is cut: --json has it whole.
func details(data json.RawMessage) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(data, &fields) != nil {
		return ""
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		value := string(fields[name])
		var text string
		if json.Unmarshal(fields[name], &text) == nil {
			value = text
		}
		if runes := []rune(value); len(runes) > 60 {
			value = string(runes[:59]) + "…"
		}
		all = append(all, visible(name+"="+value))
	}
	return strings.Join(all, " ")
}
