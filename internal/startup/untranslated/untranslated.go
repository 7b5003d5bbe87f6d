// Package untranslated keeps kubectl, which is part of Argo CD's SDK, from unpacking its catalogues of translations when the
// process starts: nothing of what they translate is ever printed, and they cost more than everything else.
package untranslated

import "k8s.io/kubectl/pkg/util/i18n"

func init() {
	// An error would mean that there is no function to load with, which is what is wanted.
	_ = i18n.SetLoadTranslationsFunc(func() error { return nil })
}
