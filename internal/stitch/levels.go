package stitch

import (
	"context"

	"consilium/internal/render"
)

// levels measures how loud everybody's voice is in each tenth of a second, after the gain that it gets in the archive, for a
// layout that depends on it. Every voice is measured once from its begin to its end, piece by piece, as many at a time as
// there are processors.
func (w *Worker) levels(ctx context.Context, j *job, voices []voiceRuns) (map[string]render.Levels, error) {
	all := make([]render.Levels, len(voices))
	err := eachVoice(ctx, voices, func(ctx context.Context, i int) error {
		for from := int64(0); from < j.plan.Samples(); from += pieceSamples {
			length := min(pieceSamples, j.plan.Samples()-from)
			if from+length > j.known() {
				return nil
			}
			tenths, err := w.tenths(ctx, j, voices[i], from, length)
			if err != nil {
				return err
			}
			for _, t := range tenths {
				all[i] = append(all[i], lufs(float64(t))+j.gains[voices[i].participant].db)
			}
		}
		return nil
	})
	levels := map[string]render.Levels{}
	for i, v := range voices {
		levels[v.participant] = all[i]
	}
	return levels, err
}
