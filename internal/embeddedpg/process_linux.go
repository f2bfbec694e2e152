package embeddedpg

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

const locale = "C.UTF-8"

// dieWithParent has the kernel ask for a fast shutdown when the thread that started the child ends.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGINT }

// commandLine returns the arguments of a process, a space after each, or nothing when there is no such process.
func commandLine(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // not there: no such process
	return strings.ReplaceAll(string(b), "\x00", " ")
}
