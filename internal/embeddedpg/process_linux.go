package embeddedpg

import (
	"fmt"
	"os"
	"strings"
)

const locale = "C.UTF-8"

// commandLine returns the arguments of a process, a space after each, or nothing when there is no such process.
func commandLine(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // not there: no such process
	return strings.ReplaceAll(string(b), "\x00", " ")
}
