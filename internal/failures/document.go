package failures

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Document is docs/failures.md.
func Document() string {
	var b strings.Builder
	b.WriteString(`# Why somebody is not in

This file is made from the table in ` + "`internal/failures`" + `: change that, and run

` + "```sh\ngo test ./internal/failures -update\n```" + `

Each failure has a code that never changes its meaning. The page shows the patient one sentence with the code in small print;
the event in the log carries the code ([events.md](events.md)), and so do the library and its search. Events of the same code about one
participant are a minute apart at least. Whether each is noticed, stands in the log and is said on the page:

` + "```sh\ngo test ./internal/e2e -run TestTheWayIn -args -every-device\n```" + `

| code | phase | noticed by | event | what happened | what the operator can do |
|---|---|---|---|---|---|
`)
	for _, f := range Table {
		event := "the operator's log"
		if f.Event != "" {
			event = "`" + f.Event + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", f.Code, f.Phase, f.By, event, f.When, f.Operator)
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

// TypeScript is web/src/text/failures.ts, as the pages' formatter would write it.
func TypeScript() string {
	var b strings.Builder
	b.WriteString("// Written by `go test ./internal/failures -update` from the table in internal/failures. Do not edit.\n\n" +
		"/** What the patient is told, by the code of the failure. */\nexport const failures = {\n")
	for _, f := range Table {
		fmt.Fprintf(&b, "  %s: {\n", quoted(string(f.Code)))
		for _, language := range Languages {
			fmt.Fprintf(&b, "    %s: %s,\n", language, quoted(f.Patient[language]))
		}
		b.WriteString("  },\n")
	}
	b.WriteString("} as const;\n\nexport type FailureCode = keyof typeof failures;\n")
	return b.String()
}

func quoted(text string) string {
	raw, err := json.Marshal(text)
	if err != nil {
		return `""` // never: text is a string
	}
	return string(raw)
}
