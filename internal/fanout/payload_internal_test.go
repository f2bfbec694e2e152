package fanout

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
	for text, want := range map[string]line{
		`e 1 2 {"a": "b c"}`:               {kind: kindEvent, project: 1, version: 2, body: []byte(`{"a": "b c"}`)},
		`h 2147483647 9223372036854775807`: {kind: kindHint, project: math.MaxInt32, version: math.MaxInt64},
		`h 1 0`:                            {kind: kindHint, project: 1},
		`j 7 c-1 {"a": "b c"}`:             {kind: kindJoin, project: 7, about: "c-1", body: []byte(`{"a": "b c"}`)},
		`c 7 c-1 [1,2]`:                    {kind: kindMove, project: 7, about: "c-1", body: []byte(`[1,2]`)},
		`l 7 c-1 i-1`:                      {kind: kindLeave, project: 7, about: "c-1", body: []byte(`i-1`)},
		`n 7 n-1 joined`:                   {kind: kindNotice, project: 7, about: "n-1", body: []byte(`joined`)},
		`a kick`:                           {kind: kindCommand},
		`b 1790000000000000000`:            {kind: kindBeat, nanos: 1790000000000000000},
		`z whatever a newer replica likes to say`: {kind: 'z'},
	} {
		got, err := parseLine(text)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(line{})); err != nil || diff != "" {
			t.Errorf("%q: %v %s", text, err, diff)
		}
	}
	for _, text := range []string{
		"", " ", "e", "h", "b", "e ", "e 1", "e 1 2", "e 1 2 ", "e x 2 {}", "e 1 x {}", "e 0 1 {}", "e -1 1 {}", "e 1 -1 {}",
		"e 2147483648 1 {}", "h 1 9223372036854775808", "h 1 2 {}", "h 1", "b x", "b ", "a", "a ", "ee 1 2 {}", "é 1",
		"j 1", "j 1 c", "j 1 c ", "j 0 c {}", "j x c {}", "l 1  i", "c 1 " + strings.Repeat("c", 65) + " {}",
	} {
		if got, err := parseLine(text); !errors.Is(err, errMalformed) {
			t.Errorf("%q: got %+v, %v, want malformed", text, got, err)
		}
	}
}

func TestPackerFillsPayloadsWithoutExceedingThem(t *testing.T) {
	t.Parallel()
	var lines []line
	for i := range 500 {
		l := line{kind: kindHint, project: math.MaxInt32, version: math.MaxInt64 - int64(i)}
		if i%5 == 0 {
			l = line{kind: kindJoin, project: math.MaxInt32, about: strings.Repeat("c", maxConnection), body: []byte(strings.Repeat("x", maxPresence))}
		} else if i%3 != 0 {
			l.kind, l.body = kindEvent, []byte(strings.Repeat("x", 1+i*37%maxBody))
		}
		lines = append(lines, l)
	}
	p := packer{header: header{replica: strings.Repeat("r", maxReplica), epoch: "3w5e11264sgsf-4294967295", seq: 1 << 60}}
	var got []line
	for rest := lines; len(rest) > 0; {
		payload, took := p.next(rest)
		if took == 0 || len(payload) > maxPayload {
			t.Fatalf("took %d lines into %d bytes", took, len(payload))
		}
		if took < len(rest) && len(payload)+len(rest[took].append(nil)) <= maxPayload {
			t.Fatalf("a payload of %d bytes has room for the next line", len(payload))
		}
		h, text, err := parseHeader(payload)
		if err != nil || h != p.header {
			t.Fatalf("header %+v, %v, want %+v", h, err, p.header)
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
	if diff := cmp.Diff(lines, got, cmp.AllowUnexported(line{})); diff != "" {
		t.Errorf("lines changed on their way: %s", diff)
	}
}

// FuzzReceive feeds anything to a replica: it must not panic, must not accept what it cannot repeat, and must not hear
// events in payloads that it says it cannot read.
func FuzzReceive(f *testing.F) {
	for _, s := range []string{
		"1 a e-1 1\ne 1 2 {}\nh 3 4\nb 5\nz 6", "1 a e-1 1", "2 x", "", "1 a e 1\n\n\n", "1 a e 9223372036854775807\ne 1 1 \x00",
		"1 \xff e 1\nh 1 1", "1 a e 1\ne 00001 0002  {}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		var events []Event
		var doubts []string
		i := newTestInbox(&events, &doubts)
		i.receive(payload, i.since)
		i.receive(payload, i.since)
		for _, e := range events {
			if e.Project < 1 || e.Version < 0 || e.Epoch == "" || e.Body != nil && len(e.Body) == 0 {
				t.Errorf("%q was heard as %+v", payload, e)
			}
		}
		h, rest, err := parseHeader(payload)
		if err != nil {
			if len(events) > 0 {
				t.Errorf("%q is %v, but has events", payload, err)
			}
			return
		}
		if !slices.Contains(doubts, doubtHole) {
			t.Errorf("%q came twice without a doubt", payload)
		}
		if again, _, err := parseHeader(string(h.append(nil))); err != nil || again != h {
			t.Errorf("header %+v becomes %+v, %v", h, again, err)
		}
		for text := range strings.SplitSeq(rest, "\n") {
			l, err := parseLine(text)
			if err != nil || !strings.ContainsRune("ehjclb", rune(l.kind)) {
				continue
			}
			again, err := parseLine(string(l.append(nil)[1:]))
			if diff := cmp.Diff(l, again, cmp.AllowUnexported(line{})); err != nil || diff != "" {
				t.Errorf("%q: %v %s", text, err, diff)
			}
		}
	})
}

func BenchmarkPack(b *testing.B) {
	lines := make([]line, 1000)
	for i := range lines {
		lines[i] = line{kind: kindEvent, project: 12345, version: int64(i), body: []byte(strings.Repeat("x", 400))}
	}
	p := packer{header: header{replica: "6f1c2a54-8a52-4a43-9c0e-0e3f1f8b9f11", epoch: "1ml6gqp8f0jq8-1"}}
	b.ReportAllocs()
	for b.Loop() {
		for rest := lines; len(rest) > 0; {
			_, took := p.next(rest)
			rest = rest[took:]
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(lines)), "ns/line")
}

func BenchmarkReceive(b *testing.B) {
	lines := make([]line, 18)
	for i := range lines {
		lines[i] = line{kind: kindEvent, project: 12345, version: int64(i), body: []byte(strings.Repeat("x", 400))}
	}
	p := packer{header: header{replica: "6f1c2a54-8a52-4a43-9c0e-0e3f1f8b9f11", epoch: "1ml6gqp8f0jq8-1"}}
	payload, took := p.next(lines)
	if took != len(lines) {
		b.Fatalf("one payload takes %d lines", took)
	}
	i := newTestInbox(nil, nil)
	b.ReportAllocs()
	for b.Loop() {
		i.receive(payload, i.since)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(lines)), "ns/line")
}
