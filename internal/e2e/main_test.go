package e2e

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// TestMain leaves the whole package out of the quick run: every test here starts the product.
func TestMain(m *testing.M) {
	flag.Parse()
	if arguments := os.Getenv(natsVictim); arguments != "" {
		fmt.Fprintln(os.Stderr, serveNATS(arguments))
		os.Exit(1)
	}
	if testing.Short() {
		fmt.Println("the tests of the whole product do not run with -short; ./task test:e2e runs them")
		os.Exit(0)
	}
	os.Exit(m.Run())
}
