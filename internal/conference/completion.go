package conference

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"consilium/internal/consultation"
	"consilium/internal/events"
	"consilium/internal/events/appender"
	"consilium/internal/media"
	"consilium/internal/media/recorder"
	"consilium/internal/timeline"
)

// completeEvery is the pause between two attempts to complete an ended consultation.
const completeEvery = 500 * time.Millisecond

// closing is how far the end of a consultation has come.
type closing struct {
	abandonedAt time.Time // when the end for absence was asked for
	trying      bool      // an attempt is under way beside the loop
	triedAt     time.Time // of the newest attempt
	failures    int       // attempts that failed in a row
}

// Causes of segments that are named as missing.
const (
	missingNotStored = "not_stored" // it did not reach the blob store in time
	missingCrash     = "crash"      // the process that wrote it died, and no file of it was found
	missingCorrupt   = "corrupt"    // its file is not what was sealed
)

// checkCompletion completes an ended consultation when every segment is stored, or after Config.GiveUp without those
// that are not.
func (c *Conference) checkCompletion(now time.Time) {
	pause := completeEvery << min(c.closing.failures, 6)
	if c.state.Phase != consultation.Ended || c.sealing > 0 || c.closing.trying || now.Sub(c.closing.triedAt) < pause {
		return
	}
	giveUp := now.Sub(c.state.EndedAt) > c.m.cfg.GiveUp && now.Sub(c.hostedAt) > c.m.cfg.GiveUp
	if !giveUp && c.awaited(c.state) {
		return
	}
	c.closing.trying, c.closing.triedAt = true, now
	roles := rolesOf(c.state)
	c.work(func() {
		err := c.complete(c.life, giveUp, roles)
		failed := err != nil && !errors.Is(err, consultation.ErrNotComplete) && c.life.Err() == nil
		if failed {
			c.log.Error("consultation cannot be completed yet", "error", err)
		}
		c.box.post(func() {
			c.closing.trying = false
			if failed {
				c.closing.failures++
			}
		})
	})
}

func (c *Conference) complete(ctx context.Context, giveUp bool, roles map[string]string) error {
	if err := c.writer.Flush(ctx); err != nil {
		return err
	}
	history, err := events.ReadAll(ctx, c.m.deps.Log, c.id)
	if err != nil {
		return fmt.Errorf("read consultation: %w", err)
	}
	if !giveUp && c.awaited(consultation.Fold(history)) {
		return consultation.ErrNotComplete // before anything is stored for nothing
	}
	sheet, err := c.m.storeSheet(ctx, c.id, roles)
	if err != nil {
		return err
	}
	quality, err := c.quality.store(ctx, c.m.deps.Blobs)
	if err != nil {
		return err
	}
	decide := func(history []events.Stored) ([]events.Draft, error) {
		cmd := consultation.Complete{Epoch: c.epoch, Sheet: sheet, Quality: quality}
		if state := consultation.Fold(history); giveUp || !c.awaited(state) {
			cmd.Missing = c.missing(state)
		}
		if cmd.Tracks, err = accounts(history, cmd.Missing); err != nil {
			return nil, err
		}
		return consultation.Deciding(cmd, c.m.By(""))(history)
	}
	if _, err := c.m.deps.Appender.Command(ctx, c.id, decide); err != nil {
		return err
	}
	c.quality.remove()
	return nil
}

// awaited says whether a segment may still come that is not stored.
func (c *Conference) awaited(s *consultation.State) bool {
	return slices.ContainsFunc(c.missing(s), func(m events.MissingSegment) bool { return m.Cause == missingNotStored })
}

// missing names what is not stored, with the cause as far as it is known. What is damaged will not come any more, nor what a
// process had begun that died, when no file of it was found: files that are there were announced before this process hosted
// anything, or wait in the spool.
func (c *Conference) missing(s *consultation.State) []events.MissingSegment {
	unstored := s.Unstored()
	if len(unstored) == 0 {
		return nil
	}
	damaged, pending := c.m.deps.Spool.Damaged(c.id), c.m.deps.Spool.Pending(c.id)
	searched := c.m.deps.Now().Sub(c.hostedAt) > c.m.cfg.Search
	var all []events.MissingSegment
	for _, g := range unstored {
		m := events.MissingSegment{Segment: g.ID, Cause: missingNotStored}
		switch {
		case slices.Contains(damaged, g.ID):
			m.Cause = missingCorrupt
		case searched && !g.Sealed && g.Epoch < c.epoch && !slices.Contains(pending, g.ID):
			m.Cause = missingCrash
		}
		all = append(all, m)
	}
	return all
}

