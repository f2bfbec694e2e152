package layered_test

import (
	"strings"
	"testing"

	"layercake/internal/layered"
)

// What is kept stays what it was, whatever its length and whatever is kept after it.
func TestTexts(t *testing.T) {
	t.Parallel()
	var texts layered.Texts
	var want, got []string
	buf := make([]byte, 0, 200_000)
	for i := range 3000 {
		buf = append(buf[:0], strings.Repeat(string(rune('a'+i%26)), i*i%97+i%500*(i%300/299)*400)...)
		want = append(want, strings.Clone(string(buf)))
		if i%2 == 0 {
			got = append(got, texts.KeepBytes(buf))
		} else {
			got = append(got, texts.Keep(string(buf)))
		}
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("text %d of %d bytes is %.20q, want %.20q", i, len(want[i]), got[i], want[i])
		}
	}
}
