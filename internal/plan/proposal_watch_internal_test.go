package plan

import (
	"os"
	"strings"
	"testing"

	"layercake/internal/fanout"
)

// The lines in testdata are those of the first release with proposals, byte by byte: releases next to each other run side by side.
func TestProposalLinesOfTheFirstReleaseAreReadAndWrittenByteByByte(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/proposal_lines")
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for _, row := range rows {
		l, err := parseProposalLine(fanout.Line{Letter: row[0], Text: row[2:]})
		if err != nil {
			t.Error(err)
		}
		if said := l.encode(); string(said.Letter)+" "+said.Text != row || said.Project != l.project || said.Version != l.revision {
			t.Errorf("%s is written as %+v", row, said)
		}
	}
	if len(rows) != 3 {
		t.Errorf("%d lines", len(rows))
	}
}

func TestParseProposalLine(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "1", "1 ", "x 1", "1 x", "0 1", "-1 1", "1 0", "1 -1", "2147483648 1", "1 9223372036854775808", "1 2 3", "1  2"} {
		if got, err := parseProposalLine(fanout.Line{Letter: letterProposal, Text: text}); err == nil {
			t.Errorf("%q: got %+v, want malformed", text, got)
		}
	}
}

// FuzzProposalLine reads anything: it must not panic, and what it accepts must say the same when it is written again.
func FuzzProposalLine(f *testing.F) {
	for _, s := range []string{"1 2", "3 4 5", "00001 0002", "", "-1 +2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := parseProposalLine(fanout.Line{Letter: letterProposal, Text: text})
		if err != nil {
			return
		}
		if l.project < 1 || l.revision < 1 {
			t.Errorf("%q is %+v", text, l)
		}
		if again, err := parseProposalLine(l.encode()); err != nil || again != l {
			t.Errorf("%+v becomes %+v, %v", l, again, err)
		}
	})
}