// accounts reconciles all tracks as they are when the named segments are missing: the timeline of consultation.completed
// itself is that of the archive, so the two agree.
func accounts(history []events.Stored, missing []events.MissingSegment) ([]events.TrackAccount, error) {
	var state timeline.State
	for _, e := range history {
		if err := state.Apply(e); err != nil {
			return nil, fmt.Errorf("account for tracks: %w", err)
		}
	}
	state.Miss(missing)
	return state.Place().Accounts(), nil
}

func rolesOf(s *consultation.State) map[string]string {
	roles := map[string]string{}
	for _, p := range s.Participants() {
		roles[p.ID] = p.Role
	}
	return roles
}

// storeSheet writes the consultation's render sheet to the blob store.
func (m *Manager) storeSheet(ctx context.Context, id string, roles map[string]string) (events.Blob, error) {
	sheet, err := m.deps.Directory.SheetOf(ctx, id, roles)
	if err != nil {
		return events.Blob{}, fmt.Errorf("render sheet of %s: %w", id, err)
	}
	sum := events.HashOf(sheet)
	key := "sheets/" + id + "/" + sum + ".json"
	if _, err := m.deps.Blobs.Put(ctx, key, bytes.NewReader(sheet)); err != nil {
		return events.Blob{}, fmt.Errorf("store render sheet of %s: %w", id, err)
	}
	return events.Blob{Key: key, SHA256: sum}, nil
}

// RequestArchive orders one more version of the archive, with the names of today: the sheet of cmd is not looked at.
func (m *Manager) RequestArchive(ctx context.Context, id, actor string, cmd consultation.RequestArchive) (int, events.Version, error) {
	history, err := events.ReadAll(ctx, m.deps.Log, id)
	if err != nil {
		return 0, events.Version{}, fmt.Errorf("read consultation %s: %w", id, err)
	}
	state := consultation.Fold(history)
	if _, err := consultation.Decide(state, cmd, m.deps.Now()); err != nil {
		return 0, events.Version{}, err
	}
	if cmd.Sheet, err = m.storeSheet(ctx, id, rolesOf(state)); err != nil {
		return 0, events.Version{}, err
	}
	version := 0
	deciding := consultation.Deciding(cmd, m.By(actor))
	at, err := m.deps.Appender.Command(ctx, id, func(history []events.Stored) ([]events.Draft, error) {
		drafts, err := deciding(history)
		for _, d := range drafts {
			if r, ok := d.Event.(events.ArchiveRequested); ok {
				version = r.Version
			}
		}
		return drafts, err
	})
	return version, at, err
}

// SegmentStored says in the log that the blob store holds a segment. It is safe to call twice, and it says first what a
// crash kept from being said: that the segment was opened and sealed. The spool calls it until it succeeds.
func (m *Manager) SegmentStored(ctx context.Context, s media.Segment, key string) error {
	if c := m.hosted(s.Room); c != nil {
		said, err := c.segmentStored(ctx, s, key)
		if err != nil {
			return fmt.Errorf("announce segment %s: %w", s.ID, err)
		}
		if said {
			m.tellEarly(s.Room)
			return nil
		}
	}
	late := false
	_, err := m.deps.Appender.Command(ctx, s.Room, func(history []events.Stored) ([]events.Draft, error) {
		state := consultation.Fold(history)
		late = state.Phase == consultation.Completed || state.Phase == consultation.Archived
		return m.storedDrafts(state, s, key), nil
	})
	if err != nil {
		return fmt.Errorf("announce segment %s: %w", s.ID, err)
	}
	if late {
		m.orderAgain(s.Room)
	} else {
		m.tellEarly(s.Room)
	}
	return nil
}

func (m *Manager) storedDrafts(state *consultation.State, s media.Segment, key string) []events.Draft {
	known, opened := state.Segment(s.ID)
	if known.Stored {
		return nil
	}
	var facts []events.Event
	if !opened {
		facts = append(facts, openedFact(s))
	}
	if !known.Sealed {
		facts = append(facts, sealedFact(s))
	}
	return m.about(s.Owner, append(facts, events.SegmentStored{Segment: s.ID, Key: key, Bytes: s.Bytes, SHA256: s.SHA256}))
}

// AnnounceRecovered says in the log which segments were finished after a crash. It runs before the spool offers them as
// stored.
func (m *Manager) AnnounceRecovered(ctx context.Context, recovered []recorder.Recovered) error {
	rooms := map[string][]recorder.Recovered{}
	for _, r := range recovered {
		rooms[r.Segment.Room] = append(rooms[r.Segment.Room], r)
	}
	for id, all := range rooms {
		for some := range slices.Chunk(all, recoveredAtOnce) {
			_, err := m.deps.Appender.Command(ctx, id, func(history []events.Stored) ([]events.Draft, error) {
				return m.recoveredDrafts(consultation.Fold(history), some), nil
			})
			if err != nil {
				return fmt.Errorf("announce recovered segments of %s: %w", id, err)
			}
		}
	}
	return nil
}

