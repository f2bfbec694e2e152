// Package child starts processes that do not outlive this one.
package child

import (
	"os/exec"
	"runtime"
	"syscall"
)

// Start starts cmd like its own Start and calls ended with the result of its Wait. On Linux the child gets sig when this
// process ends before it, however it ends. The child is in a process group of its own: a terminal's Ctrl-C reaches only
// this process, which then ends its children in the right order.
func Start(cmd *exec.Cmd, sig syscall.Signal, ended func(error)) error {
	started := make(chan error)
	go func() {
		// Linux ties the signal to the thread that forked, so that thread must live as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := start(cmd, sig)
		started <- err
		if err == nil {
			ended(cmd.Wait())
		}
	}()
	return <-started
}

// Run is Start, and waits for the end.
func Run(cmd *exec.Cmd, sig syscall.Signal) error {
	runtime.LockOSThread() // as in Start
	defer runtime.UnlockOSThread()
	if err := start(cmd, sig); err != nil {
		return err
	}
	return cmd.Wait()
}

func start(cmd *exec.Cmd, sig syscall.Signal) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	signalOnOurEnd(cmd.SysProcAttr, sig)
	return cmd.Start()
}
