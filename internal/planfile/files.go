package planfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// open opens a file that a plan names. Whoever writes plans is not always who runs them, so what is no file is refused: reading a pipe or a
// device may wait for ever, and does something at its other end.
func open(name string) (*os.File, error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return nil, notRegular("read", name, info)
	}
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe may have taken its place
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = notRegular("read", name, info)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func notRegular(op, name string, info fs.FileInfo) error {
	what := "is a device, a pipe or a socket, not a file"
	if info.IsDir() {
		what = "is a directory"
	}
	return &fs.PathError{Op: op, Path: name, Err: errors.New(what)}
}

// readAll reads a whole file of at most limit bytes, and closes it.
func readAll(ctx context.Context, f *os.File, limit int64) ([]byte, error) {
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(until(ctx, f), limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", f.Name(), limit)
	}
	return data, nil
}

// until reads from r until ctx ends, and then fails with the cause.
func until(ctx context.Context, r io.Reader) io.Reader {
	return readFunc(func(b []byte) (int, error) {
		if err := context.Cause(ctx); err != nil {
			return 0, err
		}
		return r.Read(b)
	})
}

type readFunc func([]byte) (int, error)

// Read is that of io.Reader.
func (f readFunc) Read(b []byte) (int, error) { return f(b) }
