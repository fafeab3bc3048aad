package localpg

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// owner is the user that the server runs as when we are root: PostgreSQL refuses to run as root. A nil owner is the user
// that we are.
type owner struct {
	name     string
	uid, gid uint32
}

// databaseUser is the owner, nil when we are not root.
func databaseUser() (*owner, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "consilium", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errU := strconv.ParseUint(u.Uid, 10, 32)
		gid, errG := strconv.ParseUint(u.Gid, 10, 32)
		if errU != nil || errG != nil || uid == 0 {
			continue
		}
		return &owner{name: name, uid: uint32(uid), gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("this is root and there is no unprivileged user (postgres, consilium, nobody) to run the server as")
}

// credential makes a child run as the owner, with none of root's groups.
func (o *owner) credential() *syscall.Credential {
	if o == nil {
		return nil
	}
	return &syscall.Credential{Uid: o.uid, Gid: o.gid, Groups: []uint32{o.gid}}
}

// own gives path to the owner.
func (o *owner) own(path string) error {
	if o == nil {
		return nil
	}
	return os.Chown(path, int(o.uid), int(o.gid))
}

// folderMode is the mode for folders above the cluster: closed to others, unless the owner is one of the others and must
// pass through.
func (o *owner) folderMode() fs.FileMode {
	if o == nil {
		return 0o700
	}
	return 0o711
}

// blockedAt names the topmost folder on the way to dir (dir included) that the owner cannot pass, "" when it can pass
// all. Access lists beyond the mode bits are not looked at.
func (o *owner) blockedAt(dir string) string {
	if o == nil {
		return ""
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	if parent := filepath.Dir(dir); parent != dir {
		if at := o.blockedAt(parent); at != "" {
			return at
		}
	}
	info, err := os.Stat(dir)
	if err != nil || !o.passes(info) {
		return dir
	}
	return ""
}

// passes says whether the owner may pass through the folder.
func (o *owner) passes(info fs.FileInfo) bool {
	bit := fs.FileMode(0o001)
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		switch {
		case st.Uid == o.uid:
			bit = 0o100
		case st.Gid == o.gid:
			bit = 0o010
		}
	}
	return info.Mode().Perm()&bit != 0
}

func uidOf(path string) (uint32, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, fmt.Errorf("owner of %s is unknown", path)
	}
	return st.Uid, nil
}
