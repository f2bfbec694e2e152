// Package testclock makes the times that a test needs and no clock shows.
package testclock

import (
	"time"
	"unsafe"
)

// AfterSet returns a time as it is when somebody has set the clock of the machine by so much: its monotonic part stays. The time must have
// one, as those of time.Now have.
func AfterSet(now time.Time, by time.Duration) time.Time {
	*(*uint64)(unsafe.Pointer(&now)) += uint64(by/time.Second) << 30 // the seconds of a time.Time that has a monotonic part
	return now
}
