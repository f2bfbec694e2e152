// Package setting reads the settings of a program from texts.
package setting

import (
	"errors"
	"fmt"
	"strings"
)

// Setting is one setting of a program, given on its command line or in its environment, and the field that it fills.
type Setting struct {
	Flag        string // without its dashes, such as pool-max
	Fallback    string // the variable that is read when Variable is not set; may be empty
	Default     string // default, as text; unused by lists
	Placeholder string // placeholder of the text in the help when there is no default
	Hidden      bool   // whether the help leaves it out, because it is for tests
	Help        string // sentence in the help
	Value       Value
}

// Variable returns the variable of the environment that stands for the flag.
func (s Setting) Variable() string {
	return "LAYERCAKE_" + strings.ToUpper(strings.ReplaceAll(s.Flag, "-", "_"))
}

// Read fills the field. When a text is wrong, Read fails and the field gets the default, so that checks of other fields that depend on it
// do not complain as well.
func (s Setting) Read(texts ...string) error {
	err := s.Value.read(texts)
	if err != nil {
		_ = s.Value.read([]string{s.Default}) // fails only when the default itself was the wrong text
	}
	return s.named(err)
}

// Check reports what is wrong with the content of the field, also when Read did not fill it.
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
