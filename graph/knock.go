package graph

import (
	"context"
	"net/http"
	"slices"

	"layercake/internal/caller"
	"layercake/internal/fault"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Who has no credential, or one that proves nothing any more, may still come in: by a document whose root fields are all among these.
var knocking = map[string]bool{"register": true, "login": true, "redeemCode": true, "me": true, "__typename": true}

// hashing are the fields that compute the hash of a password, which is made to cost something: a document has one of them at most.
var hashing = map[string]bool{"register": true, "login": true, "redeemCode": true, "changePassword": true}

// maxKnock is how long a request may be whose sender is not known.
const maxKnock = 16 << 10

// maxKnocks is how many root fields such a document may have. It has no directives either, so that whoever is not known can make nothing of
// it but a few look-ups and one hash.
const maxKnocks = 4

// mayKnock reports whether a request of somebody who is barred is read at all. What it asks for is checked once it was parsed.
func mayKnock(r *http.Request, barred error) bool {
	return fault.Is(barred, fault.Unauthenticated) && r.Method == http.MethodPost && r.ContentLength >= 0 && r.ContentLength <= maxKnock
}

// barredFrom returns the refusal of a caller who may not go on, or nil.
func barredFrom(ctx context.Context) *gqlerror.Error {
	if err := caller.From(ctx).Check(); err != nil {
		return asInvalid(fault.From(err))
	}
	return nil
}

// checkRoot refuses a document before anything of it is checked or executed: one of a caller who may not go on and does not only knock, and
// one that computes more than one hash, under whatever aliases and in whatever fragments.
func checkRoot(ctx context.Context, document *ast.QueryDocument, operation *ast.OperationDefinition) *gqlerror.Error {
	barred := barredFrom(ctx)
	if operation == nil || barred != nil && operation.Operation == ast.Subscription {
		return barred
	}
	fields, hashes, knocks := 0, 0, true
	rootFields(document, operation.SelectionSet, map[string]bool{}, func(f *ast.Field) {
		fields++
		if hashing[f.Name] {
			hashes++
		}
		knocks = knocks && knocking[f.Name]
	})
	switch {
	case barred != nil && (!knocks || fields == 0 || fields > maxKnocks || hasDirectives(document)):
		return barred
	case hashes > 1:
		return tooMuch("A document may have one of login, register, redeemCode and changePassword")
	}
	return nil
}

// hasDirectives reports whether a document has any, wherever.
func hasDirectives(document *ast.QueryDocument) bool {
	for _, operation := range document.Operations {
		if len(operation.Directives) > 0 || directed(operation.SelectionSet) {
			return true
		}
	}
	for _, fragment := range document.Fragments {
		if len(fragment.Directives) > 0 || directed(fragment.SelectionSet) {
			return true
		}
	}
	return false
}

// directed reports whether a selection has directives. It enters no fragment that has a name.
func directed(set ast.SelectionSet) bool {
	return slices.ContainsFunc(set, func(selection ast.Selection) bool {
		switch selection := selection.(type) {
		case *ast.Field:
			return len(selection.Directives) > 0 || directed(selection.SelectionSet)
		case *ast.InlineFragment:
			return len(selection.Directives) > 0 || directed(selection.SelectionSet)
		case *ast.FragmentSpread:
			return len(selection.Directives) > 0
		}
		return false
	})
}

// rootFields calls f for each root field, once for each way that leads to it. A fragment is entered once a path, so circles end.
func rootFields(document *ast.QueryDocument, set ast.SelectionSet, path map[string]bool, f func(*ast.Field)) {
	for _, selection := range set {
		switch selection := selection.(type) {
		case *ast.Field:
			f(selection)
		case *ast.InlineFragment:
			rootFields(document, selection.SelectionSet, path, f)
		case *ast.FragmentSpread:
			fragment := document.Fragments.ForName(selection.Name)
			if fragment == nil || path[selection.Name] {
				continue
			}
			path[selection.Name] = true
			rootFields(document, fragment.SelectionSet, path, f)
			delete(path, selection.Name)
		}
	}
}
