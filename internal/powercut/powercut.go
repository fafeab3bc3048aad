// Package powercut models what a disk holds after the power was cut.
//
// In comes what strace saw a program do to files below one folder: what it wrote, synced, renamed and removed. Out come
// folders as a cut at any moment could have left them: with what was synced, and of everything else nothing, pieces, or
// some. It runs nothing and decides nothing about what the program should have done; only tests import it.
//
// A Disk takes calls one by one. Whatever it does not understand and could change the folder is an error, so that no
// result stands on a call that was overlooked.
package powercut

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
)

// Calls are the system calls that a trace has to show, as strace's option -e trace= takes them.
const Calls = "openat,open,creat,close,dup,dup2,dup3,fcntl,read,readv,write,writev,pwrite64,pwritev,pwritev2,lseek," +
	"ftruncate,truncate,fallocate,fsync,fdatasync,sync,syncfs,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat," +
	"link,linkat,symlink,symlinkat,copy_file_range,sendfile,splice,mmap,execve"

// Arguments are strace's own for such a trace, written to the file out. The program and its arguments come behind them.
func Arguments(out string) []string {
	return []string{
		"-f", "--seccomp-bpf", "-q", "-s", "100000000", "--absolute-timestamps=format:unix,precision:ns",
		"-e", "signal=none", "-e", "trace=" + Calls, "-o", out, "--",
	}
}

// Disk is a folder with everything that is not yet durable in it. It is not safe for concurrent use.
type Disk struct {
	root    string // absolute
	top     *inode
	open    map[int]*handle
	order   int // counts calls
	changes int
	journal int // newest change of names that a sync has committed, in the way of a journal
	execs   int
	// What threads are in the middle of.
	begun   map[int]Call
	early   map[int]bool // those that are carried out already, because another call could only follow them
	doing   map[int]*syncing
	writing map[int]*change
	moving  map[int]*handle // whose position the write moves
}

// inode is a file or a folder.
type inode struct {
	folder bool
	// A file: what is durable, and what was done since, oldest first.
	bytes   []byte
	pending []*change
	size    int64 // with everything pending
	// A folder: names that are durable, names as the program sees them, and what was done in between, oldest first.
	names   map[string]*inode
	shown   map[string]*inode
	renames []*naming
}

// change is one write or one change of length.
type change struct {
	node  *inode
	off   int64
	data  []byte
	cut   bool // length becomes off
	begun int
	done  int // 0 while it is under way
}

// naming is one change of a folder's names: what is removed, what is added, or both.
type naming struct {
	remove string
	add    string
	node   *inode
	order  int
}

// handle is an open file; several numbers may stand for it.
type handle struct {
	node   *inode
	path   string
	pos    int64
	append bool
}

// syncing is a sync that is under way: it covers what was done before it began.
type syncing struct {
	node  *inode // nil: everything
	begun int
}

// NewDisk is an empty folder, which is at root for the program.
func NewDisk(root string) *Disk {
	return &Disk{
		root: filepath.Clean(root), top: newFolder(), open: map[int]*handle{},
		begun: map[int]Call{}, early: map[int]bool{}, doing: map[int]*syncing{}, writing: map[int]*change{}, moving: map[int]*handle{},
	}
}

func newFolder() *inode {
	return &inode{folder: true, names: map[string]*inode{}, shown: map[string]*inode{}}
}

// errOutside says that a path is not below the folder.
var errOutside = errors.New("outside")

// resolve finds the folder that holds a path, which is quoted as strace does it, and the path's last name in it. The name
// of the root itself is "".
func (d *Disk) resolve(dir int, quoted string) (parent *inode, name, full string, err error) {
	path, err := d.absolute(dir, quoted)
	if err != nil {
		return nil, "", "", err
	}
	if path == d.root {
		return d.top, "", path, nil
	}
	rest, ok := strings.CutPrefix(path, d.root+"/")
	if !ok {
		return nil, "", "", errOutside
	}
	at := d.top
	parts := strings.Split(rest, "/")
	way := d.root
	for _, p := range parts[:len(parts)-1] {
		way = filepath.Join(way, p)
		below := at.shown[p]
		if below == nil {
			below = d.madeMeanwhile(at, p, way)
		}
		if at = below; at == nil || !at.folder {
			return nil, "", "", fmt.Errorf("%s: the folder %q in it is not known", path, p)
		}
	}
	return at, parts[len(parts)-1], path, nil
}

// absolute is the whole path of one that is quoted as strace does it.
func (d *Disk) absolute(dir int, quoted string) (string, error) {
	raw, err := text(quoted)
	if err != nil {
		return "", err
	}
	path := string(raw)
	if !filepath.IsAbs(path) {
		h := d.open[dir]
		if h == nil {
			return "", errOutside
		}
		path = filepath.Join(h.path, path)
	}
	return filepath.Clean(path), nil
}

func (d *Disk) find(dir int, quoted string) (*inode, string, error) {
	parent, name, full, err := d.resolve(dir, quoted)
	if err != nil || name == "" {
		return parent, full, err
	}
	n := parent.shown[name]
	if n == nil {
		return nil, full, fmt.Errorf("%s: it is not known", full)
	}
	return n, full, nil
}

// rename is every change of names: node leaves a name, or comes to one, or both. In two folders it is two changes.
func (d *Disk) rename(from *inode, old string, to *inode, name string, node *inode) {
	d.changes++
	if from == to {
		from.renames = append(from.renames, &naming{remove: old, add: name, node: node, order: d.order})
		delete(from.shown, old)
		from.shown[name] = node
		return
	}
	if to != nil { // first: in between it has two names rather than none
		to.renames = append(to.renames, &naming{add: name, node: node, order: d.order})
		to.shown[name] = node
	}
	if from != nil {
		from.renames = append(from.renames, &naming{remove: old, order: d.order})
		delete(from.shown, old)
	}
}

// settle makes durable what a sync covers.
func (d *Disk) settle(s *syncing) {
	d.journal = max(d.journal, s.begun)
	if s.node == nil {
		d.top.settleAll(s.begun)
		return
	}
	s.node.settle(s.begun)
}

func (n *inode) settleAll(begun int) {
	n.settle(begun)
	for _, child := range n.shown {
		child.settleAll(begun)
	}
}

func (n *inode) settle(begun int) {
	var rest []*change
	for _, c := range n.pending {
		if c.done != 0 && c.done < begun {
			n.bytes = c.apply(n.bytes)
		} else {
			rest = append(rest, c)
		}
	}
	n.pending = rest
	for len(n.renames) > 0 && n.renames[0].order < begun {
		n.renames[0].apply(n.names)
		n.renames = n.renames[1:]
	}
}

// apply gives the content after the change. It may write into b.
func (c *change) apply(b []byte) []byte {
	if c.cut {
		return resize(b, c.off)
	}
	if end := c.off + int64(len(c.data)); end > int64(len(b)) {
		b = resize(b, end)
	}
	copy(b[c.off:], c.data)
	return b
}

func resize(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size]
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}

func (r *naming) apply(names map[string]*inode) {
	if r.remove != "" {
		delete(names, r.remove)
	}
	if r.add != "" {
		names[r.add] = r.node
	}
}

// Changes counts what the program has begun to change or to sync below the folder.
func (d *Disk) Changes() int { return d.changes }

// Open counts the files below the folder that the program has open.
func (d *Disk) Open() int {
	seen := map[*handle]bool{}
	for h := range maps.Values(d.open) {
		seen[h] = true
	}
	return len(seen)
}
