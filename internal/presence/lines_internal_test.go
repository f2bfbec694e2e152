package presence

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"layercake/internal/fanout"
)

// rewrite reads a line with its body and writes it again.
func rewrite(said fanout.Line) (fanout.Line, any, error) {
	m, err := parseMessage(said)
	if err != nil {
		return said, nil, err
	}
	var body interface{ encode() string }
	switch m.letter {
	case letterLeave:
		body, err = parseLeaveLine(m.body)
	case letterAnnounce:
		body, err = parseAnnouncement(m)
	default:
		body, err = parseLine(m)
	}
	if err != nil {
		return said, nil, err
	}
	m.body = body.encode()
	if l, ok := body.(line); ok {
		l.Position = nil // its blanks go
		body = l
	}
	return m.encode(), []any{m.project, m.connection, body}, nil
}

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
		letters += string(said.Letter)
		if again, _, err := rewrite(said); err != nil || again != said {
			t.Errorf("%s is written as %c %s, %v", row, again.Letter, again.Text, err)
		}
	}
	if letters != "jjcljlnn" {
		t.Errorf("letters %s", letters)
	}
}

func TestMalformedLinesAreRefused(t *testing.T) {
	t.Parallel()
	const c = "0d9c7f2e-3c5b-4c0e-8a55-9d2f6c1b7a01"
	for _, text := range []string{
		"j 1", "j 1 " + c, "j 1 " + c + " ", "j 0 " + c + " {}", "j x " + c + " {}", "j 2147483648 " + c + " {}", "l 1  i",
		"c 1 " + strings.Repeat("c", 65) + " {}", "c 1 c {}", // no envelope
		"j 1 " + c + " {}", "j 1 " + c + " nonsense", "c 1 " + c + " []", "l 1 " + c + " i", "l 1 " + c + " " + c + " x", "n 1 " + c + " x",
	} {
		if again, _, err := rewrite(fanout.Line{Letter: text[0], Text: text[2:]}); err == nil {
			t.Errorf("%q was read, and written as %+v", text, again)
		}
	}
}

// FuzzLine reads anything: it must not panic, and what it accepts must say the same when it is written again.
func FuzzLine(f *testing.F) {
	const c = "0d9c7f2e-3c5b-4c0e-8a55-9d2f6c1b7a01"
	for letter, bodies := range map[byte][]string{
		letterJoin: {`{"u":"ann","n":"A","p":{"x":1}}`, `{"i":"` + c + `","r":3,"u":"u","j":1}`}, letterCursor: {`{}`, `{"d":"plan","p":[1, 2]}`},
		letterLeave: {c, c + " 12"}, letterAnnounce: {`{"a":1}`, `{"l":true,"a":2}`},
	} {
		for _, body := range bodies {
			f.Add(letter, fmt.Sprintf("7 %s %s", c, body))
		}
	}
	f.Add(byte(letterCursor), "00007 {"+c+"}  {}")
	f.Fuzz(func(t *testing.T, letter byte, text string) {
		said := fanout.Line{Letter: letter, Text: text}
		first, meaning, err := rewrite(said)
		if err != nil {
			return
		}
		second, same, err := rewrite(first)
		if err != nil || second != first {
			t.Errorf("%c %q becomes %q, then %q, %v", letter, text, first.Text, second.Text, err)
		}
		if !reflect.DeepEqual(same, meaning) {
			t.Errorf("%c %q means %+v, written again %+v", letter, text, meaning, same)
		}
	})
}
