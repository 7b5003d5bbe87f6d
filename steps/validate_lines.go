package steps

import (
	"fmt"
	"path"

	"slipway/steps/internal/manifest"
	"slipway/steps/internal/manifest/schema/fieldpath"
)

// locate says where the field of an object comes from. Of a text that is no field it is the object.
func (f *Finding) locate(lines *manifest.Lines, o manifest.Object) {
	steps, _ := fieldpath.Parse(f.Field)
	f.File, f.Line = lines.Find(o, steps)
}

// place is where a finding is to be cured, as editors and terminals understand it: file and line as far as they are known.
func (f Finding) place() string {
	switch {
	case f.Line > 0:
		return fmt.Sprintf("%s:%d", f.File, f.Line)
	case f.File != "":
		return f.File
	case f.Object == "":
		return path.Join(f.Path, "kustomization")
	}
	return f.Path
}
