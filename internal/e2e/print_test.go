package e2e

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"consilium/internal/testenv"
)

// paperHoldsEveryEvent prints a consultation and holds the paper against the log: every event is on it, and the digest that it
// names is that of exactly these stored bytes.
func paperHoldsEveryEvent(t *testing.T, s *scene) {
	tab := testenv.NewChromium(t, testenv.ChromiumOptions{})
	tab.Navigate(s.URL + "/consultations/" + s.held.ID + "#token=" + s.Command("token", "--role", "auditor"))
	tab.WaitFor("the events", `!!document.querySelector('[data-testid=event]') && !!document.querySelector('.plot')`)
	printed, err := chromedp.Call(tab.Context, page.PrintToPDF, page.PrintToPDFParams{})
	if err != nil {
		t.Fatal(err)
	}
	paper, err := textOfPDF(printed.Data)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`Events1to(\d+)ofthelog`).FindStringSubmatch(paper)
	if found == nil {
		t.Fatalf("the paper does not say which events it holds:\n%.2000s", paper)
	}
	last, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	stored := s.service.do("GET", "/api/v1/consultations/"+s.held.ID+"/events", "", nil).Body
	lines := bytes.SplitAfter(stored, []byte("\n"))
	if last < 20 || last >= len(lines)+1 {
		t.Fatalf("the paper holds events 1 to %d of %d", last, len(lines))
	}
	digest := sha256.Sum256(bytes.Join(lines[:last], nil))
	if want := "SHA-256" + hex.EncodeToString(digest[:]); !strings.Contains(paper, want) {
		t.Errorf("the paper does not name %s of its %d events", want, last)
	}
	for _, e := range s.service.events(s.held.ID)[:last] {
		at := strings.Index(paper, fmt.Sprintf("%d%s", e.Seq, e.Envelope.Time.Format("2006-01-02T15:04:05.999999999Z07:00")))
		if at < 0 || !strings.Contains(paper[at:], string(e.Type)) {
			t.Errorf("event %d, %s of %s, is not on paper", e.Seq, e.Type, e.Time)
		}
	}
	// Two f must not become one sign: about one id in a dozen has them, and nobody would find it in the PDF.
	for _, word := range []string{s.held.ID, "ZdenkaWeiss", "wasswitchedoff", strings.ReplaceAll(markup, " ", "")} {
		if !strings.Contains(paper, word) {
			t.Errorf("%q is not on paper", word)
		}
	}
	if strings.Contains(paper, "Picturebypicture") || strings.Contains(paper, "Atthismoment") {
		t.Error("the screen is on paper too")
	}
}

// What a PDF of Chromium is made of: objects, compressed streams, fonts with a table from glyphs to characters.
var (
	pdfObject = regexp.MustCompile(`(?s)(\d+) 0 obj\n(.*?)\nendobj`)
	pdfStream = regexp.MustCompile(`(?s)^(<<.*?>>) stream\n(.*)\nendstream$`)
	pdfFont   = regexp.MustCompile(`/ToUnicode (\d+) 0 R`)
	pdfShow   = regexp.MustCompile(`/F(\d+) [\d.]+ Tf|<([0-9A-Fa-f]+)>`)
	pdfRange  = regexp.MustCompile(`<([0-9A-Fa-f]{4})> <([0-9A-Fa-f]{4})> <([0-9A-Fa-f]{4,})>`)
	pdfChar   = regexp.MustCompile(`(?m)^<([0-9A-Fa-f]{4})> <([0-9A-Fa-f]{4,})>$`)
)

// textOfPDF is the text of a PDF as Chromium writes them, in the order of painting, without any space. It reads that writer's
// files only; where it does not understand one the text lacks words, and a test that looks for them fails.
func textOfPDF(raw []byte) (string, error) {
	streams, fonts := map[string][]byte{}, map[string]string{}
	var order []string
	for _, object := range pdfObject.FindAllSubmatch(raw, -1) {
		number, body := string(object[1]), object[2]
		if font := pdfFont.FindSubmatch(body); font != nil {
			fonts[number] = string(font[1])
		}
		stream := pdfStream.FindSubmatch(body)
		if stream == nil {
			continue
		}
		content := stream[2]
		if bytes.Contains(stream[1], []byte("/FlateDecode")) {
			unpacked, err := zlib.NewReader(bytes.NewReader(content))
			if err == nil {
				content, err = io.ReadAll(unpacked)
			}
			if err != nil {
				return "", fmt.Errorf("object %s of the PDF: %w", number, err)
			}
		}
		streams[number] = content
		order = append(order, number)
	}
	characters := map[string]map[string]string{}
	for font, table := range fonts {
		characters[font] = glyphs(streams[table])
	}
	var text strings.Builder
	for _, number := range order {
		var font map[string]string
		for _, show := range pdfShow.FindAllSubmatch(streams[number], -1) {
			if len(show[1]) > 0 {
				font = characters[string(show[1])]
				continue
			}
			for glyph := strings.ToUpper(string(show[2])); len(glyph) >= 4; glyph = glyph[4:] {
				text.WriteString(font[glyph[:4]])
			}
		}
	}
	return strings.Join(strings.Fields(text.String()), ""), nil
}

// glyphs reads a font's table: hex of a glyph's number → characters.
func glyphs(table []byte) map[string]string {
	all := map[string]string{}
	for _, one := range pdfChar.FindAllSubmatch(table, -1) {
		all[strings.ToUpper(string(one[1]))] = utf16Of(string(one[2]), 0)
	}
	for _, some := range pdfRange.FindAllSubmatch(table, -1) {
		first, err1 := strconv.ParseUint(string(some[1]), 16, 16)
		last, err2 := strconv.ParseUint(string(some[2]), 16, 16)
		for glyph := first; glyph <= last && err1 == nil && err2 == nil; glyph++ {
			all[fmt.Sprintf("%04X", glyph)] = utf16Of(string(some[3]), glyph-first)
		}
	}
	return all
}

// utf16Of is the character that four hex digits and an offset stand for.
func utf16Of(digits string, offset uint64) string {
	code, err := strconv.ParseUint(digits[:4], 16, 16)
	if err != nil {
		return ""
	}
	return string(rune(code + offset))
}
