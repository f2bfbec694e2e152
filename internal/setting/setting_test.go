package setting_test

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"testing"
	"time"

	"layercake/internal/setting"

	"github.com/google/go-cmp/cmp"
)

// told is what a program may be told.
type told struct {
	name  string
	count int
	pause time.Duration
	share float64
	page  *url.URL
	loud  bool
	tags  []string
}

func (c *told) settings() map[string]setting.Setting {
	short := func(text string) error {
		if len(text) > 3 {
			return fmt.Errorf("is %q: it is short", text)
		}
		return nil
	}
	few := func(texts []string) error {
		if len(texts) > 3 {
			return fmt.Errorf("has %d texts: they are few", len(texts))
		}
		return nil
	}
	return map[string]setting.Setting{
		"name":  {Flag: "long-name", Value: setting.Text(&c.name, short)},
		"count": {Flag: "count", Default: "5", Value: setting.Number(&c.count, setting.From(1, math.MaxInt, "at least 1"))},
		"pause": {Flag: "pause", Default: "1s", Value: setting.Duration(&c.pause, setting.From(0, time.Hour, "from 0s to 1h"))},
		"share": {Flag: "share", Default: "0", Value: setting.Share(&c.share)},
		"page":  {Flag: "page", Value: setting.URL(&c.page)},
		"loud":  {Flag: "loud", Default: "no", Value: setting.Choice(&c.loud, setting.Word("no", false), setting.Word("yes", true))},
		"tags":  {Flag: "tags", Value: setting.List(&c.tags, short, few)},
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		setting string
		texts   []string
		want    any
		err     string
	}{
		{"name", []string{"abc"}, "abc", ""},
		{"name", []string{"abcd"}, "abcd", `LAYERCAKE_LONG_NAME is "abcd": it is short`},
		{"count", []string{"7"}, 7, ""},
		{"count", []string{"0"}, 0, "LAYERCAKE_COUNT is 0: it is at least 1"},
		{"count", []string{"many"}, 5, `LAYERCAKE_COUNT is "many": it is a whole number`},
		{"pause", []string{"1m"}, time.Minute, ""},
		{"pause", []string{"2h"}, 2 * time.Hour, "LAYERCAKE_PAUSE is 2h0m0s: it is from 0s to 1h"},
		{"pause", []string{"soon"}, time.Second, `LAYERCAKE_PAUSE is "soon": it is a time such as 5s or 168h`},
		{"share", []string{"0.5"}, 0.5, ""},
		{"share", []string{"2"}, 2.0, "LAYERCAKE_SHARE is 2: it is from 0 to 1"},
		{"share", []string{"all"}, 0.0, `LAYERCAKE_SHARE is "all": it is a number from 0 to 1`},
		{"page", []string{"https://a.example"}, "https://a.example", ""},
		{"page", []string{""}, "", ""},
		{"page", []string{"ftp://a"}, "", `LAYERCAKE_PAGE is "ftp://a": it is a URL such as https://layercake.example`},
		{"loud", []string{"yes"}, true, ""},
		{"loud", []string{"very"}, false, `LAYERCAKE_LOUD is "very": it is one of ["no" "yes"]`},
		{"tags", []string{"a", " b"}, []string{"a", "b"}, ""},
		{"tags", nil, []string(nil), ""},
		{"tags", []string{"a", "b", "c", "d"}, []string{"a", "b", "c", "d"}, "LAYERCAKE_TAGS has 4 texts: they are few"},
		{
			"tags",
			[]string{"long", "ok", " wide"},
			[]string{"long", "ok", "wide"},
			"LAYERCAKE_TAGS is \"long\": it is short\nLAYERCAKE_TAGS is \"wide\": it is short",
		},
	} {
		t.Run(fmt.Sprintf("%s %q", c.setting, c.texts), func(t *testing.T) {
			t.Parallel()
			var to told
			s := to.settings()[c.setting]
			said := ""
			if err := errors.Join(s.Read(c.texts...), s.Check()); err != nil {
				said = err.Error()
			}
			page := ""
			if to.page != nil {
				page = to.page.String()
			}
			fields := map[string]any{
				"name": to.name, "count": to.count, "pause": to.pause, "share": to.share, "page": page, "loud": to.loud, "tags": to.tags,
			}
			if diff := cmp.Diff([]any{c.want, c.err}, []any{fields[c.setting], said}); diff != "" {
				t.Error(diff)
			}
		})
	}
}
