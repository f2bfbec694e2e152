//go:build unix && !linux

package embeddedpg

import (
	"os/exec"
	"strconv"
	"strings"
)

const locale = "en_US.UTF-8"

// commandLine returns the arguments of a process, a space after each, or nothing when there is no such process.
func commandLine(pid int) string {
	out, err := exec.Command("ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return ""
	}
	return strings.TrimRight(string(out), "\n") + " "
}
