package netlab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// prefix begins the name of every namespace of a lab; the process id follows.
const prefix = "consilium-lab-"

// mounts is where ip(8) keeps the namespaces that have a name.
const mounts = "/run/netns"

// namespace is one machine of the lab: its interfaces, routes, filters and sockets.
type namespace struct {
	name string
	file *os.File
}

// newNamespace makes a machine whose loopback is up. IPv6 addresses count at once, without being probed for.
func newNamespace(name string) (*namespace, error) {
	full := prefix + strconv.Itoa(os.Getpid()) + "-" + name
	if err := run("ip", "netns", "add", full); err != nil {
		return nil, err
	}
	file, err := os.Open(filepath.Join(mounts, full))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open namespace: %w", err), run("ip", "netns", "del", full))
	}
	n := &namespace{name: full, file: file}
	for _, key := range []string{"default", "all"} {
		if err := n.sysctl("net/ipv6/conf/"+key+"/accept_dad", "0"); err != nil {
			return nil, errors.Join(err, n.remove())
		}
	}
	if err := n.ip("link set lo up"); err != nil {
		return nil, errors.Join(err, n.remove())
	}
	return n, nil
}

// router lets the machine pass on what is not for itself.
func (n *namespace) router() error {
	return errors.Join(n.sysctl("net/ipv4/ip_forward", "1"), n.sysctl("net/ipv6/conf/all/forwarding", "1"))
}

// remove takes the machine away, with its links. What runs in it must have ended.
func (n *namespace) remove() error {
	return errors.Join(n.file.Close(), run("ip", "netns", "del", n.name), os.RemoveAll(filepath.Join(hosts, n.name)))
}

// do calls f on a thread that is inside the namespace. Sockets and devices that f opens stay there. The thread is thrown
// away afterwards, since it must not serve anybody else.
func (n *namespace) do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter namespace %s: %w", n.name, err)
			return
		}
		done <- f()
	}()
	return <-done
}

func (n *namespace) sysctl(key, value string) error {
	return n.do(func() error { return os.WriteFile("/proc/sys/"+key, []byte(value), 0o644) })
}

// ip runs lines of ip(8) inside the namespace.
func (n *namespace) ip(lines ...string) error {
	return feed(strings.Join(lines, "\n")+"\n", "ip", "-n", n.name, "-batch", "-")
}

// nft loads rules of nft(8) inside the namespace.
func (n *namespace) nft(rules string) error {
	return feed(rules+"\n", "ip", "netns", "exec", n.name, "nft", "-f", "-")
}

// hosts is where ip(8) looks for files that stand in the place of those of /etc inside a namespace.
const hosts = "/etc/netns"

// knows lets the programs of the machine resolve a name.
func (n *namespace) knows(address, name string) error {
	dir := filepath.Join(hosts, n.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("name a machine: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "hosts"), []byte("127.0.0.1 localhost\n"+address+" "+name+"\n"), 0o644); err != nil {
		return fmt.Errorf("name a machine: %w", err)
	}
	return nil
}

// command is a program that runs inside the namespace.
func (n *namespace) command(name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", n.name, name}, args...)...)
}

// link joins two machines by a cable: interface a of n and interface b of other.
func (n *namespace) link(a string, other *namespace, b string) error {
	return run("ip", "link", "add", a, "netns", n.name, "type", "veth", "peer", "name", b, "netns", other.name)
}

func run(name string, args ...string) error { return feed("", name, args...) }

func feed(input, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(input)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w: %s (input: %q)", name, strings.Join(args, " "), err, bytes.TrimSpace(out.Bytes()), input)
	}
	return nil
}

// sweep removes the namespaces of labs whose process is gone.
func sweep() error {
	entries, err := os.ReadDir(mounts)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for old namespaces: %w", err)
	}
	var errs []error
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), prefix)
		number, _, _ := strings.Cut(rest, "-")
		pid, err := strconv.Atoi(number)
		if !ours || err != nil || pid != os.Getpid() && syscall.Kill(pid, 0) == nil {
			continue
		}
		errs = append(errs, run("ip", "netns", "del", e.Name()), os.RemoveAll(filepath.Join(hosts, e.Name())))
	}
	return errors.Join(errs...)
}
