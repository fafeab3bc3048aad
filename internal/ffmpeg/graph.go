package ffmpeg

import (
	"errors"
	"fmt"
	"strconv"

	ffgo "github.com/u2takey/ffmpeg-go"
)

// maxPixels bounds a decoded picture: a 4K camera passes, a frame that would fill the memory does not.
const maxPixels = 4096 * 2304

// input is the options of an input that every file gets: what it may be, how large a picture, and no more than one thread.
func input(format, codec string) ffgo.KwArgs {
	return ffgo.KwArgs{
		"f": format, "format_whitelist": format, "protocol_whitelist": "file",
		"codec_whitelist": codec, "threads": 1, "max_pixels": maxPixels,
	}
}

// arguments runs build, which describes one output, and gives the arguments for it. The library panics instead of
// returning errors, and it silently makes one input of two whose options look alike to it: both become errors here.
func arguments(inputs int, build func() *ffgo.Stream) (args []string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("build arguments: %v", r)
		}
	}()
	args = build().GetArgs()
	got := 0
	for _, a := range args {
		if a == "-i" {
			got++
		}
	}
	if got != inputs {
		return nil, fmt.Errorf("build arguments: %d inputs became %d", inputs, got)
	}
	return args, nil
}

// distinct makes sure that no two inputs have the same name: then no two of them can be taken for one.
func distinct(names ...string) error {
	seen := map[string]bool{}
	for _, n := range names {
		if n == "" || seen[n] {
			return fmt.Errorf("input %q is empty or named twice", n)
		}
		seen[n] = true
	}
	return nil
}

// file marks a relative name as a file, so that nothing in it is taken for a protocol.
func file(name string) string { return "file:" + name }

var errNothing = errors.New("nothing to do")

func itoa(n int) string { return strconv.Itoa(n) }

// bitexact is put on every output: no versions, dates or random ids in the file.
func bitexact(extra ffgo.KwArgs) ffgo.KwArgs {
	extra["flags"] = "+bitexact"
	extra["fflags"] = "+bitexact"
	return extra
}
