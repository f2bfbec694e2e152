package fanout

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The files in testdata/payloads are what replicas and the database sent when version 1 of the format was in use, byte by byte. Releases
// next to each other run side by side, so every release reads these payloads and sends the same for the same lines.
func TestPayloadsOfTheFirstFormatAreReadAndSentByteByByte(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/payloads/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		h, rest, err := parseHeader(string(want))
		if strings.Contains(file, "newer-format") {
			if !errors.Is(err, errFormat) {
				t.Errorf("%s: %v, want an unknown format", file, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		got := h.append(nil)
		for text := range strings.SplitSeq(rest, "\n") {
			l, err := parseLine(text)
			switch {
			case err != nil:
				t.Errorf("%s: %v", file, err)
			case strings.ContainsRune("ehjclnb", rune(l.kind)):
				got = l.append(got)
			default: // replicas do not send it
				got = append(append(got, '\n'), text...)
			}
		}
		if string(got) != string(want) {
			t.Errorf("%s: sent again as %q", file, got)
		}
	}
}
