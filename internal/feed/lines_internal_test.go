package feed

import (
	"bytes"
	"errors"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"

	"layercake/internal/fanout"

	"github.com/prometheus/client_golang/prometheus"
)

// The lines in testdata are those of the first release, byte by byte: releases next to each other run side by side.
func TestLinesOfTheFirstReleaseAreReadAndWrittenByteByByte(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/lines")
	if err != nil {
		t.Fatal(err)
	}
	letters := ""
	for row := range strings.SplitSeq(string(text), "\n") {
		said := fanout.Line{Letter: row[0], Text: row[2:]}
		l, err := parseLine(said)
		if err != nil {
			t.Error(err)
		}
		letters += string(said.Letter)
		if again := l.encode(); again.Letter != said.Letter || again.Text != said.Text {
			t.Errorf("%s is written as %c %s", row, again.Letter, again.Text)
		}
	}
	if letters != "eeheh" {
		t.Errorf("letters %s", letters)
	}
}

func TestParseLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]line{
		`e 1 2 {"a": "b c"}`:               {project: 1, at: Cursor{Version: 2}, body: []byte(`{"a": "b c"}`)},
		`h 2147483647 9223372036854775807`: {project: math.MaxInt32, at: Cursor{Version: math.MaxInt64}},
		`h 1 0`:                            {project: 1},
	} {
		if got, err := parseLine(fanout.Line{Letter: text[0], Text: text[2:]}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"e ", "e 1", "e 1 2", "e 1 2 ", "e x 2 {}", "e 1 x {}", "e 0 1 {}", "e -1 1 {}", "e 1 -1 {}", "e 2147483648 1 {}",
		"h 1 9223372036854775808", "h 1 2 {}", "h 1",
	} {
		if got, err := parseLine(fanout.Line{Letter: text[0], Text: text[2:]}); err == nil {
			t.Errorf("%q: got %+v, want malformed", text, got)
		}
	}
}

func TestLargeBodiesGoAsHints(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		body   []byte
		letter byte
	}{
		{[]byte(`{}`), letterEvent},
		{bytes.Repeat([]byte("x"), maxLineBody), letterEvent},
		{bytes.Repeat([]byte("x"), maxLineBody+1), letterHint},
		{[]byte{}, letterHint},
		{nil, letterHint},
	} {
		l := line{project: 7, at: Cursor{Epoch: "e-1", Version: 42}, body: c.body}.encode()
		if l.Letter != c.letter || l.Project != 7 || l.Version != 42 || (l.Epoch == "e-1") != (c.letter == letterEvent) {
			t.Errorf("%d bytes go as %c in epoch %q, want %c", len(c.body), l.Letter, l.Epoch, c.letter)
		}
	}
}

// A body that cannot be an event is refused where somebody watches, and the feed stays as it is.
func TestBodiesAreChecked(t *testing.T) {
	t.Parallel()
	h := NewHub(Config{
		Wire: fanout.New(fanout.Config{}), Metrics: prometheus.NewRegistry(),
		Check: func(project int32, version int64, body []byte) (any, error) {
			if project != 1 || version != 4 || string(body) != "{}" {
				return nil, errors.New("refused")
			}
			return "decoded", nil
		},
	})
	f := loadedAt(3)
	h.feeds[1] = f
	hear := h.topic().Hear
	for text, valid := range map[string]bool{"e 1 4 []": false, "e 1 5 {}": false, "e 2 9 []": true} { // nobody watches 2
		if err := hear(fanout.Line{Letter: text[0], Text: text[2:], Epoch: epoch}); (err == nil) != valid {
			t.Errorf("%s: %v", text, err)
		}
	}
	wantVersion(t, f, 3)
	if len(f.ahead) != 0 || f.wanted > 3 {
		t.Errorf("the feed waits for %d, and holds %d events", f.wanted, len(f.ahead))
	}
	if err := hear(fanout.Line{Letter: 'e', Text: "1 4 {}", Epoch: epoch}); err != nil {
		t.Error(err)
	}
	wantVersion(t, f, 4)
	if e := f.kept(4); e == nil || e.Checked != "decoded" {
		t.Errorf("the feed has %+v: what the check decoded is lost", e)
	}
}

// FuzzLine reads anything: it must not panic, and what it accepts must say the same when it is written again.
func FuzzLine(f *testing.F) {
	for _, s := range []string{"1 2 {}", "3 4", "00001 0002  {}", "1 1 \x00", "", "-1 +2 x"} {
		f.Add(true, s)
		f.Add(false, s)
	}
	f.Fuzz(func(t *testing.T, event bool, text string) {
		said := fanout.Line{Letter: letterHint, Text: text}
		if event {
			said.Letter = letterEvent
		}
		l, err := parseLine(said)
		if err != nil || len(l.body) > maxLineBody {
			return
		}
		if l.project < 1 || l.at.Version < 0 || (l.body == nil) == event {
			t.Errorf("%c %q is %+v", said.Letter, text, l)
		}
		again, err := parseLine(l.encode())
		if err != nil || !reflect.DeepEqual(again, l) {
			t.Errorf("%+v becomes %+v, %v", l, again, err)
		}
	})
}
