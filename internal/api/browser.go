package api

import (
	"regexp"
	"strconv"

	"consilium/internal/events"
)

// families of browsers, in the order in which their marks must be looked for: the later ones' strings hold the earlier
// marks' words too.
var families = []struct {
	name string
	mark *regexp.Regexp
}{
	{"Edge", regexp.MustCompile(`Edg(?:e|A|iOS)?/(\d+)`)},
	{"Opera", regexp.MustCompile(`OPR/(\d+)`)},
	{"Samsung Internet", regexp.MustCompile(`SamsungBrowser/(\d+)`)},
	{"Firefox", regexp.MustCompile(`(?:Firefox|FxiOS)/(\d+)`)},
	{"Chromium", regexp.MustCompile(`(?:HeadlessChrome|Chrome|CriOS|Chromium)/(\d+)`)},
	{"Safari", regexp.MustCompile(`Version/(\d+)[.\d]* (?:Mobile/\S+ )?Safari/`)},
}

// browserOf keeps the family and major version of a user agent and nothing else of it.
func browserOf(userAgent string) *events.Browser {
	for _, f := range families {
		if m := f.mark.FindStringSubmatch(userAgent); m != nil {
			major, _ := strconv.Atoi(m[1])
			return &events.Browser{Family: f.name, Major: major}
		}
	}
	if userAgent == "" {
		return nil
	}
	return &events.Browser{Family: "other"}
}
