//go:build unix && !linux

package embeddedpg

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

const locale = "en_US.UTF-8"

// dieWithParent does nothing: only Linux can. The next Start stops a server that outlived its parent.
func dieWithParent(*syscall.SysProcAttr) {}

// commandLine returns the arguments of a process, a space after each, or nothing when there is no such process.
func commandLine(pid int) string {
	out, err := exec.Command("ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return ""
	}
	return strings.TrimRight(string(out), "\n") + " "
}
