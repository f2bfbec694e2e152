package child

import "syscall"

func signalOnOurEnd(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }
