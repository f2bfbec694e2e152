package fanout

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// The files in testdata/payloads are what replicas and the database sent when version 1 of the format was in use, byte by byte. Releases
// next to each other run side by side, so every release reads these payloads and sends the same for the same lines. Sealed, they are the same
// but for what the database sends, which never is.
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
		var heard []Line
		var doubts []string
		r := newTestReceiver(Config{Replica: "self", Former: always}, &heard, &doubts)
		for _, letter := range "jclnzgQ" { // so that all is heard
			r.wire.Handle(Topic{Channel: Presence, Kinds: map[byte]string{byte(letter): "any"}, Hear: r.wire.letters['e'].Hear})
		}
		r.session.epoch = "1mlqwy9egq9pt-1"
		r.sayPlain(string(want), r.since)
		if strings.Contains(file, "newer-format") {
			if len(heard) > 0 || !slices.Equal(doubts, []string{Listening, doubtFormat}) {
				t.Errorf("%s: heard %v with doubts %q, want an unknown format", file, heard, doubts)
			}
			continue
		}
		if n := testutil.ToFloat64(r.wire.metrics.heardMalformed); n != 0 || len(doubts) != 1 {
			t.Errorf("%s: %v malformed, doubts %q", file, n, doubts)
		}
		h, rest, err := parseHeader(string(want))
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if h.seq == 0 {
			if n := strings.Count(string(want), "\na "); n != len(heard) {
				t.Errorf("%s: heard %v, want the %d commands", file, heard, n)
			}
			continue // replicas do not send it
		}
		if rest, heartbeat := strings.CutPrefix(rest, "b "); heartbeat {
			heard = []Line{{Letter: letterHeartbeat, Text: rest}}
		}
		s := sender{header: h}
		s.header.seq--
		if got, took := s.next(heard); got != string(want) || took != len(heard) {
			t.Errorf("%s: sent again as %q", file, got)
		}
	}
}
