package conference

import (
	"context"
	"time"

	"consilium/internal/consultation"
	"consilium/internal/events"
	"consilium/internal/jobs"
)

// earlyPause is how long what was stored waits for more of the same half minute before somebody is told: the files of all
// tracks are closed within seconds of each other.
const earlyPause = 5 * time.Second

// tellEarly has the stitchers told, in a moment, that more of a consultation is stored. However many files come until then,
// they are told once.
func (m *Manager) tellEarly(id string) {
	if m.deps.Early == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopping || m.telling[id] {
		return
	}
	m.telling[id] = true
	m.running.Go(func() {
		pause := time.NewTimer(earlyPause)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-m.life.Done():
		}
		m.mu.Lock()
		delete(m.telling, id)
		m.mu.Unlock()
		if err := m.askEarly(m.life, id); err != nil && m.life.Err() == nil {
			m.deps.Logger.Warn("stitchers are not told of a call that goes on", "consultation", id, "error", err)
		}
	})
}

// askEarly asks for the chunks of a consultation that is open, with the names of now.
func (m *Manager) askEarly(ctx context.Context, id string) error {
	if ctx.Err() != nil {
		return nil
	}
	history, err := events.ReadAll(ctx, m.deps.Log, id)
	if err != nil {
		return err
	}
	state := consultation.Fold(history)
	if state.Phase != consultation.Open {
		return nil // what is left is made when the archive is ordered
	}
	sheet, err := m.storeSheet(ctx, id, rolesOf(state))
	if err != nil {
		return err
	}
	return m.deps.Early(ctx, jobs.Early{
		Consultation: id, Layout: state.Layout, Profile: consultation.ProfileStandard, Sheet: sheet,
	})
}
