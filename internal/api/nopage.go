package api

import (
	"html/template"
	"net/http"
	"strings"

	"golang.org/x/text/language"
)

// noPageWords are the sentences of the page that says that there is none, by language.
type noPageWords struct {
	Language, Title, Text, Guest, Link string
}

// noPageLanguages are those of the pages; the first one is for whoever wants another.
var noPageLanguages = []language.Tag{language.English, language.German}

var noPageTexts = []noPageWords{
	{
		Language: "en", Title: "There is no such page",
		Text:  "The address may be incomplete, or the page may have been moved.",
		Guest: "If you are invited to a consultation, please open the link from your invitation once more, all of it.",
		Link:  "To the consultations",
	},
	{
		Language: "de", Title: "Diese Seite gibt es nicht",
		Text:  "Vielleicht ist die Adresse unvollständig, oder die Seite ist umgezogen.",
		Guest: "Wenn Sie zu einer Konsultation eingeladen sind, öffnen Sie bitte den vollständigen Link aus Ihrer Einladung noch einmal.",
		Link:  "Zu den Konsultationen",
	},
}

// noPage needs nothing else to be loaded: it is shown where somebody is lost, built front end or not. Its colours are those
// of web/src/ui/base.css.
var noPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="{{.Language}}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>{{.Title}} – Consilium</title>
<link rel="icon" href="data:,">
<style>
:root { --ground: #f5f6f8; --surface: #fff; --text: #17212b; --accent: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --ground: #10161d; --surface: #1a222c; --text: #e8edf2; --accent: #8bc0ff; } }
body { margin: 0; padding: 1rem; background: var(--ground); color: var(--text); font: 1.0625rem/1.5 system-ui, sans-serif; }
main { max-width: 34rem; margin: 2rem auto; padding: 1.5rem; border-radius: 12px; background: var(--surface); }
h1 { margin: 0 0 .75rem; font-size: 1.5rem; line-height: 1.25; }
a { display: inline-block; min-height: 44px; line-height: 44px; color: var(--accent); }
</style>
</head>
<body>
<main>
<h1>{{.Title}}</h1>
<p>{{.Text}}</p>
<p>{{.Guest}}</p>
<a href="/consultations">{{.Link}}</a>
</main>
</body>
</html>
`))

// wantsPage says whether a request comes from somebody who reads what comes back: browsers ask for HTML when they open an
// address, and for nothing in particular when a script does.
func wantsPage(r *http.Request) bool {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	return reads && !strings.HasPrefix(r.URL.Path, "/api/") && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// writeNoPage says that there is no such page, in the language of the browser.
func writeNoPage(w http.ResponseWriter, r *http.Request) error {
	_, i := language.MatchStrings(language.NewMatcher(noPageLanguages), r.Header.Get("Accept-Language"))
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept, Accept-Language")
	w.WriteHeader(http.StatusNotFound)
	return noPage.Execute(w, noPageTexts[i])
}
