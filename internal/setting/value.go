package setting

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Value reads and checks the field of a setting. Errors go on after the name of the setting: "is 0: it is at least 1".
type Value interface {
	read(texts []string) error // leaves the field alone when it fails
	check() []error
	// List reports whether the field takes any number of texts rather than one.
	List() bool
}

// one is a Value of one text.
type one[T any] struct {
	field *T
	parse func(text string) (T, error)
	valid func(T) error // nil when everything that can be parsed is valid
}

// One returns a Value of one text.
func One[T any](field *T, parse func(text string) (T, error), valid func(T) error) Value {
	return one[T]{field, parse, valid}
}

func (o one[T]) read(texts []string) error {
	v, err := o.parse(texts[0])
	if err == nil {
		*o.field = v
	}
	return err
}

func (o one[T]) check() []error {
	if o.valid == nil {
		return nil
	}
	if err := o.valid(*o.field); err != nil {
		return []error{err}
	}
	return nil
}

func (one[T]) List() bool { return false }

// list is a Value of many texts.
type list struct {
	field *[]string
	valid func(string) error
	whole func([]string) error
}

// List returns a Value of many texts, without the blanks that people write behind commas. Valid is asked about each, and whole, unless it
// is nil, about all of them.
func List(field *[]string, valid func(string) error, whole func([]string) error) Value {
	return list{field, valid, whole}
}

func (l list) read(texts []string) error {
	*l.field = nil
	for _, text := range texts {
		*l.field = append(*l.field, strings.TrimSpace(text))
	}
	return nil
}

func (l list) check() (errs []error) {
	for _, text := range *l.field {
		if err := l.valid(text); err != nil {
			errs = append(errs, err)
		}
	}
	if l.whole != nil {
		if err := l.whole(*l.field); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

func (list) List() bool { return true }

// Text returns a Value of any text.
func Text(field *string, valid func(string) error) Value {
	return One(field, func(text string) (string, error) { return text, nil }, valid)
}

// Number returns a Value of a whole number.
func Number(field *int, valid func(int) error) Value {
	return One(field, parsed("a whole number", strconv.Atoi), valid)
}

// Duration returns a Value of a time.
func Duration(field *time.Duration, valid func(time.Duration) error) Value {
	return One(field, parsed("a time such as 5s or 168h", time.ParseDuration), valid)
}

// Share returns a Value of a number from 0 to 1.
func Share(field *float64) Value {
	const want = "from 0 to 1"
	return One(field, parsed("a number "+want, func(text string) (float64, error) { return strconv.ParseFloat(text, 64) }), From(0.0, 1, want))
}

// URL returns a Value of a web address; the empty text leaves it nil.
func URL(field **url.URL) Value {
	parse := parsed("a URL such as https://layercake.example", func(text string) (*url.URL, error) {
		u, err := url.Parse(text)
		if err == nil && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
			err = errors.New("no web address")
		}
		return u, err
	})
	return One(field, func(text string) (*url.URL, error) {
		if text == "" {
			return nil, nil
		}
		return parse(text)
	}, nil)
}

// word is one of the texts that a Choice takes, with its meaning.
type word[T any] struct {
	text  string
	means T
}

// Word returns a text that a Choice takes, and the value of the field for it.
func Word[T any](text string, means T) word[T] { return word[T]{text, means} }

// Choice returns a Value of one of some words.
func Choice[T any](field *T, words ...word[T]) Value {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = w.text
	}
	return One(field, parsed(fmt.Sprintf("one of %q", texts), func(text string) (means T, err error) {
		i := slices.Index(texts, text)
		if i < 0 {
			return means, errors.New("none of them")
		}
		return words[i].means, nil
	}), nil)
}

// From checks that a value is within bounds, which want describes.
func From[T cmp.Ordered](least, most T, want string) func(T) error {
	return func(v T) error {
		if !(v >= least && v <= most) { // NaN is neither
			return fmt.Errorf("is %v: it is %s", v, want)
		}
		return nil
	}
}

// parsed makes the error of parse say what the text should have been.
func parsed[T any](want string, parse func(string) (T, error)) func(string) (T, error) {
	return func(text string) (T, error) {
		v, err := parse(text)
		if err != nil {
			return v, fmt.Errorf("is %q: it is %s", text, want)
		}
		return v, nil
	}
}
