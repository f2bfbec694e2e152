package presence

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"layercake/internal/fanout"

	"github.com/google/uuid"
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

// The lines in testdata/drags have a member that releases before do not know. They ignore it, and understand the rest.
func TestLinesWithADragAreReadByFormerReleases(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/drags")
	if err != nil {
		t.Fatal(err)
	}
	for row := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n") {
		said := fanout.Line{Letter: row[0], Text: row[2:]}
		if again, _, err := rewrite(said); err != nil || again != said {
			t.Errorf("%s is written as %c %s, %v", row, again.Letter, again.Text, err)
		}
		m, err := parseMessage(said)
		if err != nil {
			t.Fatal(err)
		}
		l, err := parseLine(m)
		if err != nil || l.Drag == nil {
			t.Errorf("%s says %+v, %v", row, l, err)
		}
		var former struct { // as it was in the first release
			Incarnation uuid.UUID       `json:"i"`
			Revision    int64           `json:"r"`
			UserID      string          `json:"u,omitempty"`
			Name        string          `json:"n,omitempty"`
			Color       string          `json:"k,omitempty"`
			Agent       bool            `json:"g,omitempty"`
			Transport   string          `json:"v,omitempty"`
			Document    string          `json:"d,omitempty"`
			Type        string          `json:"t,omitempty"`
			Position    json.RawMessage `json:"p,omitempty"`
			Selected    string          `json:"s,omitempty"`
			At          int64           `json:"a,omitempty"`
			JoinedAt    int64           `json:"j,omitempty"`
			ActiveAt    int64           `json:"m,omitempty"`
		}
		if err := json.Unmarshal([]byte(m.body), &former); err != nil {
			t.Errorf("%s: the first release says %v", row, err)
		}
		l.Drag = nil
		if understood, err := json.Marshal(former); err != nil || string(understood) != l.encode() {
			t.Errorf("%s: the first release understands %s, %v", row, understood, err)
		}
	}
}

// A drag finds room in the line of a cursor, however long its ids are. Where it finds none, the line goes out without it.
func TestDragsFitIntoLines(t *testing.T) {
	t.Parallel()
	c := uuid.MustParse("0d9c7f2e-3c5b-4c0e-8a55-9d2f6c1b7a01")
	drag := &Drag{DX: -1.2345678901234567e-300, DY: -1.2345678901234567e-300}
	for n := 1; n <= MaxDragged; n++ {
		drag.NodeIDs = append(drag.NodeIDs, fmt.Sprintf("%056d", n))
	}
	if ids, err := json.Marshal(drag.NodeIDs); err != nil || len(ids) < MaxDragText-50 || drag.check() != nil {
		t.Fatalf("ids of %d bytes: %v", len(ids), drag.check())
	}
	for character, fits := range map[string]bool{"x": true, "<": false} {
		long := strings.Repeat(character, MaxDocument)
		e := &Entry{Connection: c, Project: math.MaxInt32, revision: maxRevision, Place: &Place{
			Document: long, Selected: long, Type: "canvas", At: time.UnixMilli(lastMilli), Drag: drag,
			Position: json.RawMessage(`{"type":"canvas","x":-1.2345678901234567e-300,"y":-1.2345678901234567e-300,"zoom":1.2345678901234567e-300}`),
		}}
		m := placeMessage(letterCursor, e, lineOf(e, c).cursorLine())
		l, err := parseLine(m)
		if err != nil || (l.Drag != nil) != fits || l.Document != long || len(m.encode().Text) > fanout.MaxText {
			t.Errorf("%s: a line of %d bytes with a drag: %t, %v", character, len(m.encode().Text), l.Drag != nil, err)
		}
	}
}

func TestMalformedLinesAreRefused(t *testing.T) {
	t.Parallel()
	const c = "0d9c7f2e-3c5b-4c0e-8a55-9d2f6c1b7a01"
	for _, text := range []string{
		"j 1", "j 1 " + c, "j 1 " + c + " ", "j 0 " + c + " {}", "j x " + c + " {}", "j 2147483648 " + c + " {}", "l 1  i",
		"c 1 " + strings.Repeat("c", 65) + " {}", "c 1 c {}", // no envelope
		"n 1 " + c + ` {"a":253402300800000}`, "n 1 " + c + ` {"a":-62135596800001}`, "n 1 " + c + ` {"a":9223372036854775807}`,
		"l 1 " + c + " " + c + " -1", "l 1 " + c + " " + c + " 9223372036854775807",
		"j 1 " + c + " {}", "j 1 " + c + " nonsense", "c 1 " + c + " []", "l 1 " + c + " i", "l 1 " + c + " " + c + " x", "n 1 " + c + " x",
	} {
		if again, _, err := rewrite(fanout.Line{Letter: text[0], Text: text[2:]}); err == nil {
			t.Errorf("%q was read, and written as %+v", text, again)
		}
	}
}

