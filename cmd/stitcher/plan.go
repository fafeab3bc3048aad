package main

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"consilium/internal/render"
	"consilium/internal/stitch"
)

// printSummary says in a few lines what would be made.
func printSummary(out io.Writer, p stitch.Preview) error {
	finished, frames := 0, int64(0)
	for _, piece := range p.Pieces {
		switch {
		case piece.Finished:
			finished++
		case !piece.Sound:
			frames += piece.Chunk.Frames
		}
	}
	_, err := fmt.Fprintf(out, "%s, %s, profile %s, layout %s: %d scenes, %d pieces, %d of them finished, %d frames to make\n",
		p.Plan.Consultation, p.Plan.Duration(), p.Plan.Profile.Name, p.Plan.Layout, len(p.Plan.Scenes), len(p.Pieces), finished, frames)
	return err
}

// printPlan prints scenes and pieces. Names of people are not in it: tiles are called by participant.
func printPlan(to io.Writer, p stitch.Preview, graphs bool) error {
	out := bufio.NewWriter(to)
	for i, s := range p.Plan.Scenes {
		fmt.Fprintf(out, "scene %d  %s – %s  frames %d – %d\n", i, at(s.Start), at(s.End), s.Start, s.End)
		for _, t := range s.Tiles {
			what := "card " + string(t.Cause)
			if pic := t.Picture; pic != nil {
				what = fmt.Sprintf("%s %s %dx%d in %v, %d clips", pic.Source, pic.Codec, pic.Width, pic.Height, pic.Rect, len(pic.Clips))
			}
			fmt.Fprintf(out, "  %v  %s  %s\n", t.Cell, t.Participant, what)
		}
	}
	for _, piece := range p.Pieces {
		what := "sound"
		if piece.Voice != "" {
			what = "voice of " + piece.Voice
		}
		if !piece.Sound {
			what = fmt.Sprintf("chunk of scene %d  %s  %d frames", piece.Chunk.Scene, at(piece.Chunk.Start), piece.Chunk.Frames)
		}
		state := ""
		if piece.Finished {
			state = "  finished"
		}
		fmt.Fprintf(out, "%s  %s%s\n", piece.Key, what, state)
		if graphs {
			fmt.Fprintf(out, "  ffmpeg %s\n", quoted(piece.Args))
		}
	}
	if err := printSummary(out, p); err != nil {
		return err
	}
	return out.Flush()
}

// at is when a frame is shown.
func at(frame int64) string {
	return time.Duration(render.TimeOfFrame(frame)).Truncate(time.Millisecond).String()
}

// quoted writes arguments as a shell reads them.
func quoted(args []string) string {
	var all []string
	for _, a := range args {
		if a == "" || strings.ContainsAny(a, " ;|&[]()<>*?$'\"\\") {
			a = strconv.Quote(a)
		}
		all = append(all, a)
	}
	return strings.Join(all, " ")
}
