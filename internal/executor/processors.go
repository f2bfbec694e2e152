package executor

import (
	"os"
	"runtime"
	"sync"
)

// processors are those that the runtime runs goroutines on. While builds are under way that last, there are twice as many as cores: a build
// computes for seconds without a wait, so where all processors have one, or the collector that cleans up after it, a request waits for the
// 10 ms that the runtime lets a goroutine run, again after each answer of the database. With processors to spare it is up to the operating
// system, which lets who has waited run at once.
var processors struct {
	sync.Mutex
	builds int
	cores  int // before the first of them
}

// addProcessors makes room for requests beside a build. The returned function takes it back.
func addProcessors() (restore func()) {
	processors.Lock()
	defer processors.Unlock()
	if processors.builds++; processors.builds == 1 {
		processors.cores = runtime.GOMAXPROCS(0)
		runtime.GOMAXPROCS(2 * processors.cores)
	}
	return func() {
		processors.Lock()
		defer processors.Unlock()
		processors.builds--
		switch {
		case processors.builds > 0:
		case os.Getenv("GOMAXPROCS") != "":
			runtime.GOMAXPROCS(processors.cores)
		default:
			runtime.SetDefaultGOMAXPROCS() // which follows limits of the container that change
		}
	}
}
