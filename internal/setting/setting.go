// Package setting reads what a program is told from texts.
package setting

import (
	"errors"
	"fmt"
	"strings"
)

// Setting is one thing that a program is told, on its command line or in its environment, and the field that it fills.
type Setting struct {
	Flag        string // without its dashes, such as pool-max
	Fallback    string // the variable that is read when Variable is not set; may be empty
	Default     string // text; not for lists
	Placeholder string // stands for the text in the help when there is no default
	Hidden      bool   // the help does not show it: it is for tests
	Help        string // of the flag: a sentence
	Value       Value
}

// Variable returns the variable of the environment that says the same as the flag.
func (s Setting) Variable() string {
	return "LAYERCAKE_" + strings.ToUpper(strings.ReplaceAll(s.Flag, "-", "_"))
}

// Read fills the field. A text that is wrong is an error, and the field gets the default, so that no check of another field complains
// of what comes of it.
func (s Setting) Read(texts ...string) error {
	err := s.Value.read(texts)
	if err != nil {
		_ = s.Value.read([]string{s.Default}) // a default is never wrong, or it is the text
	}
	return s.named(err)
}

// Check reports what is wrong with the content of the field, wherever it came from.
func (s Setting) Check() error {
	var errs []error
	for _, err := range s.Value.check() {
		errs = append(errs, s.named(err))
	}
	return errors.Join(errs...)
}

func (s Setting) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %w", s.Variable(), err)
}

// Check reports everything that is wrong with the fields of all settings.
func Check(settings []Setting) error {
	var errs []error
	for _, s := range settings {
		errs = append(errs, s.Check())
	}
	return errors.Join(errs...)
}
