package fanout

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestParseHeader(t *testing.T) {
	t.Parallel()
	want := header{replica: "7f3a", epoch: "1ml6gqp8f0jq8-1", seq: 42}
	got, rest, err := parseHeader("1 7f3a 1ml6gqp8f0jq8-1 42\nh 1 2\nh 1 3")
	if err != nil || got != want || rest != "h 1 2\nh 1 3" {
		t.Errorf("got %+v, %q, %v, want %+v and two lines", got, rest, err, want)
	}
	got, rest, err = parseHeader("1 - - 0\na kick")
	if want := (header{replica: "-", epoch: "-"}); err != nil || got != want || rest != "a kick" {
		t.Errorf("got %+v, %q, %v, want %+v and one line", got, rest, err, want)
	}
	for payload, want := range map[string]error{
		"2 anything\nelse":                      errFormat,
		"10":                                    errFormat,
		"":                                      errMalformed,
		"\n":                                    errMalformed,
		"hello":                                 errMalformed,
		"-1 a e 1":                              errMalformed,
		"1":                                     errMalformed,
		"1 a":                                   errMalformed,
		"1 a e":                                 errMalformed,
		"1 a e x":                               errMalformed,
		"1 a e 0":                               errMalformed,
		"1 a e -1":                              errMalformed,
		"1 - - 1":                               errMalformed,
		"1 - e 0":                               errMalformed,
		"1 a - 0":                               errMalformed,
		"1 a e 1 more":                          errMalformed,
		"1 a e 9223372036854775808":             errMalformed,
		"1  e 1":                                errMalformed,
		"1 a  1":                                errMalformed,
		"1 " + strings.Repeat("a", 65) + " e 1": errMalformed,
	} {
		if _, _, err := parseHeader(payload); !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", payload, err, want)
		}
	}
}

func TestParseLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Line{
		`e 1 2 {"a": "b c"}`:    {Letter: 'e', Text: `1 2 {"a": "b c"}`},
		`b 1790000000000000000`: {Letter: 'b', Text: "1790000000000000000"},
		"e ":                    {Letter: 'e'},
		`z whatever a newer replica likes to say`: {Letter: 'z', Text: "whatever a newer replica likes to say"},
	} {
		if got, err := parseLine(text); err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", " ", "e", "b", "a", "ee 1 2 {}", "é 1"} {
		if got, err := parseLine(text); !errors.Is(err, errMalformed) {
			t.Errorf("%q: got %+v, %v, want malformed", text, got, err)
		}
	}
}

func TestPackerFillsPayloadsWithoutExceedingThem(t *testing.T) {
	t.Parallel()
	var lines []Line
	for i := range 500 {
		text := "2147483647 9223372036854775807"
		if i%5 == 0 {
			text = strings.Repeat("x", MaxText)
		} else if i%3 != 0 {
			text += strings.Repeat("x", 1+i*37%2000)
		}
		lines = append(lines, Line{Letter: byte('c' + i%5), Text: text})
	}
	s := sender{header: header{replica: strings.Repeat("r", maxReplica), epoch: "3w5e11264sgsf-4294967295", seq: 1 << 60}}
	var got []Line
	for rest := lines; len(rest) > 0; {
		payload, took := s.next(rest)
		if took == 0 || len(payload) > maxPayload {
			t.Fatalf("took %d lines into %d bytes", took, len(payload))
		}
		if took < len(rest) && len(payload)+len(rest[took].append(nil)) <= maxPayload {
			t.Fatalf("a payload of %d bytes has room for the next line", len(payload))
		}
		h, text, err := parseHeader(payload)
		if err != nil || h != s.header {
			t.Fatalf("header %+v, %v, want %+v", h, err, s.header)
		}
		for text := range strings.SplitSeq(text, "\n") {
			l, err := parseLine(text)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, l)
		}
		rest = rest[took:]
	}
	if diff := cmp.Diff(lines, got); diff != "" {
		t.Errorf("lines changed on their way: %s", diff)
	}
}