// What a client could not say of itself is refused of a line, too, and so is what cannot be shown: it may be forged.
func TestLinesAreChecked(t *testing.T) {
	t.Parallel()
	const c = "0d9c7f2e-3c5b-4c0e-8a55-9d2f6c1b7a01"
	long := strings.Repeat("x", 201)
	for member, valid := range map[string]bool{
		`"r":1`: true, `"r":-1`: false, `"r":9007199254740993`: false, `"i":"00000000-0000-0000-0000-000000000000"`: false, `"i":""`: false,
		`"a":253402300799999`: true, `"a":253402300800000`: false, `"j":253402300800000`: false, `"m":9223372036854775807`: false,
		`"m":-62135596800000`: true, `"m":-62135596800001`: false, `"j":1e3`: false,
		`"u":""`: false, `"u":" "`: false, `"n":""`: false, `"u":"a\u0000"`: false, `"n":"a\n"`: false, `"u":"` + long + `"`: false,
		`"n":"` + long + `"`: false, `"k":"` + long + `"`: false, `"v":"` + long + `"`: false, `"t":"` + long + `"`: false, `"t":"\u0007"`: false,
		`"d":"` + long + `"`: false, `"d":"a\u0000"`: false, `"s":"` + long + `"`: false, `"d":"plan","s":"n\u0001"`: false,
		`"p":{"x":1}`: true, `"p":{`: false, `"p":"` + strings.Repeat("x", maxPosition) + `"`: false, "\"p\":\"\xff\"": false,
		`"d":"plan","x":{"nodeIds":["a"],"dx":1,"dy":-2.5}`: true, `"d":"plan","x":{"nodeIds":[]}`: false, `"d":"plan","x":{}`: false,
		`"d":"plan","x":{"nodeIds":[""]}`: false, `"d":"plan","x":{"nodeIds":["a\u0000"]}`: false, `"d":"plan","x":7`: false,
		`"d":"plan","x":{"nodeIds":["` + long + `"]}`: false, `"d":"plan","x":{"nodeIds":["a"` + strings.Repeat(`,"a"`, 50) + `]}`: false,
	} {
		body := `{"i":"` + c + `","u":"ann","n":"Ann",` + member + `}`
		if _, err := parseLine(message{letterJoin, 1, uuid.MustParse(c), body}); (err == nil) != valid {
			t.Errorf("%.80s: %v, want valid: %t", member, err, valid)
		}
	}
}

// FuzzLine reads anything: it must not panic, what it accepts must say the same when it is written again, and browsers can be shown it.
func FuzzLine(f *testing.F) {
	const c = "0d9c7f2e-3c5b-4c0e-8a55-9d2f6c1b7a01"
	for letter, bodies := range map[byte][]string{
		letterJoin: {
			`{"i":"` + c + `","u":"ann","n":"A","p":{"x":1}}`, `{"i":"` + c + `","r":3,"u":"u","n":"N","j":1,"m":253402300800000}`, `{"u":"u"}`,
		},
		letterCursor: {
			`{"i":"` + c + `","d":"plan","x":{"nodeIds":["a","<\u2028>"],"dx":-0,"dy":1e300}}`, `{"i":"` + c + `","x":{"nodeIds":null}}`,
			`{}`, `{"i":"` + c + `","d":"plan","p":[1, 2],"a":7}`,
		},
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
		m, _ := parseMessage(said)
		switch letter {
		case letterLeave:
			return
		case letterAnnounce:
			a, _ := parseAnnouncement(m)
			wantShown(t, time.UnixMilli(a.At).UTC())
			return
		}
		l, _ := parseLine(m)
		e := l.entry(m.project, m.connection, nil)
		if letter != letterJoin {
			e = l.entry(m.project, m.connection, &Entry{Identity: Identity{UserID: "u", Name: "N"}, JoinedAt: time.UnixMilli(1)})
		}
		if err := e.Check(); err != nil {
			t.Errorf("%c %q: %v", letter, text, err)
		}
		wantShown(t, e.Identity, e.JoinedAt.UTC(), e.ActiveAt.UTC())
		if e.Place != nil {
			wantShown(t, e.Place, e.Place.At.UTC())
			if err := e.Place.Check(); err != nil {
				t.Errorf("%c %q: %v", letter, text, err)
			}
		}
	})
}

// wantShown demands that values can be written as JSON in UTF-8.
func wantShown(t *testing.T, values ...any) {
	t.Helper()
	if text, err := json.Marshal(values); err != nil || !utf8.Valid(text) {
		t.Errorf("%+v is shown as %q, %v", values, text, err)
	}
}
