package child

import (
	"bytes"
	"io"
	"sync"
)

// Lines lets several processes write into one log, whole lines at a time.
type Lines struct {
	mu sync.Mutex
	w  io.Writer
}

// NewLines returns Lines that are written to w.
func NewLines(w io.Writer) *Lines { return &Lines{w: w} }

// Write writes lines that are whole already.
func (l *Lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// Prefixed returns the writer of one process, which puts a text in front of each line. A last line without an end is not written.
func (l *Lines) Prefixed(prefix string) io.Writer { return &prefixed{lines: l, prefix: prefix} }

type prefixed struct {
	lines  *Lines
	prefix string
	part   []byte // an unfinished line
}

func (p *prefixed) Write(b []byte) (int, error) {
	p.part = append(p.part, b...)
	end := bytes.LastIndexByte(p.part, '\n') + 1
	var out []byte
	for line := range bytes.Lines(p.part[:end]) {
		out = append(append(out, p.prefix...), line...)
	}
	p.part = append(p.part[:0], p.part[end:]...)
	_, err := p.lines.Write(out)
	return len(b), err
}
