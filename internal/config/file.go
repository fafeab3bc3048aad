package config

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// File is the setting that names a file with settings. It is part of a command line, not of Live and Stitcher, so that a
// command with subcommands has it once.
type File struct {
	Config kong.ConfigFlag `name:"config" help:"File with lines NAME=value, the names of the environment. Flags and environment win over it. Also CONSILIUM_CONFIG."`
}

// Options are what a command line with settings of this package needs: kong.Parse(&cli, config.Options()...). An empty
// variable of the environment counts as one that is not set, as tools that fill in templates leave it behind.
func Options() []kong.Option {
	for _, line := range os.Environ() {
		if name, value, _ := strings.Cut(line, "="); value == "" && strings.HasPrefix(name, "CONSILIUM_") {
			_ = os.Unsetenv(name) // fails on malformed names only
		}
	}
	var paths []string
	if path := os.Getenv("CONSILIUM_CONFIG"); path != "" {
		paths = append(paths, path)
	}
	return []kong.Option{requireFiles(paths), kong.Configuration(parseFile, paths...), kong.UsageOnError()}
}

// requireFiles fails when a file that CONSILIUM_CONFIG names cannot be read; the library alone would go on without it.
func requireFiles(paths []string) kong.Option {
	return kong.OptionFunc(func(*kong.Kong) error {
		for _, path := range paths {
			if err := checkFile("CONSILIUM_CONFIG", path); err != nil {
				return err
			}
		}
		return nil
	})
}

// settings are the lines of a file by name.
type settings map[string]string

// parseFile reads NAME=value lines as systemd's EnvironmentFile does: empty lines and lines that begin with # are
// nothing, and a value may stand in quotes.
func parseFile(r io.Reader) (kong.Resolver, error) {
	all := settings{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(strings.TrimPrefix(name, "export "))
		if !ok || !strings.HasPrefix(name, "CONSILIUM_") {
			return nil, fmt.Errorf("line %d of the settings file is not CONSILIUM_…=value", n)
		}
		if _, twice := all[name]; twice {
			return nil, fmt.Errorf("line %d of the settings file: %s is set twice", n, name)
		}
		all[name] = unquote(strings.TrimSpace(value))
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the settings file: %w", err)
	}
	return all, nil
}

func unquote(value string) string {
	if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		return value[1 : n-1]
	}
	return value
}

// Validate implements kong.Resolver: a misspelt name is an error, not a setting that silently does nothing. One file may
// serve both processes, so live's names are right for the stitcher as well.
func (s settings) Validate(app *kong.Application) error {
	everything, err := kong.New(&struct{ Live }{})
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, node := range []*kong.Node{everything.Model.Node, app.Node} {
		for _, flag := range flagsOf(node) {
			for _, env := range flag.Envs {
				known[env] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if !known[name] {
			return fmt.Errorf("the settings file names %s, which is no setting", name)
		}
	}
	return nil
}

// flagsOf lists the flags of a command and of all commands below it.
func flagsOf(node *kong.Node) []*kong.Flag {
	all := slices.Clone(node.Flags)
	for _, child := range node.Children {
		all = append(all, flagsOf(child)...)
	}
	return all
}

// Resolve implements kong.Resolver.
func (s settings) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, env := range flag.Envs {
		if _, set := os.LookupEnv(env); set {
			return nil, nil
		}
	}
	for _, env := range flag.Envs {
		if value, ok := s[env]; ok {
			return value, nil
		}
	}
	return nil, nil
}
