package handlebars_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"layercake/internal/export/handlebars"
)

// A template that is not valid must leave no goroutine of the lexer behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var limits = handlebars.Limits{Time: time.Minute, Bytes: 1 << 20}

func render(t *testing.T, source string, data any, helpers map[string]handlebars.Helper) (string, error) {
	t.Helper()
	tpl, err := handlebars.Parse(source, nil)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	var b strings.Builder
	err = tpl.Render(t.Context(), &b, data, helpers, limits)
	return b.String(), err
}

func TestRender(t *testing.T) {
	t.Parallel()
	data := handlebars.Map{
		"text": "<'a' & `b`=\"c\">", "safe": handlebars.Safe("<b>"), "no": false, "yes": true, "zero": 0, "n": 1.5, "empty": "", "null": nil,
		"list": handlebars.Values{1, "two", handlebars.Map{"x": "three"}}, "none": handlebars.Values{},
		"map": handlebars.Map{"b": 2, "a": 1, "deep": handlebars.Map{"c": "C"}},
	}
	for source, want := range map[string]string{
		"{{text}}":                               "&lt;&#x27;a&#x27; &amp; &#x60;b&#x60;&#x3D;&quot;c&quot;&gt;",
		"{{{text}}}{{&text}}":                    "<'a' & `b`=\"c\"><'a' & `b`=\"c\">",
		"{{safe}}{{n}}{{zero}}{{yes}}{{null}}":   "<b>1.50true",
		"{{list}} {{map}}":                       "1,two,[object] [object]",
		"{{#if no}}1{{/if}}{{#if zero}}2{{/if}}": "",
		"{{#if empty}}1{{else}}2{{/if}}{{#if none}}3{{/if}}{{#if null}}4{{/if}}{{#if map}}5{{/if}}":              "25",
		"{{#unless no}}1{{else}}2{{/unless}}":                                                                    "1",
		"{{#each none}}1{{else}}2{{/each}}{{#each text}}3{{else}}4{{/each}}":                                     "24",
		"{{#each map}}{{@key}}{{@index}}{{#unless @last}} {{/unless}}{{/each}}":                                  "a0 b1 deep2",
		"{{#each list}}{{#each ../map}}{{@../index}}{{@key}} {{/each}}{{/each}}":                                 "0a 0b 0deep 1a 1b 1deep 2a 2b 2deep ",
		"{{#each list}}{{this}}{{x}}{{this.x}}{{./x}};{{/each}}":                                                 "1;two;[object]threethreethree;",
		"{{#with map.deep as |d|}}{{c}}{{d.c}}{{../../n}}{{../n}}{{@root.n}}{{/with}}":                           "CC1.51.5",
		"{{#yes}}1{{/yes}}{{#map}}{{a}}{{/map}}{{#none}}2{{/none}}{{^none}}3{{/none}}":                           "113",
		"{{lookup map \"a\"}}{{lookup list 1}}{{list.length}}{{len text}}{{len map}}":                            "1two3153",
		"{{#if (and yes (or no n))}}1{{/if}}{{#if (not (eq n \"1.5\"))}}2{{/if}}{{#if (ne 1 2)}}3{{/if}}":        "13",
		"{{#if (gt n 1)}}1{{/if}}{{#if (gte 1 1)}}2{{/if}}{{#if (lt \"x\" 1)}}3{{/if}}{{#if (lte 2 1)}}4{{/if}}": "12",
		"a {{~n~}} b\n  {{#if yes}}\nc\n  {{/if}}\n{{!-- gone --}}\nd":                                           "a1.5b\nc\nd",
		"{{#if null}}1{{else if no}}2{{else if yes}}3{{else}}4{{/if}}":                                           "3",
		"{{add 1 n}}":             "2.5",
		"{{map.[deep].c}}{{[n]}}": "C1.5",
	} {
		got, err := render(t, source, data, map[string]handlebars.Helper{
			"add": func(args []any) (any, error) { return args[0].(float64) + args[1].(float64), nil },
		})
		if err != nil || got != want {
			t.Errorf("%s\n gives %q, %v\n want  %q", source, got, err, want)
		}
	}
}

func TestRenderErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	helpers := map[string]handlebars.Helper{"fail": func([]any) (any, error) { return nil, broken }}
	for source, want := range map[string]string{
		"\n\n{{fail}}": `line 3: helper "fail": broken`, "{{#if}}x{{/if}}": "one argument",
		"{{not}}": "takes one", "{{eq 1}}": "takes two",
		"{{nothing 1}}": "no helper", "{{x y=1}}": "no helper", "{{eq 1 2 a=3}}": "no named arguments",
		"{{#each (fail)}}{{/each}}": "broken",
	} {
		if _, err := render(t, source, nil, helpers); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", source, err, want)
		}
	}
}

func TestRenderEndsWithItsContext(t *testing.T) {
	t.Parallel()
	tpl, err := handlebars.Parse(strings.Repeat("{{#each l}}", 12)+"x"+strings.Repeat("{{/each}}", 12), nil)
	if err != nil {
		t.Fatal(err)
	}
	list := make(handlebars.Values, 100)
	self := handlebars.Map{"l": list}
	for i := range list {
		list[i] = self
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	big := handlebars.Limits{Time: time.Hour, Bytes: 1 << 60}
	if err := tpl.Render(ctx, discard{}, self, nil, big); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"a\n{{#if x}}\nb": "line 3: the end where {{/if}}", "{{/if}}": `line 1: "{{/" where no more`,
		"{{}}": "where a name", "{{a}": "line 1",
		"{{#a}}{{/b}}": "{{/b}} where {{/a}}", "{{a (b}}": "where )", "{{a b=}}": "where a name",
		"{{{a}}": "line 1", "{{#a as |}}{{/a}}": "where a name",
		"{{\"a}}": "line 1", "{{a/../b}}": "cannot follow", "{{@}}": "where a name", "{{> }}": "where a name",
		"{{#a}}{{else}}{{else}}{{/a}}": "where {{/a}}",
		"{{!-- x":                      "line 1", "{{{{a}}}}": "raw blocks",
	} {
		if _, err := handlebars.Parse(source, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", source, err, want)
		}
		if _, err := handlebars.Parse("x", map[string]string{"p": source}); err == nil || !strings.Contains(err.Error(), `partial "p"`) {
			t.Errorf("partial %s: %v", source, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"{{a}}", "{{#a b c=(d e)}}{{else f}}{{/a}}", "{{> a b=c}}", "{{#a as |b c|}}{{/a}}", "{{~a~}}",
		"{{@a.b}}", "{{../a}}", "{{!a}}", "{{[a]}}", "{{", "}}",
		"{{else}}", "{{^}}", "{{{a}}}", "\\{{a}}", "{{a 1 true \"x\"}}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		tpl, err := handlebars.Parse(source, nil)
		if err != nil {
			if strings.Contains(err.Error(), "not valid: ") {
				t.Errorf("the check let pass what the parser does not: %v", err)
			}
			return
		}
		_ = tpl.Render(t.Context(), discard{}, handlebars.Map{"a": handlebars.Values{1, 2}}, nil, limits)
	})
}

// The parser takes time in the square of a path's length, and nothing can stop it.
func TestLongPathsAreRefused(t *testing.T) {
	t.Parallel()
	path := func(parts int) string { return "{{" + strings.Repeat("a.", parts-1) + "b}}" }
	if _, err := handlebars.Parse(path(100), nil); err != nil {
		t.Error(err)
	}
	for _, parts := range []int{101, 125_000} {
		if _, err := handlebars.Parse(path(parts), nil); err == nil || !strings.Contains(err.Error(), "has more than 100 parts") {
			t.Errorf("a path of %d parts: %v", parts, err)
		}
	}
}
