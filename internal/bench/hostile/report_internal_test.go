package hostile

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	// Without an attack the p99 was 80 ms.
	held := Row{Attack: "a", Threat: "C1", Requests: 10, Seconds: 2, CPU: 1, RSSPeak: 100, Changes: 80, P99: 100}
	for name, c := range map[string]struct {
		spoil func(*Row)
		want  string // the failure begins with it; "" for none
	}{
		"held":                              {func(*Row) {}, ""},
		"slow, but not twice as slow":       {func(r *Row) { r.P99 = 160 }, ""},
		"slow, and more than twice as slow": {func(r *Row) { r.P99 = 161 }, "the honest p99 was 161 ms, 2.0 times"},
		"as much memory as there may be":    {func(r *Row) { r.RSSPeak = 512 }, ""},
		"more memory":                       {func(r *Row) { r.RSSPeak = 513 }, "a process used 513 MB"},
		"a second for a request":            {func(r *Row) { r.Extra = 1 }, ""},
		"more than a second":                {func(r *Row) { r.Extra = 1.1 }, "one request took 1.1 s"},
		"as many errors as there may be":    {func(r *Row) { r.Logged = 12 }, ""},
		"more errors":                       {func(r *Row) { r.Logged = 13 }, "replicas logged 13 errors"},
		"not healthy once":                  {func(r *Row) { r.Unhealthy = 1 }, "/health was not 200 1 times"},
		"no change answered":                {func(r *Row) { r.Changes = 0 }, "no honest change"},
		"an attacker who did nothing":       {func(r *Row) { r.Requests = 0 }, "the attacker did nothing"},
		"something seen":                    {func(r *Row) { r.Wrong = []string{"a lie"} }, "a lie"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row := held
			c.spoil(&row)
			row.judge(80)
			got := strings.Join(row.Failures, "\n")
			if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) || len(row.Failures) > 1 {
				t.Errorf("failures = %q, want %q", row.Failures, c.want)
			}
			if ok := (Result{Rows: []Row{held, row}}).OK(); ok != (c.want == "") {
				t.Errorf("OK = %v, want %v", ok, c.want == "")
			}
		})
	}
}

// A p99 below the floor is good enough, however much better it was without an attack.
func TestFastIsFastEnough(t *testing.T) {
	t.Parallel()
	row := Row{Requests: 1, Changes: 1, P99: float64(honestFloor.Milliseconds())}
	if row.judge(10); len(row.Failures) > 0 {
		t.Errorf("failures = %q, want none", row.Failures)
	}
	row.P99++
	if row.judge(10); len(row.Failures) != 1 {
		t.Errorf("failures = %q, want one", row.Failures)
	}
}

// Only what took honest people longer, and did nothing else, is done once more.
func TestOnlySlow(t *testing.T) {
	t.Parallel()
	row := Row{Requests: 1, Changes: 1, P99: 200}
	if row.judge(30); !row.onlySlow() {
		t.Errorf("failures = %q: want another try", row.Failures)
	}
	row.Wrong = []string{"a lie"}
	if row.judge(30); row.onlySlow() {
		t.Errorf("failures = %q: want no other try", row.Failures)
	}
	row.Wrong, row.P99 = nil, 10
	if row.judge(30); row.onlySlow() {
		t.Errorf("failures = %q: want no other try", row.Failures)
	}
}

func TestExtraIsWhatTheHonestLoadDoesNotExplain(t *testing.T) {
	t.Parallel()
	row := Row{Requests: 4, Seconds: 3}
	row.usageOf(&gauge{cpu: 5e9}, Row{Seconds: 2, CPU: 1}) // half a second of processor time each second
	if row.Extra != 3.5/4 {
		t.Errorf("extra = %v, want %v", row.Extra, 3.5/4)
	}
	row.usageOf(&gauge{cpu: 1e9}, Row{Seconds: 2, CPU: 1})
	if row.Extra != 0 {
		t.Errorf("extra = %v, want 0: the honest load used more", row.Extra)
	}
}

func TestWriteNamesEachFailure(t *testing.T) {
	t.Parallel()
	row := Row{Attack: "bodies", Threat: "C7", Requests: 1, Answers: map[string]int64{"200": 2, "413": 1}, Changes: 1, Wrong: []string{"a lie"}}
	row.judge(30)
	var text bytes.Buffer
	if err := (Result{Rows: []Row{{Attack: "quiet"}, row}}).Write(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"bodies: a lie\n", "bodies: answered with 200 2, 413 1\n", "FAILED: 1 of 2 rounds\n"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, &text)
		}
	}
}

// Each attack has what the table of them shows, under a name of its own.
func TestAttacksAreNamed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, a := range attacks {
		if a.name == "" || seen[a.name] || a.threat == "" || a.summary == "" || a.do == nil {
			t.Errorf("%+v: want a name of its own, a threat, a summary and something to do", a)
		}
		if !slices.Contains([]byte("CWDF"), a.threat[0]) {
			t.Errorf("%s: threat %q does not say who", a.name, a.threat)
		}
		seen[a.name] = true
	}
}
