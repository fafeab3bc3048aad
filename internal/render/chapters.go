package render

import (
	"fmt"
	"strings"
	"time"

	"consilium/internal/media"
	"consilium/internal/sheet"
	"consilium/internal/timeline"
)

// Cue is a line of text beside the video, from Start to End.
type Cue struct {
	Start, End time.Duration
	Text       string
}

const (
	cueLength      = 4 * time.Second
	shortestCue    = 500 * time.Millisecond
	chapterSpacing = time.Second // changes closer than that are one chapter
)

// chapters turns the markers that mean something to a viewer into chapters, which cover the whole archive, and cues.
func chapters(tl *timeline.Timeline, names sheet.Sheet, length time.Duration) ([]media.Chapter, []Cue) {
	w := wordsOf(names.Language)
	roles := map[string]string{}
	for _, p := range tl.Participants {
		roles[p.ID] = p.Role
	}
	var all []media.Chapter
	cues := []Cue{}
	for _, m := range tl.Markers {
		text, ok := w.marker(m.Type, nameOn(names, m.Participant, roles[m.Participant]))
		if !ok {
			continue
		}
		at := min(time.Duration(m.AtNS), max(0, length-shortestCue)).Truncate(time.Millisecond)
		cues = append(cues, Cue{Start: at, End: min(length, at+cueLength), Text: text})
		if n := len(all); n > 0 && at-all[n-1].Start < chapterSpacing {
			all[n-1].Title += ", " + text
			continue
		}
		all = append(all, media.Chapter{Start: at, Title: text})
	}
	if len(all) == 0 || all[0].Start >= chapterSpacing {
		all = append([]media.Chapter{{Title: w.begins}}, all...)
	}
	all[0].Start = 0
	for i := range all {
		all[i].End = length
		if i+1 < len(all) {
			all[i].End = all[i+1].Start
		}
	}
	return all, cues
}

// ChaptersVTT is the WebVTT file of the chapters.
func (p *Plan) ChaptersVTT() string {
	var cues []Cue
	for _, c := range p.Chapters {
		cues = append(cues, Cue{c.Start, c.End, c.Title})
	}
	return VTT(cues)
}

// EventsVTT is the WebVTT file of the cues.
func (p *Plan) EventsVTT() string { return VTT(p.Cues) }

// VTT writes cues as WebVTT (W3C WebVTT §4).
func VTT(cues []Cue) string {
	var b strings.Builder
	b.WriteString("WEBVTT\n")
	for i, c := range cues {
		fmt.Fprintf(&b, "\n%d\n%s --> %s\n%s\n", i+1, vttTime(c.Start), vttTime(c.End), vttText(c.Text))
	}
	return b.String()
}

func vttTime(d time.Duration) string {
	ms := d.Milliseconds()
	return fmt.Sprintf("%02d:%02d:%02d.%03d", ms/3_600_000, ms/60_000%60, ms/1000%60, ms%1000)
}

// vttText keeps text on one line and from being read as markup; without ">" it cannot be taken for a time either.
func vttText(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\n", " ", "\r", " ").Replace(s)
}
