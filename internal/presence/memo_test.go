package presence_test

import (
	"testing"

	"layercake/internal/presence"
)

// A value that cannot be built panics for everybody: nobody is sent a frame without its contents.
func TestMemoThatPanics(t *testing.T) {
	t.Parallel()
	var m presence.Memo
	for range 2 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("it did not panic")
				}
			}()
			m.Bytes(func() []byte { panic("boom") })
		}()
	}
}