// FuzzReceive feeds anything to a replica: it must not panic, must not accept what it cannot repeat, and must not hear
// lines in payloads that it says it cannot read.
func FuzzReceive(f *testing.F) {
	for _, s := range []string{
		"1 a e-1 1\ne 1 2 {}\nh 3 4\nb 5\nz 6", "1 a e-1 1", "2 x", "", "1 a e 1\n\n\n", "1 a e 9223372036854775807\ne 1 1 \x00",
		"1 \xff e 1\nh 1 1", "1 a e 1\ne 00001 0002  {}", "1 - - 0\na kick\nb 1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		var heard []Line
		var doubts []string
		r := newTestReceiver(Config{Replica: "self", Former: always}, &heard, &doubts)
		r.sayPlain(payload, r.since)
		r.receive(payload, r.since)
		r.receive(payload, r.since)
		r.hearSealed(&pgconn.Notification{PID: 1, Payload: payload}, r.since)
		for _, l := range heard {
			if l.Epoch == "" || strings.Contains(l.Text, "\n") || !strings.ContainsRune("eha", rune(l.Letter)) {
				t.Errorf("%q was heard as %+v", payload, l)
			}
		}
		h, rest, err := parseHeader(payload)
		if err != nil {
			if len(heard) > 0 {
				t.Errorf("%q is %v, but has lines", payload, err)
			}
			return
		}
		if n := testutil.ToFloat64(r.wire.metrics.heardRepeated); h.seq > 0 && n != 1 {
			t.Errorf("%q was repeated once, and %v were dropped", payload, n)
		}
		if again, _, err := parseHeader(string(h.append(nil))); err != nil || again != h {
			t.Errorf("header %+v becomes %+v, %v", h, again, err)
		}
		for text := range strings.SplitSeq(rest, "\n") {
			if l, err := parseLine(text); err == nil && string(l.append(nil)) != "\n"+text {
				t.Errorf("%q becomes %q", text, l.append(nil))
			}
		}
	})
}

// benchLine is a line of an event of usual size.
func benchLine(version int) Line {
	return Line{Letter: 'e', Text: "12345 " + strconv.Itoa(version) + " " + strings.Repeat("x", 400)}
}

func BenchmarkPack(b *testing.B) {
	lines := make([]Line, 1000)
	for i := range lines {
		lines[i] = benchLine(i)
	}
	s := sender{header: header{replica: "6f1c2a54-8a52-4a43-9c0e-0e3f1f8b9f11", epoch: "1ml6gqp8f0jq8-1"}}
	b.ReportAllocs()
	for b.Loop() {
		for rest := lines; len(rest) > 0; {
			_, took := s.next(rest)
			rest = rest[took:]
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(lines)), "ns/line")
}

// BenchmarkSeal seals payloads and opens them: with one line, and full.
func BenchmarkSeal(b *testing.B) {
	for _, bytes := range []int{500, maxPayload} {
		s, payload := testSealer("key"), strings.Repeat("x", bytes)
		sealed := s.seal(Events, 1, payload)
		b.Run(fmt.Sprintf("seal %d", bytes), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.seal(Events, 1, payload)
			}
		})
		b.Run(fmt.Sprintf("open %d", bytes), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.open(Events, 1, sealed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReceive(b *testing.B) {
	lines := make([]Line, 13)
	for i := range lines {
		lines[i] = benchLine(i)
	}
	s := sender{header: header{replica: "6f1c2a54-8a52-4a43-9c0e-0e3f1f8b9f11", epoch: "1ml6gqp8f0jq8-1"}}
	payload, took := s.next(lines)
	if took != len(lines) {
		b.Fatalf("one payload takes %d lines", took)
	}
	r := newTestReceiver(Config{Replica: "self"}, nil, nil)
	b.ReportAllocs()
	sealed := &pgconn.Notification{PID: 1, Payload: r.session.sealer.seal(Events, 1, payload)}
	for b.Loop() {
		clear(r.sealed) // otherwise the number was heard before
		r.hearSealed(sealed, r.since)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(lines)), "ns/line")
}
