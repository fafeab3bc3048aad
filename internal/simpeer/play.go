package simpeer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"consilium/internal/media"
)

// cue is something that a person does.
type cue struct {
	at time.Duration // since the capture began
	do func(ctx context.Context) error
}

// Play does what the actions of the options have the person do, each at its time, and returns after the last one.
func (p *Participant) Play(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for _, c := range p.cues() {
		timer.Reset(time.Until(p.options.Clocks.Began.Add(c.at)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := c.do(ctx); err != nil {
			return fmt.Errorf("play at %s: %w", c.at, err)
		}
	}
	return nil
}

// cues are in order of time.
func (p *Participant) cues() []cue {
	var all []cue
	for _, a := range only(p.options.Actions, Mute, Renew, Away, Pause) {
		switch a.Do {
		case Mute:
			all = append(all, p.switches(a, true), p.switches(a, false))
		case Renew:
			all = append(all, cue{a.At, func(ctx context.Context) error { return p.renew(ctx, a) }})
		case Away:
			all = append(all, cue{a.At, func(context.Context) error { p.Drop(); return nil }}, cue{a.At + a.For, p.Rejoin})
		case Pause:
			all = append(all, p.pauses(a.At, true), p.pauses(a.At+a.For, false))
		}
	}
	slices.SortStableFunc(all, func(a, b cue) int { return cmp.Compare(a.at, b.at) })
	return all
}

func (p *Participant) switches(a Action, off bool) cue {
	at := a.At
	if !off {
		at += a.For
	}
	return cue{at, func(ctx context.Context) error {
		var errs []error
		for _, k := range []media.Kind{media.Audio, media.Video} {
			source := p.options.VideoSource
			if k == media.Audio {
				source = p.options.AudioSource
			}
			if a.of(k) {
				errs = append(errs, p.Mute(ctx, source, off))
			}
		}
		return errors.Join(errs...)
	}}
}

func (p *Participant) renew(ctx context.Context, a Action) error {
	s := p.present()
	if s == nil {
		return errors.New("simulated participant: it is away")
	}
	for _, k := range []media.Kind{media.Audio, media.Video} {
		if !a.of(k) {
			continue
		}
		if err := s.renew(ctx, k); err != nil {
			return fmt.Errorf("simulated participant: renew %s: %w", k, err)
		}
	}
	return nil
}

func (p *Participant) pauses(at time.Duration, paused bool) cue {
	return cue{at, func(ctx context.Context) error {
		if p.options.Recording == nil {
			return errors.New("simulated participant: nobody can pause the recording")
		}
		return p.options.Recording(ctx, paused)
	}}
}
