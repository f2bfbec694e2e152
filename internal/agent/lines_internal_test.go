package agent

import (
	"os"
	"strings"
	"testing"

	"layercake/internal/fanout"
)

// The line in testdata is that of the first release, byte by byte: releases next to each other run side by side.
func TestLineOfTheFirstReleaseIsReadAndWrittenByteByByte(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/lines")
	if err != nil {
		t.Fatal(err)
	}
	said := fanout.Line{Letter: text[0], Text: string(text[2:])}
	session, err := parseLine(said)
	if again := encodeLine(session); err != nil || again != said {
		t.Errorf("%s is written as %c %s, %v", text, again.Letter, again.Text, err)
	}
}

func TestMalformedLinesAreRefused(t *testing.T) {
	t.Parallel()
	const id = "0d9c7f2e-3c5b-4c0e-8a55-9d2f6c1b7a01"
	for _, text := range []string{
		"", " ", id[:35], id + " ", id + " 1", strings.ToUpper(id), "{" + id + "}", "urn:uuid:" + id, strings.ReplaceAll(id, "-", ""),
		"00000000-0000-0000-0000-000000000000", strings.Repeat("x", 5000),
	} {
		if session, err := parseLine(fanout.Line{Letter: letterSession, Text: text}); err == nil {
			t.Errorf("%q was read as %s", text, session)
		}
	}
}

// FuzzLine reads anything: what is accepted says the same when it is written again.
func FuzzLine(f *testing.F) {
	f.Add("0d9c7f2e-3c5b-4c0e-8a55-9d2f6c1b7a01")
	f.Add("{0d9c7f2e-3c5b-4c0e-8a55-9d2f6c1b7a01}")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		session, err := parseLine(fanout.Line{Letter: letterSession, Text: text})
		if err != nil {
			return
		}
		if again := encodeLine(session); again.Text != text || again.Letter != letterSession {
			t.Errorf("%q is written as %q", text, again.Text)
		}
	})
}
