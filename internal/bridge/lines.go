package bridge

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
)

// Limits of what is kept in memory at once, in bytes.
const (
	maxLine   = 4 << 20  // a message of the client; the server takes no larger one
	maxAnswer = 16 << 20 // a message of the server
)

var errTooLong = errors.New("too long")

// readLine returns the next line without its end. After errTooLong, which means that the line has more than limit bytes, it can be called
// for the next one.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for tooLong := false; ; {
		part, err := r.ReadSlice('\n')
		if tooLong = tooLong || len(line)+len(bytes.TrimRight(part, "\r\n")) > limit; !tooLong {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case tooLong && (err == nil || errors.Is(err, io.EOF)):
			return nil, errTooLong
		case errors.Is(err, io.EOF) && len(line) > 0:
			return line, nil // the last one, without an end
		case err != nil:
			return nil, err
		default:
			return bytes.TrimRight(line, "\r\n"), nil
		}
	}
}

// input is a line of the client, or errTooLong.
type input struct {
	text []byte
	err  error
}

// readLines hands over lines until there are no more, and then closes the channel.
func readLines(ctx context.Context, in io.Reader, lines chan<- input) {
	defer close(lines)
	r := bufio.NewReaderSize(in, 64<<10)
	for {
		text, err := readLine(r, maxLine)
		if err != nil && !errors.Is(err, errTooLong) {
			return // whatever ends it, no more will come
		}
		select {
		case lines <- input{text, err}:
		case <-ctx.Done():
			return
		}
	}
}

// output writes whole lines to the client, one at a time.
type output struct {
	failed context.CancelCauseFunc // called when the client takes no more

	mu sync.Mutex
	w  io.Writer
}

// write writes a message as one line. The error says that the message is no JSON.
func (o *output) write(text []byte) error {
	line, err := compact(text)
	if err != nil {
		return err
	}
	o.mu.Lock()
	_, err = o.w.Write(line)
	o.mu.Unlock()
	if err != nil {
		o.failed(fmt.Errorf("%w: %w", errNotTaken, err))
	}
	return nil
}

// events returns the data of the events in a stream that are messages, as they come. An error is the last of it. What comes behind the last
// empty line is the beginning of an event whose end was lost.
func events(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		lines := bufio.NewReaderSize(r, 16<<10)
		var data []byte
		other := false // whether the event has another name than message
		for {
			line, err := readLine(lines, maxAnswer-len(data))
			if err != nil {
				if !errors.Is(err, io.EOF) {
					yield(nil, err)
				}
				return
			}
			name, value, _ := bytes.Cut(line, []byte(":"))
			value = bytes.TrimPrefix(value, []byte(" "))
			switch {
			case len(line) == 0:
				if len(bytes.TrimSpace(data)) > 0 && !other && !yield(data, nil) {
					return
				}
				data, other = nil, false
			case string(name) == "data":
				data = append(append(data, value...), '\n')
			case string(name) == "event":
				other = len(value) > 0 && string(value) != "message"
			}
		}
	}
}