// recoveredAtOnce is how many segments are announced in one append.
const recoveredAtOnce = 32

func (m *Manager) recoveredDrafts(state *consultation.State, recovered []recorder.Recovered) (drafts []events.Draft) {
	for _, r := range recovered {
		s := r.Segment
		known, opened := state.Segment(s.ID)
		var facts []events.Event
		if !opened {
			facts = append(facts, openedFact(s))
		}
		if !known.Sealed {
			facts = append(facts, events.SegmentRecovered{
				Segment: s.ID, LastRTP: s.LastRTP, EndRTP: s.EndRTP, Frames: s.Frames, Bytes: s.Bytes, SHA256: s.SHA256,
				LostBytes: r.LostBytes,
			})
		}
		drafts = append(drafts, m.about(s.Owner, facts)...)
	}
	return drafts
}

// about drafts facts about one participant.
func (m *Manager) about(participant string, facts []events.Event) []events.Draft {
	drafts := make([]events.Draft, 0, len(facts))
	for _, e := range facts {
		d := events.NewDraft(m.cfg.Source(), m.deps.Now(), e)
		d.Participant = participant
		drafts = append(drafts, d)
	}
	return drafts
}

// segmentStored says that a segment is stored behind what the conference says itself. Other than a command it needs no look
// at what was before: the conference knows that, and nobody else says anything about a segment that is in the spool here. It
// returns false where it is over, or may be while this is said: then everything that was queued so far is in the log, and it is
// to be looked at.
func (c *Conference) segmentStored(ctx context.Context, s media.Segment, key string) (said bool, err error) {
	if err := c.flushFacts(ctx); err != nil {
		return false, err
	}
	newest, err := c.m.deps.Log.Last(ctx, c.id)
	if err != nil {
		return false, err
	}
	if err := c.caughtUp(ctx, newest.Seq); err != nil {
		return false, unlessShutdown(err)
	}
	err = c.do(ctx, func() error {
		if c.closing.trying || c.finished || c.state.Phase == consultation.Completed || c.state.Phase == consultation.Archived {
			return nil
		}
		said = true
		for _, d := range c.m.storedDrafts(c.state, s, key) {
			c.writer.Fact(d)
		}
		return nil
	})
	if err != nil {
		return false, unlessShutdown(err)
	}
	if err := c.writer.Flush(ctx); err != nil {
		return false, err
	}
	select {
	case <-c.writer.Fenced(): // it has taken nothing
		return false, appender.ErrFenced
	default:
		return said, nil
	}
}

// unlessShutdown forgets that the conference has ended: others can do without it.
func unlessShutdown(err error) error {
	if errors.Is(err, ErrShutdown) {
		return nil
	}
	return err
}

// flushFacts waits until everything that the conference queued so far is in the log.
func (c *Conference) flushFacts(ctx context.Context) error {
	select {
	case <-c.ready:
		return c.writer.Flush(ctx)
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// orderAgain orders one version with the segments that came after completion, as soon as no other version is being
// made. However many come, one order that follows them all is enough.
func (m *Manager) orderAgain(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopping || m.ordering[id] {
		return
	}
	m.ordering[id] = true
	m.running.Go(func() {
		defer func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			delete(m.ordering, id)
		}()
		again := time.NewTicker(orderEvery)
		defer again.Stop()
		for m.orderOnce(id) {
			select {
			case <-again.C:
			case <-m.life.Done():
				return
			}
		}
	})
}

// orderEvery is the pause between two attempts to order a version for late segments.
const orderEvery = 2 * time.Second

// orderOnce orders a version if a segment was stored after the newest order; true says that it must be tried again.
func (m *Manager) orderOnce(id string) bool {
	history, err := events.ReadAll(m.life, m.deps.Log, id)
	if err == nil {
		if !hasLateSegment(history) {
			return false
		}
		_, _, err = m.RequestArchive(m.life, id, "", consultation.RequestArchive{})
	}
	if err != nil && !errors.Is(err, consultation.ErrArchivePending) && m.life.Err() == nil {
		m.deps.Logger.Error("archive with a late segment is not ordered yet", "consultation", id, "error", err)
	}
	return true // look again: another one may have come in between
}

// hasLateSegment says whether a segment was stored after what the newest order goes through.
func hasLateSegment(history []events.Stored) bool {
	var through, stored uint64
	for _, e := range history {
		switch ev := e.Event.(type) {
		case events.ArchiveRequested:
			through = ev.ThroughSeq
		case events.SegmentStored:
			stored = e.Seq
		}
	}
	return stored > through
}
