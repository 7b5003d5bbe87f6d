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

// Cut takes the image entries of the given names out of a kustomization.
func Cut(data []byte, names ...string) (cut []Entry, rest []byte, err error) {
	doc, have, err := load(data)
	if err != nil {
		return nil, nil, err
	}
	var want []Entry
	for _, e := range have {
		if slices.Contains(names, e.Name) {
			cut = append(cut, e)
		} else {
			want = append(want, e)
		}
	}
	rest, err = remove(doc, have, want)
	return cut, rest, err
}
