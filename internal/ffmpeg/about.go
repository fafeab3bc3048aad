package ffmpeg

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// About is what an ffmpeg says of itself. What two say that are alike need not be all: a library from elsewhere, such as an
// encoder, is not named in it.
type About struct {
	Version   string // its first line without the copyright, for instance "ffmpeg 5.1.9-0+deb12u1"
	Libraries string // its own, those that it runs with: "libavutil 57.28.100, libavcodec 59.37.100 …"
	Digest    string // SHA-256 of all that it says, in hexadecimal: also how it was built, and with what
}

// library is a line of "ffmpeg -version": the name of a library, its version when ffmpeg was built, and now.
var library = regexp.MustCompile(`(?m)^(lib\w+) +[\d. ]+/([\d. ]+)$`)

// aboutFrom reads what "ffmpeg -version" writes.
func aboutFrom(out string) About {
	sum := sha256.Sum256([]byte(out))
	a := About{Digest: hex.EncodeToString(sum[:])}
	a.Version, _, _ = strings.Cut(out, "\n")
	a.Version, _, _ = strings.Cut(a.Version, " Copyright")
	a.Version = strings.Replace(strings.TrimSpace(a.Version), "ffmpeg version ", "ffmpeg ", 1)
	var all []string
	for _, l := range library.FindAllStringSubmatch(out, -1) {
		all = append(all, l[1]+" "+strings.ReplaceAll(l[2], " ", ""))
	}
	a.Libraries = strings.Join(all, ", ")
	return a
}
