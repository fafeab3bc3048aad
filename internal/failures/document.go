package failures

import (
	"fmt"
	"strings"
)

// Document is docs/failures.md.
func Document() string {
	var b strings.Builder
	b.WriteString(`# Why somebody is not in

This file is made from the table in ` + "`internal/failures`" + `: change that, and run

` + "```sh\ngo test ./internal/failures -update\n```" + `

Each failure has a code that never changes its meaning. It stands in the event ` + "`connection.timed_out`" + ` together with the phase of
connecting in which it happened and the time since that phase began.

| code | phase | what happened | what the operator can do |
|---|---|---|---|
`)
	for _, f := range Table {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.Code, f.Phase, f.When, f.Operator)
	}
	b.WriteString("\n## For the patient\n\n| code |")
	for _, language := range Languages {
		b.WriteString(" " + language + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(Languages)) + "\n")
	for _, f := range Table {
		fmt.Fprintf(&b, "| `%s` |", f.Code)
		for _, language := range Languages {
			b.WriteString(" " + f.Patient[language] + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}
