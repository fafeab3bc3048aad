package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// group starts parts one after another and stops them in reverse order. A part that ends by itself stops all.
type group struct {
	logger *slog.Logger
	ended  chan error // the first part that ended by itself, or nil from one that is done
	stops  []stop
}

type stop struct {
	name string
	f    func(ctx context.Context) error
}

// stopWithin is how long one part may take to stop.
const stopWithin = 20 * time.Second

func newGroup(logger *slog.Logger) *group {
	return &group{logger: logger, ended: make(chan error, 1)}
}

// onStop adds what is to be done when everything that was started later has stopped.
func (g *group) onStop(name string, f func(ctx context.Context) error) {
	g.stops = append(g.stops, stop{name, f})
}

// run starts a part that works until its context ends.
func (g *group) run(name string, work func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := work(ctx)
		if ctx.Err() == nil { // nobody asked it to end
			select {
			case g.ended <- fmt.Errorf("%s ended: %w", name, orUnexpected(err)):
			default:
			}
		}
		done <- err
	}()
	g.onStop(name, func(limit context.Context) error {
		cancel()
		select {
		case err := <-done:
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		case <-limit.Done():
			return fmt.Errorf("does not stop: %w", limit.Err())
		}
	})
}

func orUnexpected(err error) error {
	if err == nil {
		return errors.New("without being asked")
	}
	return err
}

// wait returns when ctx ends (nil) or a part has ended by itself.
func (g *group) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-g.ended:
		return err
	}
}

// stopAll stops everything in reverse order and returns what went wrong.
func (g *group) stopAll() error {
	var all []error
	for i := len(g.stops) - 1; i >= 0; i-- {
		s := g.stops[i]
		ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
		if err := s.f(ctx); err != nil {
			all = append(all, fmt.Errorf("stop %s: %w", s.name, err))
		}
		cancel()
		g.logger.Debug("stopped", "part", s.name)
	}
	g.stops = nil
	return errors.Join(all...)
}
