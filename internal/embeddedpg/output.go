package embeddedpg

import (
	"bytes"
	"context"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
)

const tailLines = 10

// severity opens a message; DETAIL, HINT and the like continue the one before.
var severity = regexp.MustCompile(`^(DEBUG|LOG|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC): `)

// output is what the server writes to its standard error: logged line by line, the end kept.
type output struct {
	log   *slog.Logger
	quiet atomic.Bool // while it is stopped, cutting off sessions is no news

	mu    sync.Mutex
	part  []byte // an unfinished line
	level slog.Level
	last  []string
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.part = append(o.part, p...)
	for {
		line, rest, found := bytes.Cut(o.part, []byte("\n"))
		if !found {
			return len(p), nil
		}
		o.line(string(line))
		o.part = rest
	}
}

func (o *output) line(line string) {
	if m := severity.FindStringSubmatch(line); m != nil {
		o.level = slog.LevelDebug
		switch m[1] {
		case "WARNING", "ERROR", "FATAL", "PANIC":
			o.level = slog.LevelWarn
		}
	}
	level := o.level
	if o.quiet.Load() {
		level = slog.LevelDebug
	}
	o.log.Log(context.Background(), level, "postgres", "line", line)
	o.last = append(o.last, line)
	if len(o.last) > tailLines {
		o.last = o.last[1:]
	}
}

// tail is the end of an error message: a colon and the last lines, or nothing.
func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.last) == 0 {
		return ""
	}
	return ":\n\t" + strings.Join(o.last, "\n\t")
}

func (o *output) contains(text string) bool {
	return strings.Contains(o.tail(), text)
}
