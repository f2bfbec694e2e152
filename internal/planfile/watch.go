package planfile

import (
	"context"
	"maps"
	"os"
	"time"
)

// stamp is the state of a file, to notice that it changed. The zero value is a file that is not there.
type stamp struct {
	modified time.Time
	size     int64
}

func stamps(files []string) map[string]stamp {
	seen := make(map[string]stamp, len(files))
	for _, name := range files {
		if info, err := os.Stat(name); err == nil {
			seen[name] = stamp{info.ModTime(), info.Size()}
		} else {
			seen[name] = stamp{}
		}
	}
	return seen
}

// Watch runs the plan file, and runs it again whenever it, a table or a template changes, which it looks for every interval.
// The plan is read anew each time. The outcome of each run goes to done. It returns nil when ctx ends.
func Watch(ctx context.Context, path string, opt Options, interval time.Duration, done func(error)) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var inputs []string // while the plan is not valid, those that it had before
	for {
		// Looked at before they are read: what changes meanwhile is read again.
		before := stamps(append(inputs, path))
		err := run(ctx, path, opt, func(files []string) {
			plan := before[path]
			inputs, before = files, stamps(files)
			before[path] = plan
		})
		if ctx.Err() != nil {
			return nil
		}
		done(err)
		for settled := before; ; {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			now := stamps(append(inputs, path))
			if !maps.Equal(now, before) && maps.Equal(now, settled) {
				break // changed, and quiet since the last look: nobody is writing
			}
			settled = now
		}
	}
}
