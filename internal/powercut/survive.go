package powercut

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// Model says what survives a cut beside what was synced.
type Model int

// The models.
const (
	// Everything survives: the folder as the program sees it. It is what a killed process leaves, and the proof that a
	// trace was understood.
	Everything Model = iota
	// Synced: nothing but what was synced, and no name whose folder was not. It is what POSIX promises.
	Synced
	// Torn: of what was not synced, pieces of 512 or 4096 bytes and changes of names survive by chance, in any order.
	Torn
	// Journal: changes of names survive in their order, all before a sync of anything and some after it, as ext4 and xfs
	// do it; of what was written to a file since its sync, a beginning.
	Journal
)

// Models are those of a power cut.
var Models = []Model{Synced, Torn, Journal}

// String names the model.
func (m Model) String() string {
	return [...]string{"everything", "synced", "torn", "journal"}[m]
}

// Write puts into the empty folder dest what a cut now would leave. Chance decides by dice alone.
func (d *Disk) Write(dest string, m Model, dice *rand.Rand) error {
	return survivors{disk: d, model: m, dice: dice, until: d.journal + dice.IntN(1+max(d.order-d.journal, 0)), done: map[*inode]bool{}}.folder(d.top, dest)
}

// survivors is one result of a cut.
type survivors struct {
	disk  *Disk
	model Model
	dice  *rand.Rand
	until int // Journal: the newest change of names that survives
	done  map[*inode]bool
}

func (s survivors) folder(n *inode, dest string) error {
	if s.done[n] {
		return nil // two names of one folder: a move was cut in the middle
	}
	s.done[n] = true
	names := s.names(n)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		child, path := names[name], filepath.Join(dest, name)
		if child.folder {
			if err := os.Mkdir(path, 0o700); err != nil {
				return fmt.Errorf("write what survives: %w", err)
			}
			if err := s.folder(child, path); err != nil {
				return err
			}
			continue
		}
		if err := os.WriteFile(path, s.content(child), 0o600); err != nil {
			return fmt.Errorf("write what survives: %w", err)
		}
	}
	return nil
}

// names are those that survive in a folder.
func (s survivors) names(n *inode) map[string]*inode {
	if s.model == Everything {
		return n.shown
	}
	names := maps.Clone(n.names)
	for _, r := range n.renames {
		switch s.model {
		case Torn:
			if s.dice.IntN(2) == 0 {
				continue
			}
			// What is renamed must have been there under its old name, or its making got lost as well.
			if r.remove != "" && r.add != "" && names[r.remove] != r.node {
				continue
			}
			r.apply(names)
		case Journal:
			if r.order <= s.until {
				r.apply(names)
			}
		case Everything, Synced:
		}
	}
	return names
}

// content is what survives of a file.
func (s survivors) content(n *inode) []byte {
	b := slices.Clone(n.bytes)
	if s.model == Synced || len(n.pending) == 0 {
		return b
	}
	if s.model == Everything {
		for _, c := range n.pending {
			b = c.apply(b)
		}
		return b
	}
	sector := []int64{512, 4096}[s.dice.IntN(2)]
	until := s.dice.IntN(len(n.pending) + 1)
	for i, c := range n.pending {
		switch {
		case s.model == Journal && i > until:
		case s.model == Journal && i == until && !c.cut:
			torn := *c
			torn.data = c.data[:s.dice.IntN(len(c.data)+1)]
			b = torn.apply(b)
		case s.model == Journal:
			b = c.apply(b)
		case c.cut:
			if s.dice.IntN(2) == 0 {
				b = c.apply(b)
			}
		default:
			b = s.pieces(b, c, sector)
		}
	}
	return b
}

// pieces writes some of the sectors of a write.
func (s survivors) pieces(b []byte, c *change, sector int64) []byte {
	for from := int64(0); from < int64(len(c.data)); {
		to := min(int64(len(c.data)), (c.off+from)/sector*sector+sector-c.off)
		if s.dice.IntN(2) == 0 {
			piece := change{off: c.off + from, data: c.data[from:to]}
			b = piece.apply(b)
		}
		from = to
	}
	return b
}
