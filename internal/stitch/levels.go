package stitch

import (
	"context"
	"os"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"consilium/internal/render"
)

// levels measures how loud everybody's voice is in each tenth of a second, for a layout that depends on it; nil for others.
// Every voice is decoded once from its begin to its end, as many at a time as there are processors.
func (w *Worker) levels(ctx context.Context, j *job, order render.Order) (map[string]render.Levels, error) {
	profile, err := render.ProfileNamed(order.Profile)
	if err != nil || !profile.Video || order.Layout != render.Speaker {
		return nil, nil // the plan says what is wrong with the order
	}
	all := map[string]render.Levels{}
	var mu sync.Mutex // guards all
	group, ctx := errgroup.WithContext(ctx)
	for of, runs := range j.runsByParticipant() {
		free, err := w.busy(ctx)
		if err != nil {
			break // the group says why
		}
		group.Go(func() error {
			defer free()
			dir, err := w.makeFolder("l")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir) // what stays behind goes with the folder of the process
			l, err := (&mixer{tool: w.deps.FFmpeg, dir: dir, runs: runs}).levels(ctx, j.timeline.DurationNS)
			mu.Lock()
			defer mu.Unlock()
			all[of] = l
			return err
		})
	}
	return all, group.Wait()
}

// runsByParticipant are the runs of everybody's sound.
func (j *job) runsByParticipant() map[string][]run {
	all := map[string][]run{}
	for _, v := range render.Voices(j.timeline) {
		all[v.Participant] = append(all[v.Participant], runsOf(v.Clips, j.recording, j.voicePhases[v.Participant])...)
	}
	return all
}

// levels measures the sum of all runs, after the gain that the voice gets in the archive.
func (m *mixer) levels(ctx context.Context, lengthNS int64) (render.Levels, error) {
	gains, err := m.measure(ctx, slices.Repeat([]int{0}, len(m.runs)))
	if err != nil || len(gains) == 0 {
		return nil, err
	}
	var all render.Levels
	meter := newLoudnessMeter()
	err = m.blocks(ctx, int64(samples(lengthNS)), func(block []frame) error {
		squares := 0.0
		for _, f := range block {
			squares += meter.weigh(f)
		}
		all = append(all, lufs(squares/float64(len(block))))
		return nil
	})
	return all, err
}
