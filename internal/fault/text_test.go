package fault_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"layercake/internal/fault"
)

func TestCharactersOfNamesAndLabels(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text        string
		name, label string // what is refused; empty for nothing
	}{
		"plain":                     {"Sales 2026 – Übersicht", "", ""},
		"another script":            {"تقرير", "", ""},
		"marks of direction":        {"a\u200fb\u200e", "", ""},
		"an emoji of several":       {"👩\u200d💻 \u2764\ufe0f", "", ""},
		"a joiner of Persian":       {"می\u200cخواهم", "", ""},
		"a zero-width space":        {"a\u200bb", "", ""},
		"lines":                     {"one\n\ttwo", "U+000A", ""},
		"a return":                  {"one\r\ntwo", "U+000D", "U+000D"},
		"a bell":                    {"a\a", "U+0007", "U+0007"},
		"a delete":                  {"a\x7f", "U+007F", "U+007F"},
		"a control character of C1": {"a\u0085", "U+0085", "U+0085"},
		"an override":               {"photo\u202egpj.exe", "U+202E", "U+202E"},
		"an isolate":                {"\u2066a\u2069", "U+2066", "U+2066"},
		"a byte order mark":         {"\ufeffa", "U+FEFF", "U+FEFF"},
		"a separator of lines":      {"a\u2028b", "U+2028", "U+2028"},
		"a separator of paragraphs": {"a\u2029b", "U+2029", "U+2029"},
		"a tag":                     {"a\U000e0041", "U+E0041", "U+E0041"},
	} {
		for what, check := range map[string]struct {
			err     error
			refused string
		}{
			"name": {fault.CheckName("Field", c.text), c.name}, "label": {fault.CheckLabel("Field", c.text), c.label},
		} {
			switch want := "Field may not contain the character " + check.refused; {
			case check.refused == "" && check.err != nil:
				t.Errorf("%s in a %s: %v", name, what, check.err)
			case check.refused != "" && (!fault.Is(check.err, fault.BadRequest) || check.err.Error() != want):
				t.Errorf("%s in a %s: %v, want %q", name, what, check.err, want)
			}
		}
	}
	f := fault.From(fault.CheckName("Field", "äb\u202e"))
	if at, ok := f.Details["detail"].(map[string]any); !ok || at["position"] != 2 {
		t.Errorf("the position is in %v, want 2", f.Details)
	}
}

func FuzzLabels(f *testing.F) {
	f.Add("a\u202eb")
	f.Add("\U000e0001\n")
	f.Fuzz(func(t *testing.T, text string) {
		if fault.CheckLabel("Field", text) != nil {
			if fault.CheckName("Field", text) == nil {
				t.Error("a name may have what a label may not")
			}
			return
		}
		for _, r := range text {
			if unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.In(r, unicode.Zl, unicode.Zp) || strings.ContainsRune("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff", r) {
				t.Errorf("a label may contain %U", r)
			}
		}
	})
}

// What clients sent comes back in errors, but not all of it.
func TestClip(t *testing.T) {
	t.Parallel()
	short, long := strings.Repeat("ä", 200), strings.Repeat("ä", 201)
	if got := fault.Clip(short); got != short {
		t.Errorf("200 characters became %d", utf8.RuneCountInString(got))
	}
	if got := fault.Clip(long); got != short+"..." {
		t.Errorf("201 characters became %q", got)
	}
	if got := fault.Clip(strings.Repeat("\xff", 300)); len(got) != 203 {
		t.Errorf("300 bytes of no character became %d", len(got))
	}
	details := fault.New(fault.BadRequest, "No").With("detail", map[string]any{"id": long, "path": []string{long}, "limit": 5}).Details
	if got, err := json.Marshal(details["detail"]); err != nil || string(got) != `{"id":"`+short+`...","limit":5,"path":["`+short+`..."]}` {
		t.Errorf("%s, %v", got, err)
	}
}

func TestJSONReasonsAreOurWords(t *testing.T) {
	t.Parallel()
	var object struct {
		Name  string `json:"name"`
		Inner struct {
			N []int `json:"n"`
		} `json:"inner"`
	}
	for text, want := range map[string]string{
		``:                           "it is no JSON, or ends too early",
		`{"name":`:                   "it is no JSON, or ends too early",
		`{"name":x}`:                 "it is no JSON from byte 9 on",
		`[]`:                         "it is of the wrong type: a list",
		`5`:                          "it is of the wrong type: a number",
		`{"name":1.5}`:               `"name" is of the wrong type: a number`,
		`{"name":{}}`:                `"name" is of the wrong type: an object`,
		`{"inner":{"n":true}}`:       `"inner.n" is of the wrong type: true or false`,
		`{"inner":{"n":["secret"]}}`: `"inner.n" is of the wrong type: a string`,
		`{"colour":1}`:               `"colour" is unknown: correct its name, or remove it`,
	} {
		err := fault.DecodeJSON([]byte(text), &object)
		if err == nil {
			t.Fatalf("%s can be read", text)
		}
		if got := fault.JSONReason(err); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
