//go:build unix && !linux

package child

import "syscall"

// signalOnOurEnd does nothing: only Linux can.
func signalOnOurEnd(*syscall.SysProcAttr, syscall.Signal) {}
