package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"consilium/internal/testenv"
)

// up starts scripts/up as ./task up does after it has built everything, on free ports and a data folder of its own.
func up(t *testing.T, port int) (process *testenv.Process, data string) {
	t.Helper()
	script, err := filepath.Abs("../../scripts/up")
	if err != nil {
		t.Fatal(err)
	}
	// The script looks for the programs beside itself: a folder in which both are links gives it the tests' programs.
	house := t.TempDir()
	if err := os.Mkdir(filepath.Join(house, "scripts"), 0o700); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"scripts/up": script, "bin": testenv.Programs(t)} {
		if err := os.Symlink(target, filepath.Join(house, link)); err != nil {
			t.Fatal(err)
		}
	}
	// Below a folder that PostgreSQL's user can pass, which t.TempDir is not.
	data, err = os.MkdirTemp("", "consilium-up-")
	if err == nil {
		err = os.Chmod(data, 0o711)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	cmd := exec.Command(filepath.Join(house, "scripts", "up"))
	cmd.Env = append(os.Environ(), "CONSILIUM_DATA="+data,
		fmt.Sprintf("CONSILIUM_LISTEN=127.0.0.1:%d", port), fmt.Sprintf("CONSILIUM_MEDIA_LISTEN=:%d", port))
	return testenv.StartProcess(t, "up", cmd), data
}

// running is the process id of one of the two programs on this data folder, or 0 when it is not there.
func running(t *testing.T, program, data string) int {
	t.Helper()
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range environments {
		environment, err := os.ReadFile(path)
		name, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "comm"))
		if err == nil && strings.TrimSpace(string(name)) == program && strings.Contains(string(environment), "CONSILIUM_DATA="+data+"\x00") {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			return pid
		}
	}
	return 0
}

func TestUpPrintsLinksAndStopsBothWhenAskedTo(t *testing.T) {
	process, data := up(t, testenv.FreePort(t))
	for _, who := range []string{"  doctor ", "  patient ", "  library "} {
		if link := process.WaitOutput(t, who, 2*time.Minute); !strings.Contains(link, "#token=") {
			t.Errorf("the link for the%s is %q", who, link)
		}
	}
	process.Signal(t, syscall.SIGINT)
	if code := process.Wait(t, time.Minute); code != 0 {
		t.Errorf("the exit code is %d, want 0; it wrote:\n%s", code, process.Output())
	}
	for _, program := range []string{"live", "stitcher"} {
		if pid := running(t, program, data); pid != 0 {
			t.Errorf("%s is still running as %d", program, pid)
		}
	}
}

func TestUpStopsTheRestWhenAProgramDies(t *testing.T) {
	process, data := up(t, testenv.FreePort(t))
	process.WaitOutput(t, "  library ", 2*time.Minute)
	if err := syscall.Kill(running(t, "live", data), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code := process.Wait(t, time.Minute); code != 1 {
		t.Errorf("the exit code is %d, want 1", code)
	}
	if out := process.Output(); !strings.Contains(out, "live ended by itself with code 137") || !strings.Contains(out, "live | time=") {
		t.Errorf("nothing says that live died, with its last lines:\n%s", out)
	}
	if pid := running(t, "stitcher", data); pid != 0 {
		t.Errorf("the stitcher is still running as %d", pid)
	}
}

func TestUpSaysThatItsPortIsTaken(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	port := other.Addr().(*net.TCPAddr).Port
	process, _ := up(t, port)
	if code := process.Wait(t, time.Minute); code != 1 {
		t.Errorf("the exit code is %d, want 1", code)
	}
	if want := fmt.Sprintf("port %d is taken", port); !strings.Contains(process.Output(), want) {
		t.Errorf("it does not say that %s:\n%s", want, process.Output())
	}
}
