package powercut

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Call is one line of a trace: a system call that begins, ends, or both.
type Call struct {
	Thread int
	At     time.Time // when the line was written: the beginning, or the end when Begins is false
	Name   string
	Begins bool
	Ends   bool
	Args   []string // as strace writes them; those of the beginning
	Result int64    // of the end; negative when it failed
}

// Read gives the calls of a trace to each, in the order in which strace saw them.
func Read(r io.Reader, each func(Call) error) error {
	in := bufio.NewReaderSize(r, 1<<20)
	for n := 1; ; n++ {
		line, err := in.ReadString('\n')
		if line != "" {
			call, ok, bad := parse(strings.TrimSuffix(line, "\n"))
			if bad != nil {
				return fmt.Errorf("line %d: %w: %.200s", n, bad, line)
			}
			if ok {
				if err := each(call); err != nil {
					return fmt.Errorf("line %d: %w: %.200s", n, err, line)
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// parse reads "PID TIME name(args) = result", or one half of it. It says false for lines that are no calls.
func parse(line string) (c Call, ok bool, err error) {
	thread, rest, found := strings.Cut(line, " ")
	if !found {
		return c, false, errors.New("no thread")
	}
	if c.Thread, err = strconv.Atoi(thread); err != nil {
		return c, false, err
	}
	stamp, rest, found := strings.Cut(strings.TrimLeft(rest, " "), " ")
	if !found {
		return c, false, errors.New("no time")
	}
	if c.At, err = parseTime(stamp); err != nil {
		return c, false, err
	}
	if strings.HasPrefix(rest, "+++") || strings.HasPrefix(rest, "---") || strings.HasPrefix(rest, "???") {
		return c, false, nil
	}
	if resumed, is := strings.CutPrefix(rest, "<... "); is {
		name, rest, found := strings.Cut(resumed, " resumed>")
		if !found {
			return c, false, errors.New("half a line")
		}
		c.Name, c.Ends = name, true
		// What was read stands before the result.
		c.Result, ok, err = parseResult(rest[max(strings.LastIndex(rest, "= "), 0):])
		return c, ok, err
	}
	name, rest, found := strings.Cut(rest, "(")
	if !found {
		return c, false, errors.New("no call")
	}
	c.Name, c.Begins = name, true
	var tail string
	c.Args, tail = split(rest)
	if strings.HasPrefix(tail, "<unfinished") || strings.Contains(tail, "<unfinished ...>") || tail == "" {
		return c, true, nil
	}
	c.Ends = true
	c.Result, ok, err = parseResult(tail)
	return c, ok, err
}

func parseTime(stamp string) (time.Time, error) {
	sec, ns, _ := strings.Cut(stamp, ".")
	s, err := strconv.ParseInt(sec, 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	n, err := strconv.ParseInt((ns + "000000000")[:9], 10, 64)
	return time.Unix(s, n), err
}

// parseResult reads ") = result …". A call that never came back ("?") is none.
func parseResult(tail string) (int64, bool, error) {
	_, text, found := strings.Cut(tail, "= ")
	if !found {
		return 0, false, errors.New("no result")
	}
	word, _, _ := strings.Cut(text, " ")
	if word == "?" {
		return -1, true, nil
	}
	n, err := strconv.ParseInt(word, 0, 64)
	if err != nil && strings.HasPrefix(word, "0x") { // an address
		return 0, true, nil
	}
	return n, true, err
}

// split takes arguments apart at their commas, and gives what stands behind their closing parenthesis, or behind the last
// one when there is none.
func split(s string) (args []string, tail string) {
	depth, from := 0, 0
	add := func(to int) {
		if a := strings.TrimSpace(s[from:to]); a != "" {
			args = append(args, a)
		}
	}
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			for i++; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
		case '[', '{', '(':
			depth++
		case ']', '}':
			depth--
		case ')':
			if depth == 0 {
				add(i)
				return args, s[i:]
			}
			depth--
		case ',':
			if depth == 0 {
				add(i)
				from = i + 1
			}
		case '<':
			if depth == 0 && strings.HasPrefix(s[i:], "<unfinished ...>") {
				add(i)
				return args, s[i:]
			}
		}
	}
	add(len(s))
	return args, ""
}

// text reads a string as strace quotes it. It must be whole.
func text(arg string) ([]byte, error) {
	if len(arg) < 2 || arg[0] != '"' || arg[len(arg)-1] != '"' {
		return nil, fmt.Errorf("no whole string: %.40s", arg)
	}
	s := arg[1 : len(arg)-1]
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		i++
		if i == len(s) {
			return nil, errors.New("a string ends in the middle of a letter")
		}
		switch c := s[i]; c {
		case 'n':
			out = append(out, '\n')
		case 't':
			out = append(out, '\t')
		case 'r':
			out = append(out, '\r')
		case 'v':
			out = append(out, '\v')
		case 'f':
			out = append(out, '\f')
		case 'x':
			if i+3 > len(s) {
				return nil, errors.New("a string ends in the middle of a letter")
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return nil, err
			}
			out = append(out, byte(n))
			i += 2
		case '0', '1', '2', '3', '4', '5', '6', '7':
			n, to := 0, i
			for ; to < len(s) && to < i+3 && s[to] >= '0' && s[to] <= '7'; to++ {
				n = n*8 + int(s[to]-'0')
			}
			out = append(out, byte(n))
			i = to - 1
		default:
			out = append(out, c)
		}
	}
	return out, nil
}

// vector reads a list of pieces: [{iov_base="…", iov_len=5}, …].
func vector(arg string) ([]byte, error) {
	inner, ok := strings.CutPrefix(arg, "[")
	if !ok || !strings.HasSuffix(inner, "]") {
		return nil, fmt.Errorf("no list of pieces: %.40s", arg)
	}
	var all []byte
	pieces, _ := split(strings.TrimSuffix(inner, "]"))
	for _, p := range pieces {
		fields, _ := split(strings.TrimSuffix(strings.TrimPrefix(p, "{"), "}"))
		for _, f := range fields {
			if base, ok := strings.CutPrefix(f, "iov_base="); ok {
				b, err := text(base)
				if err != nil {
					return nil, err
				}
				all = append(all, b...)
			}
		}
	}
	return all, nil
}

// number reads a whole number, also one such as AT_FDCWD, which is -1 then: no file that is known.
func number(arg string) int64 {
	n, err := strconv.ParseInt(arg, 0, 64)
	if err != nil {
		return -1
	}
	return n
}
