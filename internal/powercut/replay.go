package powercut

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Do takes one call of the program.
func (d *Disk) Do(c Call) error {
	d.order++
	err := d.do(c)
	if errors.Is(err, errOutside) {
		return nil
	}
	return err
}

func (d *Disk) do(c Call) error {
	if c.Begins {
		if err := d.begin(c); err != nil {
			return err
		}
	}
	if !c.Ends {
		return nil
	}
	if c.Begins {
		d.order++ // what ends has begun before
	}
	return d.end(c)
}

// begin notes what matters before a call has ended: writes, of which a part may be on the disk, and syncs, which cover
// what was done before them. The arguments of everything else are kept for its end.
func (d *Disk) begin(c Call) error {
	switch c.Name {
	case "write", "writev", "pwrite64", "pwritev", "pwritev2":
		return d.beginWrite(c)
	case "fsync", "fdatasync", "syncfs":
		if h := d.open[int(number(c.Args[0]))]; h != nil {
			s := &syncing{node: h.node, begun: d.order}
			if c.Name == "syncfs" {
				s.node = nil
			}
			d.doing[c.Thread] = s
			d.changes++
		}
		return nil
	case "close": // the number may be used again before the call has ended
		delete(d.open, int(number(c.Args[0])))
		return nil
	case "sync":
		d.doing[c.Thread] = &syncing{begun: d.order}
		return nil
	}
	if !c.Ends {
		d.begun[c.Thread] = c
	}
	return nil
}

func (d *Disk) beginWrite(c Call) error {
	h := d.open[int(number(c.Args[0]))]
	if h == nil {
		return nil
	}
	read := text
	if strings.Contains(c.Name, "v") {
		read = vector
	}
	data, err := read(c.Args[1])
	if err != nil {
		return err
	}
	w := &change{node: h.node, off: h.pos, data: data, begun: d.order}
	if h.append {
		w.off = h.node.size
	}
	if strings.HasPrefix(c.Name, "p") {
		w.off = number(c.Args[3])
	}
	h.node.pending = append(h.node.pending, w)
	d.changes++
	d.writing[c.Thread] = w
	d.moving[c.Thread] = nil
	if !strings.HasPrefix(c.Name, "p") {
		d.moving[c.Thread] = h
	}
	return nil
}

// end carries out what a call did.
func (d *Disk) end(c Call) error {
	switch c.Name {
	case "write", "writev", "pwrite64", "pwritev", "pwritev2":
		d.endWrite(c)
		return nil
	case "fsync", "fdatasync", "syncfs", "sync":
		if s := d.doing[c.Thread]; s != nil && c.Result >= 0 {
			d.settle(s)
		}
		delete(d.doing, c.Thread)
		return nil
	case "close":
		return nil
	}
	if !c.Begins {
		begun, ok := d.begun[c.Thread]
		if !ok || begun.Name != c.Name {
			return fmt.Errorf("%s ends that never began", c.Name)
		}
		c.Args = begun.Args
		delete(d.begun, c.Thread)
		if d.early[c.Thread] {
			delete(d.early, c.Thread)
			if c.Result < 0 && !strings.HasPrefix(c.Name, "mkdir") { // one of several that made the same folder
				return fmt.Errorf("%s failed, and another call could only follow its success", c.Name)
			}
			return nil
		}
	}
	if c.Result < 0 {
		return nil
	}
	return d.carryOut(c)
}

func (d *Disk) endWrite(c Call) {
	w := d.writing[c.Thread]
	if w == nil {
		return
	}
	delete(d.writing, c.Thread)
	if c.Result < 0 {
		for i, p := range w.node.pending {
			if p == w {
				w.node.pending = append(w.node.pending[:i:i], w.node.pending[i+1:]...)
				break
			}
		}
		return
	}
	w.data = w.data[:min(int64(len(w.data)), c.Result)]
	w.done = d.order
	w.node.size = max(w.node.size, w.off+int64(len(w.data)))
	if h := d.moving[c.Thread]; h != nil {
		h.pos = w.off + int64(len(w.data))
	}
}

