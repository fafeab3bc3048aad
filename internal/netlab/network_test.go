package netlab

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"consilium/internal/simpeer"
	"consilium/internal/testenv"
)

var (
	only     = flag.String("only", "", "run the kinds with these numbers, with commas; without it all")
	repeat   = flag.Int("repeat", 1, "how often to run them")
	parallel = flag.Int("kinds", 4, "how many kinds run at once")
	patience = flag.Float64("patience", 1, "by how much limits are longer still than what the machine costs")
	browsers = flag.String("browsers", "no", "whether a real Chromium and a real Firefox take part over the kinds that are marked: no, also, only")
	again    = flag.Bool("again", false, "run a kind that failed once more, alone; the table says so")
	lite     = flag.Bool("lite", false, "let the servers be ICE-lite: they answer checks and send none")
	output   = flag.String("table", "", "file to add the table to")
)

func TestMain(m *testing.M) {
	RunAgent()
	os.Exit(m.Run())
}

// TestNetwork holds a consultation over every kind of network.
func TestNetwork(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute; ./task test:network runs it")
	}
	if os.Getuid() != 0 {
		t.Fatalf("the laboratory makes network namespaces, which needs root; 0 of %d kinds ran", total)
	}
	testenv.Require(t, "ffmpeg", "ip", "nft")
	for who := range 2 { // once, not in every agent
		if _, err := simpeer.Make(t.Context(), "", look(who)); err != nil {
			t.Fatal(err)
		}
	}
	kinds := chosen(t)
	if *browsers != "no" {
		kinds = withBrowsers(kinds, testenv.Require(t, "chromium", "firefox")["chromium"], *browsers == "only")
	}
	w := newWorld(t)
	w.lite, w.computer.patience = *lite, *patience
	for range *repeat {
		results := runAll(kinds, *parallel, w.run)
		if *again {
			w.runAgain(results)
		}
		text := table(results)
		if *lite {
			text = "With servers that are ICE-lite:\n\n" + text
		}
		t.Log("\n" + text)
		if *output != "" {
			appendFile(t, *output, text)
		}
		for _, r := range results {
			if r.Err != nil {
				t.Errorf("%d %s: %v", r.Kind.Number, r.Kind.label(), r.Err)
			}
		}
	}
}

func appendFile(t *testing.T, name, text string) {
	t.Helper()
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = file.WriteString(text)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func chosen(t *testing.T) []Kind {
	t.Helper()
	numbers := map[int]bool{}
	for _, field := range strings.FieldsFunc(*only, func(r rune) bool { return r == ',' }) {
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatalf("-only: %v", err)
		}
		numbers[n] = true
	}
	kinds := slices.Clone(Kinds)
	return slices.DeleteFunc(kinds, func(k Kind) bool { return len(numbers) > 0 && !numbers[k.Number] })
}

// withBrowsers adds a run with a real browser for each kind that is marked, or leaves these alone.
func withBrowsers(kinds []Kind, chromium string, alone bool) []Kind {
	var marked []Kind
	for _, k := range kinds {
		if k.Browser {
			k.With, k.Chromium = Chromium, chromium
			marked = append(marked, k)
		}
		if k.Firefox {
			k.With, k.Chromium = Firefox, ""
			marked = append(marked, k)
		}
	}
	if alone {
		return marked
	}
	return append(kinds, marked...)
}

// runAll runs kinds, some at once, and keeps their order. It begins at the end, where those are that take long.
func runAll(kinds []Kind, atOnce int, run func(Kind) Result) []Result {
	results := make([]Result, len(kinds))
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, kind := range slices.Backward(kinds) {
		results[i] = Result{Kind: kind, Err: errors.New("it did not come to an end")}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			results[i] = run(kind)
			fmt.Fprintf(os.Stderr, "%d %s: %v\n", kind.Number, kind.label(), results[i].Err)
		})
	}
	wg.Wait()
	return results
}

// runAgain runs the kinds that failed once more, each alone.
func (w *world) runAgain(results []Result) {
	for i, r := range results {
		if r.Err == nil {
			continue
		}
		results[i] = w.run(r.Kind)
		results[i].Tries = 2
		fmt.Fprintf(os.Stderr, "%d %s: once more, because of %v: %v\n", r.Kind.Number, r.Kind.label(), r.Err, results[i].Err)
	}
}
