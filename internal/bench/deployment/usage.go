package deployment

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process uses.
type Usage struct {
	CPU       time.Duration
	RSS, Peak int64 // bytes, now and at most
}

// tick is the unit in which Linux counts processor time for programs.
const tick = 10 * time.Millisecond

// ReadUsage reads what a process uses.
func ReadUsage(pid int) (u Usage, err error) {
	folder := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(folder + "/stat")
	if err != nil {
		return u, err
	}
	// The name of the program, in brackets, may have blanks. User and system time are the 12th and 13th field after it.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return u, fmt.Errorf("%s/stat has %d fields after the name", folder, len(fields))
	}
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return u, fmt.Errorf("%s/stat: %w", folder, err)
		}
		u.CPU += time.Duration(ticks) * tick
	}
	status, err := os.ReadFile(folder + "/status")
	if err != nil {
		return u, err
	}
	u.RSS, u.Peak = kilobytes(string(status), "VmRSS:"), kilobytes(string(status), "VmHWM:")
	return u, nil
}

// kilobytes returns the bytes in a line of /proc/PID/status, 0 for a process that ends.
func kilobytes(status, name string) int64 {
	_, rest, _ := strings.Cut(status, name)
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := strconv.ParseInt(number, 10, 64) // 0 for none
	return n << 10
}

// ForgetPeak makes Linux count the peak of a process anew.
func ForgetPeak(pid int) {
	_ = os.WriteFile("/proc/"+strconv.Itoa(pid)+"/clear_refs", []byte("5"), 0o600) // without it the peak includes the past
}