// carryOut does what a call did that succeeded.
func (d *Disk) carryOut(c Call) error {
	fd := func(i int) *handle { return d.open[int(number(c.Args[i]))] }
	const here = -1
	switch c.Name {
	case "open":
		return d.openFile(here, c.Args[0], c.Args[1], int(c.Result))
	case "creat":
		return d.openFile(here, c.Args[0], "O_WRONLY|O_CREAT|O_TRUNC", int(c.Result))
	case "openat":
		return d.openFile(int(number(c.Args[0])), c.Args[1], c.Args[2], int(c.Result))
	case "dup", "dup2", "dup3":
		d.duplicate(fd(0), int(c.Result))
	case "fcntl":
		if strings.HasPrefix(c.Args[1], "F_DUPFD") {
			d.duplicate(fd(0), int(c.Result))
		}
	case "read", "readv":
		if h := fd(0); h != nil {
			h.pos += c.Result
		}
	case "lseek":
		if h := fd(0); h != nil {
			h.pos = c.Result
		}
	case "ftruncate":
		if h := fd(0); h != nil {
			d.cut(h.node, number(c.Args[1]))
		}
	case "truncate":
		return d.truncate(c)
	case "fallocate":
		return d.allocate(fd(0), c)
	case "mkdir":
		return d.makeFolder(here, c.Args[0])
	case "mkdirat":
		return d.makeFolder(int(number(c.Args[0])), c.Args[1])
	case "unlink", "rmdir":
		return d.remove(here, c.Args[0])
	case "unlinkat":
		return d.remove(int(number(c.Args[0])), c.Args[1])
	case "rename":
		return d.move(here, c.Args[0], here, c.Args[1], false)
	case "renameat", "renameat2":
		return d.move(int(number(c.Args[0])), c.Args[1], int(number(c.Args[2])), c.Args[3], false)
	case "link":
		return d.move(here, c.Args[0], here, c.Args[1], true)
	case "linkat":
		return d.move(int(number(c.Args[0])), c.Args[1], int(number(c.Args[2])), c.Args[3], true)
	case "symlink", "symlinkat":
		return d.symlink(c)
	case "copy_file_range", "splice":
		if fd(2) != nil {
			return fmt.Errorf("%s is not modelled", c.Name)
		}
	case "sendfile":
		if fd(0) != nil {
			return errors.New("sendfile is not modelled")
		}
	case "mmap":
		if len(c.Args) > 4 && fd(4) != nil && strings.Contains(c.Args[2], "PROT_WRITE") && strings.Contains(c.Args[3], "MAP_SHARED") {
			return errors.New("a file that is written through memory is not modelled")
		}
	case "execve":
		if d.execs++; d.execs > 1 {
			return errors.New("a second program is not modelled")
		}
	}
	return nil
}

func (d *Disk) duplicate(h *handle, fd int) {
	delete(d.open, fd)
	if h != nil {
		d.open[fd] = h
	}
}

func (d *Disk) openFile(dir int, quoted, flags string, fd int) error {
	delete(d.open, fd)
	parent, name, full, err := d.resolve(dir, quoted)
	if err != nil {
		return err
	}
	if strings.Contains(flags, "O_TMPFILE") {
		return errors.New("files without a name are not modelled")
	}
	node := d.top
	if name != "" {
		node = parent.shown[name]
	}
	if node == nil && !strings.Contains(flags, "O_CREAT") {
		node = d.namedMeanwhile(parent, name, full)
	}
	if node == nil {
		if !strings.Contains(flags, "O_CREAT") {
			return fmt.Errorf("%s: it is not known", full)
		}
		node = &inode{}
		d.rename(nil, "", parent, name, node)
	} else if strings.Contains(flags, "O_TRUNC") {
		d.cut(node, 0)
	}
	d.open[fd] = &handle{node: node, path: full, append: strings.Contains(flags, "O_APPEND")}
	return nil
}

func (d *Disk) cut(n *inode, size int64) {
	d.changes++
	n.size = size
	n.pending = append(n.pending, &change{node: n, off: size, cut: true, begun: d.order, done: d.order})
}

func (d *Disk) truncate(c Call) error {
	n, _, err := d.find(-1, c.Args[0])
	if err == nil {
		d.cut(n, number(c.Args[1]))
	}
	return err
}

func (d *Disk) allocate(h *handle, c Call) error {
	if h == nil {
		return nil
	}
	if c.Args[1] != "0" {
		return errors.New("fallocate with a mode is not modelled")
	}
	if end := number(c.Args[2]) + number(c.Args[3]); end > h.node.size {
		d.cut(h.node, end)
	}
	return nil
}

func (d *Disk) makeFolder(dir int, quoted string) error {
	parent, name, full, err := d.resolve(dir, quoted)
	if err != nil {
		return err
	}
	if parent.shown[name] != nil {
		if err := d.removedMeanwhile(full); err != nil {
			return err
		}
	}
	if parent.shown[name] == nil { // else another thread's call was taken for the one that made it
		d.rename(nil, "", parent, name, newFolder())
	}
	return nil
}

