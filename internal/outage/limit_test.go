package outage_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"layercake/internal/outage"
)

func TestEachKindIsLoggedOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(outage.Limit(slog.NewTextHandler(&out, &slog.HandlerOptions{
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			},
		})))
		for n := range 1000 {
			log.Error("request failed", "n", n)
			log.With("replica", "r").WithGroup("g").Error("request failed", "n", n)
			if n%100 == 0 {
				log.Warn("another kind", "n", n)
				log.Info("serving", "n", n)
			}
			time.Sleep(2 * time.Millisecond) //nolint:forbidigo // of the bubble: what passes between lines
		}
		time.Sleep(time.Second) //nolint:forbidigo // of the bubble: what passes between lines
		log.With("replica", "r").Error("request failed", "n", "last")
		want := strings.Join([]string{
			`level=ERROR msg="request failed" n=0`, `level=WARN msg="another kind" n=0`, `level=INFO msg=serving n=0`,
			`level=INFO msg=serving n=100`, `level=INFO msg=serving n=200`, `level=INFO msg=serving n=300`, `level=INFO msg=serving n=400`,
			`level=ERROR msg="request failed" n=500 suppressed=999`,
			`level=WARN msg="another kind" n=500 suppressed=4`, `level=INFO msg=serving n=500`,
			`level=INFO msg=serving n=600`, `level=INFO msg=serving n=700`, `level=INFO msg=serving n=800`, `level=INFO msg=serving n=900`,
			`level=ERROR msg="request failed" replica=r n=last suppressed=999`,
		}, "\n") + "\n"
		if got := out.String(); got != want {
			t.Errorf("the log is\n%s\nwant\n%s", got, want)
		}
	})
}
