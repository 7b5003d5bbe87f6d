package kustomization

import "slices"

// Adopt returns data with the image entries of the given names as another version of the file has them, absent ones
// included. With it the base of a merge can be moved past a change that is known to be out of date.
func Adopt(data, from []byte, names ...string) ([]byte, error) {
	_, have, err := load(data)
	if err != nil {
		return nil, err
	}
	_, other, err := load(from)
	if err != nil {
		return nil, err
	}
	want := slices.DeleteFunc(slices.Clone(have), func(e Entry) bool { return slices.Contains(names, e.Name) })
	for _, e := range other {
		if slices.Contains(names, e.Name) {
			want = append(want, e)
		}
	}
	return replaceAll(data, want)
}