func (d *Disk) remove(dir int, quoted string) error {
	parent, name, full, err := d.resolve(dir, quoted)
	if err != nil {
		return err
	}
	node := cmp.Or(parent.shown[name], d.namedMeanwhile(parent, name, full))
	if node == nil {
		return fmt.Errorf("%s: it is not known", full)
	}
	if node.folder {
		if err := d.emptied(node, full); err != nil {
			return err
		}
	}
	d.rename(parent, name, nil, "", nil)
	return nil
}

// emptied wants a folder to be empty that the program has removed. Calls of several threads may end in the kernel in
// another order than strace writes their ends: what is under way and takes a name out of the folder has happened.
func (d *Disk) emptied(folder *inode, full string) error {
	for thread, c := range d.begun {
		if !slices.Contains([]string{"unlink", "unlinkat", "rmdir"}, c.Name) || d.early[thread] {
			continue
		}
		parent, name, _, err := d.resolve(place(c))
		if err != nil || parent != folder || parent.shown[name] == nil {
			continue
		}
		if err := d.carryOutEarly(thread); err != nil {
			return err
		}
	}
	if len(folder.shown) > 0 {
		return fmt.Errorf("%s: it is removed with %d names in it", full, len(folder.shown))
	}
	return nil
}

// madeMeanwhile finds a folder that another thread is making, so that its end is not written yet.
func (d *Disk) madeMeanwhile(parent *inode, name, full string) *inode {
	for thread, c := range d.begun {
		if c.Name != "mkdir" && c.Name != "mkdirat" || d.early[thread] {
			continue
		}
		if path, err := d.absolute(place(c)); err != nil || path != full || d.carryOutEarly(thread) != nil {
			continue
		}
		return parent.shown[name]
	}
	return nil
}

// removedMeanwhile removes a folder that another thread is removing, when it is made anew before that end is written.
func (d *Disk) removedMeanwhile(full string) error {
	for thread, c := range d.begun {
		if c.Name != "rmdir" && (c.Name != "unlinkat" || c.Args[2] != "AT_REMOVEDIR") || d.early[thread] {
			continue
		}
		if path, err := d.absolute(place(c)); err == nil && path == full {
			return d.carryOutEarly(thread)
		}
	}
	return nil
}

// namedMeanwhile finds a file to which another thread is giving this name, so that its end is not written yet.
func (d *Disk) namedMeanwhile(parent *inode, name, full string) *inode {
	if parent.shown[name] != nil {
		return nil
	}
	for thread, c := range d.begun {
		dir, to := -1, ""
		switch c.Name {
		case "rename":
			to = c.Args[1]
		case "renameat", "renameat2":
			dir, to = int(number(c.Args[2])), c.Args[3]
		default:
			continue
		}
		if path, err := d.absolute(dir, to); d.early[thread] || err != nil || path != full || d.carryOutEarly(thread) != nil {
			continue
		}
		return parent.shown[name]
	}
	return nil
}

// carryOutEarly does what a call did whose end is not written yet.
func (d *Disk) carryOutEarly(thread int) error {
	d.early[thread] = true
	return d.carryOut(d.begun[thread])
}

// place is what a call is about that has one path: the number of the folder, and the path.
func place(c Call) (int, string) {
	if strings.HasSuffix(c.Name, "at") {
		return int(number(c.Args[0])), c.Args[1]
	}
	return -1, c.Args[0]
}

// move gives a file another name, or one more.
func (d *Disk) move(fromDir int, from string, toDir int, to string, link bool) error {
	oldParent, oldName, oldFull, oldErr := d.resolve(fromDir, from)
	newParent, newName, _, newErr := d.resolve(toDir, to)
	if oldErr != nil || newErr != nil {
		if errors.Is(oldErr, errOutside) != errors.Is(newErr, errOutside) {
			return errors.New("a file that comes from elsewhere or goes there is not modelled")
		}
		return errors.Join(oldErr, newErr)
	}
	node := cmp.Or(oldParent.shown[oldName], d.namedMeanwhile(oldParent, oldName, oldFull))
	switch {
	case node == nil:
		return fmt.Errorf("%s: it is not known", oldFull)
	case link:
		d.rename(nil, "", newParent, newName, node)
	default:
		d.rename(oldParent, oldName, newParent, newName, node)
	}
	return nil
}

func (d *Disk) symlink(c Call) error {
	dir, at := -1, c.Args[1]
	if c.Name == "symlinkat" {
		dir, at = int(number(c.Args[1])), c.Args[2]
	}
	if _, _, _, err := d.resolve(dir, at); err != nil {
		return err
	}
	return errors.New("symbolic links are not modelled")
}
